/**
 * A database with views on stores that outlive it, to which everything may be done, several things at one
 * time; and what it answered, compared with what each answer must be, from scratch, at the position that it
 * says it covers.
 */

import { isDeepStrictEqual } from 'node:util'

import { expect } from 'vitest'

import { present } from '../../src/core/assert.ts'
import type { Commit } from '../../src/core/commit.ts'
import { LaterbaseError } from '../../src/errors.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { EventInput } from '../../src/node/laterbase.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { ViewQuery } from '../../src/node/views.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { createMemoryStore } from '../../src/store/memory-store.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'
import { DATABASE, seededRng } from './arbitraries.ts'
import { DerivedDisk } from './derived-disk.ts'
import type { Misfortune } from './derived-disk.ts'
import { OWNER_SIGNER, databaseOn, withAncestors } from './forest.ts'
import { definitionOf, expectAnswer, programOf } from './view-answers.ts'
import type { Answered } from './view-answers.ts'
import { askedOf, kindOf } from './view-questions.ts'

export type Action =
  | { readonly type: 'append'; readonly events: readonly EventInput[] }
  | { readonly type: 'merge'; readonly from: number; readonly count: number }
  | {
      readonly type: 'define'
      readonly view: string
      readonly definition: string
      /** Removes first what is there. */
      readonly anew?: boolean
    }
  | { readonly type: 'remove'; readonly view: string }
  | {
      readonly type: 'query'
      readonly view: string
      readonly query: ViewQuery
      /** Of the cursors that were handed out, as `known_at`. */
      readonly cursor: number | undefined
    }
  | { readonly type: 'info'; readonly view: string }
  | { readonly type: 'reopen'; readonly disk: 'kept' | 'lost' | 'older' }
  | { readonly type: 'copy' }
  | { readonly type: 'fail'; readonly kind: Misfortune; readonly after: number }
  | { readonly type: 'wait' }

export class ViewBox {
  readonly store: EventStore
  readonly disk: DerivedDisk
  readonly clock = new BoxClock()
  readonly #forest: readonly Commit[]
  readonly #rng = seededRng(3)
  #database: NodeDatabase
  /** By view, its definition. */
  readonly #defined = new Map<string, string>()
  /** Definitions that a view has had since the last time that all was quiet. */
  readonly #lately = new Map<string, Set<string>>()
  readonly #cursors: string[] = ['0', 'now']
  readonly #answers: (Answered & { readonly view: string })[] = []
  /** Views may be closed or failing: something was done that ends what they do. */
  #isTroubled = false
  #wasTroubled = false
  /** What was found out, so that a test can see that it looked at something. */
  readonly seen = { answers: 0, rows: 0, past: 0, refused: 0, unanswered: 0 }

