/** Laws of the decisions on dialing: both sides of a pair decide alike. */

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  dialsFirst,
  firstDialDelay,
  isLanAddress,
  mergeAddresses,
  redialDelay,
  survivor
} from '../../src/p2p/dial-policy.ts'
import type { ConnectionFacts } from '../../src/p2p/dial-policy.ts'
import { ADDRESSES_PER_PEER_MAX, DIAL_RACE_MS, REDIAL_MS_MAX } from '../../src/p2p/limits.ts'

const ids = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 2, maxLength: 2 })
const rng = { bytes: (length: number) => new Uint8Array(length), fraction: () => 0.5 }

function mirror(direction: 'inbound' | 'outbound'): 'inbound' | 'outbound' {
  return direction === 'inbound' ? 'outbound' : 'inbound'
}

test('of two peers exactly one dials first', () => {
  fc.assert(
    fc.property(ids, ([a = '', b = '']) => {
      expect(dialsFirst({ self: a, peer: b })).toBe(!dialsFirst({ self: b, peer: a }))
    })
  )
})

test('when two dials race, both sides keep the same connection, in whatever order they opened', () => {
  fc.assert(
    fc.property(
      ids,
      fc.nat(DIAL_RACE_MS - 1),
      fc.nat(DIAL_RACE_MS - 1),
      ([a = '', b = ''], x, y) => {
        // From a: its own dial and that of b; b sees the same two the other way round and in order.
        const atA = survivor(
          { self: a, peer: b },
          { direction: 'outbound', openedMs: 0 },
          { direction: 'inbound', openedMs: x }
        )
        const atB = survivor(
          { self: b, peer: a },
          { direction: 'outbound', openedMs: 0 },
          { direction: 'inbound', openedMs: y }
        )
        expect(atA.direction).toBe(mirror(atB.direction))
        expect(atA.direction).toBe(a < b ? 'outbound' : 'inbound')
      }
    )
  )
})

test('a connection opened long after the other replaces it: the peer has lost the first', () => {
  fc.assert(
    fc.property(ids, fc.constantFrom('inbound', 'outbound'), ([a = '', b = ''], direction) => {
      const older: ConnectionFacts = { direction, openedMs: 0 }
      const newer: ConnectionFacts = { direction: mirror(direction), openedMs: DIAL_RACE_MS }
      expect(survivor({ self: a, peer: b }, older, newer)).toBe(newer)
    })
  )
})

test('waits grow to a cap and stay there for ever', () => {
  const waits = Array.from({ length: 1_000 }, (_, failures) => redialDelay(failures, rng))
  expect(waits).toEqual([...waits].sort((a, b) => a - b))
  expect(Math.max(...waits)).toBeLessThanOrEqual(REDIAL_MS_MAX * 1.5)
  expect(firstDialDelay({ self: 'a', peer: 'b' }, rng)).toBeLessThan(
    firstDialDelay({ self: 'b', peer: 'a' }, rng)
  )
})

test('the latest addresses are kept, each once, and none that is endless', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), fc.array(fc.string()), (fresh, known) => {
      const merged = mergeAddresses(fresh, known)
      expect(merged.length).toBeLessThanOrEqual(ADDRESSES_PER_PEER_MAX)
      expect(new Set(merged).size).toBe(merged.length)
      expect(merged[0]).toBe(fresh[0] ?? known[0])
    })
  )
  expect(mergeAddresses(['x'.repeat(1_000), 'y'], [])).toEqual(['y'])
})

test('mDNS may make us dial private addresses only', () => {
  for (const host of [
    '10.0.0.1',
    '127.0.0.1',
    '172.16.0.1',
    '172.31.9.9',
    '192.168.1.1',
    '169.254.1.1'
  ]) {
    expect(isLanAddress(`/ip4/${host}/tcp/1`)).toBe(true)
  }
  for (const address of [
    '/ip4/8.8.8.8/tcp/1',
    '/ip4/172.32.0.1/tcp/1',
    '/dns4/x.example/tcp/1',
    ''
  ]) {
    expect(isLanAddress(address)).toBe(false)
  }
})
