/** Frames that come in on many streams at once: what all of them together may make a node hold. */

import type { Connection } from '@libp2p/interface'
import { expect, test } from 'vitest'

import { FRAME_BYTES_MAX, REQUEST_BYTES_MAX } from '../../protocols/limits.ts'
import { DeltaClient } from '../../src/p2p/delta-client.ts'
import { DeltaResponder } from '../../src/p2p/delta-responder.ts'
import { INCOMING_BYTES_MAX } from '../../src/p2p/limits.ts'
import { StreamBytes } from '../../src/p2p/stream-bytes.ts'
import { FakeStream } from '../fixtures/fake-stream.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'

const REST_BYTES = 100
const clock = new ManualClock()
const signal = new AbortController().signal

function prefixOf(bytes: number): readonly number[] {
  return [bytes & 0x7f, bytes >> 7, bytes >> 14, bytes >> 21].map((part, index, parts) =>
    index === parts.length - 1 ? part : (part & 0x7f) | 0x80
  )
}

test('beyond the bytes of all answers that come in the one longest under way is given up', async () => {
  const incoming = new StreamBytes(INCOMING_BYTES_MAX, 'too much')
  const part = new Uint8Array(FRAME_BYTES_MAX - REST_BYTES)
  const streams: FakeStream[] = []
  const ended: string[] = []
  const beginAnswer = async (): Promise<void> => {
    const at = streams.length
    const stream = new FakeStream()
    streams.push(stream)
    ended.push('waiting')
    const openStream = async (): Promise<ReturnType<FakeStream['asStream']>> => stream.asStream()
    const client = new DeltaClient({ peer: `${at}`, clock, openStream, incoming, silent: () => {} })
    client.request(new Uint8Array(1), { signal }).then(
      ({ length }) => (ended[at] = `${length} bytes`),
      ({ code }: { code: string }) => (ended[at] = code)
    )
    await settled()
    await stream.deliver(...prefixOf(FRAME_BYTES_MAX))
    await stream.deliverPiece(part)
  }
  const most = Math.floor(INCOMING_BYTES_MAX / FRAME_BYTES_MAX)
  while (streams.length < most + 2) await beginAnswer()
  const waiting = (count: number): string[] => Array.from({ length: count }, () => 'waiting')
  const lost = ['LATERBASE_PEER_UNREACHABLE', 'LATERBASE_PEER_UNREACHABLE']
  expect(ended).toEqual([...lost, ...waiting(most)])
  expect(streams.map(({ status }) => status === 'open')).toEqual(
    streams.map((_, index) => index >= 2)
  )
  // One that is whole makes room for another.
  await streams[2]?.deliverPiece(new Uint8Array(REST_BYTES))
  await beginAnswer()
  expect(ended).toEqual([...lost, `${FRAME_BYTES_MAX} bytes`, ...waiting(most)])
})

test('requests that wait for their turn count, until they are answered or their stream has ended', async () => {
  const request = new Uint8Array(REQUEST_BYTES_MAX)
  const incoming = new StreamBytes(5 * REQUEST_BYTES_MAX, 'too much')
  const turns: (() => void)[] = []
  const responder = new DeltaResponder({
    clock,
    log: () => undefined,
    answer: () =>
      new Promise((resolve) => {
        turns.push(() => resolve(new Uint8Array(1)))
      }),
    answering: () => undefined,
    incoming
  })
  const serve = async (requests: number): Promise<FakeStream> => {
    const stream = new FakeStream()
    const connection = { remotePeer: { toString: () => 'a' } } as Connection
    void responder.serve(connection, stream.asStream())
    for (let count = 0; count < requests; count += 1) {
      await stream.deliver(...prefixOf(REQUEST_BYTES_MAX).slice(0, 2), REQUEST_BYTES_MAX >> 14)
      await stream.deliverPiece(request)
    }
    return stream
  }
  const first = await serve(3)
  const second = await serve(3)
  expect([first.status, second.status]).toEqual(['open', 'open'])
  second.abort(new Error('the peer has gone'))
  const third = await serve(3)
  expect([first.status, third.status]).toEqual(['open', 'open'])
  await serve(3)
  expect([first.status, third.status]).toEqual(['aborted', 'open'])
  for (const turn of turns) turn()
})