  constructor(forest: readonly Commit[], seed: number) {
    this.#forest = forest
    this.disk = new DerivedDisk(seededRng(seed))
    const owner = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }
    const store = createMemoryStore({ owner, hasher: systemHasher, rng: this.#rng })
    // What is in memory outlives its node only here.
    this.store = withoutClose(store)
    this.#database = this.#open()
  }

  /** Does all of these at one time, and looks at every answer once they are through. */
  async step(actions: readonly Action[]): Promise<void> {
    if (actions.some(({ type }) => TROUBLES.has(type))) {
      this.#isTroubled = true
      this.#wasTroubled = true
    }
    const done = withoutDoubt(actions).map((action) => this.#run(action))
    for (const outcome of await Promise.allSettled(done)) {
      if (outcome.status === 'rejected') this.#expectReason(outcome.reason)
    }
    await this.#expectAnswers()
    for (const view of this.#defined.keys()) await this.#isReady(view)
  }

  /** In the end, whatever has happened: every view is right, with all that is held in it. */
  async end(): Promise<void> {
    this.disk.calm()
    await this.clock.pass(60_000)
    for (const view of this.#defined.keys()) await this.#untilReady(view)
    this.#isTroubled = false
    for (const [view, definition] of this.#defined) {
      this.#lately.set(view, new Set([definition]))
      await this.#ask(view, {})
      await this.#ask(view, { reduce: false, explain: true })
    }
    const head = (await this.#database.status()).lc
    for (const { answer } of this.#answers) expect(answer.lc).toBe(head)
    await this.#expectAnswers()
    await this.#expectTidy()
    await this.#database.close()
  }

  #open(): NodeDatabase {
    const openViews = (anew: boolean): ReturnType<DerivedDisk['open']> => this.disk.open(anew)
    return databaseOn(this.store, { rng: this.#rng, clock: this.clock, openViews })
  }

  async #run(action: Action): Promise<void> {
    switch (action.type) {
      case 'append': {
        const options = { onError: 'proceed', clock: 'trust' } as const
        const { lc } = await this.#database.append(action.events, options)
        this.#cursors.push(lc)
        return
      }
      case 'merge': {
        const from = action.from % Math.max(1, this.#forest.length)
        const chosen = this.#forest.slice(from, from + action.count)
        await this.#database.merge(withAncestors(this.#forest, chosen))
        return
      }
      case 'define':
        if (action.anew === true) {
          this.#defined.delete(action.view)
          await this.#database.views.remove(action.view)
        }
        await this.#define(action.view, action.definition)
        return
      case 'remove':
        this.#defined.delete(action.view)
        await this.#database.views.remove(action.view)
        return
      case 'query': {
        const cursor = this.#cursors[(action.cursor ?? 0) % this.#cursors.length]
        const isKnown = action.cursor !== undefined && cursor !== undefined
        await this.#ask(action.view, { ...action.query, ...(isKnown && { known_at: cursor }) })
        return
      }
      case 'info': {
        const view = await this.#database.views.get(action.view)
        await view.info()
        return
      }
      case 'reopen':
        await this.#reopen(action.disk)
        return
      case 'copy':
        await this.disk.keepCopy()
        return
      case 'fail':
        this.disk.fail(action.kind, action.after)
        return
      case 'wait':
        await this.clock.pass(6_000)
        return
      default:
        throw new Error(`no such action: ${JSON.stringify(action)}`)
    }
  }

  async #define(view: string, definition: string): Promise<void> {
    this.#defined.set(view, definition)
    const lately = this.#lately.get(view) ?? new Set()
    this.#lately.set(view, lately.add(definition))
    await this.#database.views.defineAny({ ...definitionOf(definition), name: view })
  }

  async #reopen(disk: 'kept' | 'lost' | 'older'): Promise<void> {
    await this.#database.close()
    if (disk === 'lost') this.disk.lose()
    if (disk === 'older') await this.disk.putBack()
    this.#database = this.#open()
    for (const [view, definition] of this.#defined) await this.#define(view, definition)
  }

  async #ask(view: string, query: ViewQuery): Promise<void> {
    const before = this.#lately.get(view)
    try {
      const asked = await this.#database.views.get(view)
      const answer = await asked.query(query)
      this.#cursors.push(answer.lc)
      this.#answers.push({ view, query, answer })
    } catch (error) {
      if (error instanceof LaterbaseError && error.code === 'LATERBASE_ARGUMENT_INVALID') {
        this.seen.refused += 1
        const definitions = [...(before ?? []), ...(this.#lately.get(view) ?? [])]
        const isRefused = definitions.map(
          (each) => askedOf(query, kindOf(definitionOf(each))) === undefined
        )
        expect(isRefused, `${error.message} ${JSON.stringify(query)}`).toContain(true)
        return
      }
      throw error
    }
  }

  /** What may go wrong at most times, and what only in trouble. */
  #expectReason(reason: unknown): void {
    const code = reason instanceof LaterbaseError ? reason.code : undefined
    const isLate = code === 'LATERBASE_VIEW_UNKNOWN' || code === 'LATERBASE_VIEW_BUILDING'
    if (isLate) return
    const isTrouble = code === 'LATERBASE_CLOSED' || code === 'LATERBASE_VIEW_FAILED'
    if (this.#isTroubled && (isTrouble || code?.startsWith('LATERBASE_STORE_') === true)) {
      this.seen.unanswered += 1
      return
    }
    throw reason
  }

  async #expectAnswers(): Promise<void> {
    for (const { view, query, answer } of this.#answers.splice(0)) {
      const definition = [...(this.#lately.get(view) ?? [])].find((each) =>
        answer.digest.startsWith(programOf(each).hash.slice(0, 12))
      )
      const name = present(definition, `an answer of a definition that ${view} has had`)
      const isPast = await expectAnswer(this.store, name, { query, answer })
      this.seen.answers += 1
      this.seen.rows += answer.rows.length
      if (isPast) this.seen.past += 1
    }
  }

  async #untilReady(view: string): Promise<void> {
    for (let tries = 0; ; tries += 1) {
      if (await this.#isReady(view)) return
      expect(tries, `${view} comes back`).toBeLessThan(1_000)
      await settled()
      if (tries % 100 === 99) await this.clock.pass(6_000)
    }
  }

  /** Then answers are of the definition that the view has now. */
  async #isReady(view: string): Promise<boolean> {
    const infos = await this.#database.views.list().catch(() => [])
    const isReady = infos.find(({ name }) => name === view)?.state === 'ready'
    const definition = this.#defined.get(view)
    if (isReady && definition !== undefined) this.#lately.set(view, new Set([definition]))
    return isReady
  }

  /**
   * Nothing is left of what was replaced or given up; nor of what was removed, unless that happened while the disk
   * failed, or it came back with an older copy. Who has no view does not open their disk.
   */
  async #expectTidy(): Promise<void> {
    if (this.#defined.size === 0) return
    const shown = async (): Promise<{ builds: string[]; named: string[]; views: string[] }> => {
      const records = (await this.disk.records()).map(({ key, value }) => {
        return { key: Buffer.from(key), value: Buffer.from(value) }
      })
      const entries = records.filter(({ key }) => key[0] === 0)
      const builds = records.filter(({ key }) => key[0] !== 0).map(({ key }) => key.readUInt32BE(1))
      const named = entries.map(({ value }) => (JSON.parse(value.toString()) as Entry).build)
      return {
        builds: [...new Set(builds.map(String))].sort(),
        named: named.map(String).sort(),
        views: entries.map(({ key }) => key.toString('utf8', 1)).sort()
      }
    }
    const isTidy = async (): Promise<boolean> => {
      const { builds, named } = await shown()
      return isDeepStrictEqual(builds, named)
    }
    for (let tries = 0; tries < 200 && !(await isTidy()); tries += 1) await settled()
    const { builds, named, views } = await shown()
    expect(builds).toEqual(named)
    if (!this.#wasTroubled) expect(views).toEqual([...this.#defined.keys()].sort())
  }
}

/** Who waits a moment waits a turn; who waits longer, until a test lets time pass. */
class BoxClock extends ManualClock {
  override setTimer(delayMs: number, callback: () => void): { cancel: () => void } {
    if (delayMs > MOMENT_MS) return super.setTimer(delayMs, callback)
    const timer = setImmediate(callback)
    return { cancel: () => clearImmediate(timer) }
  }
}

const MOMENT_MS = 10

interface Entry {
  readonly build: number
}

const TROUBLES: ReadonlySet<string> = new Set(['reopen', 'fail'])

const ONE_AT_A_TIME: ReadonlySet<string> = new Set(['define', 'remove', 'reopen'])

/** Of two definitions of a view at one time nobody can say which is the later one; and a box starts once. */
function withoutDoubt(actions: readonly Action[]): readonly Action[] {
  const named = (action: Action): string | undefined =>
    action.type === 'define' || action.type === 'remove' ? action.view : action.type
  return actions.filter((action, at) => {
    if (!ONE_AT_A_TIME.has(action.type)) return true
    return actions.findIndex((other) => named(other) === named(action)) === at
  })
}

function withoutClose(store: EventStore): EventStore {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'close') return async () => undefined
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    }
  })
}
