/**
 * Damage in logs that were forked: what of a branch is damaged is found, fetched again and healed, and
 * a store that is made anew has every branch that its old files had.
 */

import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'

import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { toHex } from '../../src/core/bytes.ts'
import { lastSeq } from '../../src/core/commit.ts'
import type { Commit } from '../../src/core/commit.ts'
import { isLaterbaseError } from '../../src/errors.ts'
import type { NodeDatabase } from '../../src/node/database.ts'
import type { RecoveryNote } from '../../src/node/recovery-note.ts'
import { refetch } from '../../src/node/refetch.ts'
import { StoreKeeper } from '../../src/node/store-keeper.ts'
import { systemClock, systemHasher, systemRng, systemVerifier } from '../../src/node/system.ts'
import type { EventStore, StoredCommit, StoredLog } from '../../src/store/event-store.ts'
import { KIND } from '../../src/store/record-name.ts'
import { commitRecordKey } from '../../src/store/key-layout.ts'
import { stretchOf } from '../../src/store/stretches.ts'
import { flipped, readRaw, withRaw } from '../fixtures/raw-level.ts'
import { DATABASE } from '../property/arbitraries.ts'
import {
  OWNER_SIGNER,
  answersOf,
  databaseOf,
  databaseOn,
  forests,
  headsOf,
  leavesOf,
  withAncestors
} from '../property/forest.ts'
import { collect, dump } from './store-dump.ts'
import { createFolder, openAt } from './stores.ts'

const folder = createFolder()
afterEach(() => folder.remove())

const RUNS = { numRuns: 12 }
const STORE_OWNER = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }

describe('a store with forked logs', () => {
  test('is found whole as it was written, whatever branches it has', async () => {
    await fc.assert(
      fc.asyncProperty(forests(), async (commits) => {
        const location = await folder.next()
        const store = await filled(location, commits)
        expect(await findings(store)).toEqual([])
        await store.close()
      }),
      RUNS
    )
  })

  test('is healed of any record that is changed or gone, by the commits that a check names', async () => {
    await fc.assert(
      fc.asyncProperty(forked(), fc.nat(), fc.boolean(), async (commits, at, isGone) => {
        const location = await folder.next()
        const written = await filled(location, commits)
        const before = shown(await dump(written))
        await written.close()
        const records = (await readRaw(location)).filter(([key]) => key[0] !== KIND.meta)
        const ofCommits = records.filter(([key]) => key[0] !== KIND.log)
        const [key, value] = present(ofCommits[at % ofCommits.length], 'a record')
        await withRaw(location, (raw) => (isGone ? raw.del(key) : raw.put(key, flipped(value, 5))))
        const store = await openAt(location, STORE_OWNER, false)
        expect(await findings(store)).not.toEqual([])
        await healAll(store, commits)
        expect(await findings(store)).toEqual([])
        expect(shown(await dump(store))).toBe(before)
        await store.close()
      }),
      RUNS
    )
  })
})

test('any commit of any branch is fetched again from whoever has it, and from nobody else', async () => {
  await fc.assert(
    fc.asyncProperty(forests(), fc.array(fc.nat()), async (commits, chosen) => {
      const database = await databaseOf(commits)
      const some = chosen.flatMap((index) => commits[index % Math.max(1, commits.length)] ?? [])
      const held = withAncestors(commits, some)
      const answer = answersOf(await databaseOf(held, { seed: 2 }))
      for (const { log, commit } of await everyCommit(database.store)) {
        const fetched = await refetch({
          database,
          stretch: stretchOf(log, commit),
          clock: systemClock,
          hasher: systemHasher,
          verifier: systemVerifier,
          request: answer,
          signal: new AbortController().signal
        })
        const isHeld = held.some(({ hash }) => toHex(hash) === toHex(commit.hash))
        expect(fetched?.map(({ hash }) => toHex(hash))).toEqual(
          isHeld ? [toHex(commit.hash)] : undefined
        )
      }
    }),
    RUNS
  )
})

