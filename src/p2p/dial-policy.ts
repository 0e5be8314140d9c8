/**
 * Who dials whom and when, and which of two connections stays: pure decisions, the same on both
 * sides of a pair, so that two nodes that find each other at once end up with one connection.
 */

import type { Millis, Rng } from '../core/clock.ts'
import { backoff } from '../core/sync/schedule.ts'
import {
  ADDRESSES_PER_PEER_MAX,
  ADDRESS_CHARACTERS_MAX,
  DIAL_GRACE_MS,
  DIAL_RACE_MS,
  REDIAL_MS,
  REDIAL_MS_MAX
} from './limits.ts'

/** The two ends of a pair, as peer id text. */
export interface Pair {
  readonly self: string
  readonly peer: string
}

export interface ConnectionFacts {
  readonly direction: 'inbound' | 'outbound'
  readonly openedMs: Millis
}

/** Whether this side dials at once; the other waits DIAL_GRACE_MS, in case it cannot be reached. */
export function dialsFirst({ self, peer }: Pair): boolean {
  return self < peer
}

/** The wait before a peer is dialed that was just found or lost. */
export function firstDialDelay(pair: Pair, rng: Rng): Millis {
  const jitterMs = rng.fraction() * REDIAL_MS
  return dialsFirst(pair) ? jitterMs : DIAL_GRACE_MS + jitterMs
}

/** The wait after dial number `failures` failed. There is no last one. */
export function redialDelay(failures: number, rng: Rng): Millis {
  return backoff(failures, REDIAL_MS, REDIAL_MS_MAX, rng)
}

/**
 * Which of two connections of a pair stays.
 *
 * Opened at about the same time, they are a race of two dials: the one dialed by the smaller id
 * stays, as both sides can tell. Otherwise the newer stays: who is connected does not dial, so the
 * peer has lost the older one and we have not noticed yet.
 */
export function survivor<T extends ConnectionFacts>(pair: Pair, older: T, newer: T): T {
  const preferred = dialsFirst(pair) ? 'outbound' : 'inbound'
  const race = newer.openedMs - older.openedMs < DIAL_RACE_MS
  return race && older.direction === preferred && newer.direction !== preferred ? older : newer
}

/** `fresh` before `known`, each once, no more than are kept of one peer. */
export function mergeAddresses(fresh: readonly string[], known: readonly string[]): string[] {
  const merged = new Set<string>()
  for (const address of [...fresh, ...known]) {
    if (merged.size >= ADDRESSES_PER_PEER_MAX) break
    if (address.length <= ADDRESS_CHARACTERS_MAX) merged.add(address)
  }
  return [...merged]
}

/** Private, link-local and loopback IPv4 and IPv6: all that mDNS may make us dial. */
export function isLanAddress(address: string): boolean {
  return (
    /^\/ip4\/(?:10|127)\.|^\/ip4\/(?:192\.168|169\.254)\.|^\/ip4\/172\.(?:1[6-9]|2\d|3[01])\./.test(
      address
    ) || /^\/ip6\/(?:::1\/|f[cd]|fe[89ab])/i.test(address)
  )
}

export function isLoopback(address: string): boolean {
  return /^\/ip4\/127\.|^\/ip6\/::1\//.test(address)
}

/** The part of a multiaddr that names the host, such as `/ip4/10.0.0.7`. */
export function hostOf(address: string): string {
  return address.split('/').slice(0, 3).join('/')
}
