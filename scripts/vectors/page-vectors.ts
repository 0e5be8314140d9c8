/**
 * Pages in context: what a receiver holds, the page that comes, and what must come of it. A page
 * here can be read; what is checked is identity, sequence, chain, clock and signature.
 */

import {
  STORY,
  bytesOf,
  counting,
  flipped,
  hex,
  keyAt,
  makeCommit,
  makeLog,
  regionParts,
  replaced,
  stamp,
  text,
  T0,
  u64,
  varint
} from './material.ts'
import type { VectorCommit } from './material.ts'
import { headAt, pageParts } from './delta-frames.ts'

const { gate, dock, gate1, gate2, gate3, gate2Forked, dock1 } = STORY

export function validPages(): object[] {
  return [
    accepted('a whole log', { page: [gate1, gate2, gate3], commits: [gate1, gate2, gate3] }),
    accepted('two logs, merged by recorded time', {
      page: [gate1, dock1, gate2, gate3],
      commits: [gate1, dock1, gate2, gate3]
    }),
    accepted('a continuation', {
      before: [[gate1]],
      page: [gate2, gate3],
      commits: [gate2, gate3]
    }),
    accepted('what is held is passed over', {
      before: [[gate1, gate2]],
      page: [gate1, gate2, gate3],
      commits: [gate3]
    }),
    accepted('a page that begins below the head', {
      before: [[gate1, gate2]],
      page: [gate2, gate3],
      commits: [gate3]
    }),
    accepted('nothing new', { before: [[gate1]], page: [gate1], commits: [] }),
    accepted('no commits', { before: [[gate1]], page: [], commits: [] }),
    accepted('another branch at the head', {
      before: [[gate1, gate2]],
      page: [gate1, gate2Forked],
      commits: [gate2Forked]
    }),
    accepted('a branch that continues what is held in the middle', {
      before: [[gate1, gate2, gate3]],
      page: [gate2Forked],
      commits: [gate2Forked]
    }),
    accepted('what follows another branch than the one held', {
      before: [[gate1, gate2Forked], [gate2]],
      page: [gate2, gate3],
      commits: [gate3]
    }),
    accepted('two branches in one page, the second listed on its own', {
      page: [gate1, gate2, gate2Forked, gate3],
      branches: [gate2Forked],
      commits: [gate1, gate2, gate2Forked, gate3]
    })
  ]
}

export function invalidPages(): object[] {
  const whole = pageParts(page([gate1, gate2]))
  const field = (name: string, bytes: Uint8Array): Uint8Array => replaced(whole, name, bytes)
  return [
    refused('log-identity', 'the nonce is another', field('log 0 nonce', counting(0xa1, 16))),
    refused(
      'log-identity',
      'the public key is another',
      field('log 0 public_key', dock.signer.publicKey)
    ),
    refused('log-identity', 'the log id is another', field('log 0 id', flipped(gate.id, 15))),
    {
      ...refused('log-identity', 'the log is of another database', bytesOf(whole)),
      database: 'depot'
    },
    refused(
      'chain-broken',
      'the first commit does not follow the genesis',
      field('log 0 previous', flipped(gate.hash, 31))
    ),
    refused('sequence-gap', 'an unknown log begins in its middle', frame([gate2])),
    refused('sequence-gap', 'a commit between is missing', frame([gate3]), [[gate1]]),
    refused(
      'bad-signature',
      'one bit of a signature',
      field('commit 1 signature', flipped(gate2.signature, 63))
    ),
    refused(
      'bad-signature',
      'the signature of another node',
      frame([makeCommit({ ...planOf(gate1), signer: dock.signer })])
    ),
    refused(
      'bad-signature',
      'the signature of another commit',
      field('commit 1 signature', gate1.signature)
    ),
    refused('bad-signature', 'one bit of a value', field('commit 1 events', changedValue())),
    refused(
      'bad-signature',
      'one bit of a key',
      field('commit 1 events', flipped(gate2.region, 15))
    ),
    refused(
      'bad-signature',
      'another recorded time',
      field('commit 1 recorded', u64(gate2.recorded + 1n))
    ),
    refused('bad-signature', 'a commit is left out', frame([gate1, gate3])),
    refused(
      'bad-signature',
      'the order of events is another',
      field('commit 0 events', reversed())
    ),
    refused(
      'bad-signature',
      'a commit of another log',
      bytesOf(
        pageParts(page([gate1, dock1])).map((each) =>
          each.name === 'commit 1 log_index' ? { ...each, bytes: varint(0) } : each
        )
      )
    ),
    refused('clock-order', 'commits of a log in the wrong order', frame([gate1, gate3, gate2])),
    refused('clock-order', 'the same recorded time twice', frame([gate1, clocked(gate1.recorded)])),
    refused('clock-order', 'recorded time goes back', frame([gate1, clocked(gate1.recorded - 1n)])),
    refused(
      'clock-order',
      'recorded time goes back behind what is held',
      frame([clocked(gate1.recorded - 1n)]),
      [[gate1]]
    ),
    refused(
      'clock-order',
      'recorded at 0',
      frame([makeCommit({ ...planOf(gate1), recorded: 0n })])
    ),
    refused('trailing-bytes', 'fewer events than bytes', field('commit 0 count', varint(1))),
    refused('truncated', 'more events than bytes', field('commit 0 count', varint(3))),
    refused('truncated', 'no bytes for the events', emptyRegion())
  ]
}

