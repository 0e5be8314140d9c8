/**
 * Two transports of one identity on one network, as two boxes with one copied disk are: real libp2p
 * over loopback. The whole of it, with stores and processes, is in `test/fleet`.
 */

import { expect, onTestFinished, test } from 'vitest'
import { LinkRouter } from '../../scripts/fleet/link-router.ts'
import { runAs } from '../../scripts/fleet/through-router.ts'
import { systemRng } from '../../src/node/system.ts'
import { peer, text, within } from './p2p-harness.ts'
import type { Peer } from './p2p-harness.ts'

/** What a third node is answered, by the name that it has for each box. */
async function answers(third: Peer): Promise<string[]> {
  const answered = await Promise.all(
    third.transport
      .peers()
      .map(({ peer: name }) => third.transport.request(name, text('who'), within(10_000)))
  )
  return answered.map((answer) => Buffer.from(answer).toString()).sort()
}

test('a third node talks to each of two boxes that have one identity, and names both', async () => {
  const privateKey = systemRng.bytes(32)
  await using third = await peer()
  const peers = [third.address()]
  const first = await peer({ privateKey, peers }, { requested: async () => text('first') })
  await using one = first
  await third.until(`connected ${one.id}`)
  await using two = await peer({ privateKey, peers }, { requested: async () => text('second') })
  expect(two.id).toBe(one.id)
  await third.untilTrue(() => third.transport.warnings().length > 0, 'a warning')
  expect(third.transport.warnings()).toEqual([
    expect.stringMatching(
      new RegExp(`^Two boxes use the identity ${one.id}: 127\\.0\\.0\\.1:\\d+ and 127`)
    )
  ])
  expect(await answers(third)).toEqual(['first', 'second'])

  // Nothing flaps: both are still there, on the connections that they had.
  const connections = third.seen.length
  await one.transport.request(third.id, text('x'), within(20_000))
  await two.transport.request(third.id, text('y'), within(20_000))
  expect(third.seen.length).toBe(connections)

  await two.transport.close()
  await third.untilTrue(() => third.transport.peers().length === 1, 'one of them is gone')
  expect(third.transport.warnings()).toEqual([])
  expect(await answers(third)).toEqual(['first'])
})

test('the first of two boxes may leave and come back, and the other is not disturbed', async () => {
  const privateKey = systemRng.bytes(32)
  await using third = await peer()
  const peers = [third.address()]
  const before = await peer({ privateKey, peers }, { requested: async () => text('first') })
  await third.until(`connected ${before.id}`)
  await using two = await peer({ privateKey, peers }, { requested: async () => text('second') })
  await third.untilTrue(() => third.transport.peers().length === 2, 'both')
  const name = third.transport.peers().find(({ peer: each }) => each !== two.id)?.peer
  await before.transport.close()
  await third.until(`disconnected ${before.id}`)
  await using again = await peer({ privateKey, peers }, { requested: async () => text('again') })
  await third.untilTrue(() => third.transport.warnings().length > 0, 'both are there again')
  expect(again.id).toBe(two.id)
  expect(await answers(third)).toEqual(['again', 'second'])
  expect(third.count(`disconnected ${name}`)).toBe(0)
})

test('a box whose power went is no second box: its old connection, which looks alive, is given up', async () => {
  const privateKey = systemRng.bytes(32)
  await using router = await LinkRouter.start(1)
  await using third = await peer()
  router.name(third.address(), 'third')
  const peers = [third.address()]
  const before = runAs('before', router.port, () => peer({ privateKey, peers }))
  await using lost = await before
  await third.until(`connected ${lost.id}`)
  router.freeze('before', 'third')
  router.freeze('third', 'before')
  await using after = await peer({ privateKey, peers })
  await after.until(`connected ${third.id}`)
  await third.untilTrue(() => third.transport.peers().length === 2, 'the new connection')
  const warned: (readonly string[])[] = []
  await third.untilTrue(() => {
    warned.push(third.transport.warnings())
    return third.transport.peers().length === 1
  }, 'the old connection is given up')
  expect(warned.flat()).toEqual([])
  expect(await after.transport.request(third.id, text('x'), within(20_000))).toEqual(text('x'))
})

test('five boxes of one identity do not take the places of others', async () => {
  const privateKey = systemRng.bytes(32)
  await using third = await peer()
  const peers = [third.address()]
  const copies = await Promise.all(Array.from({ length: 5 }, () => peer({ privateKey, peers })))
  onTestFinished(async () => {
    await Promise.all(copies.map((copy) => copy.transport.close()))
  })
  await third.untilTrue(() => third.transport.peers().length === 4, 'as many as are heard')
  await using other = await peer({ peers })
  await third.until(`connected ${other.id}`)
  await third.untilTrue(() => third.transport.peers().length === 5, 'four of them and the other')
})
