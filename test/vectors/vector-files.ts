/** Reads the vector files as another implementation would: JSON, bytes in hex, u64 in decimal. */

import { readFileSync } from 'node:fs'

import type { RejectionCode } from '../../protocols/rejected.ts'

export interface NamedVector {
  readonly name: string
}

export interface HexVector extends NamedVector {
  readonly hex: string
}

export interface InvalidVector extends HexVector {
  readonly code: RejectionCode
}

/** The file's sections; the caller says what they hold. */
export function readVectors(protocol: string, kind: 'valid' | 'invalid'): unknown {
  const url = new URL(`../../protocols/${protocol}/vectors/${kind}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8'))
}

export function unhex(text: string): Uint8Array {
  return Buffer.from(text, 'hex')
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/**
 * A decoded or to-be-decoded message in the vectors' form: names in snake case, bytes in hex, u64
 * in decimal, what is undefined left out.
 */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value)
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.fromEntries(fields.map(([name, member]) => [snake(name), plain(member)]))
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
