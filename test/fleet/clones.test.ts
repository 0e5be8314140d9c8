/**
 * A disk that was copied: two processes with one identity, and a third that both of them see. The
 * databases here are made after the copy, so that no log has two branches: what is tested is that
 * both boxes are heard. Forked logs are in `loss.test.ts`.
 */

import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'

import { buildCli } from '../fixtures/build.ts'
import { runCli, scratch } from '../fixtures/cli.ts'
import { until } from '../fixtures/nodes.ts'
import { Box, joinBoxes } from './box.ts'
import { SIZES } from './sizes.ts'

beforeAll(async () => {
  await buildCli()
}, 180_000)

async function haveAll(boxes: readonly Box[], name: string, events: number): Promise<void> {
  await until(async () => {
    const held = await Promise.all(boxes.map((box) => box.database(name)))
    return held.every((database) => database?.events === events)
  })
}

// Its transports alone are tested every time, in `integration/p2p-twins`.
test.skipIf(SIZES.lossSeeds === 0)(
  'two boxes with one copied disk both give what they have, are named, and one is renewed',
  async () => {
    await using dir = await scratch()
    const at = (name: string): string => join(dir.path, name)
    await using third = new Box({ name: 'third', dir: at('third') })
    await using original = new Box({ name: 'original', dir: at('original'), peers: () => [third] })
    await using copy = new Box({ name: 'copy', dir: at('copy'), peers: () => [third] })
    await joinBoxes([third, original])
    await third.start()
    await original.start()
    await original.createDatabase('before')
    await original.append('before', [{ data: { from: 'original' } }])
    await haveAll([third], 'before', 1)
    await original.end('SIGTERM')
    await original.copyTo(at('copy'))

    await Promise.all([original.start(), copy.start()])
    expect(copy.peerId).toBe(original.peerId)
    await original.createDatabase('left')
    await copy.createDatabase('right')
    await original.append('left', [{ data: 1 }, { data: 2 }])
    await copy.append('right', [{ data: 3 }])
    for (const boxes of [[third], [original], [copy]]) {
      await haveAll(boxes, 'left', 2)
      await haveAll(boxes, 'right', 1)
    }
    // What comes later comes too: neither starves.
    for (let round = 3; round <= 3 + SIZES.clockRounds; round += 1) {
      await original.append('left', [{ data: round }])
      await copy.append('right', [{ data: round }])
      await haveAll([third, copy], 'left', round)
      await haveAll([third, original], 'right', round - 1)
    }
    const warning = (await third.status()).warnings.find((text) => text.startsWith('Two boxes'))
    expect(warning).toContain(`Two boxes use the identity ${original.peerId}: 127.0.0.1:`)
    expect(warning).toContain('laterbase renew-identity')

    await copy.end('SIGTERM')
    const renewed = await runCli(['renew-identity', '--json', '--dir', at('copy')])
    expect(renewed.code).toBe(0)
    await copy.start()
    expect(copy.peerId).not.toBe(original.peerId)
    await copy.append('before', [{ data: { from: 'copy' } }])
    await original.append('before', [{ data: { from: 'original' } }])
    await haveAll([third, original, copy], 'before', 3)
    expect((await third.status()).warnings).toEqual([])
    const { peers } = await third.status()
    expect(peers.map(({ peer }) => peer).sort()).toEqual([original.peerId, copy.peerId].sort())
  },
  120_000
)
