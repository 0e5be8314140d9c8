/**
 * What is known of a run from outside: what clients offered and were told, every commit that any
 * disk took, and what was found broken. It sees each commit once, so that looking at all of them
 * after every step costs nothing.
 */

import { equalBytes, toHex } from '../../../src/core/bytes.ts'
import { lastSeq } from '../../../src/core/commit.ts'
import type { Commit } from '../../../src/core/commit.ts'
import { parseEventKey } from '../../../src/core/event-key.ts'
import type { EventKey } from '../../../src/core/event-key.ts'
import type { AppendedEvent, Json } from '../../../src/node/laterbase.ts'

/** What must hold; the names that a violation is reported under. */
export const INVARIANTS = [
  /** What was acknowledged is on that box's disk until the disk is wiped, and everywhere at last. */
  'durability',
  /** What is stored was offered by a client, to that database, byte for byte. */
  'no-phantom',
  /** Events that were offered together are stored together. */
  'atomicity',
  /** No place in a log is used for two commits. */
  'one-place-one-commit',
  /** An event that is stored never changes. */
  'immutability',
  /** A box's own stamps rise, over its databases and restarts. */
  'rising-stamps',
  /** A commit is recorded after everything that its box had seen and believed. */
  'causality',
  /** Digests are equal exactly when sets are. */
  'digest',
  /** A box says that it has as many events as it has. */
  'count',
  /** A feed gives everything once, in order. */
  'feed',
  /** No key is minted twice. */
  'minted-keys',
  /** What is announced is on disk. */
  'announcement',
  /** What a node holds on to is bounded, and returns to its baseline. */
  'bounded',
  /** Nobody cuts an honest box off. */
  'honest-cut-off',
  /** A box that is up can be written to, whatever it has been through. */
  'availability',
  /** Nothing fails that should not. */
  'unexpected-failure',
  /** Once the faults stop all become equal. */
  'convergence',
  /** And do so within a bounded number of exchanges. */
  'exchanges',
  /** And then fetch nothing more. */
  'quiet',
  /** All boxes give the same events in the same order. */
  'agreement',
  /** What a view answers is what its functions make of exactly the events that the answer covers. */
  'view-equals-scratch',
  /** Views with one definition have one digest for one set of events, on all boxes and at all moments. */
  'view-digest',
  /** A view answers, once it is built, with what was held when it was asked, and by what it is defined. */
  'view-current',
  /** Nobody is told that an honest box has other contents of a view. */
  'view-alarm'
] as const
export type Invariant = (typeof INVARIANTS)[number]

export interface Finding {
  readonly invariant: Invariant
  readonly detail: string
}

/** Events that were offered in one request and are like no other. */
interface OfferedGroup {
  readonly texts: readonly string[]
}

export interface CommitFacts {
  readonly database: string
  readonly commit: Commit
  /** Identities of its events: key and content hash. */
  readonly ids: readonly string[]
}

/** A set of events, as whoever watches keeps it. */
export class SetView {
  readonly ids: Set<string>
  #low: number
  #high: number

  constructor(from?: SetView) {
    this.ids = new Set(from?.ids)
    this.#low = from === undefined ? 0 : from.#low
    this.#high = from === undefined ? 0 : from.#high
  }

  add({ commit, ids }: CommitFacts): void {
    for (const id of ids) this.ids.add(id)
    const words = new DataView(commit.hash.buffer, commit.hash.byteOffset, 8)
    this.#low ^= words.getInt32(0)
    this.#high ^= words.getInt32(4)
  }

  /** Equal for equal sets of commits, in whatever order they came. */
  print(): string {
    return `${this.#low} ${this.#high}`
  }
}

