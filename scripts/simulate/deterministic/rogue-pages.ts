/** Pages that are not as they should be, made of true ones; and the one log that a rogue writes. */

import type { DeltaAnswer, DeltaRequest, PageCommit } from '../../../protocols/delta/codec.ts'
import { encodeEvents } from '../../../protocols/event/codec.ts'
import { assertNever } from '../../../src/core/assert.ts'
import { equalBytes } from '../../../src/core/bytes.ts'
import { lastSeq, sealCommit } from '../../../src/core/commit.ts'
import type { Commit, LogOrigin } from '../../../src/core/commit.ts'
import type { Signer } from '../../../src/core/clock.ts'
import { eventKey } from '../../../src/core/event-key.ts'
import { simHasher } from './keys.ts'
import type { Ledger } from './ledger.ts'
import { worldRng } from './world.ts'
import type { World } from './world.ts'

export const PAGE_LIES = [
  'forge',
  'tamper',
  'drop',
  'swap',
  'double',
  'future-stamp',
  'huge-heads',
  'endless',
  'falling-stamps',
  'false-identity',
  'forged-genesis'
] as const
export type PageLie = (typeof PAGE_LIES)[number]

type Page = Extract<DeltaAnswer, { type: 'page' }>
type PageRequest = Extract<DeltaRequest, { type: 'page' }>

/** Commits that a rogue writes in one run: it may, like any member. */
const OWN_COMMITS_MAX = 20
const HUGE_HEADS = 150

export class RogueLog {
  readonly #world: World
  readonly #ledger: Ledger
  readonly #signer: Signer
  readonly #origin: LogOrigin
  readonly #database: string
  readonly #commits: Commit[] = []

  constructor(log: {
    readonly world: World
    readonly ledger: Ledger
    readonly signer: Signer
    readonly origin: LogOrigin
    readonly database: string
  }) {
    this.#world = log.world
    this.#ledger = log.ledger
    this.#signer = log.signer
    this.#origin = log.origin
    this.#database = log.database
  }

  /** One commit of its own, and the promise of more. */
  page(request: PageRequest, truth: Page): Page {
    const heldSeq = this.#heldSeq(request)
    const next = this.#commits.find(({ firstSeq }) => firstSeq > heldSeq)
    const commit = next ?? this.#write(this.#commits.at(-1))
    return commit === undefined ? truth : this.#offering(commit, truth)
  }

  /** Another commit at a place that one of its own has: a branch, of which it says nothing else. */
  branch(request: PageRequest, truth: Page): Page {
    const heldSeq = this.#heldSeq(request)
    const held = this.#commits.filter((commit) => lastSeq(commit) <= heldSeq)
    const commit = this.#write(this.#world.prng.pick([undefined, ...held]))
    return commit === undefined ? truth : this.#offering(commit, truth)
  }

