/**
 * What programs and clients of a box do with its views: define, replace and remove them, and ask. Each answer
 * is compared with what the functions make of the events that it covers.
 */

import { isLaterbaseError } from '../../../src/errors.ts'
import type { ErrorCode } from '../../../src/errors.ts'
import type { NodeDatabase } from '../../../src/node/database.ts'
import type { Json } from '../../../src/node/laterbase.ts'
import type { ViewAnswer } from '../../../src/node/views.ts'
import type { Box } from './box.ts'
import type { Covered } from './coverage.ts'
import { WRITE_MS_MAX } from './disk.ts'
import { lastDefinition, plainAnswer } from './plain-views.ts'
import { note } from './run.ts'
import type { SimRun } from './run.ts'
import { SIM_DEFINITIONS, SIM_VIEWS, TOLD, hashOf, versionOf } from './sim-views.ts'
import type { SimView } from './sim-views.ts'
import { inventQuestion } from './view-questions.ts'
import type { Question } from './view-questions.ts'

/** Questions under way at one time that a client may have. */
const QUESTIONS_MAX = 2
/** About what a build takes, ms. */
const BUILD_MS = 80
/** Share of writes of views during which somebody asks. */
const ASKED_WRITES = 0.25

export interface Viewed {
  readonly box: Box
  readonly database: NodeDatabase
}

/** Something that is under way in a process, which may end before it does. */
export interface Waiting {
  readonly box: Box
  readonly life: Box['life']
  readonly what: string
}

/** One step of a program or of clients. */
export function useViews(run: SimRun, viewed: Viewed): void {
  const { prng } = run.world
  const views = askable(run, viewed)
  const what = prng.fraction()
  if (views.length === 0 || what < 0.12) void define(run, viewed)
  else if (what < 0.16) void remove(run, viewed)
  else if (what < 0.22) void tell(run, viewed)
  else {
    for (let left = prng.integer(1, QUESTIONS_MAX); left > 0; left -= 1) {
      const view = prng.pick(views)
      if (view !== undefined) void ask(run, viewed, questionOf(run, viewed, view))
    }
  }
}

/** What its program defines, and what somebody has defined for all. */
function askable({ progress }: SimRun, { box, database }: Viewed): readonly SimView[] {
  const told = progress.told.has(database.name) ? SIM_DEFINITIONS.map(({ view }) => view) : []
  return [...box.program(database.name).values(), ...told]
}

function questionOf(run: SimRun, { box, database }: Viewed, view: SimView): Question {
  return inventQuestion(run, { box, database: database.name, view })
}

async function define(run: SimRun, { box, database }: Viewed): Promise<void> {
  const { prng } = run.world
  const name = prng.pick([...SIM_VIEWS.keys()]) ?? ''
  const view = prng.pick(SIM_VIEWS.get(name) ?? [])
  if (view === undefined) return
  note(run, box.name, 'defines', `${database.name}: view ${name} ${hashOf(view).slice(0, 4)}`)
  box.program(database.name).set(name, view)
  box.answering.delete(`${database.name} ${name}`)
  askMeanwhile(run, { box, database }, view)
  await watched(run, { box, verb: 'define', name }, () => database.views.defineAny(view))
}

/** While a view is built, and takes another's place. */
function askMeanwhile(run: SimRun, viewed: Viewed, view: SimView): void {
  const { world } = run
  if (world.chance(0.5)) return
  for (let left = world.prng.integer(1, 2 * QUESTIONS_MAX); left > 0; left -= 1) {
    askLater(run, viewed, { view, withinMs: BUILD_MS })
  }
}

/** While records of views are on their way to the disk, and go from it. */
export function askWhileWriting(run: SimRun, box: Box): void {
  const { world, settings } = run
  if (settings.views === 0) return
  box.disk.viewsWritten = (name) => {
    const database = box.database(name)
    if (database === undefined || !world.chance(ASKED_WRITES)) return
    const view = world.prng.pick(askable(run, { box, database }))
    if (view !== undefined) askLater(run, { box, database }, { view, withinMs: WRITE_MS_MAX })
  }
}

/** Where the view is still what the program defines. */
function askLater(
  run: SimRun,
  viewed: Viewed,
  { view, withinMs }: { readonly view: SimView; readonly withinMs: number }
): void {
  const { world } = run
  const { box, database } = viewed
  world.after(world.prng.fraction() * withinMs, () => {
    const isThere = box.isAnswering && box.database(database.name) === database
    const isMeant = askable(run, viewed).includes(view)
    if (isThere && isMeant) void ask(run, viewed, questionOf(run, viewed, view))
  })
}

