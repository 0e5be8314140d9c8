/**
 * A node's keys and its name on the network, from the 32-byte Ed25519 seed that the node stores.
 * Signing is left to the node: it needs nothing of libp2p for it.
 */

import { createPrivateKey, createPublicKey } from 'node:crypto'
import { privateKeyFromRaw, publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey } from '@libp2p/peer-id'
import type { PrivateKey } from '@libp2p/interface'
import { assert } from '../core/assert.ts'

const SEED_BYTES = 32
/** The DER bytes before the seed in a PKCS#8 private key (RFC 8410 §7). */
const PKCS8_ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The public part of a seed. `seed` is the raw 32-byte Ed25519 private key of RFC 8032. */
export function keysFromSeed(seed: Uint8Array): {
  readonly publicKey: Uint8Array
  readonly peerId: string
} {
  assert(seed.length === SEED_BYTES, 'an Ed25519 seed has 32 bytes')
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_ED25519_PREFIX, seed]),
    format: 'der',
    type: 'pkcs8'
  })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const publicKey = new Uint8Array(spki.subarray(spki.length - SEED_BYTES))
  return { publicKey, peerId: peerIdFromRawPublicKey(publicKey) }
}

/** The libp2p peer id text of a raw 32-byte Ed25519 public key. */
export function peerIdFromRawPublicKey(publicKey: Uint8Array): string {
  assert(publicKey.length === SEED_BYTES, 'an Ed25519 public key has 32 bytes')
  return peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString()
}

/** libp2p's own form of the key. */
export function privateKeyFromSeed(seed: Uint8Array): PrivateKey {
  const { publicKey } = keysFromSeed(seed)
  const raw = new Uint8Array(SEED_BYTES * 2)
  raw.set(seed)
  raw.set(publicKey, SEED_BYTES)
  return privateKeyFromRaw(raw)
}
