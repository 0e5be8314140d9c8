/**
 * Answers of the delta protocol: digests, of sets and of views, and pages of commits that the asker lacks. The page that
 * will be asked for next is made while the asker stores this one; otherwise the two would take turns.
 */

import { decodeDeltaRequest, encodeDeltaAnswer } from '../../protocols/delta/codec.ts'
import type {
  DatabaseDigest,
  DeltaAnswer,
  DeltaRequest,
  PageCommit,
  PageLog,
  WireView
} from '../../protocols/delta/codec.ts'
import { encodeEvents } from '../../protocols/event/codec.ts'
import { PAGE_COMMITS_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { assertNever, present } from '../core/assert.ts'
import { equalBytes } from '../core/bytes.ts'
import { passed } from '../core/clock.ts'
import type { Clock, Hasher, Timer } from '../core/clock.ts'
import { commitHash } from '../core/commit.ts'
import { PAGE_BYTES } from '../core/limits.ts'
import { fromWireHeads, toWireHeads } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import { lastSeqOf } from '../store/event-store.ts'
import type { StoredEvent } from '../store/event-store.ts'
import { mergedCommits } from './commit-merge.ts'
import type { MergedCommit } from './commit-merge.ts'
import type { NodeDatabase } from './database.ts'
import { PREPARED_BYTES_MAX, PREPARED_MAX, PREPARED_MS_MAX } from './limits.ts'
import { PageTurns } from './page-turns.ts'
import { positionOfVersion } from './position.ts'
import type { PeerPosition, Position } from './position.ts'
import { RepeatedPages } from './repeated-pages.ts'

export interface ResponderInit {
  readonly digests: () => readonly DatabaseDigest[]
  readonly database: (name: string) => NodeDatabase | undefined
  readonly isUnopened: (name: string) => boolean
  /** What views contain of exactly this set. */
  readonly views: (set: DatabaseDigest) => readonly WireView[]
  readonly hasher: Hasher
  readonly clock: Clock
}

export interface Answered {
  readonly frame: Uint8Array
  readonly request: DeltaRequest | undefined
  /** What was wrong with the request, if it could not be read. */
  readonly fault: string | undefined
}

type PageRequest = Extract<DeltaRequest, { type: 'page' }>

/** A page but for what is only known when it is sent. */
interface PageBody {
  readonly complete: boolean
  readonly logs: readonly PageLog[]
  readonly commits: readonly PageCommit[]
  /** How far the asker is with this page. */
  readonly position: Position
}

interface Sending extends PeerPosition {
  readonly database: NodeDatabase
  readonly request: PageRequest
  readonly body: PageBody
}

/** A page that is made while the asker stores the one before. */
interface PreparedPage {
  readonly name: string
  readonly body: Promise<PageBody | undefined>
  /** 0 until it is made. */
  bytes: number
  /** Drops it when nobody has asked for it. */
  readonly expiry: Timer
}

export class DeltaResponder {
  readonly #init: ResponderInit
  /**
   * By peer, at the most one each, of PAGE_BYTES or one commit; gone with its connection, or a while
   * after: an answer may be made for a peer that has gone, or that finds what it lacks elsewhere.
   */
  readonly #prepared = new Map<string, PreparedPage>()
  readonly #turns: PageTurns
  readonly #repeated: RepeatedPages

  constructor(init: ResponderInit) {
    this.#init = init
    this.#turns = new PageTurns(init.clock)
    this.#repeated = new RepeatedPages(init.clock)
  }

  /** @throws LATERBASE_STORE_CORRUPT rather than serve what does not match its hash */
  async answer(peer: string, frame: Uint8Array): Promise<Answered> {
    const request = decodeDeltaRequest(frame)
    if (isRejected(request)) {
      return { frame: refusal('request-invalid'), request: undefined, fault: request.detail }
    }
    return { frame: await this.#answerTo(peer, request), request, fault: undefined }
  }

  /** The peer has gone: what was made ready for it is not wanted. */
  forget(peer: string): void {
    this.#take(peer)
    this.#turns.forget(peer)
  }

  async #answerTo(peer: string, request: DeltaRequest): Promise<Uint8Array> {
    const { digests, views } = this.#init
    switch (request.type) {
      case 'compare':
        return encodeDeltaAnswer({ type: 'compared', digests: digests() })
      case 'views':
        return encodeDeltaAnswer({ type: 'views', views: views(request) })
      case 'page':
        return this.#answerPage(peer, request)
      default:
        return assertNever(request)
    }
  }

  #take(peer: string): PreparedPage | undefined {
    const page = this.#prepared.get(peer)
    page?.expiry.cancel()
    this.#prepared.delete(peer)
    return page
  }

  async #answerPage(peer: string, request: PageRequest): Promise<Uint8Array> {
    const database = this.#init.database(request.database)
    if (database === undefined) {
      const isUnopened = this.#init.isUnopened(request.database)
      return refusal(isUnopened ? 'busy' : 'database-unknown')
    }
    const version = fromWireHeads(request.heads)
    const places = fromWireHeads(request.places)
    const findPlace = (): Promise<PeerPosition> =>
      positionOfVersion(database.store, version, places)
    let { position, ahead } = await findPlace()
    database.learn(version)
    const delayMs = this.#repeated.delayMs(repeatName(peer, request), position)
    if (delayMs > 0) {
      await passed(this.#init.clock, delayMs)
      if (this.#init.database(request.database) !== database) return refusal('busy')
      // The store may have been opened anew meanwhile.
      ;({ position, ahead } = await findPlace())
    }
    const prepared = this.#take(peer)
    const isReady = prepared?.name === pageName(request, { position, ahead })
    const ready = isReady ? await prepared.body : undefined
    if (ready !== undefined)
      return this.#sent(peer, { database, request, position, ahead, body: ready })
    const leave = await this.#turns.take(peer)
    if (leave === undefined) return refusal('busy')
    try {
      const { hasher } = this.#init
      const body = await makePage(database, { position, ahead, request, hasher })
      return this.#sent(peer, { database, request, position, ahead, body })
    } finally {
      leave()
    }
  }

  /** The frame of an answer; the page after it is made meanwhile. */
  #sent(peer: string, sending: Sending): Uint8Array {
    const { database, request, position, ahead, body } = sending
    const { complete, logs, commits, position: to } = body
    const name = repeatName(peer, request)
    // Who asks for one page again and again does not come for the next one.
    const isRepeat = this.#repeated.delayMs(name, position) > 0
    this.#repeated.note(name, { from: position, to, bytes: bytesOf(body) })
    if (!complete && !isRepeat) this.#prepareNext(peer, request, { position: to, ahead })
    const heads = toWireHeads(database.version())
    return encodeDeltaAnswer({ type: 'page', complete, logs, commits, heads })
  }

  /** Not before this answer is under way, which the asker is waiting for. */
  #prepareNext(peer: string, request: PageRequest, place: PeerPosition): void {
    const { clock } = this.#init
    clock.setTimer(0, () => {
      const database = this.#init.database(request.database)
      if (database === undefined || this.#prepared.has(peer)) return
      if (this.#prepared.size >= PREPARED_MAX) return
      // Should it fail, the request that comes for it fails in its turn, and says why.
      const body = this.#makeAhead(peer, { database, request, ...place }).catch(() => undefined)
      const expiry = clock.setTimer(PREPARED_MS_MAX, () => this.#prepared.delete(peer))
      const page = { name: pageName(request, place), body, bytes: 0, expiry }
      this.#prepared.set(peer, page)
      void body.then((made) => {
        page.bytes = bytesOf(made)
        let all = 0
        for (const { bytes } of this.#prepared.values()) all += bytes
        // It is made again when it is asked for.
        const isHeld = this.#prepared.get(peer) === page
        if (isHeld && all > PREPARED_BYTES_MAX) this.#take(peer)
      })
    })
  }

  async #makeAhead(peer: string, next: Omit<Sending, 'body'>): Promise<PageBody | undefined> {
    const leave = await this.#turns.take(peer)
    try {
      if (leave === undefined) return undefined
      return await makePage(next.database, { ...next, hasher: this.#init.hasher })
    } finally {
      leave?.()
    }
  }
}

type RefusalReason = Extract<DeltaAnswer, { type: 'refused' }>['reason']

function refusal(reason: RefusalReason): Uint8Array {
  return encodeDeltaAnswer({ type: 'refused', reason })
}

function bytesOf(body: PageBody | undefined): number {
  let bytes = 0
  for (const { events } of body?.commits ?? []) bytes += events.length
  return bytes
}

function repeatName(peer: string, { database }: PageRequest): string {
  return `${peer} ${database}`
}

/** Equal for requests that the same page answers. */
function pageName(request: PageRequest, { position, ahead }: PeerPosition): string {
  const places = [...position].map(([number, seq]) => `${number}:${seq}`).sort()
  const apart = [...ahead].sort()
  return `${request.database} ${request.bytesMax} ${places.join()} ${apart.join()}`
}

async function makePage(
  database: NodeDatabase,
  { hasher, ...asked }: PeerPosition & { request: PageRequest; hasher: Hasher }
): Promise<PageBody> {
  const { merged, complete } = await takePage(database, asked)
  const slices = merged.map(({ commit }) => ({ commit, from: 0, to: commit.keys.length }))
  const events = await database.store.readEvents(slices)
  const logs = new Map<number, { readonly index: number; readonly entry: PageLog }>()
  const after = new Map(asked.position)
  const commits = merged.map((each, index): PageCommit => {
    const ofCommit = present(events[index], 'events of every commit')
    checkIntact(database, each, { events: ofCommit, hasher })
    const { commit, log } = each
    const known = logs.get(log.number) ?? { index: logs.size, entry: pageLog(each) }
    logs.set(log.number, known)
    after.set(log.number, lastSeqOf(commit))
    return {
      logIndex: known.index,
      count: commit.keys.length,
      recorded: commit.recorded,
      signature: commit.signature,
      events: encodeEvents(ofCommit)
    }
  })
  const entries = [...logs.values()].map(({ entry }) => entry)
  return { complete, logs: entries, commits, position: after }
}

/** The commits of one page: at least one if any is missing, else within the bytes asked for. */
async function takePage(
  database: NodeDatabase,
  { position, ahead, request }: PeerPosition & { request: PageRequest }
): Promise<{ merged: MergedCommit[]; complete: boolean }> {
  const limit = Math.min(request.bytesMax, PAGE_BYTES)
  const merged: MergedCommit[] = []
  let bytes = 0
  for await (const next of mergedCommits(database.store, position)) {
    // Written since the position was found: what is before it, on this branch, the asker may lack.
    if (ahead.has(next.log.tip.origin.id)) continue
    const full = bytes + next.commit.bytes > limit || merged.length >= PAGE_COMMITS_MAX
    if (full && merged.length > 0) return { merged, complete: false }
    merged.push(next)
    bytes += next.commit.bytes
  }
  return { merged, complete: true }
}

function pageLog({ log, commit }: MergedCommit): PageLog {
  const { idBytes, genesis } = log.tip.origin
  const begins = commit.firstSeq === 1
  return {
    log: idBytes,
    firstSeq: commit.firstSeq,
    previous: commit.previous,
    genesis: begins ? { publicKey: genesis.publicKey, nonce: genesis.nonce } : undefined
  }
}

/** What we serve is what was signed: rot on our disk must not make a peer cut us off. */
function checkIntact(
  database: NodeDatabase,
  { log, commit }: MergedCommit,
  read: { readonly events: readonly StoredEvent[]; readonly hasher: Hasher }
): void {
  const { origin } = log.tip
  const { firstSeq, previous, recorded } = commit
  const hash = commitHash(
    { origin, firstSeq, previous, recorded, events: read.events },
    read.hasher
  )
  if (equalBytes(hash, commit.hash)) return
  throw new LaterbaseError(
    'LATERBASE_STORE_CORRUPT',
    `${database.name}: commit ${firstSeq} of log ${origin.id} does not match its hash`
  )
}
