/**
 * Standard Schema (standardschema.dev), which Zod, Valibot, ArkType and others implement: schemas that a program
 * brings along. They are asked whether data follows; what they would make of it (defaults, conversions) is not
 * used, because what a client sent is what a client gets back.
 */

import type { Problem } from '../errors.ts'
import { escapePointer } from './canonical-json.ts'
import { EVENT_PROBLEMS_MAX } from './limits.ts'
import type { Validator } from './validator.ts'

/** As the specification has it, version 1. */
export interface StandardSchema<Input = unknown, Output = unknown> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult | Promise<StandardResult>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

export function isStandardSchema(schema: unknown): schema is StandardSchema {
  if ((typeof schema !== 'object' && typeof schema !== 'function') || schema === null) return false
  const standard: unknown = Reflect.get(schema, '~standard')
  return typeof standard === 'object' && standard !== null && 'validate' in standard
}

/** The program's own code: it is not watched for how long it takes. */
export function standardValidator(schema: StandardSchema): Validator {
  return { check: (data) => check(schema, data), isTame: true }
}

function check(schema: StandardSchema, data: unknown): readonly Problem[] {
  let result: StandardResult | Promise<StandardResult>
  try {
    result = schema['~standard'].validate(data)
  } catch (error) {
    return [{ pointer: '', detail: `the schema failed: ${String(error)}` }]
  }
  if (result instanceof Promise) {
    // What becomes of it does not matter any more, and must not end the process.
    result.catch(() => undefined)
    return [{ pointer: '', detail: ANSWERS_LATER }]
  }
  return (result.issues ?? []).slice(0, EVENT_PROBLEMS_MAX).map(({ message, path = [] }) => ({
    pointer: path.map((step) => `/${escapePointer(nameOf(step))}`).join(''),
    detail: message
  }))
}

const ANSWERS_LATER = 'the schema answers by a promise: only those that answer at once are used'

function nameOf(step: PropertyKey | { readonly key: PropertyKey }): string {
  return String(typeof step === 'object' ? step.key : step)
}
