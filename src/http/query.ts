/**
 * Query parameters, read once and strictly: one that a route does not know, or that is given
 * twice, is an error, because a misspelt one that is ignored changes an answer silently.
 */

import type { Json } from '../node/laterbase.ts'
import { findInexactNumber } from '../schema/exact-numbers.ts'
import { NAME_CHARS_MAX } from './limits.ts'
import { HttpProblem } from './problem.ts'

export class Query {
  readonly #values: ReadonlyMap<string, string>

  /** @throws HttpProblem `parameter-unknown`, `parameter-invalid` */
  constructor(url: string, known: readonly string[]) {
    const values = new Map<string, string>()
    const start = url.indexOf('?')
    if (start !== -1) {
      for (const [name, value] of new URLSearchParams(url.slice(start + 1))) {
        if (!known.includes(name)) throw unknownParameter(name, known)
        if (values.has(name)) throw invalidParameter(name, 'it is given twice')
        values.set(name, value)
      }
    }
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  text(name: string): string | undefined {
    return this.#values.get(name)
  }

  /**
   * A time, key or cursor. A plus sign in a query means a space to a form and itself to everybody
   * else; none of these holds a space, so `08:00:00+01:00` is read as it was meant.
   */
  moment(name: string): string | undefined {
    return this.#values.get(name)?.replaceAll(' ', '+')
  }

  integer(
    name: string,
    bounds: { readonly min: number; readonly max: number }
  ): number | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return undefined
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
    if (value >= bounds.min && value <= bounds.max) return value
    throw invalidParameter(name, `a whole number from ${bounds.min} to ${bounds.max} is expected`)
  }

  /** As CouchDB has the keys of views: a text stands in quotes. */
  json(name: string): Json | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return undefined
    let value: Json
    try {
      value = JSON.parse(text) as Json
    } catch {
      throw invalidParameter(name, 'JSON is expected, so that a text stands in quotes')
    }
    const inexact = findInexactNumber(text)
    if (inexact === undefined) return value
    throw invalidParameter(name, inexact.detail)
  }

  flag(name: string): boolean | undefined {
    const value = this.choice(name, ['true', 'false'])
    return value === undefined ? undefined : value === 'true'
  }

  choice<Choice extends string>(name: string, choices: readonly Choice[]): Choice | undefined {
    const text = this.#values.get(name)
    if (text === undefined) return undefined
    const choice = choices.find((each) => each === text)
    if (choice !== undefined) return choice
    throw invalidParameter(name, `one of ${choices.join(', ')} is expected`)
  }
}

/** @throws HttpProblem `parameter-unknown` */
export function expectNoParameters(url: string): void {
  if (url.includes('?')) void new Query(url, [])
}

export function invalidParameter(name: string, why: string): HttpProblem {
  return new HttpProblem('parameter-invalid', `${name}: ${why}.`, { facts: { parameter: name } })
}

function unknownParameter(name: string, known: readonly string[]): HttpProblem {
  const taken = known.length === 0 ? 'none' : known.join(', ')
  return new HttpProblem('parameter-unknown', `This route takes ${taken}.`, {
    facts: { parameter: name.slice(0, NAME_CHARS_MAX) }
  })
}
