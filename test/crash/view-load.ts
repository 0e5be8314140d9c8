/**
 * What a crashing node does with views: defines them, asks them, writes what comes late, replaces and removes
 * one. And how it tells, in a later life, whether those that it finds are right: beside each a fresh one is
 * built of the same functions.
 */

import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

import { isLaterbaseError } from '../../src/index.ts'
import type { Database, View } from '../../src/index.ts'
import { readRaw } from '../fixtures/raw-level.ts'
import { noteStep } from './journal.ts'
import { DATABASE } from './workload.ts'
import type { StoredViews, Word } from './workload.ts'

/** Below the directory of a node. */
export const VIEW_FILES = `databases/${DATABASE}.views/`

interface Counted {
  readonly number: number
  readonly chars: number
}

type Definition = Parameters<Database['views']['defineAny']>[0]

/** The number of an event decides where it counts. Two rows each are more than one batch of a build. */
const byNumber = {
  name: 'numbers',
  map: ({ data }: { data: Counted }, emit: (key: number, value: number) => void): void => {
    emit(data.number % 7, data.number)
    emit(7 + (data.number % 3), 1)
  },
  reduce: '_sum'
} as const

const byTwelve = {
  name: 'numbers',
  map: ({ data }: { data: Counted }, emit: (key: number[], value: number) => void): void => {
    emit([data.number % 12, data.number % 2], data.number)
    emit([12], 1)
  },
  reduce: '_stats'
} as const

/** In the order in which they happened, which is not that in which they came. */
const chains = {
  name: 'chains',
  key: ({ data }: { data: Counted }): number => data.number % 3,
  initial: (): number => 1,
  apply: (state: number, { data }: { data: Counted }): number =>
    (state * 31 + data.number) % 1_000_003
}

const rows = {
  name: 'rows',
  map: ({ data }: { data: Counted }, emit: (key: number) => void): void => {
    if (data.number % 9 === 0) emit(data.number)
  }
}

/** Those that a whole life leaves. */
const LASTING: readonly Definition[] = [byTwelve, chains]

/** @param append resolves when so many events are acknowledged */
export async function useViews(
  database: Database,
  append: (count: number) => Promise<void>
): Promise<void> {
  noteStep('build')
  for (const definition of [byNumber, chains, rows] as const) await ask(database, definition)
  noteStep('update')
  await append(20)
  for (const definition of [chains, byNumber] as const) await ask(database, definition)
  await append(7)
  noteStep('replace')
  await ask(database, byTwelve)
  noteStep('remove')
  await insist(() => remove(database, 'rows'))
  await append(5)
  for (const definition of LASTING) await ask(database, definition)
}

/** Says of each view whether it is what a fresh one is. */
export async function lookAtViews(database: Database, say: (word: Word) => void): Promise<void> {
  for (const definition of LASTING) {
    const held = await ask(database, definition)
    const fresh = await ask(database, { ...definition, name: `fresh-${definition.name}` })
    const isEqual = held.digest === fresh.digest && JSON.stringify(held) === JSON.stringify(fresh)
    say({ type: 'viewed', view: definition.name, isEqual, rows: held.rows.length })
  }
}

/** Read of a copy, as LevelDB writes when it opens what a crash has left. */
export async function storedViews(dir: string): Promise<StoredViews> {
  const copy = await mkdtemp(join(tmpdir(), 'laterbase-views-'))
  try {
    await cp(join(dir, VIEW_FILES), copy, { recursive: true })
    const records = await readRaw(copy)
    const entries = records.filter(([key]) => key[0] === 0)
    const others = records.filter(([key]) => key[0] !== 0)
    return {
      named: Object.fromEntries(entries.map(([key, value]) => [nameIn(key), buildIn(value)])),
      builds: [...new Set(others.map(([key]) => key.readUInt32BE(1)))]
    }
  } catch {
    // It was never whole enough to be opened.
    return { named: {}, builds: [] }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
}

/** Behind the byte that says what it is. */
function nameIn(key: Buffer): string {
  return key.toString('utf8', 1)
}

/** Of an entry in JSON, behind which stands its check. */
function buildIn(entry: Buffer): number {
  return Number(/"build":(\d+)/.exec(entry.toString('latin1'))?.[1])
}

async function ask(database: Database, definition: Definition): ReturnType<View['query']> {
  return insist(async () => {
    const view = await database.views.defineAny(definition)
    const { state } = await view.info()
    // The one before it answers until it is whole.
    if (state === 'replacing') throw new Replacing()
    return 'reduce' in definition ? view.query({ group: true }) : view.query()
  })
}

/** Unknown is one whose removal nobody heard of. */
async function remove(database: Database, name: string): Promise<void> {
  await database.views.remove(name).catch((error: unknown) => {
    if (!isLaterbaseError(error, 'LATERBASE_VIEW_UNKNOWN')) throw error
  })
}

class Replacing extends Error {}

/** Until the disk gives, and takes, what it is asked for. */
async function insist<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      const isOurs = isLaterbaseError(error, 'LATERBASE_ARGUMENT_INVALID')
      if (isOurs || !(error instanceof Replacing || isLaterbaseError(error))) throw error
      await delay(RETRY_MS)
    }
  }
}

const RETRY_MS = 20
