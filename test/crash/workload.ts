/**
 * What the crashing processes write, and what their parents expect to find: each event can be
 * computed from its number, so that nothing but acknowledgements has to get out of a process.
 */

import { createHash } from 'node:crypto'

import type { EventInput } from '../../src/index.ts'

export const DATABASE = 'depot'

/** Events that are offered together, as one append: all of them are stored, or none. */
export interface Offer {
  /** Which start of the process; numbers are unique within one. */
  readonly cycle: number
  /** Number of the first event. */
  readonly first: number
  readonly count: number
  /** Characters of text in each event. */
  readonly chars: number
}

/** How a process spends its life. */
export type Load =
  /** Group-commit writers, big batches and a reader, until the tables have been merged. */
  | 'busy'
  /** A start, a few appends, a close. */
  | 'short'
  /** Appends until somebody says that it is enough; refused ones are offered again. */
  | 'stubborn'
  /** The same, beside builds of views over so many events that a thread reads them. */
  | 'stubborn-viewed'
  /** Appends what views are built of. */
  | 'stock'
  /** Views: defined, asked, written under, replaced, removed. */
  | 'views'
  /** Views of a life before, in two lives: compared with fresh ones. */
  | 'viewed'
  /** A bare LevelDB: a batch that is not synced, a rotation of the log file, one that is. */
  | 'rotation'

export interface Plan {
  readonly dir: string
  readonly cycle: number
  readonly load: Load
  /** Takes the `sync` out of every write, to show that a power cut is felt. */
  readonly withoutSync: boolean
  /** Offers whose outcome nobody heard of, to be made again. */
  readonly retries: readonly Offer[]
  /** Cursor of the reader. */
  readonly since: string
}

/** What a process says, one line of JSON each. */
export interface StoredViews {
  /** By view the number of the build that answers for it. */
  readonly named: Readonly<Record<string, number>>
  /** The numbers of all builds of which there is anything. */
  readonly builds: readonly number[]
}

export type Word =
  | { readonly type: 'ready' }
  | { readonly type: 'created' }
  | { readonly type: 'offered'; readonly offer: Offer }
  | { readonly type: 'acknowledged'; readonly offer: Offer }
  | { readonly type: 'refused'; readonly reason: string }
  /** The reader has handed on these events; they are before `cursor`. */
  | { readonly type: 'read'; readonly cursor: string; readonly ids: readonly string[] }
  /** A view that was found, beside a fresh one. */
  | {
      readonly type: 'viewed'
      readonly view: string
      readonly isEqual: boolean
      readonly rows: number
    }
  /** A view was built, beside writes. */
  | {
      readonly type: 'built'
      readonly rows: number
      /** Acknowledged before the build began. */
      readonly atLeast: number
      /** That have read since the build before. */
      readonly threads: number
    }
  /** Views as they lie on the disk, while no node has them open. */
  | ({ readonly type: 'stored' } & StoredViews)
  /** Nothing more will be done. */
  | { readonly type: 'done' }

export function eventsOf(offer: Offer): EventInput[] {
  return Array.from({ length: offer.count }, (_each, at) => eventOf(offer, offer.first + at))
}

export function idsOf(offer: Offer): string[] {
  return eventsOf({ ...offer, chars: 0 }).map(({ subject }) => String(subject))
}

/** An offer that, made twice, is stored once: its events name their source and their id. */
export function isRepeatable(offer: Offer): boolean {
  return offer.count === 1 && kindOf(offer.first) === 'named'
}

export function eventOf(offer: Offer, number: number): EventInput {
  const subject = `${offer.cycle}/${number}`
  const data = { ...offer, number, text: textOf(subject, offer.chars) }
  const kind = kindOf(number)
  if (kind === 'new') return { subject, data }
  const time = pastOf(subject)
  return kind === 'dated'
    ? { subject, data, time }
    : { subject, data, time, source: 'scanner', id: subject }
}

/** Half of the events happened just now, half in the year before. */
function kindOf(number: number): 'new' | 'dated' | 'named' {
  if (number % 4 === 2) return 'dated'
  return number % 4 === 3 ? 'named' : 'new'
}

/** Text that does not compress, so that what is written is as much as it looks. */
function textOf(subject: string, chars: number): string {
  const outputLength = Math.ceil(chars * 0.75)
  return createHash('shake256', { outputLength }).update(subject).digest('base64').slice(0, chars)
}

function pastOf(subject: string): string {
  const chance = createHash('sha256').update(subject).digest().readUInt32BE(0) / 2 ** 32
  return new Date(YEAR_START_MS + Math.floor(chance * YEAR_MS)).toISOString()
}

const YEAR_START_MS = Date.UTC(2024, 0, 1)
const YEAR_MS = 365 * 86_400_000
