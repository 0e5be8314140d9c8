/** Whose definitions of views and schemas a node uses: its own, and those of whom its operator names. */

import { equalBytes } from '../core/bytes.ts'
import type { ResolvedOptions } from './options.ts'

/** @returns what says of a raw public key whether definitions of its node count here */
export function trustOf(
  trust: ResolvedOptions['trust'],
  self: {
    readonly publicKey: Uint8Array
    readonly peerIdOf: (publicKey: Uint8Array) => string
  }
): (author: Uint8Array) => boolean {
  if (trust === 'members') return () => true
  return (author) => equalBytes(author, self.publicKey) || trust.includes(self.peerIdOf(author))
}
