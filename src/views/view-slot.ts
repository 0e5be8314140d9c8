/**
 * One view of a database, by its name: the build that answers, and the one that will. A definition that is
 * replaced answers until its successor is whole.
 */

import type { Timer } from '../core/clock.ts'
import { LaterbaseError, isLaterbaseError } from '../errors.ts'
import type { Catalog, ViewOrigin } from './catalog.ts'
import { OverworkedError } from './effort.ts'
import type { ViewProgram } from './program.ts'
import { unlessAborted } from './unless-aborted.ts'
import { ViewBuild } from './view-build.ts'
import type { BuildStep } from './view-build.ts'
import type { ViewSource } from './view-source.ts'

export interface SlotInit {
  readonly name: string
  readonly source: ViewSource
  /** One build at a time in a database: each goes through all events. */
  readonly turn: (build: () => Promise<void>) => Promise<void>
  /** Told why a build could not be made. */
  readonly failed: (reason: string) => void
  /** Another try after an error. */
  readonly later: (work: () => void) => Timer
}

/** Who follows what changes in a view. */
export interface Watcher {
  /** Called with each batch that changes what is answered. */
  step(step: BuildStep): Promise<void>
  /** Nothing more is told: what comes next does not follow from what was. */
  end(why: LaterbaseError): void
}

export class ViewSlot {
  readonly name: string
  readonly #init: SlotInit
  #catalog: Catalog | undefined
  #program: ViewProgram
  #origin: ViewOrigin
  #current: ViewBuild | undefined
  #making: Making | undefined
  /** Why there is neither a build nor one under way. */
  #absence = new LaterbaseError('LATERBASE_CLOSED', 'views are not open yet')
  #failure: Failure | undefined
  /** Builds that were dropped, and may be writing a last time. */
  readonly #left = new Set<ViewBuild>()
  #retry: Timer | undefined
  readonly #watchers = new Set<Watcher>()

  constructor(init: SlotInit, program: ViewProgram, origin: ViewOrigin) {
    this.name = init.name
    this.#init = init
    this.#program = program
    this.#origin = origin
  }

  get program(): ViewProgram {
    return this.#program
  }

  get origin(): ViewOrigin {
    return this.#origin
  }

  /** What answers now. */
  get current(): ViewBuild | undefined {
    return this.#current
  }

