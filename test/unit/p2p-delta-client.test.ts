/** The asking side of the delta stream, on streams and a clock that the test moves by hand. */

import { expect, test } from 'vitest'
import { DeltaClient } from '../../src/p2p/delta-client.ts'
import { ANSWERS_UNREAD_BYTES_MAX } from '../../src/p2p/limits.ts'
import { INCOMING_BYTES_MAX } from '../../src/p2p/limits.ts'
import { StreamBytes } from '../../src/p2p/stream-bytes.ts'
import { FakeStream } from '../fixtures/fake-stream.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'

interface Asked {
  ended: string | undefined
  readonly progress: number[]
  readonly giveUp: () => Promise<void>
}

class Rig {
  readonly clock = new ManualClock()
  readonly streams: FakeStream[] = []
  silent = 0
  readonly client = new DeltaClient({
    peer: 'b',
    clock: this.clock,
    openStream: async () => {
      const stream = new FakeStream()
      this.streams.push(stream)
      return stream.asStream()
    },
    silent: () => (this.silent += 1),
    incoming: new StreamBytes(INCOMING_BYTES_MAX, 'too much')
  })

  /** Asks, and tells how that ended so far. */
  async ask(words: string): Promise<Asked> {
    const stop = new AbortController()
    const asked: Asked = {
      ended: undefined,
      progress: [],
      giveUp: async () => {
        stop.abort(new Error('too slow'))
        await settled()
      }
    }
    this.client
      .request(new Uint8Array(Buffer.from(words)), {
        signal: stop.signal,
        onProgress: (bytes) => asked.progress.push(bytes)
      })
      .then(
        (answer) => (asked.ended = Buffer.from(answer).toString()),
        (error: unknown) => (asked.ended = String(error))
      )
    await settled()
    return asked
  }

  stream(index: number): FakeStream {
    const stream = this.streams[index]
    if (stream === undefined) throw new Error(`there is no stream ${index}`)
    return stream
  }
}

test('a peer found silent gets no further stream, and what was in flight is rejected', async () => {
  const rig = new Rig()
  const first = await rig.ask('first')
  await rig.clock.pass(5_000)
  await first.giveUp()
  const second = await rig.ask('second')
  const page = await rig.ask('page')
  await rig.clock.pass(5_000)
  await second.giveUp()
  expect([rig.silent, rig.streams.length]).toEqual([1, 2])
  expect(page.ended).toContain('the peer does not answer')
  expect(rig.streams.map(({ status }) => status)).toEqual(['aborted', 'aborted'])
})

test('a peer that opens no stream twice in a row is found silent', async () => {
  const clock = new ManualClock()
  let silent = 0
  const client = new DeltaClient({
    peer: 'b',
    clock,
    openStream: (signal) =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    silent: () => (silent += 1),
    incoming: new StreamBytes(INCOMING_BYTES_MAX, 'too much')
  })
  for (let tries = 0; tries < 2; tries += 1) {
    const refused = expect(
      client.request(new Uint8Array(1), { signal: new AbortController().signal })
    ).rejects.toMatchObject({ code: 'LATERBASE_PEER_UNREACHABLE' })
    await clock.pass(10_000)
    await refused
  }
  expect(silent).toBe(1)
})

test('silence counts for nothing while a large answer of ours fills a slow link', async () => {
  const rig = new Rig()
  rig.client.answering(2_097_152)
  for (let tries = 0; tries < 8; tries += 1) {
    expect(rig.silent).toBe(0)
    const asked = await rig.ask('asked')
    await rig.clock.pass(5_000)
    await asked.giveUp()
  }
  expect(rig.silent).toBe(1)
})

test('a request given up behind a page leaves the page, and its own answer is dropped', async () => {
  const rig = new Rig()
  const page = await rig.ask('page')
  const comparison = await rig.ask('comparison')
  await rig.stream(0).deliver(4, 0x50)
  await rig.clock.pass(5_000)
  await comparison.giveUp()
  expect(comparison.ended).toContain('too slow')
  await rig.stream(0).deliver(0x41, 0x47, 0x45)
  expect(page.ended).toBe('PAGE')
  const later = await rig.ask('later')
  await rig.stream(0).deliver(1, 0x78, 1, 0x79)
  expect(later.ended).toBe('y')
  expect([rig.streams.length, rig.silent]).toEqual([1, 0])
})

test('a page that is given up while it comes in is read to its end for who waits behind it', async () => {
  const rig = new Rig()
  const page = await rig.ask('page')
  const behind = await rig.ask('behind')
  await page.giveUp()
  for (const byte of [4, 0x50, 0x41, 0x47, 0x45]) {
    await rig.clock.pass(2_900)
    await rig.stream(0).deliver(byte)
  }
  await rig.stream(0).deliver(1, 0x7a)
  expect([behind.ended, rig.streams.length, rig.silent]).toEqual(['z', 1, 0])
})

test('when the answer of a given-up request stays away, what is behind it is asked anew', async () => {
  const rig = new Rig()
  const stuck = await rig.ask('stuck')
  const behind = await rig.ask('behind')
  await stuck.giveUp()
  await rig.clock.pass(2_999)
  expect(rig.streams.length).toBe(1)
  await rig.clock.pass(1)
  expect(rig.stream(1).sent).toEqual(['behind'])
  await rig.stream(1).deliver(1, 0x7a)
  expect(behind.ended).toBe('z')
})

test('whoever waits is told of all bytes that come, also of those of an answer before its own', async () => {
  const rig = new Rig()
  const page = await rig.ask('page')
  const behind = [await rig.ask('second'), await rig.ask('third'), await rig.ask('fourth')]
  const queued = await rig.ask('fifth')
  await rig.stream(0).deliver(4, 0x50)
  await rig.stream(0).deliver(0x41, 0x47, 0x45)
  await rig.stream(0).deliver(1)
  expect(page.progress).toEqual([2, 3])
  for (const { progress } of [...behind, queued]) expect(progress).toEqual([2, 3, 1])
  rig.client.answering(1_000)
  expect([page.progress, queued.progress]).toEqual([
    [2, 3],
    [2, 3, 1, 0]
  ])
})

test('no more requests than four are on a stream, those given up among them', async () => {
  const rig = new Rig()
  await rig.ask('page')
  for (let count = 0; count < 6; count += 1) {
    await rig.stream(0).deliver(...(count === 0 ? [100, 0] : [0]))
    await rig.clock.pass(2_000)
    const comparison = await rig.ask(`comparison ${count}`)
    await comparison.giveUp()
  }
  expect(rig.stream(0).sent).toEqual(['page', 'comparison 0', 'comparison 1', 'comparison 2'])
  expect(rig.streams.length).toBe(1)
})

test('answers that come faster than they are taken off have the stream reset at so many bytes', async () => {
  const rig = new Rig()
  const page = await rig.ask('page')
  const stream = rig.stream(0)
  const piece = new Uint8Array(1_048_576)
  let sent = 0
  while (stream.status === 'open' && sent < 2 * ANSWERS_UNREAD_BYTES_MAX) {
    stream.come(piece)
    sent += piece.length
  }
  await settled()
  expect(sent).toBeLessThanOrEqual(ANSWERS_UNREAD_BYTES_MAX + piece.length)
  expect(page.ended).toContain('the stream broke')
})