export class Ledger {
  readonly findings: Finding[] = []
  /** Public keys, in hex, of those who may write commits that no honest disk was first to hold. */
  readonly strangers = new Set<string>()
  /** Commits that they wrote so far. */
  strangerCommits = 0
  /** By database: what was acknowledged and must be everywhere at last. */
  readonly acknowledged = new Map<string, Set<string>>()
  readonly #offered = new Map<string, { database: string; group: OfferedGroup | undefined }>()
  readonly #commits = new Map<string, CommitFacts>()
  /** By log and the place of its last event: one, or one of each branch. */
  readonly #ends = new Map<string, CommitFacts[]>()
  readonly #places = new Map<string, string>()
  readonly #values = new Map<string, Uint8Array>()
  readonly #minted = new Set<string>()
  readonly #digests = new Map<string, string>()
  /** By log, the public key of its author in hex. */
  readonly #authors = new Map<string, string>()
  /** Public keys, in hex, of boxes whose disk was restored or cloned, and of a liar that branches. */
  readonly #copied = new Set<string>()

  /** This one may write one place twice, as a box whose disk comes from a copy; nobody else does. */
  expectForks(publicKey: Uint8Array): void {
    this.#copied.add(toHex(publicKey))
  }

  get anyCopied(): boolean {
    return this.#copied.size > 0
  }

  /** Whether two boxes may have written in this log. */
  mayFork(log: string): boolean {
    return this.#copied.has(this.#authors.get(log) ?? '')
  }

  get isBroken(): boolean {
    return this.findings.length > 0
  }

  /** Commits that any disk ever took. */
  get commitCount(): number {
    return this.#commits.size
  }

  violate(invariant: Invariant, detail: string): void {
    this.findings.push({ invariant, detail })
  }

  /** Before the answer: a crash hides whether the write took place. */
  offer(database: string, shared: readonly Json[], unlike: readonly Json[]): void {
    const group = { texts: unlike.map((each) => JSON.stringify(each)) }
    for (const each of shared) {
      this.#offered.set(`${database} ${JSON.stringify(each)}`, { database, group: undefined })
    }
    for (const text of group.texts) this.#offered.set(`${database} ${text}`, { database, group })
  }

  /** Whether a disk ever took this commit. */
  knows({ hash }: Commit): boolean {
    return this.#commits.has(toHex(hash))
  }

  /** The commit that ends at a place of a log, of which these are the first bytes of the hash. */
  commitAt(log: string, seq: number, tag: Uint8Array): CommitFacts | undefined {
    const ends = this.#ends.get(`${log} ${seq}`) ?? []
    return ends.find(({ commit }) => equalBytes(commit.hash.subarray(0, tag.length), tag))
  }

  /** The commit that another one follows. */
  before({ commit }: CommitFacts): CommitFacts | undefined {
    return this.#commits.get(toHex(commit.previous))
  }

  /** Whether these are the bytes of the event as some disk first took it. */
  isStored(id: string, value: Uint8Array): boolean {
    const known = this.#values.get(id)
    return known !== undefined && equalBytes(known, value)
  }

  /** The facts of a commit that a disk takes; looked at closely when it is new to the world. */
  meet(database: string, commit: Commit, isOwn: boolean): CommitFacts {
    const hash = toHex(commit.hash)
    const known = this.#commits.get(hash)
    if (known !== undefined) {
      this.#compare(known, commit, database)
      return known
    }
    const ids = commit.events.map((event) => identity(event.key, event.hash))
    const facts = { database, commit, ids }
    this.#commits.set(hash, facts)
    const end = `${commit.origin.id} ${lastSeq(commit)}`
    this.#ends.set(end, [...(this.#ends.get(end) ?? []), facts])
    const author = toHex(commit.origin.genesis.publicKey)
    this.#authors.set(commit.origin.id, author)
    if (!isOwn && !this.strangers.has(author)) {
      this.violate('no-phantom', `a commit of log ${commit.origin.id} that its box never wrote`)
    }
    this.#takePlaces(commit, hash)
    this.#checkEvents(facts)
    return facts
  }

