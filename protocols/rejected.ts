/** What a decoder answers for bytes that break the contract: a value, never an exception. */

export interface Rejected {
  readonly type: 'rejected'
  /** Stable, kebab-case; the invalid vectors name it. */
  readonly code: RejectionCode
  /** For people. */
  readonly detail: string
}

export type RejectionCode =
  /** The bytes end before the message does. */
  | 'truncated'
  /** The message ends before the bytes do. */
  | 'trailing-bytes'
  /** A varint is not in its shortest form, or exceeds 2^53 - 1. */
  | 'bad-varint'
  /** A count or a length is above its limit. */
  | 'over-limit'
  /** A version, kind, status or flag that this version does not know. */
  | 'unknown-value'
  /** Well-formed bytes with a meaning that is not allowed. */
  | 'not-allowed'
  /** A sequence number is not the one that follows. */
  | 'sequence-gap'
  /** The previous hash is not that of the commit before. */
  | 'chain-broken'
  /** The log id is not the hash of its genesis. */
  | 'log-identity'
  /** The signature does not verify. */
  | 'bad-signature'
  /** The recorded time does not rise along the log. */
  | 'clock-order'

export function rejected(code: RejectionCode, detail: string): Rejected {
  return { type: 'rejected', code, detail }
}

export function isRejected(value: unknown): value is Rejected {
  return (
    typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'rejected'
  )
}