  /** Why it does not answer, or goes on with a definition before. */
  get failure(): Failure | undefined {
    if (this.#failure !== undefined || this.#current !== undefined) return this.#failure
    if (this.#making !== undefined) return undefined
    return { reason: this.#absence.message, isRefused: false }
  }

  /** Events that the build under way has looked at; undefined while there is none. */
  get done(): number | undefined {
    return this.#making?.done
  }

  /** The store is open. */
  begin(catalog: Catalog): void {
    if (this.#catalog === catalog) return
    this.#catalog = catalog
    this.#start()
  }

  /** The store is not open any more: until there is one again nothing answers, for this reason. */
  end(why: LaterbaseError): void {
    this.#catalog = undefined
    this.#retry?.cancel()
    this.#making?.abort.abort()
    this.#making = undefined
    if (this.#current !== undefined) this.#leave(this.#current)
    this.#current = undefined
    this.#absence = why
    this.#endWatching(why)
  }

  /**
   * Removes the records of a build that nobody begins to read any more, once nothing is written by it. What a
   * store that fails or closes leaves is swept when it is opened.
   */
  clear(catalog: Catalog, build: number): void {
    const left = [...this.#left]
    this.#left.clear()
    Promise.all(left.map((each) => each.settled()))
      .then(() => catalog.clear(build))
      .catch(() => undefined)
  }

  replace(program: ViewProgram, origin: ViewOrigin): void {
    this.#origin = origin
    if (program.hash === this.#program.hash && this.#failure === undefined) return
    this.#program = program
    this.#start()
  }

  /**
   * The build that answers; waits for the first one.
   *
   * @throws LATERBASE_VIEW_FAILED; LATERBASE_VIEW_UNKNOWN; LATERBASE_CLOSED; `signal.reason`
   */
  async ready(signal: AbortSignal | undefined): Promise<ViewBuild> {
    for (;;) {
      signal?.throwIfAborted()
      if (this.#current !== undefined) return this.#current
      if (this.#failure !== undefined) throw this.#failed(this.#failure)
      const making = this.#making
      if (making === undefined) throw this.#absence
      await (signal === undefined ? making.made : unlessAborted(making.made, signal))
    }
  }

  /** Resolves when no build is under way. */
  async made(signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      signal?.throwIfAborted()
      const making = this.#making
      if (making === undefined) return
      await (signal === undefined ? making.made : unlessAborted(making.made, signal))
    }
  }

  /** With all that is held now in it. @throws LATERBASE_VIEW_FAILED */
  async refresh(build: ViewBuild): Promise<void> {
    try {
      await build.refresh()
    } catch (error) {
      if (!(error instanceof OverworkedError)) throw error
      const failure = { reason: error.message, isRefused: true }
      if (this.#current === build) this.#refuse(failure)
      throw this.#failed(failure)
    }
  }

  /** Nothing answers any more. */
  #refuse(failure: Failure): void {
    const before = this.#current
    this.#current = undefined
    this.#failure = failure
    if (before !== undefined) this.#leave(before)
    this.#endWatching(this.#failed(failure))
  }

  /** Resolves when it is known whether there is a build of before; at once where something answers. */
  async looked(signal?: AbortSignal): Promise<void> {
    if (this.#current !== undefined || this.#making === undefined) return
    const looked = this.#making.looked.then(
      () => undefined,
      () => undefined
    )
    await (signal === undefined ? looked : unlessAborted(looked, signal))
  }

  watch(watcher: Watcher): () => void {
    this.#watchers.add(watcher)
    this.#showTo(this.#current)
    return () => {
      this.#watchers.delete(watcher)
      this.#showTo(this.#current)
    }
  }

  #showTo(build: ViewBuild | undefined): void {
    if (build === undefined) return
    const tell = async (step: BuildStep): Promise<void> => {
      // Who comes while the others are told may watch another build already.
      const watching = Array.from(this.#watchers)
      for (const watcher of watching) {
        if (this.#watchers.has(watcher)) await watcher.step(step)
      }
    }
    build.watch = this.#watchers.size === 0 ? undefined : tell
  }

  #endWatching(why: LaterbaseError): void {
    for (const watcher of this.#watchers) watcher.end(why)
    this.#watchers.clear()
  }

  #leave(build: ViewBuild): void {
    build.drop()
    this.#left.add(build)
  }

  #start(): void {
    const catalog = this.#catalog
    this.#making?.abort.abort()
    this.#making = undefined
    this.#failure = undefined
    this.#retry?.cancel()
    const isMade = this.#current?.program.hash === this.#program.hash
    if (catalog === undefined || isMade) return
    const making = new Making(this.#program)
    this.#making = making
    making.looked = this.#look(catalog, making)
    making.made = making.looked
      .then((isHeld) => (isHeld ? undefined : this.#init.turn(() => this.#make(catalog, making))))
      .catch((error: unknown) => this.#couldNotMake(making, error))
  }

  /** Whether it was built before; then that answers at once, whatever other views are being built. */
  async #look(catalog: Catalog, making: Making): Promise<boolean> {
    const held = await this.#held(catalog, making)
    if (held === undefined) return false
    if (this.#making === making) this.#answerWith(held)
    else held.drop()
    return true
  }

  async #make(catalog: Catalog, making: Making): Promise<void> {
    making.abort.signal.throwIfAborted()
    const build = await this.#build(catalog, making)
    if (this.#making !== making) {
      build.drop()
      await catalog.clear(build.number)
      return
    }
    const stored = catalog.get(this.name)
    this.#answerWith(build)
    const { hash } = making.program
    await catalog.set(this.name, { build: build.number, hash, origin: this.#origin })
    if (stored !== undefined) this.clear(catalog, stored.build)
  }

  #answerWith(build: ViewBuild): void {
    const before = this.#current
    this.#making = undefined
    this.#failure = undefined
    this.#current = build
    // Before anything is cleared: whoever reads what was before has a snapshot of it.
    if (before !== undefined) this.#leave(before)
    this.#endWatching(replaced(this.name))
  }

  /** What was built before, by the same program and for the same store of events. */
  async #held(catalog: Catalog, making: Making): Promise<ViewBuild | undefined> {
    const entry = catalog.get(this.name)
    if (entry === undefined || entry.hash !== making.program.hash) return undefined
    const { source } = this.#init
    const { store } = catalog
    const { program } = making
    const build = await ViewBuild.open({ store, source, program, number: entry.build })
    try {
      if (build !== undefined) await source.behind(build.cursor)
      return build
    } catch (error) {
      if (isLaterbaseError(error, 'LATERBASE_CURSOR_FOREIGN')) return undefined
      throw error
    }
  }

  async #build(catalog: Catalog, making: Making): Promise<ViewBuild> {
    const { program, abort } = making
    const number = catalog.next()
    const init = { store: catalog.store, source: this.#init.source, program, number }
    try {
      const build = await ViewBuild.make(init, abort.signal, (done) => {
        making.done = done
      })
      abort.signal.throwIfAborted()
      return build
    } catch (error) {
      await catalog.clear(number).catch(() => undefined)
      throw error
    }
  }

  #couldNotMake(making: Making, error: unknown): void {
    if (this.#making !== making) return
    this.#making = undefined
    if (isLaterbaseError(error, 'LATERBASE_CLOSED')) return
    const isRefused = error instanceof OverworkedError
    const reason = isRefused ? error.message : String(error)
    this.#init.failed(reason)
    // What the text does it does again. What answered before would never be replaced, and does not say what is asked.
    if (isRefused) this.#refuse({ reason, isRefused })
    else {
      // What a disk or a peer does not give may be given later; what answered before goes on.
      this.#failure = { reason, isRefused: false }
      this.#retry = this.#init.later(() => this.#start())
    }
  }

  #failed({ reason, isRefused }: Failure): LaterbaseError {
    const options = isRefused ? { facts: { refused: true } } : {}
    return new LaterbaseError('LATERBASE_VIEW_FAILED', `view ${this.name}: ${reason}`, options)
  }
}

function replaced(view: string): LaterbaseError {
  const message = `view ${view} is another one now: ask it, and follow it from there`
  return new LaterbaseError('LATERBASE_CHANGES_LOST', message)
}

/** Why nothing answers: the definition is not to be run any more, or what it takes to run it failed. */
export interface Failure {
  readonly reason: string
  readonly isRefused: boolean
}

/** A build under way. */
class Making {
  readonly program: ViewProgram
  readonly abort = new AbortController()
  /** Whether there is one of before. */
  looked: Promise<boolean> = Promise.resolve(false)
  /** Never rejects. */
  made: Promise<void> = Promise.resolve()
  done = 0

  constructor(program: ViewProgram) {
    this.program = program
  }
}
