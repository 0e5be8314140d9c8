/** Answers of the delta protocol: digests, and pages of commits that the asker lacks. */

import { decodeDeltaRequest, encodeDeltaAnswer } from '../../protocols/delta/codec.ts'
import type {
  DatabaseDigest,
  DeltaAnswer,
  DeltaRequest,
  PageCommit,
  PageLog
} from '../../protocols/delta/codec.ts'
import { encodeEvents } from '../../protocols/event/codec.ts'
import { PAGE_COMMITS_MAX } from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { present } from '../core/assert.ts'
import { equalBytes } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import { commitHash } from '../core/commit.ts'
import type { LogId } from '../core/commit.ts'
import { PAGE_BYTES } from '../core/limits.ts'
import { fromWireHeads, toWireHeads } from '../core/version.ts'
import type { Version } from '../core/version.ts'
import { LaterbaseError } from '../errors.ts'
import type { StoredEvent } from '../store/event-store.ts'
import { mergedCommits } from './commit-merge.ts'
import type { MergedCommit } from './commit-merge.ts'
import type { NodeDatabase } from './database.ts'

export interface ResponderView {
  readonly digests: () => readonly DatabaseDigest[]
  readonly database: (name: string) => NodeDatabase | undefined
  readonly hasher: Hasher
}

export interface Answered {
  readonly frame: Uint8Array
  readonly request: DeltaRequest | undefined
  /** What was wrong with the request, if it could not be read. */
  readonly fault: string | undefined
}

/** @throws LATERBASE_STORE_CORRUPT rather than serve what does not match its hash */
export async function answerRequest(frame: Uint8Array, view: ResponderView): Promise<Answered> {
  const request = decodeDeltaRequest(frame)
  if (isRejected(request)) {
    const refused = encodeDeltaAnswer({ type: 'refused', reason: 'request-invalid' })
    return { frame: refused, request: undefined, fault: request.detail }
  }
  const answer: DeltaAnswer =
    request.type === 'compare'
      ? { type: 'compared', digests: view.digests() }
      : await answerPage(request, view)
  return { frame: encodeDeltaAnswer(answer), request, fault: undefined }
}

async function answerPage(
  request: Extract<DeltaRequest, { type: 'page' }>,
  view: ResponderView
): Promise<DeltaAnswer> {
  const database = view.database(request.database)
  if (database === undefined) return { type: 'refused', reason: 'database-unknown' }
  const theirs = fromWireHeads(request.heads)
  database.learn(positionOf(theirs))
  const { merged, complete } = await takePage(database, theirs, request.bytesMax)
  const slices = merged.map(({ commit }) => ({ commit, from: 0, to: commit.keys.length }))
  const events = await database.store.readEvents(slices)
  const logs = new Map<LogId, { readonly index: number; readonly entry: PageLog }>()
  const commits = merged.map((each, index): PageCommit => {
    const ofCommit = present(events[index], 'events of every commit')
    checkIntact(database, each, { events: ofCommit, hasher: view.hasher })
    const { commit, log } = each
    const id = log.tip.origin.id
    const known = logs.get(id) ?? { index: logs.size, entry: pageLog(each) }
    logs.set(id, known)
    return {
      logIndex: known.index,
      count: commit.keys.length,
      recorded: commit.recorded,
      signature: commit.signature,
      events: encodeEvents(ofCommit)
    }
  })
  return {
    type: 'page',
    complete,
    logs: [...logs.values()].map(({ entry }) => entry),
    commits,
    heads: toWireHeads(database.version())
  }
}

/** The commits of one page: at least one if any is missing, else within the bytes asked for. */
async function takePage(
  database: NodeDatabase,
  theirs: Version,
  bytesMax: number
): Promise<{ merged: MergedCommit[]; complete: boolean }> {
  const limit = Math.min(bytesMax, PAGE_BYTES)
  const merged: MergedCommit[] = []
  let bytes = 0
  for await (const next of mergedCommits(database.store, positionOf(theirs))) {
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

function positionOf(version: Version): Map<LogId, number> {
  return new Map([...version].map(([log, head]) => [log, head.seq]))
}
