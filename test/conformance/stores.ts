/** How the implementations of EventStore are opened in tests: in memory, and in temporary folders. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { EventStore, StoreOwner } from '../../src/store/event-store.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { createReopeningStore } from '../../src/store/reopening-store.ts'
import { LaterbaseError } from '../../src/errors.ts'
import { systemClock, systemHasher, systemRng } from '../../src/node/system.ts'
import type { StoreFactory } from './event-store-suite.ts'

export const MEMORY: StoreFactory = {
  name: 'memory',
  open: async (owner) => createMemoryStore({ owner, hasher: systemHasher, rng: systemRng }),
  dispose: async () => undefined
}

export function createLevelFactory(): StoreFactory {
  return createFolderFactory('ClassicLevel', openAt)
}

/** Stores whose first write failed: what is tested is the second opening. */
export function createReopenedFactory(): StoreFactory {
  return createFolderFactory('ClassicLevel, opened anew after a failed write', openReopened)
}

/** Fails once at a write, of which nothing lands, and is open again when this resolves. */
export async function openReopened(location: string, owner: StoreOwner): Promise<EventStore> {
  const first = await openAt(location, owner)
  first.write = () => Promise.reject(new LaterbaseError('LATERBASE_STORE_FAILED', 'once'))
  const store = createReopeningStore(first, {
    name: location,
    open: () => openAt(location, owner, false),
    canReopen: async () => true,
    reserve: { admit: async () => undefined, refusal: () => undefined },
    clock: systemClock,
    told: () => undefined
  })
  const reopened = new Promise<void>((resolve) => {
    store.onReopened(resolve)
  })
  await store.write({ commits: [], clockCeiling: 0n }).catch(() => undefined)
  await reopened
  return store
}

function createFolderFactory(
  name: string,
  open: (location: string, owner: StoreOwner) => Promise<EventStore>
): StoreFactory {
  const folder = createFolder()
  const opened: EventStore[] = []
  return {
    name,
    open: async (owner) => {
      const store = await open(await folder.next(), owner)
      opened.push(store)
      return store
    },
    dispose: async () => {
      for (const store of opened.splice(0)) await store.close()
      await folder.remove()
    }
  }
}

export function openAt(location: string, owner: StoreOwner, create = true): Promise<EventStore> {
  return openLevelStore({ location, owner, create, hasher: systemHasher, rng: systemRng })
}

/** Temporary folders that are removed together. */
export function createFolder(): { next(): Promise<string>; remove(): Promise<void> } {
  const folders: string[] = []
  return {
    next: async () => {
      const parent = await mkdtemp(join(tmpdir(), 'laterbase-store-'))
      folders.push(parent)
      return join(parent, 'store')
    },
    remove: async () => {
      for (const parent of folders.splice(0)) await rm(parent, { recursive: true, force: true })
    }
  }
}
