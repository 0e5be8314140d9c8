/** The views of one database: functions of this program, and definitions that replicate. */

import type { Clock, Hasher, Rng } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError, isLaterbaseError } from '../errors.ts'
import type { EventStore, KeyRange, StoredEvent } from '../store/event-store.ts'
import type { AnyView, NativeView, SelectingView } from '../views/define-view.ts'
import { nativeProgram } from '../views/native-program.ts'
import type { ViewProgram } from '../views/program.ts'
import { upcastProgram } from '../views/upcast-program.ts'
import type { IndexedEvent } from '../views/view-index.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import { TRIAL_EVENTS_MAX } from '../views/limits.ts'
import { findDifference } from '../views/trial.ts'
import { ViewEngine } from '../views/view-engine.ts'
import type { ViewSlot } from '../views/view-slot.ts'
import type { DatabaseInit } from './database-init.ts'
import { isDatabaseName } from './database-registry.ts'
import { DatabaseView, digestOf } from './database-view.ts'
import { contentOf } from './definition-events.ts'
import type { Definitions } from './definitions.ts'
import { VIEWS_NAMED_MAX } from './limits.ts'
import { healedScan } from './healed-read.ts'
import { DatabaseViewSource } from './view-source.ts'
import type { ViewSourceInit } from './view-source.ts'
import { ViewDefinitions } from './view-definitions.ts'
import type { RefusedDefinition } from './view-definitions.ts'
import { lastFaultsOf, refusedInfo, stateOf } from './view-info.ts'
import type { View, ViewGetOptions, ViewInfo, Views } from './views.ts'

/** What the views of a database need of it. */
export interface ViewedDatabase {
  /** A cursor of everything held, made once a commit. */
  readonly head: () => string
  readonly changed: (cursor: string, signal: AbortSignal) => Promise<void>
  /** Waits until damage is healed, and ends when the database does. */
  readonly reading: <T>(read: () => Promise<T>) => Promise<T>
  readonly scan: (range: KeyRange) => AsyncIterable<StoredEvent[]>
  readonly heal: (error: unknown) => Promise<boolean>
  readonly reached: (cursor: string, signal: AbortSignal | undefined) => Promise<void>
  readonly definitions: Definitions
}

export function openDatabaseViews(init: DatabaseInit, database: ViewedDatabase): DatabaseViews {
  const { store, hasher, clock, openViews: openStore, name } = init
  const { definitions, head, changed, reading, scan, heal, reached } = database
  const scanning: ViewSourceInit['scanning'] = (range) => healedScan(range, scan, heal)
  const { peerId } = init
  const source = new DatabaseViewSource({ store, head, changed, reading, scanning, peerId })
  const log = (message: string, fields: Readonly<Record<string, unknown>>): void => {
    init.log('warn', message, { database: name, ...fields })
  }
  const engine = new ViewEngine({ source, openStore, clock, log })
  const upcast = (program: ViewProgram): ViewProgram =>
    upcastProgram(program, init.upcasters, hasher)
  const compile = async (definition: Json): Promise<ViewProgram> =>
    upcast(await init.viewCompiler.compile(definition))
  const followed = new ViewDefinitions({ engine, definitions, compile })
  const views = new DatabaseViews({
    name,
    engine,
    source,
    store,
    hasher,
    rng: init.rng,
    clock,
    reached,
    definitions,
    followed,
    compile,
    upcast,
    differs: (view) => init.viewDiffers(name, view),
    log
  })
  defineConfigured(init, views)
  return views
}

/** What is wrong with one is said in the log: a database is of use without it. */
function defineConfigured(init: DatabaseInit, views: DatabaseViews): void {
  const defined = init.views.map((view) => [view.name, views.defineAny(view)] as const)
  const put = Object.entries(init.viewDefinitions).map(([name, definition]) => {
    return [name, views.put(name, definition)] as const
  })
  for (const [view, done] of [...defined, ...put]) {
    done.catch((error: unknown) => {
      if (isLaterbaseError(error, 'LATERBASE_CLOSED')) return
      const fields = { database: init.name, view, reason: String(error) }
      init.log('error', 'a view of the configuration is not used', fields)
      // Of a fault of this machine the reason may name its paths.
      const isInvalid = isLaterbaseError(error, 'LATERBASE_VIEW_INVALID')
      views.noteUnusable(view, isInvalid ? error.message : 'the log of the node says why')
    })
  }
}