async function remove(run: SimRun, { box, database }: Viewed): Promise<void> {
  const name = run.world.prng.pick([...box.program(database.name).keys()])
  if (name === undefined) return
  note(run, box.name, 'removes', `${database.name}: view ${name}`)
  box.program(database.name).delete(name)
  box.removals += 1
  await watched(run, { box, verb: 'remove', name }, () => database.views.remove(name))
}

/** Defines a view for all boxes, or takes it away from all. */
async function tell(run: SimRun, { box, database }: Viewed): Promise<void> {
  const { world, ledger, progress } = run
  const { name } = database
  const told = world.chance(0.8) ? world.prng.pick(SIM_DEFINITIONS) : undefined
  const definition = told?.definition as Json | undefined
  note(run, box.name, 'tells', `${name}: view ${definition === undefined ? 'gone' : TOLD}`)
  const data: Json =
    definition === undefined ? { deleted: true, name: TOLD } : { definition, name: TOLD }
  ledger.offer(name, [data], [])
  progress.told.add(name)
  await watched(run, { box, verb: 'tell', name: TOLD }, async () => {
    if (told === undefined) await database.views.remove(TOLD)
    else await database.views.put(TOLD, told.definition)
  })
}

/** Asks, and checks the answer; whether there was one. */
async function ask(run: SimRun, viewed: Viewed, question: Question): Promise<boolean> {
  const { box, database } = viewed
  const { view, query, withinMs } = question
  const mounted = box.disk.mounted(database.name)
  const heldThen = query.update === undefined ? new Set(mounted?.view.ids) : undefined
  const abort = new AbortController()
  if (withinMs !== undefined) run.world.after(withinMs, () => abort.abort(GIVEN_UP))
  const { life } = box
  const askedAtMs = run.world.nowMs
  const answer = await watched(run, { box, verb: 'ask', name: view.name }, async () => {
    const found = await database.views.get(view.name)
    return found.query(query, { signal: abort.signal })
  })
  if (answer === undefined || life !== box.life) return false
  const covered = await watched(run, { box, verb: 'cover', name: view.name }, () =>
    run.coverage.of(database, answer.lc)
  )
  if (covered === undefined) return false
  check(run, viewed, { question, answer, covered, heldThen, askedAtMs })
  box.answered(database.name, { lc: answer.lc, covered })
  return true
}

const GIVEN_UP = new Error('the client does not wait any longer')

interface Answered {
  readonly question: Question
  readonly answer: ViewAnswer
  readonly covered: Covered
  /** What the process had when it was asked; undefined where that need not be in the answer. */
  readonly heldThen: ReadonlySet<string> | undefined
  readonly askedAtMs: number
}

function check(run: SimRun, { box, database }: Viewed, answered: Answered): void {
  const { question, answer, covered, heldThen } = answered
  const { ledger } = run
  const { name } = question.view
  const what = `${box.name} ${database.name}: view ${name}, asked ${JSON.stringify(question.query)},`
  const version = versionOf(name, answer.digest)
  if (version === undefined) {
    ledger.violate('view-equals-scratch', `${what} answers by no definition: ${answer.digest}`)
    return
  }
  ledger.seeViewDigest(box.name, {
    definition: `${database.name} ${hashOf(version)}`,
    set: covered.print,
    digest: answer.digest
  })
  for (const id of [...(heldThen ?? []), ...(question.least ?? [])]) {
    if (covered.ids.has(id)) continue
    ledger.violate('view-current', `${what} does not cover ${id}, which was held`)
    return
  }
  checkVersion(run, { box, database }, { version, askedAtMs: answered.askedAtMs })
  const expected = JSON.stringify(plainAnswer(version, covered.events, question.plain))
  const rows = answer.rows.map(({ id, key, value }) => ({ ...(id && { id }), key, value }))
  const found = JSON.stringify(rows)
  if (found === expected) return
  ledger.violate('view-equals-scratch', `${what} answers ${found}, not ${expected}`)
}

/** Once the definition that a program has answers, no other one does. */
function checkVersion(
  { ledger, world, waiting }: SimRun,
  { box, database }: Viewed,
  { version, askedAtMs }: { readonly version: SimView; readonly askedAtMs: number }
): void {
  if ([...waiting].some((each) => isOf(each, box, `define ${version.name}`))) return
  const name = `${database.name} ${version.name}`
  const current = box.program(database.name).get(version.name)
  const seen = box.answering.get(name)
  if (version === current) {
    if (seen === undefined) box.answering.set(name, world.nowMs)
  } else if (current !== undefined && seen !== undefined && askedAtMs > seen) {
    ledger.violate('view-current', `${box.name} ${name} answers by a definition that was replaced`)
  }
}

