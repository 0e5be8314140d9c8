/**
 * The mark beside a store: how far it was when it was last written, so that a store whose end is
 * gone (a log file cut short, an older copy put in its place) is told from one that never had more.
 *
 * 64 bytes, written in place soon after a batch is on disk and not synced itself: it may be behind
 * the store, never ahead of it. So it is a lower bound, and a lost one costs nothing but that bound.
 * Not after each batch: that was a quarter of what a single small commit costs.
 *
 *      at  bytes  what
 *       0      8  "lbmark1" and 1 for a clean close, 0 else
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
import { MARK_MS } from './limits.ts'

export interface StoreMark {
  readonly incarnation: string
  readonly arrival: number
  readonly events: number
  readonly ownLog: LogId
  readonly ownSeq: number
  readonly checked: number
  readonly clean: boolean
}

/** Undefined where there is none that can be believed. */
export async function readMark(file: string): Promise<StoreMark | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  if (bytes?.length !== MARK_BYTES || !bytes.subarray(0, 7).equals(MAGIC)) return undefined
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

type MarkClock = Pick<Clock, 'setTimer'>

/** The mark of an open store. */
export class MarkFile {
  readonly #clock: MarkClock
  readonly #handle: FileHandle
  #mark: StoreMark
  #written: StoreMark | undefined
  #writing: Promise<void> | undefined
  #timer: Timer | undefined

  /** Written and synced when it resolves: from now on the store counts as not cleanly closed. */
  static async open(file: string, mark: StoreMark, clock: MarkClock): Promise<MarkFile> {
    const handle = await open(file, 'r+').catch(() => open(file, 'w+', 0o600))
    const marking = new MarkFile(handle, mark, clock)
    await marking.#write(mark)
    await handle.truncate(MARK_BYTES)
    await handle.sync()
    return marking
  }

  private constructor(handle: FileHandle, mark: StoreMark, clock: MarkClock) {
    this.#clock = clock
    this.#handle = handle
    this.#mark = mark
  }

  /** Notes what is on disk now, and writes it within `MARK_MS`. */
  note(now: Pick<StoreMark, 'arrival' | 'events' | 'ownSeq'>): void {
    this.#mark = { ...this.#mark, ...now }
    this.#timer ??= this.#clock.setTimer(MARK_MS, () => {
      this.#timer = undefined
      this.#writing ??= this.#run()
    })
  }

  /** After the store was closed, with nothing under way in it. */
  async close(): Promise<void> {
    this.#timer?.cancel()
    await this.#writing
    try {
      await this.#write({ ...this.#mark, clean: true })
      await this.#handle.sync()
    } finally {
      await this.#handle.close()
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#written !== this.#mark) await this.#write(this.#mark)
    } catch {
      // A mark that stays behind is still a lower bound; the store itself will say what its disk has.
    }
    this.#writing = undefined
  }

  async #write(mark: StoreMark): Promise<void> {
    await this.#handle.write(encode(mark), 0, MARK_BYTES, 0)
    this.#written = mark
  }
}

function encode(mark: StoreMark): Buffer {
  const bytes = Buffer.alloc(MARK_BYTES)
  bytes.set(MAGIC)
  bytes[7] = mark.clean ? 1 : 0
  bytes.set(present(fromHex(mark.incarnation), 'an incarnation is hex'), 8)
  bytes.writeUIntBE(mark.arrival, 16, 6)
  bytes.writeUIntBE(mark.events, 22, 6)
  bytes.writeUIntBE(mark.ownSeq, 28, 6)
  bytes.writeUIntBE(mark.checked, 34, 6)
  bytes.set(present(fromHex(mark.ownLog), 'a log id is hex'), 40)
  bytes.writeUInt32BE(recordCheck(MAGIC, bytes, CHECK_AT), CHECK_AT)
  return bytes
}

const MARK_BYTES = 64
const CHECK_AT = 60
const MAGIC = Buffer.from('lbmark1')
