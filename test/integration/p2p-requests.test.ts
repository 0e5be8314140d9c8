/** Requests and answers over real libp2p on loopback: order, sizes, aborts, floods. */

import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { connect, deferred, peer, text, within } from './p2p-harness.ts'

test('two nodes of one network connect, and each answers the other', async () => {
  await using a = await peer({}, { requested: async () => text('from a') })
  await using b = await peer({}, { requested: async (_, frame) => frame.toReversed() })
  await connect(a, b)
  expect(await a.transport.request(b.id, text('abc'), within(20_000))).toEqual(text('cba'))
  expect(await b.transport.request(a.id, text('abc'), within(20_000))).toEqual(text('from a'))
  expect(a.transport.peers()).toMatchObject([{ peer: b.id, direction: 'outbound' }])
  expect(b.transport.peers()).toMatchObject([{ peer: a.id, direction: 'inbound' }])
  expect(a.transport.peers()[0]?.roundTripMs).toBeGreaterThanOrEqual(0)
  expect([a.count(`connected ${b.id}`), b.count(`connected ${a.id}`)]).toEqual([1, 1])
})

test('a hundred concurrent requests get their own answers, in the order of the calls', async () => {
  const order: string[] = []
  await using a = await peer()
  await using b = await peer(
    {},
    {
      requested: async (_, frame) => {
        const words = Buffer.from(frame).toString()
        order.push(words)
        // The odd ones take longer, so that an answer could overtake if it were let.
        if (words.length % 2 === 1) await new Promise(setImmediate)
        return text(`re ${words}`)
      }
    }
  )
  await connect(a, b)
  const asked = Array.from({ length: 100 }, (_, index) => `${index}`)
  const answers = await Promise.all(
    asked.map((words) => a.transport.request(b.id, text(words), within(20_000)))
  )
  expect(answers.map((answer) => Buffer.from(answer).toString())).toEqual(
    asked.map((words) => `re ${words}`)
  )
  expect(order).toEqual(asked)
})

test('an answer of 16 MiB and an empty one arrive intact', async () => {
  const large = new Uint8Array(randomBytes(16_777_216))
  await using a = await peer()
  await using b = await peer(
    {},
    { requested: async (_, frame) => (frame.length === 0 ? frame : large) }
  )
  await connect(a, b)
  const [first, second, third] = await Promise.all([
    a.transport.request(b.id, text('large'), within(30_000)),
    a.transport.request(b.id, new Uint8Array(0), within(30_000)),
    a.transport.request(b.id, text('large'), within(30_000))
  ])
  expect(Buffer.compare(first ?? text(''), large)).toBe(0)
  expect(second).toEqual(new Uint8Array(0))
  expect(Buffer.compare(third ?? text(''), large)).toBe(0)
})

test('an answer above the frame limit is refused by its sender, and the next one arrives', async () => {
  await using a = await peer()
  await using b = await peer(
    {},
    { requested: async (_, frame) => (frame.length === 1 ? new Uint8Array(17_825_793) : frame) }
  )
  await connect(a, b)
  await expect(a.transport.request(b.id, text('x'), within(10_000))).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  expect(await a.transport.request(b.id, text('ok'), within(10_000))).toEqual(text('ok'))
})

test('a rejected request breaks its stream only, and later requests open another', async () => {
  await using a = await peer()
  await using b = await peer(
    {},
    {
      requested: async (_, frame) => {
        if (frame.length === 1) throw new Error('no')
        return frame
      }
    }
  )
  await connect(a, b)
  await expect(a.transport.request(b.id, text('x'), within(10_000))).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  expect(await a.transport.request(b.id, text('ok'), within(10_000))).toEqual(text('ok'))
  expect(a.count(`disconnected ${b.id}`)).toBe(0)
})

test('a request that is given up rejects at once, and those behind it are still answered', async () => {
  const stuck = deferred<Uint8Array>()
  await using a = await peer()
  await using b = await peer(
    {},
    { requested: (_, frame) => (frame.length === 1 ? stuck.promise : Promise.resolve(frame)) }
  )
  await connect(a, b)
  const giveUp = new AbortController()
  const first = a.transport.request(b.id, text('x'), { signal: giveUp.signal })
  const behind = ['second', 'third'].map((words) =>
    a.transport.request(b.id, text(words), within(10_000))
  )
  giveUp.abort(new Error('too slow'))
  await expect(first).rejects.toMatchObject({ code: 'LATERBASE_PEER_UNREACHABLE' })
  expect(await Promise.all(behind)).toEqual([text('second'), text('third')])
  stuck.resolve(text('late'))
  expect(await a.transport.request(b.id, text('fourth'), within(10_000))).toEqual(text('fourth'))
})

test('a connection lost in the middle of an answer rejects the request', async () => {
  const large = new Uint8Array(16_777_216)
  await using a = await peer()
  await using b = await peer({}, { requested: async () => large })
  await connect(a, b)
  const answer = a.transport.request(b.id, text('large'), within(20_000))
  const lost = expect(answer).rejects.toMatchObject({ code: 'LATERBASE_PEER_UNREACHABLE' })
  await a.untilTrue(() => b.transport.peers().length === 1, 'the request is under way')
  b.transport.cutOff(a.id, 60_000, 'test')
  await lost
})

test('a request to somebody who is not connected, or beyond the queue, is refused', async () => {
  const stuck = deferred<Uint8Array>()
  await using a = await peer()
  await using b = await peer({}, { requested: () => stuck.promise })
  await expect(a.transport.request(b.id, text('x'), within(1_000))).rejects.toMatchObject({
    code: 'LATERBASE_PEER_UNREACHABLE'
  })
  await connect(a, b)
  const asked = Array.from({ length: 300 }, () =>
    a.transport.request(b.id, text('x'), within(20_000)).then(
      () => 'answered',
      (error: Error) => error.message
    )
  )
  stuck.resolve(text('y'))
  const refused = (await Promise.all(asked)).filter((outcome) => outcome !== 'answered')
  expect(refused).toHaveLength(300 - 256)
  expect(refused[0]).toContain('256 requests wait already')
})

test('a peer that answers nothing twice in a row loses its connection, and is dialed again', async () => {
  const stuck = deferred<Uint8Array>()
  await using a = await peer()
  await using b = await peer({}, { requested: () => stuck.promise })
  await connect(a, b)
  for (let tries = 0; tries < 2; tries += 1) {
    await expect(a.transport.request(b.id, text('x'), within(3_500))).rejects.toThrow(b.id)
  }
  await a.until(`disconnected ${b.id}`)
  await a.until(`connected ${b.id}`, 2)
})
