/**
 * A schema that events are checked by. One that takes too long on an event refuses that event; one that does so
 * again and again is set aside, and events pass it unseen: a node has to go on.
 */

import type { Problem } from '../errors.ts'
import { CHECK_MS_MAX, CHECK_OVERRUNS_MAX, CHECK_SLICE_MS } from './limits.ts'
import { TimeBoxOverrun, runWithin } from './time-box.ts'
import type { Validator } from './validator.ts'

export class SchemaInUse {
  readonly #validator: Validator
  #overruns = 0

  constructor(validator: Validator) {
    this.#validator = validator
  }

  get isSetAside(): boolean {
    return this.#overruns >= CHECK_OVERRUNS_MAX
  }

  get isWatched(): boolean {
    return !this.#validator.isTame
  }

  /** @param data of one event, as JSON.parse gives it */
  problemsOf(data: unknown): readonly Problem[] {
    if (!this.isWatched || this.isSetAside) return this.check(data)
    try {
      return runWithin(CHECK_MS_MAX, () => this.check(data))
    } catch (error) {
      if (error instanceof TimeBoxOverrun) return this.overran(error)
      throw error
    }
  }

  /** Without an end to it. */
  check(data: unknown): readonly Problem[] {
    return this.isSetAside ? [] : this.#validator.check(data)
  }

  overran(overrun: TimeBoxOverrun): readonly Problem[] {
    this.#overruns += 1
    return [{ pointer: '', detail: `its schema ${overrun.message}` }]
  }
}

export interface CheckJob {
  readonly schema: SchemaInUse
  readonly data: unknown
}

export interface CheckTurns {
  readonly monotonicMs: () => number
  /** Lets others have their turn. */
  readonly pause: () => Promise<void>
}

/** The problems of each, in that order; some at a time. */
export async function checkEach(
  jobs: readonly CheckJob[],
  { monotonicMs, pause }: CheckTurns
): Promise<readonly (readonly Problem[])[]> {
  const found: (readonly Problem[])[] = []
  const isWatched = jobs.some(({ schema }) => schema.isWatched)
  const step = (): void => {
    const endMs = monotonicMs() + CHECK_SLICE_MS
    do {
      const job = jobs[found.length]
      if (job === undefined) return
      found.push(job.schema.check(job.data))
    } while (monotonicMs() < endMs)
  }
  for (;;) {
    try {
      if (isWatched) runWithin(CHECK_SLICE_MS + CHECK_MS_MAX, step)
      else step()
    } catch (error) {
      const job = jobs[found.length]
      if (!(error instanceof TimeBoxOverrun) || job === undefined) throw error
      found.push(job.schema.overran(new TimeBoxOverrun(CHECK_MS_MAX)))
    }
    if (found.length >= jobs.length) return found
    await pause()
  }
}