  /** A client was told that these are stored; the identities, those that are new among them. */
  acknowledge(database: string, results: readonly AppendedEvent[]): AcknowledgedIds {
    const all: string[] = []
    const created: string[] = []
    const held = this.acknowledged.get(database) ?? new Set<string>()
    this.acknowledged.set(database, held)
    for (const result of results) {
      if (result.status === 'rejected') continue
      const key = parseEventKey(result.key)
      if (key === undefined) continue
      const id = identity(key, Buffer.from(result.hash, 'hex'))
      held.add(id)
      all.push(id)
      if (result.status === 'created') created.push(id)
    }
    return { all, created }
  }

  minted(key: string): void {
    if (this.#minted.has(key)) this.violate('minted-keys', `${key} was minted twice`)
    this.#minted.add(key)
  }

  /** Over all boxes and all moments: the same digest, the same set. */
  seeDigest(box: string, sight: { database: string; digest: string; view: SetView }): void {
    const { database, digest, view } = sight
    const print = view.print()
    this.#pair(`${database} digest ${digest}`, print, box)
    this.#pair(`${database} set ${print}`, digest, box)
  }

  /** Over all boxes and all moments: the same definition and the same set, the same digest. */
  seeViewDigest(
    box: string,
    sight: { readonly definition: string; readonly set: string; readonly digest: string }
  ): void {
    const { definition, set, digest } = sight
    this.#pair(`view ${definition} of ${set}`, digest, box, 'view-digest')
  }

  // oxlint-disable-next-line eslint/max-params -- what is seen, what it was, and who says it
  #pair(name: string, value: string, box: string, invariant: Invariant = 'digest'): void {
    const seen = this.#digests.get(name)
    if (seen === undefined) this.#digests.set(name, value)
    else if (seen !== value) this.violate(invariant, `${box}: ${name} is ${value} and was ${seen}`)
  }

  #compare({ commit: known, database }: CommitFacts, commit: Commit, here: string): void {
    if (database !== here) this.violate('no-phantom', `a commit of ${database} is in ${here}`)
    if (known === commit) return
    const isSame =
      known.events.length === commit.events.length &&
      known.events.every(({ key, value }, index) => {
        const other = commit.events[index]
        return other !== undefined && equalBytes(key, other.key) && equalBytes(value, other.value)
      })
    if (!isSame) this.violate('immutability', `log ${commit.origin.id} at ${commit.firstSeq}`)
  }

  #takePlaces(commit: Commit, hash: string): void {
    if (this.mayFork(commit.origin.id)) return
    for (let seq = commit.firstSeq; seq <= lastSeq(commit); seq += 1) {
      const place = `${commit.origin.id} ${seq}`
      if (this.#places.has(place)) this.violate('one-place-one-commit', `log ${place}`)
      this.#places.set(place, hash)
    }
  }

  #checkEvents({ database, commit, ids }: CommitFacts): void {
    const texts = new Set<string>()
    const groups = new Set<OfferedGroup>()
    for (const [index, { value }] of commit.events.entries()) {
      const id = ids[index] ?? ''
      const known = this.#values.get(id)
      if (known !== undefined && !equalBytes(known, value)) this.violate('immutability', id)
      this.#values.set(id, value)
      const text = dataText(value)
      texts.add(text)
      const offer = this.#offered.get(`${database} ${text}`)
      if (offer === undefined) {
        this.violate('no-phantom', `${database} stores ${text}, which nobody offered to it`)
      } else if (offer.group !== undefined) groups.add(offer.group)
    }
    for (const group of groups) {
      const apart = group.texts.find((text) => !texts.has(text))
      if (apart !== undefined) this.violate('atomicity', `${apart} is stored without the others`)
    }
  }
}

interface AcknowledgedIds {
  readonly all: readonly string[]
  readonly created: readonly string[]
}

export function identity(key: EventKey | Uint8Array, hash: Uint8Array): string {
  return `${toHex(key)} ${toHex(hash)}`
}

function dataText(value: Uint8Array): string {
  try {
    const envelope = JSON.parse(Buffer.from(value).toString()) as { data?: Json }
    return JSON.stringify(envelope.data)
  } catch {
    return `${value.length} bytes that are no envelope`
  }
}
