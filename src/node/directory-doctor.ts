/**
 * Examines the data directory of a stopped node, part by part, and repairs what can be repaired
 * without peers. What a start of the node would do by itself is done in the same way here.
 */

import { join } from 'node:path'

import { isDamage, isLaterbaseError } from '../errors.ts'
import { lockDirectory } from '../store/directory-lock.ts'
import { openGuarded } from '../store/guarded-store.ts'
import { openNodeStore } from '../store/node-store.ts'
import type { NodeStore } from '../store/node-store.ts'
import {
  DATABASES_FOLDER,
  NODE_STORE_FOLDER,
  openDataDirectory,
  replaceIdentity
} from './data-directory.ts'
import { DATABASE_LIST } from './database-registry.ts'
import { openKeptNodeStore, storesIn } from './node-store-keeper.ts'
import type { Log } from './options.ts'
import { formatTime } from '../schema/time.ts'
import { StoreKeeper } from './store-keeper.ts'
import { createSigner, systemClock, systemHasher, systemRng, systemVerifier } from './system.ts'

export interface Examination {
  /** A data directory with a node in it, which is not running. */
  readonly dir: string
  readonly signatures: boolean
  readonly repair: boolean
  /** With `repair`: go on as a new node where the identity is lost. */
  readonly newIdentity: boolean
  readonly log: Log
  readonly progress: (text: string) => void
}

export interface DirectoryFinding {
  /** `identity`, `node store`, or the name of a database. */
  readonly part: string
  /** What is wrong. */
  readonly detail: string
  /** What helps. */
  readonly remedy: string
  readonly repaired: boolean
}

/** @throws LATERBASE_STORE_LOCKED when the node is running, or being examined already */
export async function examineDirectory(options: Examination): Promise<DirectoryFinding[]> {
  const lock = await lockDirectory(options.dir)
  try {
    return await examineLocked(options)
  } finally {
    await lock.release()
  }
}

async function examineLocked(options: Examination): Promise<DirectoryFinding[]> {
  const findings: DirectoryFinding[] = []
  const publicKey = await examineIdentity(options, findings)
  if (publicKey === undefined) return findings
  const names = await examineNodeStore(options, findings)
  for (const name of names) {
    options.progress(name)
    await examineDatabase(options, { name, publicKey, findings })
  }
  return findings
}

/** The node's public key; undefined where it has none and gets none. */
async function examineIdentity(
  options: Examination,
  findings: DirectoryFinding[]
): Promise<Uint8Array | undefined> {
  const { dir, repair, newIdentity } = options
  const open = async (): Promise<Uint8Array> =>
    createSigner((await openDataDirectory(dir, undefined)).seed).publicKey
  try {
    return await open()
  } catch (error) {
    if (!isLaterbaseError(error, 'LATERBASE_IDENTITY_INVALID')) throw error
    const isIdentity = error.facts['file'] !== undefined
    const repaired = isIdentity && repair && newIdentity
    const remedy = isIdentity
      ? 'put its backup back, or --repair --new-identity goes on as a new node with all events'
      : 'put its backup back, or give it an invitation of its network with `laterbase join`'
    findings.push({ part: 'identity', detail: error.message, remedy, repaired })
    if (!repaired) return undefined
    await replaceIdentity(dir, systemRng.bytes(32), `damaged-${timeName()}`)
    return open()
  }
}

/** Names of the databases that there are, by the list and by the folders. */
async function examineNodeStore(
  options: Examination,
  findings: DirectoryFinding[]
): Promise<string[]> {
  const { dir, repair, log } = options
  const found = await storesIn(join(dir, DATABASES_FOLDER)).catch(() => [])
  const names = new Set(found.map(({ name }) => name))
  const add = (listed: unknown): void => {
    for (const [name, state] of Object.entries(listed ?? {})) if (state === 'open') names.add(name)
  }
  try {
    const location = join(dir, NODE_STORE_FOLDER)
    add(await listOf(await openNodeStore(location, false, { clock: systemClock })))
  } catch (error) {
    if (!isDamage(error)) throw error
    const remedy = 'it is made anew; its list of databases is read from their folders'
    findings.push({ part: 'node store', detail: error.message, remedy, repaired: repair })
    if (repair) {
      add(await listOf(await openKeptNodeStore({ dir, create: false, clock: systemClock, log })))
    }
  }
  return [...names].sort()
}

