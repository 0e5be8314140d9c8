/**
 * Keeps a part of the disk free: before it is full, writes are refused, so that what is held can
 * still be read, compacted and opened. Measured before a write when the last measurement is not
 * fresh, and by a timer, so that a person is told before a client is, and writes are taken again as
 * soon as there is room.
 */

import type { Clock, Timer } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import {
  DISK_FULL_MEASURE_MS,
  DISK_IDLE_MEASURE_MS,
  DISK_MEASURE_MS,
  DISK_RESERVE_BYTES,
  DISK_RESERVE_SHARE
} from './limits.ts'
import type { WriteReserve } from './reopening-store.ts'

export interface DiskSpace {
  /** What this process may still use. */
  readonly freeBytes: number
  /** 0 where the file system does not tell: then nothing is kept free. */
  readonly totalBytes: number
}

export interface DiskReserveInit {
  readonly measure: () => Promise<DiskSpace>
  readonly clock: Clock
  readonly told: (news: DiskNews) => void
}

export type DiskNews =
  | { readonly type: 'full'; readonly error: LaterbaseError }
  | { readonly type: 'room'; readonly space: DiskSpace }

export class DiskReserve implements WriteReserve {
  readonly #init: DiskReserveInit
  #measuring: Promise<void> | undefined
  #measuredMs = -Infinity
  /** The last measurement, if it was below the reserve. */
  #full: DiskSpace | undefined
  #space: DiskSpace | undefined
  #timer: Timer | undefined
  #isClosed = false

  constructor(init: DiskReserveInit) {
    this.#init = init
    this.#arm(0)
  }

  /** @param bytes of what is to be written besides, where that is much */
  async admit(bytes = 0): Promise<void> {
    const ageMs = this.#init.clock.monotonicMs() - this.#measuredMs
    if (ageMs >= DISK_MEASURE_MS) await this.#measure()
    const refusal = this.refusal()
    if (refusal !== undefined) throw refusal
    const space = this.#space
    if (space !== undefined && isFull(space, bytes)) throw fullError(space, bytes)
  }

  refusal(): LaterbaseError | undefined {
    return this.#full === undefined ? undefined : fullError(this.#full)
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#isClosed) return
    this.#timer = this.#init.clock.setTimer(delayMs, () => {
      void this.#measure().then(() => {
        this.#arm(this.#full === undefined ? DISK_IDLE_MEASURE_MS : DISK_FULL_MEASURE_MS)
      })
    })
  }

  /** One at a time, for all who ask meanwhile. Never fails. */
  #measure(): Promise<void> {
    this.#measuring ??= this.#measureNow().finally(() => {
      this.#measuring = undefined
    })
    return this.#measuring
  }

  async #measureNow(): Promise<void> {
    try {
      this.#take(await this.#init.measure())
    } catch {
      // A disk that cannot be measured is told by its writes: what was known of it stands.
    }
    this.#measuredMs = this.#init.clock.monotonicMs()
  }

  #take(space: DiskSpace): void {
    const wasFull = this.#full !== undefined
    this.#space = space
    this.#full = isFull(space, 0) ? space : undefined
    if (this.#full === undefined) {
      if (wasFull) this.#init.told({ type: 'room', space })
      return
    }
    if (wasFull) return
    this.#init.told({ type: 'full', error: fullError(space) })
    // The timer of an idle disk would look for room too late.
    this.#arm(DISK_FULL_MEASURE_MS)
  }
}

function isFull(space: DiskSpace, bytes: number): boolean {
  return space.totalBytes > 0 && space.freeBytes < reserveBytes(space) + bytes
}

function reserveBytes({ totalBytes }: DiskSpace): number {
  return Math.min(DISK_RESERVE_BYTES, Math.floor(totalBytes * DISK_RESERVE_SHARE))
}

function fullError(space: DiskSpace, bytes = 0): LaterbaseError {
  const reserve = reserveBytes(space)
  const full =
    `The disk is full: ${megabytes(space.freeBytes)} left, ${megabytes(reserve)} are kept free. ` +
    'New events are refused until there is room; nothing is lost.'
  const tooSmall =
    `${megabytes(bytes)} are needed on the disk, besides ${megabytes(reserve)} that are kept free, ` +
    `and ${megabytes(space.freeBytes)} are left: make room`
  const message = bytes === 0 ? full : tooSmall
  const facts = { free_bytes: space.freeBytes, reserve_bytes: reserve }
  return new LaterbaseError('LATERBASE_DISK_FULL', message, { facts })
}

function megabytes(bytes: number): string {
  const count = bytes / 1_000_000
  return `${count < 10 ? count.toFixed(1) : Math.floor(count)} MB`
}
