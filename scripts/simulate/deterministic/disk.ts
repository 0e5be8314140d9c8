/**
 * A simulated disk: what outlives the process. A write takes time, a read may; a crash during a write
 * leaves all of it or nothing, and nobody was told which. What was written and not synced goes with the
 * power, the latest first. A full disk fails writes, and behind a write that failed nothing is safe until the
 * store was opened anew, as with LevelDB's log. Left out: rot, which the stores' own tests have.
 */

import type { Clock, Hasher } from '../../../src/core/clock.ts'
import { logOrigin } from '../../../src/core/commit.ts'
import type { LogId } from '../../../src/core/commit.ts'
import { LaterbaseError } from '../../../src/errors.ts'
import type { StorePlace } from '../../../src/node/database-registry.ts'
import type { EventStore, StoreBatch } from '../../../src/store/event-store.ts'
import type { DerivedStore } from '../../../src/store/derived-store.ts'
import { createMemoryStore } from '../../../src/store/memory-store.ts'
import { createReopeningStore } from '../../../src/store/reopening-store.ts'
import type { WriteReserve } from '../../../src/store/reopening-store.ts'
import type { NodeStore } from '../../../src/store/node-store.ts'
import type { Life } from './clocks.ts'
import { DerivedImage, openDerivedImage } from './derived-disk.ts'
import { append, copyImages, emptyImage, rebuild } from './event-image.ts'
import type { Image, Landing } from './event-image.ts'
import { SetView } from './ledger.ts'
import type { CommitFacts } from './ledger.ts'
import { slowReads } from './slow-reads.ts'
import { worldRng } from './world.ts'
import type { World } from './world.ts'

/** Whoever watches a disk. */
export interface DiskWitness {
  /** A process asks for this write; what comes back is handed over when it lands. */
  submitted(batch: StoreBatch, ownLog: LogId): readonly boolean[]
  /** The write is on the disk. */
  landed(landing: Landing): readonly CommitFacts[]
  refused(detail: string): void
}

/** A store that a process has open. */
export interface Mounted {
  /** What the process knows to be there. */
  readonly view: SetView
  /** A write has failed: what this process writes from now on is lost with it. */
  readonly failed: boolean
}

export interface DiskSnapshot {
  readonly images: ReadonlyMap<string, Image>
  readonly derived: ReadonlyMap<string, DerivedImage>
  readonly values: ReadonlyMap<string, string>
}

/** What of a disk: the views are in folders of their own. */
export type DiskPart = 'all' | 'events' | 'views'

export class SimDisk {
  /** Writes fail until there is room again. */
  isFull = false
  /** A full disk has the node's reserve left: it refuses writes rather than let them fail. */
  hasReserve = false
  /** There has been no room at some time. */
  wasFull = false
  /** What a read takes at the most, ms. */
  readMsMax = 0
  /** Whether a write has failed at all. */
  hasEverFailed = false
  /** Told of a database of whose views a write begins. */
  viewsWritten: (database: string) => void = () => undefined
  readonly #world: World
  readonly #hasher: Hasher
  readonly #witness: DiskWitness
  #images = new Map<string, Image>()
  /** Of views, by database. */
  #derived = new Map<string, DerivedImage>()
  #values = new Map<string, string>()
  #mounted = new Map<string, Mounted>()
  /** Writes that have not reached the disk. */
  readonly #underWay = new Set<() => void>()

  constructor(world: World, hasher: Hasher, witness: DiskWitness) {
    this.#world = world
    this.#hasher = hasher
    this.#witness = witness
  }

  get isWriting(): boolean {
    return this.#underWay.size > 0
  }

