/** Stand-ins for hashing and signing: as deterministic as Ed25519, a hundred times as fast. */

import { hash } from 'node:crypto'

import { equalBytes, toHex } from '../../../src/core/bytes.ts'
import type { Hasher, Signer, Verifier } from '../../../src/core/clock.ts'

export const simHasher: Hasher = {
  sha256: (bytes) => hash('sha256', bytes, 'buffer')
}

export function simSigner(name: string): Signer {
  const publicKey = simHasher.sha256(Buffer.from(name))
  return { publicKey, sign: (message) => simSignature(publicKey, message) }
}

export const simVerifier: Verifier = {
  verify: async (publicKey, message, signature) =>
    equalBytes(simSignature(publicKey, message), signature)
}

export function simPeerId(publicKey: Uint8Array): string {
  return toHex(publicKey).slice(0, 12)
}

function simSignature(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const half = simHasher.sha256(Buffer.concat([publicKey, message]))
  return Buffer.concat([half, half])
}
