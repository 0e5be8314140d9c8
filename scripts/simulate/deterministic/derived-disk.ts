/**
 * What a simulated disk keeps of views, as `DerivedStore` promises it: batches whole or not at all, one after
 * the other, of which a crash may take the last ones along, and none before an earlier one. On a full disk a
 * write fails, and so do all that follow until the records are opened anew; then it may be there after all.
 */

import { compareBytes } from '../../../src/core/bytes.ts'
import { countBelow } from '../../../src/core/sorted-keys.ts'
import { LaterbaseError } from '../../../src/errors.ts'
import type {
  DerivedChange,
  DerivedRange,
  DerivedReader,
  DerivedRecord,
  DerivedSnapshot,
  DerivedStore
} from '../../../src/store/derived-store.ts'
import { withChanges } from '../../../src/store/memory-derived-store.ts'
import { readInTime } from './slow-reads.ts'
import type { ReadTime } from './slow-reads.ts'
import type { Prng } from '../prng.ts'
import type { Life } from './clocks.ts'

/** Records in the order of their keys; never changed in place. */
type Records = readonly DerivedRecord[]

/** States that a crash may bring back, the last one included. */
const STATES_MAX = 6

/** The records of one database's views, as the disk has them. */
export class DerivedImage {
  /** The states that there were, of which a crash keeps one and those before it. */
  #states: Records[] = [[]]
  /** A batch whose write failed: it may be there all the same when the records are opened anew. */
  #torn: readonly DerivedChange[] | undefined
  /** The process that has it open. */
  #owner: Life | undefined

  get records(): Records {
    return this.#states.at(-1) ?? []
  }