describe('a damaged store that is made anew', () => {
  test('has every branch that its files had, and goes on in a log of its own', async () => {
    await fc.assert(
      fc.asyncProperty(forked(), async (commits) => {
        const { location, ownLog } = await closedStore(commits)
        await rm(join(location, 'CURRENT'))
        const keeper = keeperAt(location)
        const store = await keeper.open(DATABASE, false)
        expect(headsOf(databaseOn(store))).toEqual(leavesOf(commits))
        expect([store.found, store.ownLog.id === ownLog]).toEqual(['new', false])
        expect(await findings(store)).toEqual([])
        const note = await readNote(location)
        expect([note.state, note.expected]).toEqual(['read', []])
        await store.close()
        await keeper.close()
      }),
      RUNS
    )
  })

  test('takes over what lies beyond a hole, on every branch, once the hole is filled', async () => {
    await fc.assert(
      fc.asyncProperty(forked(), fc.nat(), async (commits, at) => {
        const { location, places } = await closedStore(commits)
        const { commit } = present(places[at % places.length], 'a commit')
        const gone = present(
          commits.find(({ hash }) => toHex(hash) === toHex(commit.hash)),
          'a commit of those'
        )
        await withRaw(location, (raw) => raw.del(commitRecordKey(commit.log, commit.firstSeq)))
        await rm(join(location, 'CURRENT'))
        const keeper = keeperAt(location)
        const store = await keeper.open(DATABASE, false)
        const database = databaseOn(store)
        const without = commits.filter((each) => !withAncestors(commits, [each]).includes(gone))
        expect(headsOf(database)).toEqual(leavesOf(without))
        keeper.watch(database)
        await database.merge([gone])
        await untilHeads(database, leavesOf(commits))
        expect(await findings(store)).toEqual([])
        await database.close()
        await keeper.close()
      }),
      RUNS
    )
  })
})

/** Commits of which at least one begins a branch. */
function forked(): fc.Arbitrary<Commit[]> {
  return forests().filter((commits) => {
    const followed = commits.map(({ previous }) => toHex(previous))
    return new Set(followed).size < followed.length
  })
}

/** A store on disk with commits in it, through the writer that places them. */
async function filled(location: string, commits: readonly Commit[]): Promise<EventStore> {
  const store = await openAt(location, STORE_OWNER)
  await databaseOn(store).merge(commits)
  return store
}

async function closedStore(commits: readonly Commit[]): Promise<{
  readonly location: string
  readonly ownLog: string
  readonly places: readonly Place[]
}> {
  const parent = await folder.next()
  await mkdir(parent)
  const location = join(parent, DATABASE)
  const keeper = keeperAt(location)
  const store = await keeper.open(DATABASE, true)
  await databaseOn(store).merge(commits)
  const places = await everyCommit(store)
  const ownLog = store.ownLog.id
  await store.close()
  await keeper.close()
  return { location, ownLog, places }
}

function keeperAt(location: string): StoreKeeper {
  return new StoreKeeper({
    folder: join(location, '..'),
    publicKey: OWNER_SIGNER.publicKey,
    clock: systemClock,
    hasher: systemHasher,
    rng: systemRng,
    verifier: systemVerifier,
    log: () => undefined
  })
}

async function readNote(location: string): Promise<RecoveryNote> {
  return JSON.parse(await readFile(`${location}.recovery.json`, 'utf8')) as RecoveryNote
}

async function findings(store: EventStore): Promise<string[]> {
  const steps = await collect(store.check({ verifier: systemVerifier }))
  return steps.flatMap((step) => (step.type === 'progress' ? [] : [step.detail]))
}

/** Heals what a check names, again and again: what one commit needs may be healed by another. */
async function healAll(store: EventStore, commits: readonly Commit[]): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const steps = await collect(store.check({}))
    for (const step of steps) {
      if (step.type !== 'stretch') continue
      const { log, after, toSeq, hash } = step.stretch
      const inside = chainTo(commits, hash).filter(
        (commit) => commit.firstSeq > after.seq && lastSeq(commit) <= toSeq
      )
      await store.heal(log, inside).catch(notYet)
    }
  }
}

/** The commit with a hash and all that it follows, the first one first. */
function chainTo(commits: readonly Commit[], hash: Uint8Array): readonly Commit[] {
  const end = commits.filter((commit) => toHex(commit.hash) === toHex(hash))
  return withAncestors(commits, end)
}

function notYet(error: unknown): void {
  if (!isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) throw error
}

interface Place {
  readonly log: StoredLog
  readonly commit: StoredCommit
}

async function everyCommit(store: EventStore): Promise<Place[]> {
  const places: Place[] = []
  for (const log of store.logs()) {
    for (const commit of await store.commits(log, log.fork?.seq ?? 0, 1_000)) {
      places.push({ log, commit })
    }
  }
  return places
}

async function untilHeads(database: NodeDatabase, heads: readonly string[]): Promise<void> {
  await vi.waitFor(() => expect(headsOf(database)).toEqual(heads), { timeout: 20_000 })
}

function shown(dumped: unknown): string {
  return JSON.stringify(dumped, (_name, value: unknown) => {
    return typeof value === 'bigint' ? String(value) : value
  })
}
