/**
 * The stores of a data directory, and what becomes of one that is damaged: its files are set aside,
 * a new store with a new incarnation takes its place, and everything that is whole in the old files
 * is taken over, log by log. Peers give the rest. What lies beyond a hole is taken over as soon as
 * the hole is filled.
 *
 *     NAME/                    the store
 *     NAME.damaged-TIME/       the files of one that was damaged, as they were found
 *     NAME.recovery.json       what was wrong and what was done, see recovery-note.ts
 *     NAME.salvage/            the repaired copy while there is something to take over
 *
 * Leaves out how damage is found when a store is opened (`store/guarded-store.ts`) and how old
 * files are read (`store/salvage.ts`).
 */

import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import type { Clock, Hasher, Rng, Verifier } from '../core/clock.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { emptyTip, verifySignatures } from '../core/log.ts'
import type { LogTip } from '../core/log.ts'
import { isLaterbaseError } from '../errors.ts'
import { formatTime } from '../schema/time.ts'
import type { EventStore } from '../store/event-store.ts'
import { createGuarded, markFileOf, openGuarded } from '../store/guarded-store.ts'
import type { GuardedOptions, Opening } from '../store/guarded-store.ts'
import { openSalvage } from '../store/salvage.ts'
import type { Salvage } from '../store/salvage.ts'
import { readMark } from '../store/store-mark.ts'
import type { NodeDatabase } from './database.ts'
import type { StorePlace } from './database-registry.ts'
import type { DatabaseStatus } from './laterbase.ts'
import type { Log } from './options.ts'
import { readNote, removeNote, writeNote } from './recovery-note.ts'
import type { RecoveryNote } from './recovery-note.ts'

export interface KeeperInit {
  /** The folder of the stores, one folder of its name for each. */
  readonly folder: string
  readonly publicKey: Uint8Array
  readonly clock: Clock
  readonly hasher: Hasher
  readonly rng: Rng
  readonly verifier: Verifier
  readonly log: Log
}

type Damaged = Extract<Opening, { type: 'damaged' }>

