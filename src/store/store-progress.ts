/**
 * `NAME.progress` beside a store: how far it was when it was last written, so that a store whose end
 * is gone (a log file cut short) is told from one that never had more. That a whole store was put
 * back from an older copy tells `NAME.marker`.
 *
 * 64 bytes, written in place soon after a batch is on disk and not synced itself: it may be behind
 * the store, never ahead of it. So it is a lower bound, and a lost one costs nothing but that bound.
 * Not after each batch: that was a quarter of what a single small commit costs.
 *
 *      at  bytes  what
 *       0      8  "lbprog1" and 1 for a clean close, 0 else
 *       8      8  incarnation
 *      16      6  arrival number of the last commit
 *      22      6  distinct events
 *      28      6  sequence number of the last event of the store's own log
 *      34      6  arrival number up to which the store was checked when it was opened
 *      40     16  id of the store's own log
 *      60      4  check
 */

import { open, readFile } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

import { fromHex, toHex } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { logId } from '../core/commit.ts'
import type { LogId } from '../core/commit.ts'
import { recordCheck } from './checksum.ts'
import { PROGRESS_MS } from './limits.ts'

export interface StoreProgress {
  readonly incarnation: string
  readonly arrival: number
  readonly events: number
  readonly ownLog: LogId
  readonly ownSeq: number
  readonly checked: number
  readonly clean: boolean
}

/** Undefined where there is none that can be believed. */
export async function readProgress(file: string): Promise<StoreProgress | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  if (bytes?.length !== PROGRESS_BYTES || !bytes.subarray(0, 7).equals(MAGIC)) return undefined
  if (bytes.readUInt32BE(CHECK_AT) !== recordCheck(MAGIC, bytes, CHECK_AT)) return undefined
  return {
    incarnation: toHex(bytes.subarray(8, 16)),
    arrival: bytes.readUIntBE(16, 6),
    events: bytes.readUIntBE(22, 6),
    ownSeq: bytes.readUIntBE(28, 6),
    checked: bytes.readUIntBE(34, 6),
    ownLog: logId(bytes.subarray(40, 56)),
    clean: bytes[7] === 1
  }
}

type ProgressClock = Pick<Clock, 'setTimer'>

/** The progress of an open store. */
export class ProgressFile {
  readonly #clock: ProgressClock
  readonly #handle: FileHandle
  #progress: StoreProgress
  #written: StoreProgress | undefined
  #writing: Promise<void> | undefined
  #timer: Timer | undefined

  /** Written and synced when it resolves: from now on the store counts as not cleanly closed. */
  static async open(
    path: string,
    progress: StoreProgress,
    clock: ProgressClock
  ): Promise<ProgressFile> {
    const handle = await open(path, 'r+').catch(() => open(path, 'w+', 0o600))
    try {
      const file = new ProgressFile(handle, progress, clock)
      await file.#write(progress)
      await handle.truncate(PROGRESS_BYTES)
      await handle.sync()
      return file
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  private constructor(handle: FileHandle, progress: StoreProgress, clock: ProgressClock) {
    this.#clock = clock
    this.#handle = handle
    this.#progress = progress
  }

  /** Notes what is on disk now, and writes it within `PROGRESS_MS`. */
  note(now: Omit<StoreProgress, 'checked' | 'clean'>): void {
    this.#progress = { ...this.#progress, ...now }
    this.#timer ??= this.#clock.setTimer(PROGRESS_MS, () => {
      this.#timer = undefined
      // What is under way writes the latest; and what ends at once would never be seen to have ended.
      if (this.#writing !== undefined || this.#written === this.#progress) return
      this.#writing = this.#run()
    })
  }

  /** After the store was closed, with nothing under way in it. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#writing
    try {
      await this.#write({ ...this.#progress, clean: true })
      await this.#handle.sync()
    } catch {
      // On a disk that takes no write it stays behind, and a store is closed all the same.
    } finally {
      await this.#handle.close()
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#written !== this.#progress) await this.#write(this.#progress)
    } catch {
      // What stays behind is still a lower bound; the store itself will say what its disk has.
    }
    this.#writing = undefined
  }

  async #write(progress: StoreProgress): Promise<void> {
    await this.#handle.write(encode(progress), 0, PROGRESS_BYTES, 0)
    this.#written = progress
  }
}

function encode(progress: StoreProgress): Buffer {
  const bytes = Buffer.alloc(PROGRESS_BYTES)
  bytes.set(MAGIC)
  bytes[7] = progress.clean ? 1 : 0
  bytes.set(present(fromHex(progress.incarnation), 'an incarnation is hex'), 8)
  bytes.writeUIntBE(progress.arrival, 16, 6)
  bytes.writeUIntBE(progress.events, 22, 6)
  bytes.writeUIntBE(progress.ownSeq, 28, 6)
  bytes.writeUIntBE(progress.checked, 34, 6)
  bytes.set(present(fromHex(progress.ownLog), 'a log id is hex'), 40)
  bytes.writeUInt32BE(recordCheck(MAGIC, bytes, CHECK_AT), CHECK_AT)
  return bytes
}

const PROGRESS_BYTES = 64
const CHECK_AT = 60
const MAGIC = Buffer.from('lbprog1')