  #heldSeq({ heads }: PageRequest): number {
    return heads.find(({ log }) => equalBytes(log, this.#origin.idBytes))?.seq ?? 0
  }

  #offering(commit: Commit, truth: Page): Page {
    const own = { log: this.#origin.idBytes, seq: lastSeq(commit), hash: commit.hash }
    return {
      type: 'page',
      complete: false,
      logs: [this.#entry(commit.firstSeq, commit.previous)],
      commits: [pageCommit(commit, 0)],
      heads: [...truth.heads.filter(({ log }) => !equalBytes(log, own.log)), own]
    }
  }

  twist(lie: PageLie, page: Page): Page {
    const { prng } = this.#world
    const at = prng.integer(0, Math.max(0, page.commits.length - 1))
    const victim = page.commits[at]
    switch (lie) {
      case 'forge':
        return this.#forge(page)
      case 'tamper': {
        if (victim === undefined) return page
        const events = Uint8Array.from(victim.events)
        const byte = prng.integer(0, events.length - 1)
        events[byte] = (events[byte] ?? 0) ^ 1
        return { ...page, commits: page.commits.with(at, { ...victim, events }) }
      }
      case 'drop':
        return { ...page, commits: page.commits.toSpliced(at, 1) }
      case 'swap':
        return { ...page, commits: page.commits.toReversed() }
      case 'double':
        return { ...page, commits: [...page.commits, ...page.commits] }
      case 'future-stamp': {
        if (victim === undefined) return page
        const recorded = victim.recorded + 2n ** 40n
        return { ...page, commits: page.commits.with(at, { ...victim, recorded }) }
      }
      case 'huge-heads': {
        const heads = Array.from({ length: HUGE_HEADS }, () => ({
          log: this.#bytes(16),
          seq: prng.integer(1, 2 ** 40),
          hash: this.#bytes(32)
        }))
        return { ...page, heads }
      }
      case 'endless':
        return { ...page, complete: false, commits: this.#world.chance(0.5) ? [] : page.commits }
      case 'falling-stamps':
        return this.#fallingStamps(page)
      case 'false-identity':
      case 'forged-genesis':
        return this.#falseIdentity(lie, page)
      default:
        return assertNever(lie)
    }
  }

  /** A commit that its log's own box never signed, where the log goes on. */
  #forge(page: Page): Page {
    const last = page.commits.at(-1)
    const forged = {
      count: 1,
      recorded: (last?.recorded ?? 2n ** 57n) + 1n,
      signature: this.#bytes(64),
      events: encodeEvents([this.#event({ forged: this.#world.prng.integer(0, 1_000_000) })])
    }
    if (last !== undefined) {
      return { ...page, commits: [...page.commits, { ...forged, logIndex: last.logIndex }] }
    }
    const head = this.#world.prng.pick(page.heads)
    if (head === undefined) return page
    const entry = {
      log: head.log,
      firstSeq: head.seq + 1,
      previous: head.hash,
      genesis: undefined
    }
    return { ...page, logs: [entry], commits: [{ ...forged, logIndex: 0 }] }
  }

  /** Two commits, signed as they should be, of which the later was recorded before the earlier. */
  #fallingStamps(page: Page): Page {
    const { prng } = this.#world
    const draft = { origin: this.#origin, events: [this.#commitEvent({ falling: true })] }
    const first = { ...draft, firstSeq: 1, previous: this.#origin.hash, recorded: 2n ** 56n }
    const one = sealCommit(first, this.#signer, simHasher)
    const recorded = 2n ** 56n - BigInt(prng.integer(0, 5))
    const second = { ...draft, firstSeq: 2, previous: one.hash, recorded }
    const two = sealCommit(second, this.#signer, simHasher)
    const commits = [pageCommit(one, 0), pageCommit(two, 0)]
    return { ...page, logs: [this.#entry(1, this.#origin.hash)], commits }
  }

  /** Its own commit under the name of another's log, or of another's key. */
  #falseIdentity(lie: 'false-identity' | 'forged-genesis', page: Page): Page {
    // Of its own log that would be another branch, not a lie about whose it is.
    const others = page.heads.filter(({ log }) => !equalBytes(log, this.#origin.idBytes))
    const head = this.#world.prng.pick(others)
    const draft = { origin: this.#origin, events: [this.#commitEvent({ false: true })] }
    const first = { ...draft, firstSeq: 1, previous: this.#origin.hash, recorded: 2n ** 56n }
    const commit = sealCommit(first, this.#signer, simHasher)
    const { publicKey, nonce } = this.#origin.genesis
    const genesis =
      lie === 'false-identity' ? { publicKey, nonce } : { publicKey, nonce: nonce.toReversed() }
    const log = lie === 'false-identity' ? (head?.log ?? this.#bytes(16)) : this.#origin.idBytes
    const entry = { log, firstSeq: 1, previous: this.#origin.hash, genesis }
    return { ...page, logs: [entry], commits: [pageCommit(commit, 0)] }
  }

  #write(before: Commit | undefined): Commit | undefined {
    if (this.#commits.length >= OWN_COMMITS_MAX) return undefined
    const data = { rogue: this.#commits.length }
    this.#ledger.offer(this.#database, [data], [])
    const draft = {
      origin: this.#origin,
      firstSeq: before === undefined ? 1 : lastSeq(before) + 1,
      previous: before?.hash ?? this.#origin.hash,
      recorded: (before?.recorded ?? 2n ** 54n) + 1n,
      events: [this.#commitEvent(data)]
    }
    const commit = sealCommit(draft, this.#signer, simHasher)
    this.#commits.push(commit)
    this.#ledger.strangerCommits += 1
    return commit
  }

  #entry(firstSeq: number, previous: Uint8Array): Page['logs'][number] {
    const { publicKey, nonce } = this.#origin.genesis
    const genesis = firstSeq === 1 ? { publicKey, nonce } : undefined
    return { log: this.#origin.idBytes, firstSeq, previous, genesis }
  }

  #event(data: object): { key: Uint8Array; value: Uint8Array } {
    return { key: this.#bytes(16), value: Buffer.from(JSON.stringify({ data })) }
  }

  #commitEvent(data: object): Commit['events'][number] {
    const { key, value } = this.#event(data)
    return { key: eventKey(key), value, hash: simHasher.sha256(value) }
  }

  #bytes(length: number): Uint8Array {
    return worldRng(this.#world).bytes(length)
  }
}

function pageCommit(commit: Commit, logIndex: number): PageCommit {
  const { recorded, signature, events } = commit
  return { logIndex, count: events.length, recorded, signature, events: encodeEvents(events) }
}
