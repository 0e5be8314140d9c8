/**
 * The decoders that read what others send, each with the law that it must keep: any bytes are
 * refused as a value, or decode to what encodes to the very same bytes.
 */

import { decodeAnnouncement, encodeAnnouncement } from '../../protocols/announce/codec.ts'
import { decodeCommitHeader, encodeCommitHeader } from '../../protocols/commit/codec.ts'
import { COMMIT_DOMAIN } from '../../protocols/commit/codec.ts'
import {
  decodeDeltaAnswer,
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import { decodeEvents, encodeEvents } from '../../protocols/event/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { checkPage } from '../../src/core/log.ts'
import { decodePosition, encodePosition } from '../../src/core/version.ts'
import { systemHasher } from '../../src/node/system.ts'
import { FrameError, decodeFrames } from '../../src/p2p/frames.ts'
import type { Prng } from '../simulate/prng.ts'
import {
  DATABASE,
  announcement,
  answer,
  commitHeader,
  frameAll,
  framed,
  position,
  region,
  request,
  signedPage
} from './messages.ts'
import type { Size } from './messages.ts'

export interface Target {
  readonly name: string
  readonly message: (prng: Prng, size: Size) => Uint8Array
  /** How messages begin, so that random bytes get past the first field. */
  readonly opening: readonly number[]
  /** Whether the bytes were accepted. @throws where the law does not hold */
  readonly run: (bytes: Uint8Array) => boolean | Promise<boolean>
}

export const TARGETS: readonly Target[] = [
  codec('request', request, [2], decodeDeltaRequest, encodeDeltaRequest),
  codec('answer', answer, [2], decodeDeltaAnswer, encodeDeltaAnswer),
  codec('announcement', announcement, [1], decodeAnnouncement, encodeAnnouncement),
  codec(
    'commit header',
    commitHeader,
    [...Buffer.from(COMMIT_DOMAIN), 1],
    decodeCommitHeader,
    encodeCommitHeader
  ),
  { name: 'events region', message: region, opening: [], run: runRegion },
  { name: 'position', message: position, opening: [1], run: runPosition },
  { name: 'signed page', message: signedPage, opening: [2, 1, 1], run: runPage },
  { name: 'frames', message: framed, opening: [0x80], run: runFrames }
]

// oxlint-disable-next-line eslint/max-params -- a row of a table
function codec<T extends object>(
  name: string,
  message: Target['message'],
  opening: readonly number[],
  decode: (bytes: Uint8Array) => T | Rejected,
  encode: (value: T) => Uint8Array
): Target {
  const run = (bytes: Uint8Array): boolean => {
    const value = decode(bytes)
    if (isRejected(value)) return false
    mustEqual(encode(value), bytes)
    return true
  }
  return { name, message, opening, run }
}

/** A region does not say how many events it has: the commit does. */
function runRegion(bytes: Uint8Array): boolean {
  let accepted = false
  for (const count of [0, 1, 2, 3, 10_000, 10_001, Number.MAX_SAFE_INTEGER]) {
    const events = decodeEvents(bytes, count)
    if (isRejected(events)) continue
    must(events.length === count, 'as many events as were asked for')
    mustEqual(encodeEvents(events), bytes)
    accepted = true
  }
  return accepted
}

/** A client may send places in any order; what is written is sorted, and stays as it is. */
function runPosition(bytes: Uint8Array): boolean {
  const places = decodePosition(bytes)
  if (places === undefined) return false
  const written = encodePosition(places)
  must(written.length === bytes.length, 'the same places')
  mustEqual(encodePosition(decodePosition(written) ?? []), written)
  return true
}

function runPage(bytes: Uint8Array): boolean {
  const page = decodeDeltaAnswer(bytes)
  if (isRejected(page) || page.type !== 'page') return false
  return !isRejected(checkPage(page, DATABASE, () => undefined, systemHasher))
}

/** What a request may weigh in the run; real limits are larger, and make only the run slower. */
const FRAME_BYTES = 65_536

async function runFrames(bytes: Uint8Array): Promise<boolean> {
  const frames: Uint8Array[] = []
  try {
    for await (const frame of decodeFrames(pieces(bytes), FRAME_BYTES)) frames.push(frame)
  } catch (error) {
    if (!(error instanceof FrameError)) throw error
    const whole = frameAll(frames)
    mustEqual(whole, bytes.subarray(0, whole.length))
    return false
  }
  mustEqual(frameAll(frames), bytes)
  return true
}

/** The stream in pieces of growing length, as a network might cut it. */
async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array[]> {
  const cuts: Uint8Array[] = []
  for (let from = 0, length = 1; from < bytes.length; from += length, length = length * 3 + 1) {
    cuts.push(bytes.subarray(from, from + length))
  }
  const half = cuts.length >> 1
  yield cuts.slice(0, half)
  yield cuts.slice(half)
}

function mustEqual(written: Uint8Array, bytes: Uint8Array): void {
  must(Buffer.compare(written, bytes) === 0, `encodes to ${Buffer.from(written).toString('hex')}`)
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}
