/**
 * The node's own small store when it is damaged: set aside, made anew, with the values that can still
 * be read. The list of databases is made whole from the folders that there are, so that no store is
 * left unopened because a list forgot it.
 *
 *     node/                 the store
 *     node.damaged-TIME/    the files of one that was damaged, as they were found
 *     node.making/          the one that takes its place, while it is made; nothing after a crash
 *     node.made/            the same when it has all values: what `node/` is called next
 */

import { readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'

import type { Clock } from '../core/clock.ts'
import { isDamage } from '../errors.ts'
import { formatTime } from '../schema/time.ts'
import { beforeOf, storeFiles } from '../store/guarded-store.ts'
import { MARKER_SUFFIX } from '../store/marker.ts'
import { openNodeStore, salvageNodeStore } from '../store/node-store.ts'
import type { NodeStore, NodeStoreWatch } from '../store/node-store.ts'
import { isThere, syncFolder } from '../store/whole-file.ts'
import { DATABASES_FOLDER, NODE_STORE_FOLDER } from './data-directory.ts'
import { DATABASE_LIST, isDatabaseName } from './database-registry.ts'
import type { Log } from './options.ts'

export interface NodeStoreInit {
  /** Data directory. */
  readonly dir: string
  /** Make it when it is not there; false where stores were made before. */
  readonly create: boolean
  readonly clock: Clock
  readonly log: Log
}

/** @throws LATERBASE_STORE_FAILED */
export async function openKeptNodeStore(init: NodeStoreInit): Promise<NodeStore> {
  const store = await openOrRemake(init)
  try {
    await completeList(store, init)
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

async function openOrRemake(init: NodeStoreInit): Promise<NodeStore> {
  const location = join(init.dir, NODE_STORE_FOLDER)
  try {
    // A crash after the damaged one was set aside: what has its values is not to be made again.
    if (!(await isThere(location)) && (await isThere(madeOf(location)))) {
      await moveFolder(madeOf(location), location)
    }
    const store = await openNodeStore(location, init.create, watchOf(init))
    try {
      await store.get(DATABASE_LIST)
      // What a crash left beside it would be older than this one, should this one ever be gone.
      await rm(madeOf(location), { recursive: true, force: true })
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  } catch (error) {
    if (!isDamage(error)) throw error
    return remake(init, location, error)
  }
}

/** At every moment one of the folders has the values, so that a crash loses none. */
async function remake(init: NodeStoreInit, location: string, cause: unknown): Promise<NodeStore> {
  const values = await salvageNodeStore(location)
  const [making, made] = [`${location}.making`, madeOf(location)]
  for (const folder of [making, made]) await rm(folder, { recursive: true, force: true })
  const store = await openNodeStore(making, true, watchOf(init))
  try {
    for (const [name, value] of values) await store.put(name, value)
  } finally {
    await store.close()
  }
  await moveFolder(making, made)
  const kept = `${location}.damaged-${formatTime(init.clock.nowMs()).replaceAll(/[:.]/g, '-')}`
  if (await isThere(location)) await moveFolder(location, kept)
  await moveFolder(made, location)
  const facts = { reason: String(cause), kept, values: [...values.keys()] }
  init.log('error', 'the store of the node itself was damaged and was made anew', facts)
  return openNodeStore(location, false, watchOf(init))
}

function madeOf(location: string): string {
  return `${location}.made`
}

/** The new name is on disk when this resolves: a later move never gets there before it. */
async function moveFolder(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncFolder(dirname(to))
}

/**
 * Every store is listed, but for those that the list says were forgotten. A folder without a store's
 * marker beside it is something that a person has put there: a copy, or one that was moved away.
 */
async function completeList(store: NodeStore, { dir, log }: NodeStoreInit): Promise<void> {
  const listed = (await store.get(DATABASE_LIST)) as Record<string, string> | undefined
  const list = { ...listed }
  const found = (await storesIn(join(dir, DATABASES_FOLDER)))
    .filter(({ isMarked }) => listed === undefined || isMarked)
    .map(({ name }) => name)
    .filter((name) => !Object.hasOwn(list, name))
  if (found.length === 0) return
  for (const name of found) list[name] = 'open'
  await store.put(DATABASE_LIST, list)
  log('warn', 'databases were missing from the list of them and are opened', { databases: found })
}

/**
 * Folders of databases. One that has neither a marker beside it nor a file of LevelDB in it is what a
 * crash left of a store that was being made: of that nobody was told.
 */
export async function storesIn(folder: string): Promise<FoundStore[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = new Set(entries.map(({ name }) => name))
  const found: FoundStore[] = []
  for (const entry of entries) {
    if (!entry.isDirectory() || !isDatabaseName(entry.name)) continue
    const { name } = entry
    const isMarked = names.has(`${name}${MARKER_SUFFIX}`)
    if (isMarked || (await hasFiles(join(folder, name)))) found.push({ name, isMarked })
  }
  return found
}

async function hasFiles(location: string): Promise<boolean> {
  if ((await storeFiles(location)).length > 0) return true
  return (await storeFiles(beforeOf(location))).length > 0
}

export interface FoundStore {
  readonly name: string
  readonly isMarked: boolean
}

function watchOf({ clock, log }: NodeStoreInit): NodeStoreWatch {
  return { clock, told: (message) => log('warn', message) }
}
