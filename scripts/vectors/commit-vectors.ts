/** The vectors of `protocols/commit`: geneses, headers, hashes, signatures. */

import {
  BAD_VARINTS,
  STORY,
  ascii,
  byte,
  bytesOf,
  hex,
  replaced,
  truncations,
  u64,
  varint
} from './material.ts'
import type { VectorCommit, VectorLog } from './material.ts'

export function validCommits(): object {
  return {
    logs: [STORY.gate, STORY.dock].map(logVector),
    commits: [STORY.gate1, STORY.gate2, STORY.gate3, STORY.gate2Forked, STORY.dock1].map(
      commitVector
    ),
    headers: [
      { name: 'highest numbers', ...highest() },
      { name: 'lowest numbers', ...lowest() }
    ]
  }
}

export function invalidCommits(): object {
  const parts = STORY.gate2.header
  const header = (name: string, bytes: Uint8Array, code: string): object => ({
    name,
    hex: hex(bytes),
    code
  })
  const field = (name: string, bytes: Uint8Array): Uint8Array => replaced(parts, name, bytes)
  return {
    headers: [
      ...truncations(parts).map(({ name, bytes }) => header(`cut ${name}`, bytes, 'truncated')),
      header('a byte too many', Buffer.concat([bytesOf(parts), byte(0)]), 'trailing-bytes'),
      header(
        'the domain of a later version',
        field('domain', ascii('laterbase/commit/2\n')),
        'unknown-value'
      ),
      header('format 0', field('format', byte(0)), 'unknown-value'),
      header('format 2', field('format', byte(2)), 'unknown-value'),
      header('sequence number 0', field('first_seq', varint(0)), 'not-allowed'),
      header('no events', field('count', varint(0)), 'not-allowed'),
      header('10,001 events', field('count', varint(10_001)), 'over-limit'),
      header('2^53 - 1 events', field('count', varint(2n ** 53n - 1n)), 'over-limit'),
      ...BAD_VARINTS.flatMap(({ name, bytes }) => [
        header(`first_seq: ${name}`, field('first_seq', bytes), 'bad-varint'),
        header(`count: ${name}`, field('count', bytes), 'bad-varint')
      ])
    ]
  }
}

function logVector(log: VectorLog): object {
  return {
    name: log.name,
    seed: hex(log.seed),
    public_key: hex(log.signer.publicKey),
    database: log.database,
    nonce: hex(log.nonce),
    preimage: hex(log.preimage),
    hash: hex(log.hash),
    id: hex(log.id)
  }
}

function commitVector(commit: VectorCommit): object {
  return {
    name: commit.name,
    log: commit.log.name,
    first_seq: commit.firstSeq,
    count: commit.events.length,
    previous: hex(commit.previous),
    recorded: String(commit.recorded),
    events: hex(commit.region),
    events_hash: hex(commit.eventsHash),
    header: hex(bytesOf(commit.header)),
    hash: hex(commit.hash),
    signature: hex(commit.signature)
  }
}

function highest(): object {
  return numbers(2n ** 53n - 1n, 10_000, 2n ** 64n - 1n)
}

function lowest(): object {
  return numbers(1n, 1, 0n)
}

function numbers(firstSeq: bigint, count: number, recorded: bigint): object {
  const parts = STORY.gate2.header.map(({ name, bytes }) => {
    if (name === 'first_seq') return { name, bytes: varint(firstSeq) }
    if (name === 'count') return { name, bytes: varint(count) }
    if (name === 'recorded') return { name, bytes: u64(recorded) }
    return { name, bytes }
  })
  const field = (name: string): string => hex(bytesOf(parts.filter((each) => each.name === name)))
  return {
    header: hex(bytesOf(parts)),
    log: field('log'),
    first_seq: Number(firstSeq),
    count,
    previous: field('previous'),
    recorded: String(recorded),
    events_hash: field('events_hash')
  }
}
