/**
 * A disk of views that outlives its handles, takes its time, and fails as a test says: a write that fails
 * may have landed, and its handle is broken for ever; what is damaged cannot be read.
 */

import type { Rng } from '../../src/core/clock.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type {
  DerivedChange,
  DerivedRange,
  DerivedReader,
  DerivedRecord,
  DerivedStore
} from '../../src/store/derived-store.ts'
import { createMemoryDerivedStore } from '../../src/store/memory-derived-store.ts'
import { settled } from '../fixtures/manual-clock.ts'

/** What becomes of a write: nobody knows whether one that failed has landed. */
export type Misfortune = 'lost' | 'landed' | 'damaged'

const ALL: DerivedRange = { from: new Uint8Array(0), to: new Uint8Array(40).fill(255) }

export class DerivedDisk {
  #held = createMemoryDerivedStore()
  #copy: DerivedStore | undefined
  readonly #rng: Rng
  #misfortune: { kind: Misfortune; after: number } | undefined
  #isDamaged = false
  openings = 0
  /** What is asked is answered at once. */
  isFast = false

  constructor(rng: Rng) {
    this.#rng = rng
  }

  async open(anew: boolean): Promise<DerivedStore> {
    await this.#turn()
    this.openings += 1
    if (anew) this.lose()
    return new Handle({
      held: () => this.#held,
      turn: () => this.#turn(),
      isDamaged: () => this.#isDamaged,
      fate: () => this.#fate()
    })
  }

  /** The write after so many fails. */
  fail(kind: Misfortune, after: number): void {
    this.#misfortune = { kind, after }
  }

  /** Nothing fails any more. */
  calm(): void {
    this.#misfortune = undefined
  }

  lose(): void {
    this.#held = createMemoryDerivedStore()
    this.#isDamaged = false
  }

  async keepCopy(): Promise<void> {
    this.#copy = await copyOf(this.#held)
  }

  /** As it was when it was copied. */
  async putBack(): Promise<void> {
    if (this.#copy !== undefined) this.#held = await copyOf(this.#copy)
  }

  records(): Promise<readonly DerivedRecord[]> {
    return this.#held.scan(ALL)
  }

  #fate(): Misfortune | undefined {
    if (this.#misfortune === undefined) return undefined
    this.#misfortune.after -= 1
    if (this.#misfortune.after >= 0) return undefined
    const { kind } = this.#misfortune
    this.#misfortune = undefined
    this.#isDamaged = kind === 'damaged'
    return kind
  }

  async #turn(): Promise<void> {
    if (this.isFast) return
    for (let left = this.#rng.fraction() * 3; left > 1; left -= 1) await settled()
  }
}

async function copyOf(store: DerivedStore): Promise<DerivedStore> {
  const copy = createMemoryDerivedStore()
  await copy.write(await store.scan(ALL))
  return copy
}

interface HandleInit {
  readonly held: () => DerivedStore
  readonly turn: () => Promise<void>
  readonly isDamaged: () => boolean
  readonly fate: () => Misfortune | undefined
}

class Handle implements DerivedStore {
  readonly #init: HandleInit
  readonly #held: DerivedStore
  #isClosed = false
  #isBroken = false
  #last: Promise<unknown> = Promise.resolve()

  constructor(init: HandleInit) {
    this.#init = init
    this.#held = init.held()
  }

  get(key: Uint8Array): Promise<Uint8Array | undefined> {
    return this.#reading(this.#held).get(key)
  }

  scan(range: DerivedRange): Promise<readonly DerivedRecord[]> {
    return this.#reading(this.#held).scan(range)
  }

  chunks(range: DerivedRange): AsyncIterable<readonly DerivedRecord[]> {
    return this.#reading(this.#held).chunks(range)
  }

  snapshot(): ReturnType<DerivedStore['snapshot']> {
    this.#expectOpen()
    const snapshot = this.#held.snapshot()
    return { ...this.#reading(snapshot), release: () => snapshot.release() }
  }

  write(changes: readonly DerivedChange[]): Promise<void> {
    return this.#next(async () => {
      if (this.#isBroken) throw failure()
      const fate = this.#init.fate()
      if (fate !== 'lost' && fate !== 'damaged') await this.#held.write(changes)
      if (fate === undefined) return
      this.#isBroken = true
      throw fate === 'damaged' ? damage() : failure()
    })
  }

  /** Some first, as a disk does it. */
  clear(prefix: Uint8Array): Promise<void> {
    return this.#next(async () => {
      const to = new Uint8Array(prefix.length + 40).fill(255)
      to.set(prefix)
      const records = await this.#held.scan({ from: prefix, to })
      const odd = records.filter((_, index) => index % 2 === 1)
      await this.#held.write(odd.map(({ key }) => ({ key, value: undefined })))
      await this.#init.turn()
      await this.#held.clear(prefix)
    })
  }

  async diskBytes(): Promise<number> {
    this.#expectOpen()
    return 0
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#last
  }

  #reading(reader: DerivedReader): DerivedReader {
    const asked = async <T>(answer: () => Promise<T>): Promise<T> => {
      await this.#init.turn()
      this.#expectOpen()
      if (this.#init.isDamaged()) throw damage()
      return answer()
    }
    return {
      get: (key) => asked(() => reader.get(key)),
      scan: (range) => asked(() => reader.scan(range)),
      chunks: async function* (range) {
        const records = await asked(() => reader.scan(range))
        for (let at = 0; at < records.length; at += 3) {
          yield await asked(async () => records.slice(at, at + 3))
        }
      }
    }
  }

  #next(operation: () => Promise<void>): Promise<void> {
    if (this.#isClosed) return Promise.reject(closed())
    const done = this.#last.then(async () => {
      await this.#init.turn()
      await operation()
      await this.#init.turn()
    })
    this.#last = done.catch(() => undefined)
    return done
  }

  #expectOpen(): void {
    if (this.#isClosed) throw closed()
  }
}

function closed(): LaterbaseError {
  return new LaterbaseError('LATERBASE_CLOSED', 'the views are closed')
}

function failure(): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_FAILED', 'the disk of the views does not take it')
}

function damage(): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_CORRUPT', 'the views are damaged')
}
