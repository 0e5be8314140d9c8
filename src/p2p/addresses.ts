/** Multiaddrs: whether a person's is one, and which of a peer's can be reached from here. */

import { multiaddr } from '@multiformats/multiaddr'
import { LaterbaseError } from '../errors.ts'
import { hostOf, isLoopback } from './dial-policy.ts'

/** Where a peer that listens at `listening` can be reached, as we see it at `seen`; best first. */
export function reachable(listening: readonly string[], seen: string): readonly string[] {
  const tcp = listening.filter((address) => /\/tcp\/\d+(?:\/p2p\/[^/]+)?$/.test(address))
  // Its loopback addresses are ours as well, of somebody else.
  const sensible = isLoopback(seen) ? tcp : tcp.filter((address) => !isLoopback(address))
  const atHost = sensible.filter((address) => hostOf(address) === hostOf(seen))
  return [...atHost, ...sensible.filter((address) => !atHost.includes(address))]
}

/** @throws LATERBASE_OPTION_INVALID */
export function checkMultiaddr(address: string): void {
  try {
    multiaddr(address)
  } catch (cause) {
    throw new LaterbaseError('LATERBASE_OPTION_INVALID', `${address} is not a multiaddr`, { cause })
  }
}
