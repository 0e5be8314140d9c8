/**
 * The disk that the stores of a node's databases share: part of it is kept free, and each store is
 * opened anew by itself after a write that failed. Leaves out how a store is opened, and what is done
 * about one that is damaged: `../node/store-keeper.ts`.
 */

import { statfs } from 'node:fs/promises'
import { join } from 'node:path'

import { assertNever } from '../core/assert.ts'
import type { Clock } from '../core/clock.ts'
import { DiskReserve } from './disk-reserve.ts'
import type { DiskNews, DiskSpace } from './disk-reserve.ts'
import type { EventStore } from './event-store.ts'
import { canReopen } from './reopen-probe.ts'
import { createReopeningStore } from './reopening-store.ts'
import type { StoreNews } from './reopening-store.ts'

export interface LevelPlaceInit {
  /** Made already. One folder for each store, of the database's name. */
  readonly folder: string
  readonly clock: Clock
  readonly log: (level: 'info' | 'warn', message: string) => void
  /** A store that was opened anew is not what was closed, and does not become so. */
  readonly damaged: (database: string) => void
}

export interface StoreOpenings {
  readonly first: () => Promise<EventStore>
  /** After a write that failed: the same store, or an error, never one that was made anew. */
  readonly again: () => Promise<EventStore>
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
   * @param bytes of what is to be written besides, where that is much
   * @throws LATERBASE_DISK_FULL where nothing that can wait should be written
   */
  admit(bytes?: number): Promise<void> {
    return this.#reserve.admit(bytes)
  }

  /** @throws what the first opening throws */
  async open(database: string, { first, again }: StoreOpenings): Promise<EventStore> {
    const location = join(this.#init.folder, database)
    return createReopeningStore(await first(), {
      name: `Database ${database}`,
      open: again,
      canReopen: () => canReopen(location, () => measureDisk(location)),
      reserve: this.#reserve,
      clock: this.#init.clock,
      told: (news) => this.#hear(database, news)
    })
  }

  /** The stores are closed by those who opened them. */
  close(): void {
    this.#reserve.close()
  }

  #logDisk(news: DiskNews): void {
    if (news.type === 'full') this.#init.log('warn', news.error.message)
    else this.#init.log('info', 'The disk has room again: new events are taken.')
  }

  #hear(database: string, news: StoreNews): void {
    const { log, damaged } = this.#init
    switch (news.type) {
      case 'write-failed':
      case 'unanswered':
        log('warn', news.error.message)
        return
      case 'damaged':
        log('warn', news.error.message)
        damaged(database)
        return
      case 'answered':
        log('info', `Database ${database}: the disk answers again.`)
        return
      case 'reopened': {
        const seconds = (news.failedForMs / 1_000).toFixed(1)
        log('info', `Database ${database}: open again after ${seconds} s; new events are taken.`)
        return
      }
      default:
        assertNever(news)
    }
  }
}

async function measureDisk(folder: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}
