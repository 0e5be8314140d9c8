/**
 * The views of one database: opens their store when there is the first one, builds what is missing, keeps
 * what was built before, and begins anew where what is stored cannot be read.
 */

import type { Clock, Timer } from '../core/clock.ts'
import { LaterbaseError, isDamage } from '../errors.ts'
import type { DerivedStore } from '../store/derived-store.ts'
import { Catalog } from './catalog.ts'
import type { ViewOrigin } from './catalog.ts'
import { REOPEN_MS } from './limits.ts'
import type { ViewProgram } from './program.ts'
import { ViewSlot } from './view-slot.ts'
import type { ViewSource } from './view-source.ts'
import { watchedStore } from './watched-store.ts'

export interface ViewEngineInit {
  readonly source: ViewSource
  /** @param anew without what was there, which cannot be read */
  readonly openStore: (anew: boolean) => Promise<DerivedStore>
  readonly clock: Clock
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void
}

export class ViewEngine {
  readonly #init: ViewEngineInit
  readonly #slots = new Map<string, ViewSlot>()
  #opening: Promise<Catalog | undefined> | undefined
  /** The one in use. */
  #store: DerivedStore | undefined
  #building: Promise<unknown> = Promise.resolve()
  #reopening: Timer | undefined
  /** Views that were removed, and may still be stored: the store was failing. */
  readonly #removed = new Set<string>()
  /** Why nothing answered when the store was last tried, or failed. */
  #absence: LaterbaseError | undefined
  #isClosed = false

  constructor(init: ViewEngineInit) {
    this.#init = init
  }

