/**
 * The fold of functions of this program over inputs, from a state's text to a state's text.
 *
 * A state is its JSON after each event: so it does not matter where somebody stops, nor whether the same functions
 * run in the sandbox. States that are exactly their text go from function to function as they are; where one is not,
 * all is done again with each state made JSON. A function that throws may have changed its state by then: it is made
 * again from the last one that is known.
 */

import type { Json } from '../core/json.ts'
import { NotJsonError, faultOf, isExactJson, jsonCopy } from './function-value.ts'
import { VALUE_BYTES_MAX } from './limits.ts'
import type { FoldInput, FoldInputs, FoldSession, FoldStep } from './program.ts'
import { listOf, unreadValue, valueOf, valuesOf } from './selection.ts'

export type ApplyFunction = (state: unknown, input: unknown) => unknown

export function foldInputs(apply: ApplyFunction, state: string, inputs: FoldInputs): FoldStep {
  return asTheyAre(apply, state, inputs) ?? madeJson(apply, state, inputs)
}

export function beginFold(apply: ApplyFunction, before: string): FoldSession {
  let state: unknown = JSON.parse(before)
  return {
    add: (input) => {
      try {
        state = returned(apply(state, valueOf(input)))
        return isExactJson(state, VALUE_BYTES_MAX)
      } catch {
        return false
      }
    },
    text: () => JSON.stringify(state)
  }
}

/** @throws NotJsonError */
export function stateText(value: unknown): string {
  return textOf(jsonCopy(returned(value), { bytes: VALUE_BYTES_MAX }))
}

/** @throws NotJsonError */
export function synchronous(value: unknown): unknown {
  if (!(value instanceof Promise)) return value
  // Nobody waits for it: that it fails must not end the process.
  value.catch(() => undefined)
  throw new NotJsonError('returned a promise: functions of views must be synchronous')
}

/** Undefined: a state is not exactly its text. */
function asTheyAre(apply: ApplyFunction, before: string, inputs: FoldInputs): FoldStep | undefined {
  const faults: { index: number; fault: string }[] = []
  const known: KnownState = { text: before, since: [] }
  let state: unknown = JSON.parse(before)
  let from = 0
  for (const [index, value] of valuesOf(inputs).entries()) {
    try {
      state = returned(apply(state, value))
      if (!isExactJson(state, VALUE_BYTES_MAX)) return undefined
    } catch (error) {
      faults.push({ index, ...faultOf(error) })
      known.since.push(...listOf(inputs).slice(from, index))
      from = index + 1
      state = again(apply, known)
      if (state === undefined) return undefined
    }
  }
  return { state: JSON.stringify(state), faults }
}

/** A state, and what has changed it since. */
interface KnownState {
  text: string
  since: FoldInput[]
}

/** The state after inputs that did not fail before; undefined where one of them does now. */
function again(apply: ApplyFunction, known: KnownState): unknown {
  let state: unknown = JSON.parse(known.text)
  try {
    for (const input of known.since) state = returned(apply(state, unreadValue(input)))
  } catch {
    return undefined
  }
  Object.assign(known, { text: JSON.stringify(state), since: [] })
  return state
}

function madeJson(apply: ApplyFunction, before: string, inputs: FoldInputs): FoldStep {
  const faults: { index: number; fault: string }[] = []
  let text = before
  for (const [index, input] of listOf(inputs).entries()) {
    try {
      text = stateText(apply(JSON.parse(text), unreadValue(input)))
    } catch (error) {
      faults.push({ index, ...faultOf(error) })
    }
  }
  return { state: text, faults }
}

function returned(state: unknown): unknown {
  if (state === undefined) throw new NotJsonError('returned nothing: it must return the state')
  return synchronous(state)
}

function textOf(value: Json): string {
  const text = JSON.stringify(value)
  if (Buffer.byteLength(text) > VALUE_BYTES_MAX) throw new NotJsonError('larger than it may be')
  return text
}
