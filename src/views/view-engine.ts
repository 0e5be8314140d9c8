/**
 * The views of one database: opens their store when there is the first one, builds what is missing, keeps
 * what was built before, and begins anew where what is stored cannot be read.
 */

import type { Clock, Timer } from '../core/clock.ts'
import { LaterbaseError, isDamage, isLaterbaseError } from '../errors.ts'
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
  #building: Promise<unknown> = Promise.resolve()
  #reopening: Timer | undefined
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
    throw new LaterbaseError(
      'LATERBASE_VIEW_UNKNOWN',
      `no view ${JSON.stringify(name.slice(0, 80))}`
    )
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
    const catalog = await this.#open()
    if (catalog !== undefined && this.#slots.get(name) === slot) slot.begin(catalog)
    return slot
  }

  /** @throws LATERBASE_VIEW_UNKNOWN */
  async remove(name: string): Promise<void> {
    const slot = this.slot(name)
    this.#slots.delete(name)
    slot.end()
    await this.#inTurn(async () => {
      const catalog = await this.#opening
      if (!this.#slots.has(name)) await catalog?.remove(name)
    })
  }

  /**
   * Forgets what is stored of views whose definition was taken away while this node was off. What a program
   * defines may still be defined by it.
   */
  async forgetUndefined(): Promise<void> {
    await this.#inTurn(async () => {
      const catalog = await this.#opening
      for (const name of catalog?.views('definition') ?? []) {
        if (!this.#slots.has(name)) await catalog?.remove(name)
      }
    })
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
    for (const slot of this.#slots.values()) slot.end()
    await this.#building.catch(() => undefined)
    await this.#closeStore()
  }

  /** Undefined while the store does not open. */
  #open(): Promise<Catalog | undefined> {
    this.#opening ??= this.#openStore()
    return this.#opening
  }

  async #openStore(): Promise<Catalog | undefined> {
    if (this.#isClosed) return undefined
    try {
      return await this.#openCatalog(false)
    } catch (error) {
      if (isDamage(error)) {
        this.#init.log('what is stored of views cannot be read: they are built anew', {
          error: String(error)
        })
        return this.#openCatalog(true).catch((again: unknown) => this.#notOpened(again))
      }
      return this.#notOpened(error)
    }
  }

  async #openCatalog(anew: boolean): Promise<Catalog> {
    const opened = await this.#init.openStore(anew)
    const store = watchedStore(opened, (error) => this.#failed(error))
    try {
      return await Catalog.open(store)
    } catch (error) {
      await store.close().catch(() => undefined)
      throw error
    }
  }

  #notOpened(error: unknown): undefined {
    this.#init.log('the store of views does not open: it is tried again', { error: String(error) })
    this.#reopenSoon(false)
    return undefined
  }

  /** What failed once fails on: LevelDB's handle is of no use after an error of the disk. */
  #failed(error: unknown): void {
    const isClosing = this.#isClosed || isLaterbaseError(error, 'LATERBASE_CLOSED')
    if (isClosing || this.#reopening !== undefined) return
    this.#init.log('views are opened anew after an error', { error: String(error) })
    for (const slot of this.#slots.values()) slot.end()
    this.#reopenSoon(isDamage(error))
  }

  #reopenSoon(anew: boolean): void {
    if (this.#isClosed) return
    this.#reopening ??= this.#init.clock.setTimer(REOPEN_MS, () => {
      void this.#reopen(anew)
    })
  }

  async #reopen(anew: boolean): Promise<void> {
    await this.#closeStore().catch(() => undefined)
    this.#reopening = undefined
    this.#opening = anew
      ? this.#openCatalog(true).catch((error: unknown) => this.#notOpened(error))
      : this.#openStore()
    const catalog = await this.#opening
    if (catalog === undefined) this.#opening = undefined
    else for (const slot of this.#slots.values()) slot.begin(catalog)
  }

  async #closeStore(): Promise<void> {
    const catalog = await this.#opening
    this.#opening = undefined
    await catalog?.store.close()
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#building.then(work, work)
    this.#building = done.catch(() => undefined)
    return done
  }
}
