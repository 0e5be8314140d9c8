/**
 * Time, chance and cryptography as arguments: the core takes these interfaces and never reaches
 * for the real ones, so that a seed replays any run. `src/node/system.ts` holds the real ones.
 */

/** Milliseconds; since 1970 for wall time, since an arbitrary start for monotonic time. */
export type Millis = number

export interface Clock {
  /** Wall time. May jump, in both directions. */
  nowMs(): Millis
  /** Never goes back; for deadlines and intervals. */
  monotonicMs(): Millis
  /** Calls `callback` once after `delayMs`. The timer does not keep a process alive. */
  setTimer(delayMs: Millis, callback: () => void): Timer
}

export interface Timer {
  cancel(): void
}

/** Resolves after `delayMs`: for a wait that nobody has to end early. */
export function passed(clock: Pick<Clock, 'setTimer'>, delayMs: Millis): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve)
  })
}

export interface Rng {
  /** `length` random bytes; the caller owns them. */
  bytes(length: number): Uint8Array
  /** Uniform in [0, 1). For jitter, never for keys. */
  fraction(): number
}

export interface Hasher {
  /** 32 bytes; the caller owns them. */
  sha256(bytes: Uint8Array): Uint8Array
}

export interface Verifier {
  /** Whether `signature` (64 bytes) is the Ed25519 signature of `message` by `publicKey` (32 bytes). */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>
}

export interface Signer {
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array
}