export interface DatabaseViewsInit {
  /** Of the database. */
  readonly name: string
  readonly engine: ViewEngine
  readonly source: DatabaseViewSource
  readonly store: EventStore
  readonly hasher: Hasher
  readonly rng: Rng
  readonly clock: Clock
  readonly reached: (cursor: string, signal: AbortSignal | undefined) => Promise<void>
  readonly definitions: Definitions
  readonly followed: ViewDefinitions
  readonly compile: (definition: Json) => Promise<ViewProgram>
  /** With the upcasters of this program before it. */
  readonly upcast: (program: ViewProgram) => ViewProgram
  /** Peers whose view of a name has other rows of the same events. */
  readonly differs: (view: string) => readonly string[]
  readonly log: (message: string, fields: Readonly<Record<string, unknown>>) => void
}

/** What a view contains, in a word that is equal on all nodes. */
export interface ViewContents {
  readonly name: string
  /** Of its functions: 64 hex digits. */
  readonly hash: string
  /** 32 hex digits. */
  readonly digest: string
}

export class DatabaseViews implements Views {
  readonly #init: DatabaseViewsInit
  #following: Promise<void> | undefined
  #last: Promise<unknown> = Promise.resolve()
  /** By name, why a view of the configuration is not used. */
  readonly #unusable = new Map<string, string>()

  constructor(init: DatabaseViewsInit) {
    this.#init = init
  }

