/**
 * Who a store is: its identity record, which names its incarnation, its own log and its epoch; and
 * how it was found when it was opened. What an epoch is for says `marker.ts`.
 */

import type { Rng } from '../core/clock.ts'
import { NONCE_BYTES } from '../../protocols/commit/codec.ts'
import { LaterbaseError } from '../errors.ts'
import type { StoreFound } from './event-store.ts'
import { IDENTITY_KEY, STORE_FORMAT, decodeIdentity, encodeIdentity } from './key-layout.ts'
import type { StoreIdentity } from './key-layout.ts'
import { MARKER_SUFFIX, readMarker, writeMarker } from './marker.ts'
import type { Level } from './open-level.ts'

export interface IdentityOptions {
  readonly location: string
  /** Make the store when it is not there; false for one that is known to exist. */
  readonly create: boolean
  readonly rng: Rng
}

/** Reads who the store is, tells whether it was restored, and begins its next epoch. */
export async function identify(
  db: Level,
  options: IdentityOptions
): Promise<{ identity: StoreIdentity; found: StoreFound }> {
  const { rng, location } = options
  const held = await readIdentity(db, options)
  const markerPath = `${location}${MARKER_SUFFIX}`
  const marker = held === undefined ? undefined : await readMarker(markerPath)
  const isKnown = marker !== undefined && [marker.before, marker.epoch].includes(held?.epoch ?? '')
  const identity =
    held === undefined || !isKnown
      ? { format: STORE_FORMAT, incarnation: hex(rng.bytes(8)), nonce: rng.bytes(NONCE_BYTES) }
      : held
  const epoch = hex(rng.bytes(8))
  await writeMarker(markerPath, { before: held?.epoch ?? epoch, epoch })
  const renewed = { ...identity, epoch }
  await db.put(IDENTITY_KEY, encodeIdentity(renewed), { sync: true })
  // From here on a store with the epoch before is an older copy.
  await writeMarker(markerPath, { before: epoch, epoch })
  return { identity: renewed, found: held === undefined ? 'new' : isKnown ? 'known' : 'restored' }
}

/** Undefined for a store that is new. */
async function readIdentity(
  db: Level,
  options: IdentityOptions
): Promise<StoreIdentity | undefined> {
  const bytes = await db.get(IDENTITY_KEY)
  if (bytes !== undefined) {
    const identity = decodeIdentity(bytes)
    if (identity.format <= STORE_FORMAT) return identity
    throw new LaterbaseError(
      'LATERBASE_STORE_FORMAT',
      `${options.location} has store format ${identity.format}, this version reads up to ` +
        `${STORE_FORMAT}: run the newer version of Laterbase that wrote it`
    )
  }
  if (options.create) return undefined
  throw new LaterbaseError(
    'LATERBASE_STORE_LOST',
    `${options.location} is an empty store where there was one with events`
  )
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
