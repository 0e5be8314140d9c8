/** The views of one database: functions of this program, and definitions that replicate. */

import type { Hasher } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import type { EventStore, KeyRange, StoredEvent } from '../store/event-store.ts'
import type { NativeView } from '../views/define-view.ts'
import { nativeProgram } from '../views/native-program.ts'
import type { ViewBuild } from '../views/view-build.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import { ViewEngine } from '../views/view-engine.ts'
import type { ViewSlot } from '../views/view-slot.ts'
import type { DatabaseInit } from './database-init.ts'
import { isDatabaseName } from './database-registry.ts'
import { DatabaseView, digestOf } from './database-view.ts'
import { VIEW_FAULTS_SHOWN } from './limits.ts'
import { healedScan } from './healed-read.ts'
import { keyTextOf } from './view-causes.ts'
import { DatabaseViewSource } from './view-source.ts'
import type { View, ViewInfo, Views } from './views.ts'

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
}

export function openDatabaseViews(init: DatabaseInit, database: ViewedDatabase): DatabaseViews {
  const { store, hasher, clock, openViews: openStore, name } = init
  const { head, changed, reading, scan, heal, reached } = database
  const scanning = (range: KeyRange): AsyncIterable<StoredEvent> => healedScan(range, scan, heal)
  const { peerId } = init
  const source = new DatabaseViewSource({ store, head, changed, reading, scanning, peerId })
  const log = (message: string, fields: Readonly<Record<string, unknown>>): void => {
    init.log('warn', message, { database: name, ...fields })
  }
  const engine = new ViewEngine({ source, openStore, clock, log })
  return new DatabaseViews({ engine, source, store, hasher, reached })
}

export interface DatabaseViewsInit {
  readonly engine: ViewEngine
  readonly source: DatabaseViewSource
  readonly store: EventStore
  readonly hasher: Hasher
  readonly reached: (cursor: string, signal: AbortSignal | undefined) => Promise<void>
}

export class DatabaseViews implements Views {
  readonly #init: DatabaseViewsInit

  constructor(init: DatabaseViewsInit) {
    this.#init = init
  }

  async list(): Promise<readonly ViewInfo[]> {
    const { engine } = this.#init
    const infos: ViewInfo[] = []
    for (const name of engine.names()) infos.push(await this.#info(engine.slot(name)))
    return infos
  }

  get(name: string): View {
    return this.#view(this.#init.engine.slot(name))
  }

  async define<Data, State, Result>(view: NativeView<Data, State, Result>): Promise<View<Result>> {
    checkViewName(view.name)
    const { engine, hasher } = this.#init
    const program = nativeProgram(view, hasher)
    const slot = await engine.define(view.name, program, 'library')
    return this.#view(slot) as unknown as View<Result>
  }

  async put(name: string, definition: ViewDefinition): Promise<ViewInfo> {
    throw new LaterbaseError('LATERBASE_VIEW_INVALID', `not yet: ${name} ${typeof definition}`)
  }

  async definition(name: string): Promise<ViewDefinition | undefined> {
    void name
    return undefined
  }

  async remove(name: string): Promise<void> {
    await this.#init.engine.remove(name)
  }

  /** Idempotent. */
  close(): Promise<void> {
    return this.#init.engine.close()
  }

  #view(slot: ViewSlot): DatabaseView {
    const { source, store, reached } = this.#init
    return new DatabaseView({ slot, source, store, reached, info: (each) => this.#info(each) })
  }

  async #info(slot: ViewSlot): Promise<ViewInfo> {
    const { source, engine } = this.#init
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
      reason: failure,
      progress: done === undefined ? undefined : { done: Math.min(done, total), total },
      lc: current?.cursor,
      behind: current === undefined ? total : await source.behind(current.cursor),
      rows: current?.state.rows ?? 0,
      faults: current?.state.faults ?? 0,
      lastFaults: current === undefined ? [] : await lastFaultsOf(current),
      digest: current && digestOf(current, current),
      diskBytes: await engine.diskBytes(slot)
    }
  }
}

function stateOf({ current, failure, done }: ViewSlot): ViewInfo['state'] {
  if (failure !== undefined) return 'failed'
  if (current === undefined) return 'building'
  return done === undefined ? 'ready' : 'replacing'
}

async function lastFaultsOf(build: ViewBuild): Promise<ViewInfo['lastFaults']> {
  const reading = await build.read()
  try {
    const faults = await build.index.faults(reading.reader, VIEW_FAULTS_SHOWN)
    return faults.map(({ place, fault }) => {
      return { key: keyTextOf(place), fault }
    })
  } finally {
    await reading.release()
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
