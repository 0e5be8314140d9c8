/**
 * Whose definitions a node uses: its own, and those of whom its operator names. Views without code are harmless,
 * and every member's count, as events do; so does that one was taken away.
 */

import { equalBytes } from '../core/bytes.ts'
import { contentOf } from './definition-events.ts'
import type { DefinitionEvent } from './definition-events.ts'
import type { ResolvedOptions } from './options.ts'

/** @returns what says of a raw public key whether a definition of its node counts here */
export function trustOf(
  trust: ResolvedOptions['trust'],
  self: {
    readonly publicKey: Uint8Array
    readonly peerIdOf: (publicKey: Uint8Array) => string
  }
): (author: Uint8Array, definition: DefinitionEvent) => boolean {
  if (trust === 'members') return () => true
  return (author, definition) =>
    isHarmless(definition) ||
    equalBytes(author, self.publicKey) ||
    trust.includes(self.peerIdOf(author))
}

/** What names no language is not code. A schema says what may be written, so it is no member's to make. */
function isHarmless(definition: DefinitionEvent): boolean {
  if (definition.of.type !== 'laterbase.view') return false
  const content = contentOf(definition)
  return typeof content !== 'object' || content === null || !('language' in content)
}