/** The list of databases of a node store, which is closed then. */
async function listOf(store: NodeStore): Promise<unknown> {
  try {
    return await store.get(DATABASE_LIST)
  } finally {
    await store.close()
  }
}

const SYSTEM = { hasher: systemHasher, rng: systemRng, clock: systemClock }

interface DatabaseExamination {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly findings: DirectoryFinding[]
}

async function examineDatabase(options: Examination, each: DatabaseExamination): Promise<void> {
  const { name, findings } = each
  const details = await databaseFaults(options, each)
  const [first] = details
  if (first === undefined) return
  const isRepaired = options.repair && first.kind !== 'other'
  const failure = isRepaired ? await repairDatabase(options, each, first) : undefined
  for (const { detail, kind } of details) {
    const repaired = isRepaired && failure === undefined
    findings.push({ part: name, detail, remedy: REMEDIES[kind], repaired })
  }
  if (failure === undefined) return
  findings.push({ part: name, detail: failure, remedy: REMEDIES.other, repaired: false })
}

/** Why it could not be repaired, if it could not: the other databases have their turn. */
async function repairDatabase(
  { dir, log }: Examination,
  { name, publicKey }: DatabaseExamination,
  { kind, detail }: DatabaseFault
): Promise<string | undefined> {
  const folder = join(dir, DATABASES_FOLDER)
  const keeper = new StoreKeeper({ ...SYSTEM, folder, publicKey, verifier: systemVerifier, log })
  try {
    if (kind === 'records' || kind === 'unreadable') await keeper.condemn(name, detail)
    const store = await keeper.open(name, kind === 'lost')
    await store.close()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await keeper.close()
  }
}

type FaultKind = 'files' | 'records' | 'unreadable' | 'lost' | 'other'

interface DatabaseFault {
  readonly kind: FaultKind
  readonly detail: string
}

const REMEDIES: Readonly<Record<FaultKind, string>> = {
  files: 'its files are set aside, all that is whole in them is taken over, peers give the rest',
  records: 'peers heal it while the node runs; else it is made anew from all that is whole',
  unreadable:
    'where the disk goes on refusing it, work on a copy; all that can be read is taken over, peers ' +
    'give the rest',
  lost: 'put it back; else it is made anew and empty, and peers give its events',
  other: 'remove the cause, and run it again'
}

async function databaseFaults(
  options: Examination,
  { name, publicKey }: DatabaseExamination
): Promise<DatabaseFault[]> {
  const location = join(options.dir, DATABASES_FOLDER, name)
  const owner = { database: name, publicKey }
  const faults: DatabaseFault[] = []
  try {
    const opening = await openGuarded({ location, owner, ...SYSTEM })
    if (opening.type === 'damaged') return [{ kind: 'files', detail: opening.reason }]
    const { store } = opening
    try {
      const verifier = options.signatures ? systemVerifier : undefined
      for await (const step of store.check({ verifier })) {
        if (step.type === 'progress')
          options.progress(`${name}: ${step.done} of ${step.total} commits`)
        else faults.push({ kind: 'records', detail: step.detail })
      }
    } finally {
      await store.close()
    }
    return faults
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return [...faults, { kind: kindOf(error), detail }]
  }
}

function kindOf(error: unknown): FaultKind {
  if (isLaterbaseError(error, 'LATERBASE_STORE_LOST')) return 'lost'
  const isUnreadable = isLaterbaseError(error) && error.facts['table'] !== undefined
  return isUnreadable ? 'unreadable' : 'other'
}

function timeName(): string {
  return formatTime(systemClock.nowMs()).replaceAll(/[:.]/g, '-')
}
