/** The composition root: the only file that names concrete stores, transports and clocks. */

import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

import { createLibp2pTransport } from '../p2p/libp2p-transport.ts'
import { peerIdFromRawPublicKey } from '../p2p/keys.ts'
import { lockDirectory } from '../store/directory-lock.ts'
import type { DirectoryLock } from '../store/directory-lock.ts'
import { DATABASES_FOLDER, markStores, openDataDirectory } from './data-directory.ts'
import { LaterbaseNode } from './node.ts'
import type { Laterbase } from './laterbase.ts'
import { openKeptNodeStore } from './node-store-keeper.ts'
import { resolveOptions } from './options.ts'
import type { LaterbaseOptions, ResolvedOptions } from './options.ts'
import { programDefinitions } from './program-definitions.ts'
import type { ProgramDefinitions } from './program-definitions.ts'
import { StoreKeeper } from './store-keeper.ts'
import { createSigner, systemClock, systemHasher, systemRng, systemVerifier } from './system.ts'

/**
 * Opens a data directory, made when missing, and starts its node.
 *
 * @throws LATERBASE_OPTION_INVALID, LATERBASE_STORE_LOCKED (the directory is in use),
 *   LATERBASE_STORE_LOST, LATERBASE_STORE_CORRUPT, LATERBASE_IDENTITY_INVALID,
 *   LATERBASE_INVITATION_INVALID
 */
export async function createLaterbase(options: LaterbaseOptions): Promise<Laterbase> {
  const resolved = resolveOptions(options, hostname())
  const defined = await programDefinitions(resolved, systemHasher)
  // Before an identity is made: of two that start at once one would go on under another than is kept.
  const lock = await lockDirectory(resolved.dir)
  try {
    return await startLocked(resolved, defined, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function startLocked(
  resolved: ResolvedOptions,
  defined: ProgramDefinitions,
  lock: DirectoryLock
): Promise<Laterbase> {
  const directory = await openDataDirectory(resolved.dir, resolved.invitation)
  const dir = directory.path
  await mkdir(join(dir, DATABASES_FOLDER), { recursive: true })
  const nodeStore = await openKeptNodeStore({
    dir,
    create: !directory.hasStores,
    clock: systemClock,
    log: resolved.log
  })
  const signer = createSigner(directory.seed)
  const stores = new StoreKeeper({
    folder: join(dir, DATABASES_FOLDER),
    publicKey: signer.publicKey,
    clock: systemClock,
    hasher: systemHasher,
    rng: systemRng,
    verifier: systemVerifier,
    log: resolved.log
  })
  try {
    if (!directory.hasStores) await markStores(dir)
    return await LaterbaseNode.start({
      options: resolved,
      defined,
      dir,
      networkKey: directory.networkKey,
      nodeStore,
      signer,
      clock: systemClock,
      rng: systemRng,
      hasher: systemHasher,
      verifier: systemVerifier,
      peerIdOf: peerIdFromRawPublicKey,
      stores,
      unlock: () => lock.release(),
      makeTransport: (addressBook) =>
        createLibp2pTransport({
          privateKey: directory.seed,
          networkKey: directory.networkKey,
          listen: resolved.listen,
          peers: resolved.peers,
          mdns: resolved.mdns,
          gossip: resolved.gossip,
          addressBook,
          clock: systemClock,
          rng: systemRng,
          log: resolved.log
        })
    })
  } catch (error) {
    await stores.close()
    await nodeStore.close()
    throw error
  }
}
