/**
 * Parameters that stand in the members of a JSON body, for what a URL cannot hold, beside those of the
 * URL. The same names are read in the same strict way; one that stands in both is an error.
 */

import type { Json } from '../node/laterbase.ts'
import { findInexactNumber } from '../schema/exact-numbers.ts'
import { NAME_CHARS_MAX } from './limits.ts'
import { HttpProblem } from './problem.ts'
import { invalidParameter, type Query } from './query.ts'

/** What parameters are read through, wherever they stand. */
export type Parameters = Pick<Query, 'has' | 'moment' | 'integer' | 'json' | 'flag' | 'choice'>

export class BodyQuery implements Parameters {
  readonly #url: Query
  readonly #members: ReadonlyMap<string, Json>

  /** @throws HttpProblem `malformed-json`, `argument-invalid`, `parameter-unknown`, `ambiguous-query` */
  constructor(url: Query, text: string, known: readonly string[]) {
    this.#url = url
    this.#members = new Map(Object.entries(parseObject(text)))
    for (const name of this.#members.keys()) {
      const facts = { parameter: name.slice(0, NAME_CHARS_MAX) }
      if (!known.includes(name)) {
        throw new HttpProblem('parameter-unknown', `A body takes ${known.join(', ')}.`, { facts })
      }
      if (url.has(name)) {
        throw new HttpProblem('ambiguous-query', `${name} is in the body and in the URL.`, {
          facts
        })
      }
    }
  }

  has(name: string): boolean {
    return this.#members.has(name) || this.#url.has(name)
  }

  json(name: string): Json | undefined {
    return this.#members.has(name) ? this.#members.get(name) : this.#url.json(name)
  }

  moment(name: string): string | undefined {
    const value = this.#members.get(name)
    if (value === undefined) return this.#url.moment(name)
    if (typeof value === 'string') return value
    throw invalidParameter(name, 'a text is expected')
  }

  integer(
    name: string,
    bounds: { readonly min: number; readonly max: number }
  ): number | undefined {
    const value = this.#members.get(name)
    if (value === undefined) return this.#url.integer(name, bounds)
    const isWhole = typeof value === 'number' && Number.isInteger(value)
    if (isWhole && value >= bounds.min && value <= bounds.max) return value
    throw invalidParameter(name, `a whole number from ${bounds.min} to ${bounds.max} is expected`)
  }

  flag(name: string): boolean | undefined {
    const value = this.#members.get(name)
    if (value === undefined) return this.#url.flag(name)
    if (typeof value === 'boolean') return value
    throw invalidParameter(name, 'true or false is expected')
  }

  /** `true` and `false` among the choices may be written without quotes. */
  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const value = this.#members.get(name)
    if (value === undefined) return this.#url.choice(name, choices)
    const word = typeof value === 'boolean' ? String(value) : value
    const choice = choices.find((each) => each === word)
    if (choice !== undefined) return choice
    throw invalidParameter(name, `one of ${choices.join(', ')} is expected`)
  }
}

/**
 * A body that is one JSON object, with numbers that are kept as they were written.
 *
 * @throws HttpProblem `malformed-json`, `argument-invalid`
 */
export function parseObject(text: string): { readonly [name: string]: Json } {
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch (error) {
    throw new HttpProblem('malformed-json', 'The body is not JSON.', { cause: error })
  }
  if (typeof value !== 'object' || value === null || isArray(value)) {
    throw new HttpProblem('argument-invalid', 'The body must be an object.', {
      errors: [{ pointer: '', detail: 'an object is expected' }]
    })
  }
  const inexact = findInexactNumber(text)
  if (inexact === undefined) return value
  throw new HttpProblem('argument-invalid', `${inexact.pointer} ${inexact.detail}.`, {
    errors: [inexact]
  })
}

function isArray(value: object): value is readonly Json[] {
  return Array.isArray(value)
}