/** Waits, and says what may not fail; undefined for what failed as it may. */
async function watched<T>(
  run: SimRun,
  { box, verb, name }: { readonly box: Box; readonly verb: string; readonly name: string },
  work: () => Promise<T>
): Promise<T | undefined> {
  const { removals } = box
  const isBeingRemoved = [...run.waiting].some((each) => isOf(each, box, `remove ${name}`))
  const waiting: Waiting = { box, life: box.life, what: `${verb} ${name}` }
  run.waiting.add(waiting)
  try {
    return await work()
  } catch (error) {
    const mayBeGone = name === TOLD || isBeingRemoved || removals !== box.removals
    const isExpected =
      error === GIVEN_UP ||
      isOneOf(error, EXPECTED) ||
      (mayBeGone && isLaterbaseError(error, 'LATERBASE_VIEW_UNKNOWN')) ||
      (box.disk.wasFull && verb !== 'define' && isOneOf(error, EXPECTED_OF_FULL_DISKS))
    if (!isExpected) {
      run.ledger.violate('unexpected-failure', `${box.name}, ${verb} ${name}: ${String(error)}`)
    }
    return undefined
  } finally {
    run.waiting.delete(waiting)
  }
}

function isOf({ box, life, what }: Waiting, of: Box, work: string): boolean {
  return box === of && life === of.life && what === work
}

const EXPECTED: readonly ErrorCode[] = [
  'LATERBASE_VIEW_BUILDING',
  // The version that is there has no reduce, which was asked for.
  'LATERBASE_ARGUMENT_INVALID'
]
const EXPECTED_OF_FULL_DISKS: readonly ErrorCode[] = [
  'LATERBASE_CLOSED',
  'LATERBASE_DISK_FULL',
  'LATERBASE_STORE_FAILED',
  'LATERBASE_VIEW_FAILED'
]

function isOneOf(error: unknown, codes: readonly ErrorCode[]): boolean {
  return codes.some((code) => isLaterbaseError(error, code))
}

interface Asked {
  readonly box: Box
  readonly what: string
  /** Whether there was one. */
  readonly answer: Promise<boolean>
}

/** Asks everything of every view of every box; and something else. */
export function askEverywhere(run: SimRun): Asked[] {
  const asked: Asked[] = []
  for (const box of run.boxes) {
    for (const name of run.databases) {
      const database = box.database(name)
      if (database === undefined) continue
      const viewed = { box, database }
      for (const view of box.program(name).values()) {
        const answer = ask(run, viewed, { view, query: {}, plain: {} })
        asked.push({ box, what: `${name} ${view.name}`, answer })
        void ask(run, viewed, questionOf(run, viewed, view))
      }
      // There or not, as the boxes that are equal find.
      for (const { view } of run.progress.told.has(name) ? SIM_DEFINITIONS : []) {
        void ask(run, viewed, questionOf(run, viewed, view))
      }
    }
  }
  return asked
}

/** Each view is there, is whole, and is the one that the program defines; and there is no other. */
export async function checkViews({ ledger, boxes, databases, coverage }: SimRun): Promise<void> {
  for (const box of boxes) {
    for (const name of databases) {
      const database = box.database(name)
      if (database === undefined) continue
      const program = box.program(name)
      const infos = await database.views.list()
      const found = infos.map(({ name: view, state, hash }) => `${view} ${state} ${hash}`)
      const { lc } = await database.status()
      const last = JSON.stringify(lastDefinition((await coverage.of(database, lc))?.events ?? []))
      const told = SIM_DEFINITIONS.find(({ definition }) => JSON.stringify(definition) === last)
      const views = [...program.values(), ...(told === undefined ? [] : [told.view])]
      const expected = views.map((view) => `${view.name} ready ${hashOf(view)}`)
      if (found.join() === expected.sort().join()) continue
      const detail = `${box.name} ${name} has ${found.join()}, not ${expected.join()}`
      ledger.violate('view-current', detail)
    }
  }
}

/** Defines views on some boxes before anything happens. */
export function chooseViews(run: SimRun, box: Box): void {
  const { world, settings } = run
  if (settings.views === 0) return
  for (const name of run.databases) {
    for (const [view, versions] of SIM_VIEWS) {
      if (!world.chance(0.3)) continue
      const version: SimView | undefined = world.prng.pick(versions)
      if (version !== undefined) box.program(name).set(view, version)
    }
  }
}
