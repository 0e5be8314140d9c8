/** Work of which one is under way for a name: what asks for it again and again costs no more than that. */

import { expect, test } from 'vitest'

import { OneAtATime } from '../../src/node/one-at-a-time.ts'
import { settled } from '../fixtures/manual-clock.ts'

test('however often work is asked for, one of a name is under way and one more is done after it', async () => {
  const turns = new OneAtATime<number>()
  const ends: (() => void)[] = []
  const ask = (name: string): Promise<number> =>
    turns.do(name, () => new Promise((resolve) => ends.push(() => resolve(ends.length))))
  const [first, ...others] = Array.from({ length: 5 }, () => ask('stock'))
  const apart = ask('yard')
  expect(ends).toHaveLength(2)
  ends[0]?.()
  await first
  await settled()
  expect(ends).toHaveLength(3)
  ends[1]?.()
  ends[2]?.()
  expect(await Promise.all([...others, apart])).toEqual([3, 3, 3, 3, 3])
  await settled()
  void ask('stock')
  expect(ends).toHaveLength(4)
})

test('work that fails lets the next begin, and only who asked for it hears of it', async () => {
  const turns = new OneAtATime<string>()
  const failing = turns.do('stock', () => Promise.reject(new Error('unreachable')))
  const next = turns.do('stock', () => Promise.resolve('done'))
  await expect(failing).rejects.toThrow('unreachable')
  expect(await next).toBe('done')
})