  /** Whether a write has failed since the store was opened. */
  get hasFailed(): boolean {
    return [...this.#mounted.values()].some(({ failed }) => failed)
  }

  /** The power goes: what was being written is there whole or not at all. */
  crash(): void {
    for (const land of this.#underWay) {
      if (this.#world.chance(0.5)) land()
    }
    this.#underWay.clear()
    this.#mounted.clear()
    for (const image of this.#images.values()) {
      if (image.synced === image.batches.length) continue
      const kept = this.#world.prng.integer(image.synced, image.batches.length)
      rebuild(image, kept)
    }
    for (const image of this.#derived.values()) image.crash(this.#world.prng)
  }

  /** @param part `events`: views are left */
  wipe(part: DiskPart = 'all'): void {
    this.#images = new Map()
    this.#values = new Map()
    if (part === 'all') this.#derived = new Map()
  }

  snapshot(): DiskSnapshot {
    const [images, derived] = [copyImages(this.#images), copyDerived(this.#derived)]
    return { images, derived, values: new Map(this.#values) }
  }

  /** The disk of another moment, or of another box; or one part of it, beside which the other stays. */
  restore({ images, derived, values }: DiskSnapshot, part: DiskPart = 'all'): void {
    if (part !== 'events') this.#derived = copyDerived(derived)
    if (part === 'views') return
    this.#images = copyImages(images)
    this.#values = new Map(values)
  }

  databases(): readonly string[] {
    return [...this.#images.keys()]
  }

  /** What is on the disk of a database, whatever the process knows. */
  view(database: string): SetView | undefined {
    return this.#images.get(database)?.view
  }

  mounted(database: string): Mounted | undefined {
    return this.#mounted.get(database)
  }

  heldSeq(database: string, log: LogId): number {
    return this.#images.get(database)?.heads.get(log) ?? 0
  }

  stores(life: Life, publicKey: Uint8Array, clock: Clock): StorePlace {
    const open = async (database: string, create: boolean): Promise<EventStore> => {
      await life.sleep(this.#world.prng.fraction())
      return this.#open(life, { database, publicKey }, create)
    }
    return {
      open: async (database, create) =>
        createReopeningStore(await open(database, create), {
          name: database,
          open: () => open(database, false),
          canReopen: async () => !this.isFull,
          reserve: this.#reserve(),
          clock,
          told: () => undefined
        }),
      close: async () => undefined,
      openViews: (database, anew) => this.#openDerived(life, database, anew),
      remove: async (database) => {
        await life.sleep(this.#world.prng.fraction())
        this.#images.delete(database)
        this.#derived.delete(database)
        this.#mounted.delete(database)
      }
    }
  }

  nodeStore(life: Life): NodeStore {
    return {
      get: async (name) => {
        await life.sleep(this.#world.prng.fraction())
        const text = this.#values.get(name)
        return text === undefined ? undefined : JSON.parse(text)
      },
      put: (name, value) =>
        new Promise((resolve, reject) => {
          if (life.isDead) return
          if (this.isFull) {
            life.after(1, () => reject(noSpace()))
            return
          }
          const text = JSON.stringify(value)
          this.#underWayFor(
            () => this.#values.set(name, text),
            () => life.do(resolve)
          )
        }),
      close: async () => undefined
    }
  }

  #reserve(): WriteReserve {
    const refusal = (): LaterbaseError | undefined =>
      this.isFull && this.hasReserve
        ? new LaterbaseError('LATERBASE_DISK_FULL', 'no room')
        : undefined
    return {
      refusal,
      admit: async () => {
        const refused = refusal()
        if (refused !== undefined) throw refused
      }
    }
  }

  async #openDerived(life: Life, database: string, anew: boolean): Promise<DerivedStore> {
    const world = this.#world
    await life.sleep(world.prng.fraction())
    const { refusal } = this.#reserve()
    const refused = this.isFull ? (refusal() ?? noSpace()) : undefined
    if (refused !== undefined) throw refused
    const held = anew ? undefined : this.#derived.get(database)
    const image = held ?? new DerivedImage()
    this.#derived.set(database, image)
    image.open(life, world.prng)
    return openDerivedImage({
      image,
      time: { world, life, msMax: () => this.readMsMax },
      refusal,
      isFull: () => this.isFull,
      underWay: (land, notice) => {
        this.#underWayFor(land, () => life.do(notice))
        this.viewsWritten(database)
      }
    })
  }

  async #open(
    life: Life,
    owner: { readonly database: string; readonly publicKey: Uint8Array },
    create: boolean
  ): Promise<EventStore> {
    const { database } = owner
    let image = this.#images.get(database)
    if (image === undefined) {
      if (!create) throw new LaterbaseError('LATERBASE_STORE_LOST', database)
      if (this.isFull) throw noSpace()
      const rng = worldRng(this.#world)
      image = emptyImage(rng.bytes(8), rng.bytes(16))
      this.#images.set(database, image)
    }
    const { torn, incarnation, nonce } = image
    image.torn = undefined
    if (torn !== undefined && this.#world.chance(0.5)) this.#land(image, { ...torn, isFound: true })
    const store = createMemoryStore({
      owner,
      hasher: this.#hasher,
      rng: { bytes: (length) => (length === 8 ? incarnation : nonce), fraction: () => 0 }
    })
    for (const batch of image.batches) await store.write(batch)
    return this.#mount(life, { database, image, store })
  }

  #mount(
    life: Life,
    { database, image, store }: { database: string; image: Image; store: EventStore }
  ): EventStore {
    const mounted = { view: new SetView(image.view), failed: false }
    if (!life.isDead) this.#mounted.set(database, mounted)
    const write = (batch: StoreBatch): Promise<void> =>
      new Promise((resolve, reject) => {
        // What ends with a process goes on for an instant, and must not reach the disk.
        if (life.isDead) return
        const ownLog = this.#ownLogAfter(store, batch)
        const believed = this.#witness.submitted(batch, ownLog)
        const landing = { database, ownLog, batch, believed }
        let facts: readonly CommitFacts[] | undefined
        const apply = (): void => {
          for (const each of facts ?? []) mounted.view.add(each)
          store.write(batch).then(resolve, (error: unknown) => {
            this.#witness.refused(String(error))
            reject(error)
          })
        }
        if (mounted.failed) {
          life.after(this.#writeMs(), apply)
          return
        }
        const land = (): void => {
          if (this.isFull) image.torn = landing
          else facts = this.#land(image, landing)
        }
        const notice = (): void => {
          if (facts !== undefined) {
            apply()
            return
          }
          mounted.failed = true
          this.hasEverFailed = true
          reject(noSpace())
        }
        this.#underWayFor(land, () => life.do(notice))
      })
    let isClosed = false
    const close = async (): Promise<void> => {
      isClosed = true
    }
    const time = { world: this.#world, life, msMax: () => this.readMsMax, isClosed: () => isClosed }
    const own = { ...slowReads(store, time), write, close }
    return new Proxy(store, {
      get: (target, name) => {
        if (name in own) return Reflect.get(own, name)
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? member.bind(target) : member
      }
    })
  }

  /** The log that the node's own commit in a batch is of. */
  #ownLogAfter({ ownLog }: EventStore, { renewal }: StoreBatch): LogId {
    if (renewal === undefined) return ownLog.id
    return logOrigin({ ...ownLog.genesis, nonce: renewal.nonce }, this.#hasher).id
  }

  /** Writes, syncs, and only then says so. */
  #land(image: Image, landing: Landing): readonly CommitFacts[] {
    const facts = this.#witness.landed(landing)
    append(image, landing.batch, facts)
    image.synced = image.batches.length
    return facts
  }

  /** `land` happens to the disk, whatever becomes of the process; `notice` to the process. */
  #underWayFor(land: () => void, notice: () => void): void {
    const once = (): void => {
      this.#underWay.delete(once)
      land()
    }
    this.#underWay.add(once)
    this.#world.after(this.#writeMs(), () => {
      if (!this.#underWay.has(once)) return
      once()
      notice()
    })
  }

  #writeMs(): number {
    return this.#world.prng.fraction() * WRITE_MS_MAX
  }
}

/** What a write takes at the most, ms. */
export const WRITE_MS_MAX = 5

function copyDerived(derived: ReadonlyMap<string, DerivedImage>): Map<string, DerivedImage> {
  return new Map([...derived].map(([database, image]) => [database, image.copy()]))
}

function noSpace(): LaterbaseError {
  return new LaterbaseError('LATERBASE_STORE_FAILED', 'no space left on the simulated device')
}