  /** What is defined has changed, or may have. */
  follow(): void {
    this.#following = this.#init.followed.follow().catch((error: unknown) => {
      if (isLaterbaseError(error, 'LATERBASE_CLOSED')) return
      this.#init.log('definitions of views cannot be read', { error: String(error) })
    })
  }

  /** A view of the configuration makes no view here: whoever asks for it is told why. */
  noteUnusable(name: string, reason: string): void {
    this.#unusable.set(name, `its configuration is not used: ${reason}`)
  }

  /** Names that have no view here, and why. */
  #refused(): readonly RefusedDefinition[] {
    const { engine, followed } = this.#init
    const reasons = new Map(this.#unusable)
    for (const { name, reason } of followed.refused()) reasons.set(name, reason)
    return [...reasons]
      .filter(([name]) => !engine.has(name))
      .map(([name, reason]) => ({ name, reason }))
  }

  async list(): Promise<readonly ViewInfo[]> {
    const { engine } = this.#init
    await this.#followed()
    const infos: ViewInfo[] = []
    for (const name of engine.names()) infos.push(await this.#info(engine.slot(name)))
    return [...infos, ...this.#refused().map(refusedInfo)].sort((a, b) =>
      a.name < b.name ? -1 : 1
    )
  }

  /** Of views that answer nothing, for a person, in full sentences. */
  warnings(): readonly string[] {
    const { engine, name: database } = this.#init
    const failed = engine.names().flatMap((name) => {
      const { failure } = engine.slot(name)
      return failure === undefined ? [] : [{ name, ...failure }]
    })
    const all = [...failed, ...this.#refused().map((each) => ({ ...each, isRefused: true }))]
    return all.slice(0, VIEWS_NAMED_MAX).map(({ name, reason, isRefused }) => {
      const fault = isRefused ? 'is not run here' : 'could not be built, and is tried again'
      return `View ${name} of ${database} ${fault}: ${reason}`
    })
  }

  async get(name: string, { min_lc: minLc, signal }: ViewGetOptions = {}): Promise<View> {
    const { engine, reached } = this.#init
    await this.#followed()
    if (minLc !== undefined && !engine.has(name)) {
      await reached(minLc, signal)
      await this.#followed()
    }
    // It may be one that is being tried.
    if (!engine.has(name)) await this.#last
    const refused = engine.has(name)
      ? undefined
      : this.#refused().find((each) => each.name === name)
    if (refused !== undefined) {
      throw new LaterbaseError('LATERBASE_VIEW_FAILED', `view ${name}: ${refused.reason}`, {
        facts: { refused: true }
      })
    }
    return this.#view(engine.slot(name))
  }

  define<Data, State, Result, Input>(
    view: SelectingView<Data, State, Result, Input>
  ): Promise<View<Result>>
  define<Data, State, Result>(view: NativeView<Data, State, Result>): Promise<View<Result>>
  define(view: AnyView): Promise<View> {
    return this.defineAny(view)
  }

  async defineAny(view: AnyView): Promise<View> {
    checkViewName(view.name)
    const { engine, hasher, upcast } = this.#init
    const made = (): ViewProgram => upcast(nativeProgram(view, hasher))
    const program = made()
    return this.#inTurn(async () => {
      await this.#try(view.name, program, made)
      return this.#view(await engine.define(view.name, program, 'library'))
    })
  }

  async put(name: string, definition: ViewDefinition): Promise<ViewInfo> {
    checkViewName(name)
    return this.#inTurn(() => this.#put(name, definition))
  }

  async #put(name: string, definition: ViewDefinition): Promise<ViewInfo> {
    const { engine, definitions, compile } = this.#init
    if (engine.has(name) && engine.slot(name).origin === 'library') {
      const message = `view ${name} is one of functions of this program: remove it there first`
      throw new LaterbaseError('LATERBASE_VIEW_INVALID', message)
    }
    const content = definition as Json
    await this.#try(name, await compile(content))
    await definitions.put({ type: 'laterbase.view', name }, content)
    this.follow()
    await this.#followed()
    return this.#info(engine.slot(name))
  }

  async definition(name: string): Promise<ViewDefinition | undefined> {
    const { definitions } = this.#init
    await definitions.load()
    const held = definitions.get({ type: 'laterbase.view', name })
    return held && (contentOf(held.event) as unknown as ViewDefinition)
  }

  remove(name: string): Promise<void> {
    return this.#inTurn(() => this.#remove(name))
  }

  async #remove(name: string): Promise<void> {
    const { engine, definitions } = this.#init
    await this.#followed()
    if (engine.has(name) && engine.slot(name).origin === 'library') await engine.remove(name)
    else {
      const of = { type: 'laterbase.view', name } as const
      if (definitions.get(of) === undefined) engine.slot(name)
      await definitions.put(of, undefined)
    }
    // A definition that functions of this program stood before is used now.
    this.follow()
    await this.#followed()
  }

  /** @throws LATERBASE_VIEW_INVALID with two rows that came of the same events */
  async #try(name: string, program: ViewProgram, again?: () => ViewProgram): Promise<void> {
    const { engine, rng, clock } = this.#init
    if (await engine.isBuilt(name, program)) return
    const events = await this.#sample(name)
    const rows = await findDifference({ program, again, events, rng, clock })
    if (rows === undefined) return
    const message =
      `view ${name} is not a function of its events: of the same ones it made ${rows[0]} and ${rows[1]}. ` +
      'Its functions must not use clocks, random numbers, or what they themselves change'
    throw new LaterbaseError('LATERBASE_VIEW_INVALID', message)
  }

  /** None where the disk does not give them: a view is defined all the same, and its build tried again. */
  async #sample(view: string): Promise<readonly IndexedEvent[]> {
    try {
      return await this.#init.source.latest(TRIAL_EVENTS_MAX)
    } catch (error) {
      if (isLaterbaseError(error, 'LATERBASE_CLOSED')) throw error
      this.#init.log('a view is not tried before it is built', { view, error: String(error) })
      return []
    }
  }

  /** What is defined last counts, however long the trials of those before take. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }

  async #followed(): Promise<void> {
    if (this.#following === undefined) this.follow()
    await this.#following
  }

  /** Of the views that cover exactly what is held now. Nothing is brought up to date for it. */
  contents(): readonly ViewContents[] {
    const { engine, source } = this.#init
    const head = source.head()
    return engine.names().flatMap((name) => {
      const { current } = engine.slot(name)
      if (current === undefined || current.cursor !== head) return []
      return [{ name, hash: current.program.hash, digest: current.state.digest }]
    })
  }

  /** Hash of the functions that a name has now; undefined where there is no such view. */
  hashOf(name: string): string | undefined {
    const { engine } = this.#init
    return engine.has(name) ? engine.slot(name).program.hash : undefined
  }

  /** Idempotent. */
  close(): Promise<void> {
    return this.#init.engine.close()
  }

  #view(slot: ViewSlot): DatabaseView {
    const { source, store, reached, differs } = this.#init
    const info = (each: ViewSlot): Promise<ViewInfo> => this.#info(each)
    return new DatabaseView({ slot, source, store, reached, info, differs })
  }

  async #info(slot: ViewSlot): Promise<ViewInfo> {
    const { source, engine } = this.#init
    await slot.looked()
    const { program, origin, current, failure, done, name } = slot
    const total = source.eventCount()
    return {
      name,
      type: program.type,
      hash: program.hash,
      origin,
      reduce: program.type === 'map' ? program.reducer?.name : undefined,
      events: program.events,
      state: stateOf(slot),
      reason: failure?.reason,
      progress: done === undefined ? undefined : { done: Math.min(done, total), total },
      lc: current?.cursor,
      behind: current === undefined ? total : await source.behind(current.cursor),
      rows: current?.state.rows ?? 0,
      faults: current?.state.faults ?? 0,
      lastFaults: current === undefined ? [] : await lastFaultsOf(current),
      digest: current && digestOf(current, current),
      differs: this.#init.differs(name),
      diskBytes: await engine.diskBytes(slot)
    }
  }
}

/** @throws LATERBASE_NAME_INVALID */
function checkViewName(name: string): void {
  if (isDatabaseName(name)) return
  const message =
    `${JSON.stringify(name.slice(0, 80))} is not a name of a view: ` +
    '1 to 63 of a-z 0-9 _ -, a letter first, not db'
  throw new LaterbaseError('LATERBASE_NAME_INVALID', message)
}
