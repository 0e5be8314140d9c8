/**
 * The stores of a data directory, and what becomes of one that is damaged: its files are set aside,
 * a new store with a new incarnation, hence a new log for its node to write, takes its place, and
 * everything that is whole in the old files is taken over, log by log. Peers give the rest. What lies
 * beyond a hole is taken over as soon as the hole is filled.
 *
 * That is for starts. A store that is opened anew after a write that failed is the same store, or
 * stays closed: what a failing disk shows of it for a moment is no reason to give it up. Where it
 * shows the same for some time, the node opens the store as at a start.
 *
 *     NAME/                    the store
 *     NAME.marker, .progress   see store/marker.ts and store/store-progress.ts
 *     NAME.damaged-TIME/       the files of one that was damaged, as they were found
 *     NAME.recovery.json       what was wrong and what was done, see recovery-note.ts
 *     NAME.views/              what is made of its events, see view-files.ts
 *     NAME.salvage/            the repaired copy while there is something to take over
 *
 * Leaves out how damage is found when a store is opened (`store/guarded-store.ts`), how old files
 * are read (`store/salvage.ts`) and what of them is taken over (`salvage-fill.ts`).
 */

import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import type { Clock, Hasher, Rng, Verifier } from '../core/clock.ts'
import { toHex } from '../core/bytes.ts'
import { LaterbaseError, isDamage, isLaterbaseError } from '../errors.ts'
import { formatTime } from '../schema/time.ts'
import type { DerivedStore } from '../store/derived-store.ts'
import type { EventStore } from '../store/event-store.ts'
import {
  beforeOf,
  createGuarded,
  openGuarded,
  progressFileOf,
  storeFiles
} from '../store/guarded-store.ts'
import type { GuardedOptions, Opening } from '../store/guarded-store.ts'
import { KnownLogs } from '../store/known-logs.ts'
import { LevelPlace } from '../store/level-place.ts'
import { isBlank, isLevelDamage } from '../store/open-level.ts'
import { openSalvage } from '../store/salvage.ts'
import type { Salvage, SalvagedLog } from '../store/salvage.ts'
import { readProgress } from '../store/store-progress.ts'
import { isThere, syncFolder } from '../store/whole-file.ts'
import type { NodeDatabase } from './database.ts'
import type { StorePlace } from './database-registry.ts'
import type { DatabaseStatus } from './laterbase.ts'
import type { Log } from './options.ts'
import { readNote, removeNote, writeNote } from './recovery-note.ts'
import type { RecoveryNote } from './recovery-note.ts'
import { openViewFiles } from './view-files.ts'
import { headOf, isHeld, lackingOf, signedOf, startsOf, takeOver } from './salvage-fill.ts'

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
  readonly #place: LevelPlace
  readonly #notes = new Map<string, RecoveryNote>()
  /** What is left to take over of a database's old files. */
  readonly #salvages = new Map<string, Salvage>()
  /** Stores to be made anew when they are opened next, and why. */
  readonly #condemned = new Map<string, string>()
  readonly #damagedListeners: ((database: string) => void)[] = []
  readonly #watches = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(init: KeeperInit) {
    this.#init = init
    this.#place = new LevelPlace({
      ...init,
      damaged: (database) => {
        for (const listener of this.#damagedListeners) listener(database)
      }
    })
  }

  open(database: string, create: boolean): Promise<EventStore> {
    return this.#place.open(database, {
      first: () => this.#openFirst(database, create),
      again: () => this.#openAgain(database)
    })
  }

  openViews(database: string, anew: boolean): Promise<DerivedStore> {
    const location = join(this.#init.folder, `${database}.views`)
    return openViewFiles(location, { anew, admit: (bytes) => this.#place.admit(bytes) })
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

  onDamaged(listener: (database: string) => void): void {
    this.#damagedListeners.push(listener)
  }

  /** @throws LATERBASE_DISK_FULL: better a store that is damaged than none while there is no room */
  async condemn(database: string, reason: string): Promise<void> {
    const { location } = this.#options(database)
    await this.#place.admit(await fileBytes(location))
    this.#condemned.set(database, reason)
  }

  /** Takes over, as holes are filled, what else the old files of a database have. */
  watch(database: NodeDatabase): void {
    const note = this.#notes.get(database.name)
    if (note === undefined) return
    database.learn(note.expected)
    const salvage = this.#salvages.get(database.name)
    if (salvage === undefined) return
    const watch = this.#follow(database, salvage).catch((error: unknown) => {
      const facts = { database: database.name, error: String(error) }
      this.#init.log('error', 'what is left of damaged files cannot be taken over', facts)
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
    this.#place.close()
  }

  async #openFirst(database: string, create: boolean): Promise<EventStore> {
    const options = this.#options(database)
    const note = await this.#readNote(database)
    if (note?.state === 'reading') return this.#refill(database, note)
    if (await isUnmade(options.location, create)) {
      await this.#place.admit()
      return createGuarded(options)
    }
    const condemned = this.#condemned.get(database)
    if (condemned !== undefined) {
      this.#condemned.delete(database)
      const progress = await readProgress(progressFileOf(options.location))
      // What an opening that was cut off had before it is whole; what it left behind may not be.
      const before = beforeOf(options.location)
      const files = (await storeFiles(before)).length > 0 ? before : options.location
      return this.#recover(database, { type: 'damaged', reason: condemned, files, progress })
    }
    const opening = await openGuarded(options)
    if (opening.type === 'damaged') return this.#recover(database, opening)
    const { store } = opening
    if (note === undefined) return store
    await this.#salvageRest(database, note, store)
    return store
  }

  /** What old files still have is no reason to keep a store closed that opens. */
  async #salvageRest(database: string, note: RecoveryNote, store: EventStore): Promise<void> {
    try {
      const lacking = await lackingOf(store, note.expected)
      if (lacking.length > 0) await this.#salvage(database, note)
    } catch (error) {
      const facts = { database, error: String(error) }
      this.#init.log('warn', 'what is left of damaged files is looked at by the next start', facts)
    }
  }

  async #openAgain(database: string): Promise<EventStore> {
    const opening = await openGuarded(this.#options(database), true)
    if (opening.type === 'open') return opening.store
    const message = `${opening.reason}; what is whole is taken over when that lasts`
    throw new LaterbaseError('LATERBASE_STORE_CORRUPT', message)
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
    const { reason, progress } = damaged
    const facts = { database, reason, kept }
    log('error', 'a store is damaged: what is whole in it is taken over', facts)
    const expected = [...(this.#notes.get(database)?.expected ?? [])]
    if (progress !== undefined && progress.ownSeq > 0)
      expected.push({ log: progress.ownLog, seq: progress.ownSeq })
    const counts = { before: progress?.events, back: 0, expected }
    const note: RecoveryNote = { reason, at, kept, state: 'reading', ...counts }
    await this.#note(database, note)
    await rename(damaged.files, join(dirname(location), kept))
    // What is in the store's own folder goes next.
    await syncFolder(dirname(location))
    return this.#refill(database, note)
  }

  /** Makes the new store from the files that were set aside. A crash in it begins it again. */
  async #refill(database: string, note: RecoveryNote): Promise<EventStore> {
    const options = this.#options(database)
    const { location } = options
    for (const path of [location, `${location}.before`, progressFileOf(location)]) {
      await rm(path, { recursive: true, force: true })
    }
    // Before all the work, which would be for nothing: it is tried again as long as there is no room.
    await this.#place.admit(await fileBytes(join(this.#init.folder, note.kept)))
    const salvage = await this.#salvage(database, note)
    const store = await createGuarded(options)
    try {
      const logs = salvage?.logs ?? []
      for (const log of logs) await this.#fill(store, log, salvage)
      const back = store.eventCount()
      const expected = await lackingOf(store, [...note.expected, ...logs.map(headOf)])
      await this.#note(database, { ...note, state: 'read', back, expected })
      if (expected.length === 0) await this.#release(database)
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
    await this.#release(database)
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

  /** Takes over what the old files have of a log, as far as it reaches without a hole. */
  async #fill(store: EventStore, log: SalvagedLog, salvage: Salvage | undefined): Promise<void> {
    if (salvage === undefined) return
    const { verifier, publicKey } = this.#init
    for (const tip of await startsOf(new KnownLogs(store), store, log)) {
      for await (const commits of salvage.after(log, tip)) {
        const good = await signedOf(commits, verifier)
        await this.#place.admit()
        await takeOver(store, good, { publicKey, clockCeiling: salvage.clockCeiling })
        if (good.length < commits.length) break
      }
    }
  }

  /** After each batch: does what came reach what the old files have? */
  async #follow(database: NodeDatabase, salvage: Salvage): Promise<void> {
    const { signal } = this.#closing
    const tried = new Map<number, ReadonlySet<string>>()
    while (!signal.aborted && this.#salvages.get(database.name) === salvage) {
      const told = database.committed.count()
      try {
        if (await this.#takeRest(database, salvage, tried)) return this.#release(database.name)
      } catch (error) {
        if (signal.aborted || isLaterbaseError(error, 'LATERBASE_CLOSED')) return
        const facts = { database: database.name, error: String(error) }
        this.#init.log('warn', 'what is left of damaged files waits for the next commit', facts)
      }
      await database.committed.after(told, signal)
    }
  }

  /**
   * Whether all that the old files have is held then.
   *
   * @param tried by number of a log, the tips that nothing of it follows
   */
  async #takeRest(
    database: NodeDatabase,
    salvage: Salvage,
    tried: Map<number, ReadonlySet<string>>
  ): Promise<boolean> {
    // A database that is closed, or takes nothing now, says so.
    await database.merge([])
    const { store } = database
    const known = new KnownLogs(store)
    let isDone = true
    for (const log of salvage.logs) {
      const before = tried.get(log.number)
      const starts = await startsOf(known, store, log)
      for (const tip of starts) {
        if (before?.has(toHex(tip.hash)) === true) continue
        for await (const commits of salvage.after(log, tip)) {
          await database.merge(await signedOf(commits, this.#init.verifier))
        }
      }
      tried.set(log.number, new Set(starts.map(({ hash }) => toHex(hash))))
      if (!(await isHeld(new KnownLogs(store), log))) isDone = false
    }
    return isDone
  }
}

/** Bytes of a store's files: about those of a store that is made from them. */
async function fileBytes(folder: string): Promise<number> {
  let bytes = 0
  for (const name of await storeFiles(folder)) bytes += (await stat(join(folder, name))).size
  return bytes
}

/** Whether there is no store yet: at the most what a power cut left of one that was being made. */
async function isUnmade(location: string, create: boolean): Promise<boolean> {
  if ((await storeFiles(beforeOf(location))).length > 0) return false
  if ((await storeFiles(location)).length === 0) return create
  const isMade = (await readProgress(progressFileOf(location))) !== undefined
  return !isMade && (await isBlank(location))
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

/** Damage, rather than a disk that is full or a file that may not be read. */
function isUnreadable(error: unknown): boolean {
  // LevelDB's repair of a folder without any table or log.
  return isDamage(error) || isLevelDamage(error) || /found no files/.test(String(error))
}