interface Acceptance {
  /** Pages that the receiver took before, in order. */
  readonly before?: readonly (readonly VectorCommit[])[]
  readonly page: readonly VectorCommit[]
  /** What is new to the receiver. */
  readonly commits: readonly VectorCommit[]
  /** Commits of the page that begin another branch of a log in it. */
  readonly branches?: readonly VectorCommit[]
}

function accepted(name: string, { before = [], page, commits, branches }: Acceptance): object {
  return {
    name,
    database: 'yard',
    before: before.map((earlier) => hex(frame(earlier))),
    hex: hex(frame(page, branches)),
    new: commits.map(({ log, firstSeq, hash }) => ({
      log: hex(log.id),
      first_seq: firstSeq,
      hash: hex(hash)
    }))
  }
}

function refused(
  code: string,
  name: string,
  bytes: Uint8Array,
  before: readonly (readonly VectorCommit[])[] = []
): object {
  const earlier = before.map((commits) => hex(frame(commits)))
  return { name, database: 'yard', before: earlier, hex: hex(bytes), code }
}

function page(
  commits: readonly VectorCommit[],
  branches: readonly VectorCommit[] = []
): Parameters<typeof pageParts>[0] {
  const heads = new Map(commits.map((commit) => [commit.log, headAt(commit)]))
  return { complete: true, commits, branches, heads: [...heads.values()] }
}

function frame(
  commits: readonly VectorCommit[],
  branches: readonly VectorCommit[] = []
): Uint8Array {
  return bytesOf(pageParts(page(commits, branches)))
}

function planOf(commit: VectorCommit): Parameters<typeof makeCommit>[0] {
  const { name, log, recorded, events } = commit
  return { name, log, after: undefined, recorded, events }
}

/** A commit after `gate 1` with a recorded time that its node should not have given, duly signed. */
function clocked(recorded: bigint): VectorCommit {
  const events = [{ key: keyAt(T0, 0x08), value: text('{"data":8}') }]
  return makeCommit({ name: 'clocked', log: gate, after: gate1, recorded, events })
}

function changedValue(): Uint8Array {
  return flipped(gate2.region, gate2.region.length - 3)
}

function reversed(): Uint8Array {
  return bytesOf(regionParts(gate1.events.toReversed()))
}

function emptyRegion(): Uint8Array {
  const log = makeLog('short', counting(0x40, 32), counting(0xc0, 16))
  const commit = makeCommit({
    name: 'short 1',
    log,
    after: undefined,
    recorded: stamp(T0, 0),
    events: [{ key: keyAt(T0, 1), value: text('{"data":1}') }]
  })
  return frame([{ ...commit, region: new Uint8Array() }])
}
