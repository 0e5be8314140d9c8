/** The answering side of the delta stream, on streams whose other end reads when the test says so. */

import type { Connection } from '@libp2p/interface'
import { expect, test } from 'vitest'

import { FRAME_BYTES_MAX } from '../../protocols/limits.ts'
import { DeltaResponder } from '../../src/p2p/delta-responder.ts'
import {
  ANSWERS_BYTES_MAX,
  INCOMING_BYTES_MAX,
  REQUESTS_UNREAD_PIECES_MAX
} from '../../src/p2p/limits.ts'
import { StreamBytes } from '../../src/p2p/stream-bytes.ts'
import { FakeStream } from '../fixtures/fake-stream.ts'
import { ManualClock } from '../fixtures/manual-clock.ts'

test('beyond the bytes of all answers under way the oldest is given up, and no other', async () => {
  const answer = new Uint8Array(FRAME_BYTES_MAX)
  const responder = new DeltaResponder({
    clock: new ManualClock(),
    log: () => undefined,
    answer: async () => answer,
    answering: () => undefined,
    incoming: new StreamBytes(INCOMING_BYTES_MAX, 'too much')
  })
  const served: Promise<void>[] = []
  const ask = async (peer: string): Promise<FakeStream> => {
    const stream = new FakeStream()
    stream.writableNeedsDrain = true
    served.push(
      responder.serve({ remotePeer: { toString: () => peer } } as Connection, stream.asStream())
    )
    await stream.deliver(1, 0x78)
    return stream
  }
  const most = Math.floor(ANSWERS_BYTES_MAX / FRAME_BYTES_MAX)
  const streams: FakeStream[] = []
  for (let peer = 0; peer < most; peer += 1) streams.push(await ask(`${peer}`))
  expect(new Set(streams.map(({ status }) => status))).toEqual(new Set(['open']))
  for (let more = 0; more < 3; more += 1) streams.push(await ask(`${most + more}`))
  expect(streams.map(({ status }) => status)).toEqual(
    streams.map((_, index) => (index < 3 ? 'aborted' : 'open'))
  )
  for (const stream of streams) stream.abort(new Error('the test is over'))
  await Promise.all(served)
})

test('very many small requests while one is being answered reset the stream, however few their bytes', async () => {
  const responder = new DeltaResponder({
    clock: new ManualClock(),
    log: () => undefined,
    answer: () => new Promise(() => undefined),
    answering: () => undefined,
    incoming: new StreamBytes(INCOMING_BYTES_MAX, 'too much')
  })
  const stream = new FakeStream()
  const connection = { remotePeer: { toString: () => 'peer' } } as Connection
  void responder.serve(connection, stream.asStream())
  await stream.deliver(1, 0x78)
  for (let piece = 0; piece < REQUESTS_UNREAD_PIECES_MAX; piece += 1) await stream.deliver(1, 0x78)
  expect(stream.status).toBe('open')
  await stream.deliver(1, 0x78)
  expect(stream.status).toBe('aborted')
})
