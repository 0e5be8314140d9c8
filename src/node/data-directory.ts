/**
 * The data directory: identity and network key beside the stores, so that a lost store is told
 * from a new one.
 *
 *     identity.json     the node's Ed25519 seed; made once, readable by the owner only
 *     identity.json.old-TIME   what it was before, where it was renewed
 *     network.key       the network's secret, as the text of an invitation
 *     stores.json       there once the stores were made
 *     node/             a small store: which databases there are, addresses of peers
 *     node.lock/        an empty store, whose lock is the directory's lock
 *     databases/NAME/   one store a database
 *     databases/NAME.marker   which opening of the store was the last: tells a restored copy
 */

import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, realpath, rename } from 'node:fs/promises'
import { join } from 'node:path'

import { LaterbaseError } from '../errors.ts'
import { formatTime } from '../schema/time.ts'
import { createInvitation, parseInvitation } from './invitation.ts'

export interface DataDirectory {
  readonly path: string
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Uint8Array
  /** 32 bytes. */
  readonly networkKey: Uint8Array
  /** Stores were made here before, so a missing one is lost, not new. */
  readonly hasStores: boolean
}

/**
 * Opens a data directory, and makes what is missing of a new one.
 *
 * @param invitation the network to join; a new directory without one makes a network of its own
 * @throws LATERBASE_IDENTITY_INVALID, LATERBASE_INVITATION_INVALID (unreadable, or the directory
 *   belongs to another network)
 */
export async function openDataDirectory(
  dir: string,
  invitation: string | undefined
): Promise<DataDirectory> {
  const joining = invitation === undefined ? undefined : parseInvitation(invitation)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const path = await realpath(dir)
  const identity = await readText(join(path, IDENTITY_FILE))
  const seed = identity === undefined ? randomBytes(32) : parseIdentity(identity, path)
  const keyText = await readText(join(path, NETWORK_KEY_FILE))
  const held = keyText === undefined ? undefined : parseInvitation(keyText.trim())
  if (held !== undefined && joining !== undefined && Buffer.compare(held, joining) !== 0) {
    throw new LaterbaseError(
      'LATERBASE_INVITATION_INVALID',
      `${path} belongs to another network: join with another data directory`
    )
  }
  const networkKey = held ?? joining ?? randomBytes(32)
  if (held === undefined) {
    await writeSecret(join(path, NETWORK_KEY_FILE), `${createInvitation(networkKey)}\n`)
  }
  if (identity === undefined) {
    await writeSecret(join(path, IDENTITY_FILE), formatIdentity(seed))
  }
  const hasStores = (await readText(join(path, STORES_FILE))) !== undefined
  return { path, seed, networkKey, hasStores }
}

/** Notes that the stores of a directory exist from now on. */
export async function markStores(path: string): Promise<void> {
  await writeSecret(join(path, STORES_FILE), `${JSON.stringify({ format: 1 })}\n`)
}

/** Whether there is a node in the directory. */
export async function hasIdentity(dir: string): Promise<boolean> {
  return (await readText(join(dir, IDENTITY_FILE))) !== undefined
}

/**
 * Puts a new identity in the place of the old one, which is kept beside it; the file's name.
 *
 * A crash leaves the old identity or the new one, and never none.
 */
export async function replaceIdentity(
  path: string,
  seed: Uint8Array,
  nowMs: number
): Promise<string> {
  const file = join(path, IDENTITY_FILE)
  const kept = `${file}.old-${formatTime(nowMs).replaceAll(/[-:]/g, '')}`
  await writeSecret(kept, (await readText(file)) ?? '')
  await writeSecret(file, formatIdentity(seed))
  return kept
}

const IDENTITY_FILE = 'identity.json'
const NETWORK_KEY_FILE = 'network.key'
const STORES_FILE = 'stores.json'

export const NODE_STORE_FOLDER = 'node'
export const DATABASES_FOLDER = 'databases'

function formatIdentity(seed: Uint8Array): string {
  const fields = { format: 1, algorithm: 'Ed25519', seed: Buffer.from(seed).toString('base64url') }
  return `${JSON.stringify(fields, undefined, 2)}\n`
}

function parseIdentity(text: string, path: string): Uint8Array {
  try {
    const { seed } = JSON.parse(text) as { seed: unknown }
    const bytes = Buffer.from(String(seed), 'base64url')
    if (bytes.length === 32) return bytes
  } catch {
    // The message below is the same for every way of being unreadable.
  }
  throw new LaterbaseError(
    'LATERBASE_IDENTITY_INVALID',
    `${join(path, IDENTITY_FILE)} is damaged: put its backup back, or move it away to start as a ` +
      'new node, which takes the events from its peers'
  )
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Written beside, synced, renamed: a power cut leaves the old file or the new one. */
async function writeSecret(file: string, text: string): Promise<void> {
  const beside = `${file}.new`
  const handle = await open(beside, 'w', 0o600)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await chmod(beside, 0o600)
  await rename(beside, file)
  const folder = await open(join(file, '..'), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
