/**
 * Databases of this node whose stores do not open: lost, damaged, locked, on a disk that is away. The
 * others go on without them; nobody is answered about them as if they were empty, and they are
 * tried again where that may help.
 *
 * What can be recovered by itself was recovered before: `store-keeper.ts`. `remedyFor` is the one
 * place that decides what is done about a store that does not open all the same.
 */

import type { Clock, Timer } from '../core/clock.ts'
import { LaterbaseError, isLaterbaseError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { UnopenedDatabase } from './laterbase.ts'
import {
  UNOPENED_REST_FACTOR,
  UNOPENED_REST_MS_MAX,
  UNOPENED_RETRY_MS,
  UNOPENED_RETRY_MS_MAX
} from './limits.ts'
import type { Log } from './options.ts'

export interface UnopenedInit {
  /** Opens the database after all. @throws as before, as long as it does not open */
  readonly open: (name: string) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

interface Unopened {
  readonly error: LaterbaseError
  readonly attempts: number
  readonly timer: Timer | undefined
}

interface Remedy {
  readonly isRetried: boolean
  /** For a person, in full sentences. */
  readonly wayOut: string
}

export class UnopenedStores {
  readonly #init: UnopenedInit
  readonly #unopened = new Map<string, Unopened>()
  #isClosed = false

  constructor(init: UnopenedInit) {
    this.#init = init
  }

  /** Notes why a database is not open, and when it is tried again. */
  add(name: string, reason: unknown): void {
    this.#note(name, reason, 0)
  }

  #note(name: string, reason: unknown, tookMs: number): void {
    const error = asLaterbaseError(reason)
    const before = this.#unopened.get(name)
    const attempts = (before?.attempts ?? 0) + 1
    before?.timer?.cancel()
    const waitMs = Math.max(
      Math.min(UNOPENED_RETRY_MS * 2 ** (attempts - 1), UNOPENED_RETRY_MS_MAX),
      Math.min(tookMs * UNOPENED_REST_FACTOR, UNOPENED_REST_MS_MAX)
    )
    this.#unopened.set(name, { error, attempts, timer: this.#retry(name, error, waitMs) })
    if (before?.error.message !== error.message) {
      this.#init.log('error', `Database ${name} is not open`, { reason: error.message })
    }
  }

  /** It is open, or forgotten. */
  remove(name: string): void {
    this.#unopened.get(name)?.timer?.cancel()
    this.#unopened.delete(name)
  }

  has(name: string): boolean {
    return this.#unopened.has(name)
  }

  /** What every operation on the database fails with. */
  refusal(name: string): LaterbaseError | undefined {
    const unopened = this.#unopened.get(name)
    if (unopened === undefined) return undefined
    const { code, message } = unopened.error
    return new LaterbaseError(code, message, { cause: unopened.error })
  }

  /** By name. */
  all(): readonly UnopenedDatabase[] {
    const names = [...this.#unopened].sort(([a], [b]) => (a < b ? -1 : 1))
    return names.map(([name, { error }]) => {
      const { wayOut, isRetried } = remedyFor(error.code)
      return { name, code: error.code, reason: error.message, wayOut, retried: isRetried }
    })
  }

  close(): void {
    this.#isClosed = true
    for (const { timer } of this.#unopened.values()) timer?.cancel()
  }

  #retry(name: string, error: LaterbaseError, waitMs: number): Timer | undefined {
    const { clock, log, open } = this.#init
    if (this.#isClosed || !remedyFor(error.code).isRetried) return undefined
    return clock.setTimer(waitMs, () => {
      const beganMs = clock.monotonicMs()
      open(name).then(
        () => log('info', `Database ${name} is open after all`),
        (again: unknown) => {
          const tookMs = clock.monotonicMs() - beganMs
          if (!this.#isClosed && this.has(name)) this.#note(name, again, tookMs)
        }
      )
    })
  }
}

const FROM_PEERS =
  'forget the database on this node and create it again: peers bring its events back, but for ' +
  'those that no peer has.'

function remedyFor(code: ErrorCode): Remedy {
  switch (code) {
    case 'LATERBASE_STORE_LOST':
      return {
        isRetried: true,
        wayOut: `Put its folder back (is its disk mounted?), or ${FROM_PEERS}`
      }
    case 'LATERBASE_STORE_LOCKED':
      return { isRetried: true, wayOut: 'Stop the other process; it is then opened by itself.' }
    case 'LATERBASE_STORE_CORRUPT':
      return { isRetried: true, wayOut: `Put its folder back from a copy, or ${FROM_PEERS}` }
    case 'LATERBASE_STORE_FORMAT':
      return { isRetried: false, wayOut: 'Run the newer version of Laterbase.' }
    default:
      return { isRetried: true, wayOut: 'Remove the cause; it is then opened by itself.' }
  }
}

function asLaterbaseError(error: unknown): LaterbaseError {
  if (isLaterbaseError(error)) return error
  return new LaterbaseError('LATERBASE_STORE_FAILED', String(error), { cause: error })
}

/** For a person, in full sentences. */
export function unopenedWarnings(unopened: readonly UnopenedDatabase[]): readonly string[] {
  return unopened.map(
    ({ name, reason, wayOut }) => `Database ${name} is not open: ${reason}. ${wayOut}`
  )
}