  names(): readonly string[] {
    return [...this.#slots.keys()].sort()
  }

  /** @throws LATERBASE_VIEW_UNKNOWN */
  slot(name: string): ViewSlot {
    const slot = this.#slots.get(name)
    if (slot !== undefined) return slot
    throw unknown(name, this.names())
  }

  has(name: string): boolean {
    return this.#slots.has(name)
  }

  /** There is a build of this program under that name, perhaps from before a restart. */
  async isBuilt(name: string, program: ViewProgram): Promise<boolean> {
    const catalog = await this.#open()
    return catalog?.get(name)?.hash === program.hash
  }

  /** Adds or replaces a view; its build goes on in the background. */
  async define(name: string, program: ViewProgram, origin: ViewOrigin): Promise<ViewSlot> {
    const held = this.#slots.get(name)
    if (held !== undefined) {
      held.replace(program, origin)
      return held
    }
    const slot = new ViewSlot(
      {
        name,
        source: this.#init.source,
        failed: (reason) => this.#init.log('a view cannot be built', { view: name, reason }),
        turn: (build) => this.#inTurn(build),
        later: (work) => this.#init.clock.setTimer(REOPEN_MS, work)
      },
      program,
      origin
    )
    this.#slots.set(name, slot)
    this.#removed.delete(name)
    const catalog = await this.#open()
    if (this.#slots.get(name) !== slot) return slot
    // Where the store is to be opened anew it begins then, with the others.
    if (catalog !== undefined && this.#reopening === undefined) slot.begin(catalog)
    else if (this.#absence !== undefined) slot.end(this.#absence)
    return slot
  }

  /** @throws LATERBASE_VIEW_UNKNOWN */
  async remove(name: string): Promise<void> {
    const slot = this.slot(name)
    this.#slots.delete(name)
    slot.end(unknown(name))
    this.#removed.add(name)
    const catalog = await this.#opening
    if (catalog !== undefined) await this.#forget(catalog, name, slot)
  }

  /**
   * Forgets what is stored of views whose definition was taken away while this node was off. What a program
   * defines may still be defined by it.
   */
  async forgetUndefined(): Promise<void> {
    const catalog = await this.#opening
    for (const name of catalog?.views('definition') ?? []) {
      if (catalog !== undefined && !this.#slots.has(name)) await this.#forget(catalog, name)
    }
  }

  /** Where the store fails it is done when that is open again. */
  async #forget(catalog: Catalog, name: string, slot?: ViewSlot): Promise<void> {
    if (catalog.store !== this.#store) return
    const entry = catalog.get(name)
    try {
      await catalog.remove(name)
      this.#removed.delete(name)
      if (entry === undefined) return
      if (slot === undefined) await catalog.clear(entry.build)
      else slot.clear(catalog, entry.build)
    } catch (error) {
      if (this.#store === catalog.store) throw error
    }
  }

  async diskBytes(slot: ViewSlot): Promise<number> {
    const catalog = await this.#opening
    const { current } = slot
    return catalog === undefined || current === undefined
      ? 0
      : catalog.store.diskBytes(current.prefix)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#reopening?.cancel()
    const closed = new LaterbaseError('LATERBASE_CLOSED', 'the views are closed')
    for (const slot of this.#slots.values()) slot.end(closed)
    await this.#building.catch(() => undefined)
    const catalog = await this.#opening
    await catalog?.store.close()
  }

  /** Undefined while the store does not open. */
  #open(): Promise<Catalog | undefined> {
    this.#opening ??= this.#openStore(false)
    return this.#opening
  }

  /** @param anew without what was there */
  async #openStore(anew: boolean): Promise<Catalog | undefined> {
    if (this.#isClosed) return undefined
    try {
      return await this.#openCatalog(anew)
    } catch (error) {
      if (isDamage(error) && !anew) {
        this.#init.log('what is stored of views cannot be read: they are built anew', {
          error: String(error)
        })
        return this.#openStore(true)
      }
      this.#init.log('the store of views does not open: it is tried again', {
        error: String(error)
      })
      this.#endAll(`views do not open, and are tried again: ${String(error)}`, error)
      this.#reopenSoon(false)
      return undefined
    }
  }

  /** Nothing answers for this reason, until the store is open again. */
  #endAll(message: string, cause: unknown): void {
    const why = new LaterbaseError('LATERBASE_VIEW_FAILED', message, { cause })
    this.#absence = why
    for (const slot of this.#slots.values()) slot.end(why)
  }

  async #openCatalog(anew: boolean): Promise<Catalog> {
    const opened = await this.#init.openStore(anew)
    // Of one that is not in use yet, or not any more, whoever opens or closes it is told.
    const store = watchedStore(opened, (error) => {
      if (this.#store === store) this.#failed(error)
    })
    try {
      const catalog = await Catalog.open(store)
      this.#store = store
      return catalog
    } catch (error) {
      await store.close().catch(() => undefined)
      throw error
    }
  }

  /** What failed once fails on: LevelDB's handle is of no use after an error of the disk. */
  #failed(error: unknown): void {
    if (this.#isClosed) return
    this.#store = undefined
    this.#init.log('views are opened anew after an error', { error: String(error) })
    this.#endAll(`views cannot be read now, and are opened anew: ${String(error)}`, error)
    this.#reopenSoon(isDamage(error))
  }

  #reopenSoon(anew: boolean): void {
    if (this.#isClosed) return
    this.#reopening ??= this.#init.clock.setTimer(REOPEN_MS, () => {
      this.#reopening = undefined
      // At once, so that nobody else opens what is not closed yet.
      this.#opening = this.#reopened(this.#opening, anew)
    })
  }

  async #reopened(
    before: Promise<Catalog | undefined> | undefined,
    anew: boolean
  ): Promise<Catalog | undefined> {
    const held = await before
    await held?.store.close().catch(() => undefined)
    const catalog = await this.#openStore(anew)
    if (catalog === undefined || this.#isClosed) return catalog
    for (const name of this.#removed) await this.#forget(catalog, name)
    for (const slot of this.#slots.values()) slot.begin(catalog)
    return catalog
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#building.then(work, work)
    this.#building = done.catch(() => undefined)
    return done
  }
}

/** With what there is in its place: a name is often mistyped. */
function unknown(name: string, others: readonly string[] = []): LaterbaseError {
  const shown = others.slice(0, NAMES_SHOWN).join(', ') + (others.length > NAMES_SHOWN ? ', …' : '')
  const message = `no view ${JSON.stringify(name.slice(0, 80))}`
  const there = shown === '' ? message : `${message}: there are ${shown}`
  return new LaterbaseError('LATERBASE_VIEW_UNKNOWN', there)
}

const NAMES_SHOWN = 10
