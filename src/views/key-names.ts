/** Names by which keys are told apart in memory: most are texts or numbers, which need not be encoded for that. */

import type { Json } from '../core/json.ts'

export type KeyName = string | number

/** Undefined for a key that is told by its bytes. */
export function nameOfKey(key: Json): KeyName | undefined {
  if (typeof key === 'number') return key
  return typeof key === 'string' && key.charCodeAt(0) !== 0 ? key : undefined
}

/** Of an encoded key: no key has this name by itself. */
export function nameOfBytes({ buffer, byteOffset, length }: Uint8Array): string {
  return `\u0000${Buffer.from(buffer, byteOffset, length).toString('latin1')}`
}