  write(changes: readonly DerivedChange[]): void {
    this.#states.push(withChanges(this.records, changes))
    if (this.#states.length > STATES_MAX) this.#states.shift()
  }

  fail(changes: readonly DerivedChange[]): void {
    this.#torn ??= changes
  }

  /**
   * For a process: nothing that is there now goes any more.
   *
   * @throws LATERBASE_STORE_LOCKED where the process has it open
   */
  open(life: Life, prng: Prng): void {
    if (this.#owner === life) throw new LaterbaseError('LATERBASE_STORE_LOCKED', 'it is open')
    this.#owner = life
    const torn = this.#torn
    this.#torn = undefined
    if (torn !== undefined && prng.fraction() < 0.5) this.write(torn)
    this.#states = [this.records]
  }

  close(): void {
    this.#owner = undefined
  }

  crash(prng: Prng): void {
    const kept = prng.fraction() < 0.5 ? this.#states.length : prng.integer(1, this.#states.length)
    this.#states = this.#states.slice(0, kept)
  }

  copy(): DerivedImage {
    const copy = new DerivedImage()
    copy.#states = [...this.#states]
    copy.#torn = this.#torn
    return copy
  }
}

export interface DerivedHandleInit {
  readonly image: DerivedImage
  readonly time: Omit<ReadTime, 'isClosed'>
  /** Why nothing may be written now, where the node keeps a reserve. */
  readonly refusal: () => LaterbaseError | undefined
  /** Whether a write fails now. */
  readonly isFull: () => boolean
  /** `land` happens to the disk, whatever becomes of the process; `notice` to the process. */
  readonly underWay: (land: () => void, notice: () => void) => void
}

/** The records as one process has them open. */
export function openDerivedImage(init: DerivedHandleInit): DerivedStore {
  return new DerivedHandle(init)
}

class DerivedHandle implements DerivedStore {
  readonly #init: DerivedHandleInit
  readonly #read: Read
  readonly #reader: DerivedReader
  /** What the process has been told is there. */
  #records: Records
  #last: Promise<unknown> = Promise.resolve()
  #hasFailed = false
  #isClosed = false

  constructor(init: DerivedHandleInit) {
    this.#init = init
    this.#records = init.image.records
    const time = { ...init.time, isClosed: () => false }
    this.#read = async (ask) => {
      this.#expectOpen()
      const answer = await readInTime(ask, time)
      this.#expectOpen()
      return answer
    }
    this.#reader = readerOf(() => this.#records, this.#read)
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#reader.get(key)
  }

  scan(range: DerivedRange): Promise<Records> {
    return this.#reader.scan(range)
  }

  chunks(range: DerivedRange): AsyncIterable<Records> {
    return this.#reader.chunks(range)
  }

  snapshot(): DerivedSnapshot {
    this.#expectOpen()
    const records = this.#records
    return { ...readerOf(() => records, this.#read), release: async () => undefined }
  }

  async write(changes: readonly DerivedChange[]): Promise<void> {
    this.#expectOpen()
    const written = this.#last.then(() => this.#write(changes))
    this.#last = written.catch(() => undefined)
    await written
  }

  /** In pieces, between which the power may go, and others read. */
  async clear(prefix: Uint8Array): Promise<void> {
    this.#expectOpen()
    const those = this.#records.filter(({ key }) => beginsWith(key, prefix))
    const gone = those.map(({ key }) => ({ key, value: undefined }))
    const count = Math.ceil(gone.length / CLEARED_PIECES)
    for (let at = 0; at < gone.length; at += count) await this.write(gone.slice(at, at + count))
  }

  async diskBytes(prefix: Uint8Array): Promise<number> {
    this.#expectOpen()
    const those = this.#records.filter(({ key }) => beginsWith(key, prefix))
    return those.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#last
    const { life, world } = this.#init.time
    await life.sleep(world.prng.fraction())
    this.#init.image.close()
  }

  #expectOpen(): void {
    if (this.#isClosed) throw new LaterbaseError('LATERBASE_CLOSED', 'the views are closed')
  }

  #write(changes: readonly DerivedChange[]): Promise<void> {
    const { image, underWay, isFull, refusal } = this.#init
    return new Promise((resolve, reject) => {
      const refused = this.#hasFailed ? failed() : refusal()
      if (refused !== undefined) {
        reject(refused)
        return
      }
      // What ends with a process goes on for an instant, and must not reach the disk.
      if (this.#init.time.life.isDead) return
      let hasLanded = false
      const land = (): void => {
        hasLanded = !isFull()
        if (hasLanded) image.write(changes)
        else image.fail(changes)
      }
      underWay(land, () => {
        if (hasLanded) {
          this.#records = withChanges(this.#records, changes)
          resolve()
          return
        }
        this.#hasFailed = true
        reject(failed())
      })
    })
  }
}

/** Reads in its time, while the records are open. */
type Read = <T>(ask: () => Promise<T>) => Promise<T>

function readerOf(records: () => Records, read: Read): DerivedReader {
  const scan = async ({ from, to, reverse, limit }: DerivedRange): Promise<Records> => {
    const all = records()
    const found = all.slice(countBelow(all, from), countBelow(all, to))
    return (reverse === true ? found.reverse() : found).slice(0, limit)
  }
  return {
    get: (key) => read(async () => valueAt(records(), key)),
    scan: (range) => read(() => scan(range)),
    async *chunks(range) {
      const found = await read(() => scan(range))
      for (let at = 0; at < found.length; at += CHUNK) yield found.slice(at, at + CHUNK)
    }
  }
}

/** Writes that it takes to remove the records of a build. */
const CLEARED_PIECES = 4

/** Records that one read gives: few, so that there is often more than one. */
const CHUNK = 64

function valueAt(records: Records, key: Uint8Array): Uint8Array | undefined {
  const found = records[countBelow(records, key)]
  return found !== undefined && compareBytes(found.key, key) === 0 ? found.value : undefined
}

function beginsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return compareBytes(key.subarray(0, prefix.length), prefix) === 0
}

function failed(): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_FAILED', 'no space left on the simulated device')
}
