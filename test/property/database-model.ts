/**
 * What a database is to whoever uses it, as plainly as can be said: contents by key, commits that
 * are held, and for every cursor that was handed out what its reader has seen. The commands of
 * `database-commands.ts` do each thing to both, and compare.
 */

import { createHash } from 'node:crypto'

import type { Commit } from '../../src/core/commit.ts'
import { formatEventKey } from '../../src/core/event-key.ts'
import type { EventInput } from '../../src/node/laterbase.ts'

/** `key hash` of an event. */
export type EventName = string

export interface Handed {
  readonly cursor: string
  /** What a reader who was handed this has seen, or passed over. */
  readonly seen: ReadonlySet<EventName>
}

export type Expected =
  | { readonly type: 'refused'; readonly code: string }
  | {
      readonly type: 'written'
      /** By event offered; the key is undefined where the node is to make one. */
      readonly results: readonly {
        readonly status: 'created' | 'duplicate' | 'rejected'
        readonly key: string | undefined
        readonly value: string
      }[]
    }

export class DatabaseModel {
  /** By key, as text; by hash, the value. */
  readonly contents = new Map<string, Map<string, string>>()
  /** Hashes of the commits of others that are held. */
  readonly commits = new Set<string>()
  /** Own commits that are held. */
  ownCommits = 0
  handed: Handed[] = [{ cursor: '0', seen: new Set() }]
  /** The digest of every set of commits that was held. */
  readonly digests = new Map<string, string>()

  all(): Set<EventName> {
    return new Set(
      [...this.contents].flatMap(([key, values]) => [...values.keys()].map((h) => `${key} ${h}`))
    )
  }

  keys(): string[] {
    return [...this.contents.keys()].sort()
  }

  /** Value texts of a key, lowest hash first. */
  valuesOf(key: string): string[] {
    return [...(this.contents.get(key) ?? [])]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, v]) => v)
  }

  /** What an append must come to; nothing is changed. */
  expect(events: readonly EventInput[], partial: boolean): Expected {
    const faults = events.map(faultOf).filter((fault) => fault !== undefined)
    if (!partial && faults[0] !== undefined) return { type: 'refused', code: faults[0] }
    const added = new Map<string, string>()
    const results = events.map((event) => {
      const [key, value] = [event.key, valueOf(event)]
      if (faultOf(event) !== undefined) return { status: 'rejected', key, value } as const
      if (key === undefined) return { status: 'created', key, value } as const
      const own = added.get(key)
      const held = own === undefined ? this.valuesOf(key) : [own]
      if (held.length === 0) added.set(key, value)
      const status = held.length === 0 ? 'created' : held.includes(value) ? 'duplicate' : 'rejected'
      return { status, key, value } as const
    })
    const isConflict = faults.length < results.filter(({ status }) => status === 'rejected').length
    if (!partial && isConflict) return { type: 'refused', code: 'LATERBASE_KEY_CONFLICT' }
    return { type: 'written', results }
  }

  hold(key: string, value: string): void {
    const values = this.contents.get(key) ?? new Map<string, string>()
    this.contents.set(key, values.set(sha256(value), value))
  }

  /** Which of the commits are new: those whose log is held up to where they follow. */
  merge(commits: readonly Commit[]): number {
    let stored = 0
    for (const { firstSeq, previous, hash, events } of commits) {
      const isKnown = firstSeq === 1 || this.commits.has(toHex(previous))
      if (this.commits.has(toHex(hash)) || !isKnown) continue
      this.commits.add(toHex(hash))
      stored += 1
      for (const { key, value } of events) {
        this.hold(formatEventKey(key), Buffer.from(value).toString())
      }
    }
    return stored
  }

  handOut(cursor: string, seen: ReadonlySet<EventName>): void {
    this.handed.push({ cursor, seen })
  }
}

/** The canonical text of what is stored, for the plain members that the commands use. */
function valueOf({ data, type }: EventInput): string {
  const typed = type === undefined ? '' : `,"type":${JSON.stringify(type)}`
  return `{"data":${JSON.stringify(data)}${typed}}`
}

function faultOf(event: EventInput): string | undefined {
  if (event.data === undefined) return 'LATERBASE_EVENT_INVALID'
  // The only times that commands give are long ago, or far ahead.
  return event.time?.startsWith('9') === true ? 'LATERBASE_FUTURE_DATED' : undefined
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