export class StoreKeeper implements StorePlace {
  readonly #init: KeeperInit
  readonly #notes = new Map<string, RecoveryNote>()
  /** What is left to take over of a database's old files. */
  readonly #salvages = new Map<string, Salvage>()
  /** Stores to be made anew when they are opened next, and why. */
  readonly #condemned = new Map<string, string>()
  readonly #watches = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(init: KeeperInit) {
    this.#init = init
  }

  async open(database: string, create: boolean): Promise<EventStore> {
    const options = this.#options(database)
    if (create) return createGuarded(options)
    const note = await this.#readNote(database)
    if (note?.state === 'reading') return this.#refill(database, note)
    const condemned = this.#condemned.get(database)
    if (condemned !== undefined) {
      this.#condemned.delete(database)
      const mark = await readMark(markFileOf(options.location))
      const damaged = { type: 'damaged', reason: condemned, files: options.location, mark } as const
      return this.#recover(database, damaged)
    }
    const opening = await openGuarded(options)
    if (opening.type === 'damaged') return this.#recover(database, opening)
    if (note !== undefined && lacks(note, opening.store)) await this.#salvage(database, note)
    return opening.store
  }

  async remove(database: string): Promise<void> {
    await this.#salvages.get(database)?.close()
    this.#salvages.delete(database)
    this.#notes.delete(database)
    const names = await readdir(this.#init.folder).catch(() => [])
    const own = names.filter((name) => name === database || name.startsWith(`${database}.`))
    for (const name of own) {
      await rm(join(this.#init.folder, name), { recursive: true, force: true })
    }
  }

  async condemn(database: string, reason: string): Promise<void> {
    this.#condemned.set(database, reason)
  }

  /** Takes over, as holes are filled, what else the old files of a database have. */
  watch(database: NodeDatabase): void {
    const note = this.#notes.get(database.name)
    if (note === undefined) return
    database.learn(new Map(Object.entries(note.expected) as [LogId, number][]))
    const salvage = this.#salvages.get(database.name)
    if (salvage === undefined) return
    const watch = this.#follow(database, salvage).catch((error: unknown) => {
      const facts = { database: database.name, error: String(error) }
      if (!isLaterbaseError(error, 'LATERBASE_CLOSED')) {
        this.#init.log('error', 'what is left of damaged files cannot be taken over', facts)
      }
    })
    this.#watches.add(watch)
    void watch.finally(() => this.#watches.delete(watch))
  }

  /** In words for a person: what was recovered, what is missing, which files may be deleted. */
  warnings(databases: readonly DatabaseStatus[]): string[] {
    return [...this.#notes].map(([name, note]) => {
      const logs = databases.find((database) => database.name === name)?.logs ?? []
      const missing = logs.reduce((sum, { known, held }) => sum + Math.max(0, known - held), 0)
      return describeNote(name, note, { missing, folder: this.#init.folder })
    })
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.allSettled(this.#watches)
    for (const salvage of this.#salvages.values()) await salvage.close()
    this.#salvages.clear()
  }

  #options(database: string): GuardedOptions {
    const { folder, publicKey, hasher, rng, clock } = this.#init
    const owner = { database, publicKey }
    return { location: join(folder, database), owner, hasher, rng, clock }
  }

  /** What was noted, unless its files are gone: then a person has dealt with it. */
  async #readNote(database: string): Promise<RecoveryNote | undefined> {
    const note = await readNote(this.#noteFile(database))
    if (note === undefined) return undefined
    if (await isThere(join(this.#init.folder, note.kept))) {
      this.#notes.set(database, note)
      return note
    }
    await removeNote(this.#noteFile(database))
    return undefined
  }

  #noteFile(database: string): string {
    return join(this.#init.folder, `${database}.recovery.json`)
  }

  async #note(database: string, note: RecoveryNote): Promise<void> {
    await writeNote(this.#noteFile(database), note)
    this.#notes.set(database, note)
  }

  async #recover(database: string, damaged: Damaged): Promise<EventStore> {
    const { log, clock } = this.#init
    const { location } = this.#options(database)
    const at = formatTime(clock.nowMs())
    const kept = `${database}.damaged-${at.replaceAll(/[:.]/g, '-')}`
    const { reason, mark } = damaged
    log('error', 'a store is damaged: what is whole in it is taken over', {
      database,
      reason,
      kept
    })
    const expected = mark === undefined ? {} : { [mark.ownLog]: mark.ownSeq }
    const facts = { before: mark?.events, back: 0, expected }
    const note: RecoveryNote = { reason, at, kept, state: 'reading', ...facts }
    await this.#note(database, note)
    await rename(damaged.files, join(dirname(location), kept))
    return this.#refill(database, note)
  }

  /** Makes the new store from the files that were set aside. A crash in it begins it again. */
  async #refill(database: string, note: RecoveryNote): Promise<EventStore> {
    const options = this.#options(database)
    const { location } = options
    await rm(location, { recursive: true, force: true })
    await rm(`${location}.before`, { recursive: true, force: true })
    await rm(markFileOf(location), { force: true })
    const salvage = await this.#salvage(database, note)
    const store = await createGuarded(options)
    try {
      const expected: Record<LogId, number> = { ...note.expected }
      for (const { origin, lastSeq } of salvage?.logs ?? []) {
        const tip = await this.#fill(store, emptyTip(origin), salvage)
        if (lastSeq > tip.seq) expected[origin.id] = Math.max(lastSeq, expected[origin.id] ?? 0)
        if ((expected[origin.id] ?? 0) <= tip.seq) delete expected[origin.id]
      }
      const back = store.eventCount()
      await this.#note(database, { ...note, state: 'read', back, expected })
      if (!lacks({ expected }, store)) await this.#release(database)
      const facts = { database, back, before: note.before, kept: note.kept }
      this.#init.log('warn', 'a damaged store was made anew', facts)
      return store
    } catch (error) {
      await store.close()
      await this.#release(database)
      throw error
    }
  }

  /** What can be read of the old files, if anything. */
  async #salvage(database: string, note: RecoveryNote): Promise<Salvage | undefined> {
    const { folder, hasher, log } = this.#init
    const { location, owner } = this.#options(database)
    try {
      const files = join(folder, note.kept)
      const copy = `${location}.salvage`
      const salvage = await openSalvage({ files, copy, owner, hasher })
      this.#salvages.set(database, salvage)
      return salvage
    } catch (error) {
      if (!isUnreadable(error)) throw error
      log('error', 'nothing of a damaged store can be read', { database, error: String(error) })
      return undefined
    }
  }

  async #release(database: string): Promise<void> {
    const salvage = this.#salvages.get(database)
    this.#salvages.delete(database)
    await salvage?.close()
  }

  /** Extends a log by what the old files have behind its tip; the tip it then has. */
  async #fill(store: EventStore, tip: LogTip, salvage: Salvage | undefined): Promise<LogTip> {
    for await (const commits of salvage?.after(tip) ?? []) {
      const good = await this.#signed(commits)
      const ceiling = highest(store, good, this.#init.publicKey)
      const floor = salvage?.clockCeiling ?? 0n
      const clockCeiling = ceiling > floor ? ceiling : floor
      if (good.length > 0) await store.write({ commits: good, clockCeiling })
      if (good.length < commits.length) break
    }
    return store.log(tip.origin.id)?.tip ?? tip
  }

  /** The commits before the first whose signature fails. */
  async #signed(commits: readonly Commit[]): Promise<readonly Commit[]> {
    const { verifier } = this.#init
    if ((await verifySignatures(commits, verifier)) === undefined) return commits
    const good: Commit[] = []
    for (const commit of commits) {
      if ((await verifySignatures([commit], verifier)) !== undefined) break
      good.push(commit)
    }
    return good
  }

  /** After each batch: does what came reach what the old files have? */
  async #follow(database: NodeDatabase, salvage: Salvage): Promise<void> {
    const { signal } = this.#closing
    const tried = new Map<LogId, number>()
    while (!signal.aborted && this.#salvages.get(database.name) === salvage) {
      const told = database.committed.count()
      for (const { origin } of salvage.logs) {
        const tip = database.store.log(origin.id)?.tip ?? emptyTip(origin)
        if (tried.get(origin.id) === tip.seq || !salvage.hasBeyond(origin.id, tip.seq)) continue
        tried.set(origin.id, tip.seq)
        for await (const commits of salvage.after(tip)) {
          await database.merge(await this.#signed(commits))
        }
      }
      const isDone = salvage.logs.every(({ origin }) => {
        return !salvage.hasBeyond(origin.id, database.store.log(origin.id)?.tip.seq ?? 0)
      })
      if (isDone) return this.#release(database.name)
      await database.committed.after(told, signal)
    }
  }
}

/** Whether a log is not as far as it is known to have been. */
function lacks({ expected }: Pick<RecoveryNote, 'expected'>, store: EventStore): boolean {
  const held = new Map(store.logs().map(({ tip }) => [tip.origin.id, tip.seq]))
  return Object.entries(expected).some(([log, seq]) => seq > (held.get(log as LogId) ?? 0))
}

/** The highest stamp that this node is known to have given. */
function highest(store: EventStore, commits: readonly Commit[], publicKey: Uint8Array): bigint {
  let ceiling = store.clockCeiling()
  for (const { origin, recorded } of commits) {
    const isOwn = Buffer.compare(origin.genesis.publicKey, publicKey) === 0
    if (isOwn && recorded > ceiling) ceiling = recorded
  }
  return ceiling
}

function describeNote(
  name: string,
  note: RecoveryNote,
  { missing, folder }: { readonly missing: number; readonly folder: string }
): string {
  const { reason, at, back, before } = note
  const of = before === undefined ? '' : ` of ${before}`
  const files = join(basename(folder), note.kept)
  const rest =
    missing > 0
      ? `${missing} that are known of are still missing and come from peers; keep ${files} till then`
      : `what else there was comes from peers; when its digest is theirs, ${files} may be deleted`
  return `${name} was found damaged at ${at} (${reason}): ${back}${of} events were read back, ${rest}`
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false
  )
}

/** Damage, rather than a disk that is full or a file that may not be read. */
function isUnreadable(error: unknown): boolean {
  if (isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT')) return true
  if (isLaterbaseError(error, 'LATERBASE_STORE_LOST')) return true
  return error instanceof Error && 'code' in error && String(error.code).startsWith('LEVEL_')
}
