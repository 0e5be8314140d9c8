/**
 * What the test vectors are made of: bytes put together by hand, and one small history. The codecs
 * are not used here on purpose: a vector that came out of the encoder would only prove that the
 * encoder agrees with itself. Keys come from fixed seeds, so every run gives the same bytes.
 */

import { createHash } from 'node:crypto'

import { createSigner } from '../../src/node/system.ts'
import type { Signer } from '../../src/core/clock.ts'

/** One field of a message, so that vectors can cut or replace it. */
export interface Part {
  readonly name: string
  readonly bytes: Uint8Array
}

export function part(name: string, bytes: Uint8Array): Part {
  return { name, bytes }
}

export function bytesOf(parts: readonly Part[]): Uint8Array {
  return Buffer.concat(parts.map(({ bytes }) => bytes))
}

/** The message with one field replaced. */
export function replaced(parts: readonly Part[], name: string, bytes: Uint8Array): Uint8Array {
  if (!parts.some((each) => each.name === name)) throw new Error(`no part ${name}`)
  return bytesOf(parts.map((each) => (each.name === name ? part(name, bytes) : each)))
}

/** The message cut before each field, and inside each field of several bytes. */
export function truncations(parts: readonly Part[]): { name: string; bytes: Uint8Array }[] {
  const cuts: { name: string; bytes: Uint8Array }[] = []
  for (const [index, each] of parts.entries()) {
    const before = bytesOf(parts.slice(0, index))
    cuts.push({ name: `before ${each.name}`, bytes: before })
    if (each.bytes.length < 2) continue
    const inside = each.bytes.subarray(0, each.bytes.length - 1)
    cuts.push({ name: `inside ${each.name}`, bytes: Buffer.concat([before, inside]) })
  }
  return cuts
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function unhex(text: string): Uint8Array {
  return Buffer.from(text, 'hex')
}

export function ascii(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

export function byte(value: number): Uint8Array {
  return Buffer.from([value])
}

/** Unsigned LEB128 in its shortest form. */
export function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = []
  let rest = BigInt(value)
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  return Buffer.from([...bytes, Number(rest)])
}

/** Three ways for a varint to be wrong, whatever its field. */
export const BAD_VARINTS: readonly { readonly name: string; readonly bytes: Uint8Array }[] = [
  { name: 'not in its shortest form', bytes: unhex('8100') },
  { name: 'zero in two bytes', bytes: unhex('8000') },
  { name: '2^53, one above the highest', bytes: varint(2n ** 53n) },
  { name: 'nine bytes', bytes: unhex('ffffffffffffffff7f') }
]

export function u64(value: bigint): Uint8Array {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(value)
  return bytes
}

export function sha256(...bytes: Uint8Array[]): Uint8Array {
  return createHash('sha256').update(Buffer.concat(bytes)).digest()
}

/** `length` bytes that count up from `first`. */
export function counting(first: number, length: number): Uint8Array {
  return Buffer.from(Array.from({ length }, (_, index) => (first + index) & 0xff))
}

export interface VectorEvent {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

export interface VectorLog {
  readonly name: string
  readonly seed: Uint8Array
  readonly signer: Signer
  readonly database: string
  readonly nonce: Uint8Array
  readonly preimage: Uint8Array
  readonly hash: Uint8Array
  readonly id: Uint8Array
}

export interface VectorCommit {
  readonly name: string
  readonly log: VectorLog
  readonly firstSeq: number
  readonly events: readonly VectorEvent[]
  readonly previous: Uint8Array
  readonly recorded: bigint
  readonly region: Uint8Array
  readonly eventsHash: Uint8Array
  readonly header: readonly Part[]
  readonly hash: Uint8Array
  readonly signature: Uint8Array
}

export function makeLog(name: string, seed: Uint8Array, nonce: Uint8Array): VectorLog {
  const signer = createSigner(seed)
  const database = 'yard'
  const preimage = bytesOf([
    part('domain', ascii('laterbase/log/1\n')),
    part('public key', signer.publicKey),
    part('database length', varint(database.length)),
    part('database', ascii(database)),
    part('nonce', nonce)
  ])
  const hash = sha256(preimage)
  return { name, seed, signer, database, nonce, preimage, hash, id: hash.subarray(0, 16) }
}

export function regionParts(events: readonly VectorEvent[]): Part[] {
  return events.flatMap(({ key, value }, index) => [
    part(`key ${index}`, key),
    part(`value length ${index}`, varint(value.length)),
    part(`value ${index}`, value)
  ])
}

export interface CommitPlan {
  readonly name: string
  readonly log: VectorLog
  /** Undefined for the first commit of the log. */
  readonly after: VectorCommit | undefined
  readonly recorded: bigint
  readonly events: readonly VectorEvent[]
  /** Who signs, when it is not the log's node. */
  readonly signer?: Signer
}

export function makeCommit(plan: CommitPlan): VectorCommit {
  const { name, log, after, recorded, events } = plan
  const firstSeq = after === undefined ? 1 : after.firstSeq + after.events.length
  const previous = after?.hash ?? log.hash
  const eventsHash = sha256(...events.flatMap(({ key, value }) => [key, sha256(value)]))
  const header = [
    part('domain', ascii('laterbase/commit/1\n')),
    part('format', byte(1)),
    part('log', log.id),
    part('first_seq', varint(firstSeq)),
    part('count', varint(events.length)),
    part('previous', previous),
    part('recorded', u64(recorded)),
    part('events_hash', eventsHash)
  ]
  const hash = sha256(bytesOf(header))
  const signature = (plan.signer ?? log.signer).sign(hash)
  const region = bytesOf(regionParts(events))
  return {
    name,
    log,
    firstSeq,
    events,
    previous,
    recorded,
    region,
    eventsHash,
    header,
    hash,
    signature
  }
}

/** A key of a time: 48 bits of milliseconds, then 80 bits that count up from `first`. */
export function keyAt(timeMs: number, first: number): Uint8Array {
  const key = Buffer.alloc(16)
  key.writeUIntBE(timeMs, 0, 6)
  key.set(counting(first, 10), 6)
  return key
}

export function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8')
}

/** 2026-11-02T06:10:00.000Z, when the first pallet was received. */
export const T0 = 1_793_599_800_000

export function stamp(timeMs: number, counter: number): bigint {
  return (BigInt(timeMs) << 16n) + BigInt(counter)
}

const GATE = makeLog('gate', counting(0x00, 32), counting(0xa0, 16))
const DOCK = makeLog('dock', counting(0x20, 32), counting(0xb0, 16))

const pallet = (timeMs: number, first: number, value: string): VectorEvent => ({
  key: keyAt(timeMs, first),
  value: text(value)
})

const GATE_1 = makeCommit({
  name: 'gate 1',
  log: GATE,
  after: undefined,
  recorded: stamp(T0 + 250, 0),
  events: [
    pallet(T0, 0x01, '{"data":{"pallet":"P-1"},"type":"received"}'),
    pallet(T0, 0x02, '{"data":{"pallet":"P-2"},"type":"received"}')
  ]
})
const GATE_2 = makeCommit({
  name: 'gate 2',
  log: GATE,
  after: GATE_1,
  recorded: stamp(T0 + 250, 1),
  events: [pallet(T0 - 86_400_000, 0x03, '{"data":{"pallet":"P-0"},"type":"received"}')]
})
const GATE_3 = makeCommit({
  name: 'gate 3',
  log: GATE,
  after: GATE_2,
  recorded: stamp(T0 + 60_000, 0),
  events: [
    pallet(T0 + 59_000, 0x04, '{"data":{"pallet":"P-1","to":"A-17"},"type":"moved"}'),
    pallet(T0 + 59_001, 0x05, '{"data":{"pallet":"P-2","to":"A-18"},"type":"moved"}')
  ]
})
const GATE_2_FORKED = makeCommit({
  name: 'gate 2, other branch',
  log: GATE,
  after: GATE_1,
  recorded: stamp(T0 + 30_000, 0),
  events: [pallet(T0 + 29_000, 0x06, '{"data":{"pallet":"P-9"},"type":"received"}')]
})
const DOCK_1 = makeCommit({
  name: 'dock 1',
  log: DOCK,
  after: undefined,
  // Equal to that of gate 2: the log id decides.
  recorded: stamp(T0 + 250, 1),
  events: [pallet(T0 + 100, 0x07, '{"data":"\u{1F69A} caf\u00E9","type":"note"}')]
})

/** Two logs of one database, one of which has a second branch. */
export const STORY = {
  gate: GATE,
  dock: DOCK,
  gate1: GATE_1,
  gate2: GATE_2,
  gate3: GATE_3,
  gate2Forked: GATE_2_FORKED,
  dock1: DOCK_1
} as const

/** The bytes with one bit of one byte turned. */
export function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
