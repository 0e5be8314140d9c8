/** The network key as one string that a person can paste: `laterbase1_` and 48 characters. */

import { createHash } from 'node:crypto'

import { LaterbaseError } from '../errors.ts'

const PREFIX = 'laterbase1_'
const KEY_BYTES = 32
/** Finds a slip of copying; it is no protection against intent. */
const CHECKSUM_BYTES = 4

export function createInvitation(networkKey: Uint8Array): string {
  return PREFIX + Buffer.concat([networkKey, checksum(networkKey)]).toString('base64url')
}

/**
 * The network key, 32 bytes.
 *
 * @throws LATERBASE_INVITATION_INVALID
 */
export function parseInvitation(text: string): Uint8Array {
  const bytes = Buffer.from(text.trim().slice(PREFIX.length), 'base64url')
  const key = bytes.subarray(0, KEY_BYTES)
  const valid =
    text.trim().startsWith(PREFIX) &&
    bytes.length === KEY_BYTES + CHECKSUM_BYTES &&
    Buffer.compare(bytes.subarray(KEY_BYTES), checksum(key)) === 0
  if (valid) return key
  throw new LaterbaseError(
    'LATERBASE_INVITATION_INVALID',
    `not an invitation: it begins with ${PREFIX} and is copied whole from \`laterbase invite\``
  )
}

function checksum(key: Uint8Array): Buffer {
  return createHash('sha256').update('laterbase/invitation/1').update(key).digest().subarray(0, 4)
}
