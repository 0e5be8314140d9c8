/** The only place that touches the real clock, the real randomness, timers and cryptography. */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hash,
  randomBytes,
  sign,
  verify
} from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import type { Clock, Hasher, Rng, Signer, Verifier } from '../core/clock.ts'
import { toHex } from '../core/bytes.ts'
import { PUBLIC_KEYS_MAX } from './limits.ts'

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (delayMs, callback) => {
    if (delayMs <= 0) {
      // setTimeout takes a whole millisecond for 0; this waits for what is ready and no longer.
      const immediate = setImmediate(callback)
      immediate.unref()
      return { cancel: () => clearImmediate(immediate) }
    }
    const timer = setTimeout(callback, Math.min(delayMs, TIMER_MS_MAX))
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  }
}

/** setTimeout fires at once for anything longer. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** Random bytes are drawn from the system a block at a time: one call an event would cost 1 µs. */
const POOL_BYTES = 8_192
let pool = Buffer.alloc(0)
let poolAt = 0

export const systemRng: Rng = {
  bytes: (length) => {
    if (length > POOL_BYTES) return randomBytes(length)
    if (poolAt + length > pool.length) {
      pool = randomBytes(POOL_BYTES)
      poolAt = 0
    }
    poolAt += length
    return Uint8Array.prototype.slice.call(pool, poolAt - length, poolAt)
  },
  fraction: () => Math.random()
}

/** `crypto.hash` is a third of the cost of a hash object; Node.js 20.12 and later have it. */
export const systemHasher: Hasher = {
  sha256:
    typeof hash === 'function'
      ? (bytes) => hash('sha256', bytes, 'buffer')
      : (bytes) => createHash('sha256').update(bytes).digest()
}

/** DER around a raw Ed25519 seed (RFC 8410), which Node.js does not import bare. */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** @param seed 32 bytes */
export function createSigner(seed: Uint8Array): Signer {
  const der = Buffer.concat([PKCS8_PREFIX, seed])
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  return {
    publicKey: new Uint8Array(spki.subarray(SPKI_PREFIX.length)),
    sign: (message) => sign(undefined, message, privateKey)
  }
}

/** Key objects by public key: making one costs as much as the check itself. */
const publicKeys = new Map<string, KeyObject>()

/** Checks run on the thread pool: a page of small commits would block the loop for a third of a second. */
export const systemVerifier: Verifier = {
  verify: (publicKey, message, signature) =>
    new Promise((resolve) => {
      verify(undefined, message, keyObject(publicKey), signature, (error, valid) => {
        resolve(error === null && valid)
      })
    })
}

function keyObject(publicKey: Uint8Array): KeyObject {
  const name = toHex(publicKey)
  let key = publicKeys.get(name)
  if (key === undefined) {
    const der = Buffer.concat([SPKI_PREFIX, publicKey])
    key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    if (publicKeys.size >= PUBLIC_KEYS_MAX) publicKeys.clear()
    publicKeys.set(name, key)
  }
  return key
}
