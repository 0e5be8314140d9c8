/**
 * Where the stores of a node's databases are: one LevelDB each, in a folder of its name. They share
 * the disk, and so its reserve; each is opened anew by itself after a write that failed.
 */

import { rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

import type { Clock, Hasher, Rng } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { DiskReserve } from './disk-reserve.ts'
import type { DiskNews, DiskSpace } from './disk-reserve.ts'
import type { EventStore } from './event-store.ts'
import { MARKER_SUFFIX, openLevelStore } from './level-store.ts'
import { canReopen } from './reopen-probe.ts'
import { createReopeningStore } from './reopening-store.ts'
import type { StoreNews } from './reopening-store.ts'

export interface LevelPlaceInit {
  /** Made already. */
  readonly folder: string
  /** Raw Ed25519 public key of the node. */
  readonly publicKey: Uint8Array
  readonly hasher: Hasher
  readonly rng: Rng
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
}

export class LevelPlace {
  readonly #init: LevelPlaceInit
  readonly #reserve: DiskReserve

  constructor(init: LevelPlaceInit) {
    this.#init = init
    this.#reserve = new DiskReserve({
      measure: () => measureDisk(init.folder),
      clock: init.clock,
      told: (news) => this.#logDisk(news)
    })
  }

  /**
   * @param create makes the store when it is missing; false for one that is known to exist
   * @throws what `openLevelStore` throws; LATERBASE_DISK_FULL for a store to be made
   */
  async open(database: string, create: boolean): Promise<EventStore> {
    if (create) await this.#reserve.admit()
    const location = join(this.#init.folder, database)
    return createReopeningStore(await this.#open(database, create), {
      name: `Database ${database}`,
      open: () => this.#open(database, false),
      canReopen: () => canReopen(location, () => measureDisk(location)),
      reserve: this.#reserve,
      clock: this.#init.clock,
      told: (news) => this.#logStore(database, news)
    })
  }

  /** Deletes what there is of a database's store, which is closed. */
  async remove(database: string): Promise<void> {
    const location = join(this.#init.folder, database)
    await rm(location, { recursive: true, force: true })
    await rm(`${location}${MARKER_SUFFIX}`, { force: true })
  }

  /** The stores are closed by those who opened them. */
  close(): void {
    this.#reserve.close()
  }

  async #open(database: string, create: boolean): Promise<EventStore> {
    const { folder, publicKey, hasher, rng } = this.#init
    const location = join(folder, database)
    if (!create) await expectStore(location)
    const owner = { database, publicKey }
    return openLevelStore({ location, owner, create, hasher, rng })
  }

  #logDisk(news: DiskNews): void {
    if (news.type === 'full') this.#init.log('warn', news.error.message)
    else this.#init.log('info', 'The disk has room again: new events are taken.')
  }

  #logStore(database: string, news: StoreNews): void {
    if (news.type === 'write-failed') {
      this.#init.log('warn', news.error.message)
      return
    }
    const seconds = (news.failedForMs / 1_000).toFixed(1)
    const message = `Database ${database}: open again after ${seconds} s; new events are taken.`
    this.#init.log('info', message)
  }
}

/** LevelDB would leave a folder where a store is missing, in the way of whoever puts it back. */
async function expectStore(location: string): Promise<void> {
  try {
    await stat(join(location, 'CURRENT'))
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
    const code = isMissing ? 'LATERBASE_STORE_LOST' : 'LATERBASE_STORE_FAILED'
    const what = isMissing ? 'is gone or has lost its CURRENT file' : 'cannot be looked at'
    throw new LaterbaseError(code, `${location} ${what}; nothing was changed`, { cause })
  }
}

async function measureDisk(folder: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}
