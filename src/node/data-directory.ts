/**
 * The data directory: identity and network key beside the stores, so that a lost store is told
 * from a new one.
 *
 *     identity.json     the node's Ed25519 seed; made once, readable by the owner only
 *     identity.json.old-TIME, .damaged-TIME   what it was before, where it was renewed
 *     network.key       the network's secret, as the text of an invitation
 *     stores.json       there once the stores were made
 *     node/             a small store: which databases there are, addresses of peers
 *     node.*            what is kept beside it: see node-store-keeper.ts
 *     node.lock/        an empty store, whose lock is the directory's lock
 *     databases/NAME/   one store a database
 *     databases/NAME.*  what is kept beside it: see store/README.md
 */

import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readFile, readdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'

import { LaterbaseError } from '../errors.ts'
import { writeWhole } from '../store/whole-file.ts'
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
 * @throws LATERBASE_IDENTITY_INVALID (a file of the identity or the network is damaged, or gone from
 *   a directory that has stores), LATERBASE_INVITATION_INVALID (unreadable, or the directory belongs
 *   to another network)
 */
export async function openDataDirectory(
  dir: string,
  invitation: string | undefined
): Promise<DataDirectory> {
  const joining = invitation === undefined ? undefined : parseInvitation(invitation)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const path = await realpath(dir)
  const hasStores = await storesExist(path)
  const identity = await readText(join(path, IDENTITY_FILE))
  if (identity === undefined && hasStores) throw identityLost(path)
  const seed = identity === undefined ? randomBytes(32) : parseIdentity(identity, path)
  const keyText = await readText(join(path, NETWORK_KEY_FILE))
  if (keyText === undefined && joining === undefined && hasStores) throw networkKeyLost(path)
  const held = keyText === undefined ? undefined : parseNetworkKey(keyText, joining, path)
  if (held !== undefined && joining !== undefined && Buffer.compare(held, joining) !== 0) {
    throw new LaterbaseError(
      'LATERBASE_INVITATION_INVALID',
      `${path} belongs to another network: join with another data directory`
    )
  }
  const networkKey = held ?? joining ?? randomBytes(32)
  if (held === undefined) {
    await writeWhole(join(path, NETWORK_KEY_FILE), `${createInvitation(networkKey)}\n`)
  }
  if (identity === undefined) {
    await writeWhole(join(path, IDENTITY_FILE), formatIdentity(seed))
  }
  return { path, seed, networkKey, hasStores }
}

/** Notes that the stores of a directory exist from now on. */
export async function markStores(path: string): Promise<void> {
  await writeWhole(join(path, STORES_FILE), `${JSON.stringify({ format: 1 })}\n`)
}

/** Whether there is a node in the directory. */
export async function hasIdentity(dir: string): Promise<boolean> {
  return (await readText(join(dir, IDENTITY_FILE))) !== undefined
}

/** The mark, or anything that stores leave: a mark that is lost does not make a directory new. */
async function storesExist(path: string): Promise<boolean> {
  if ((await readText(join(path, STORES_FILE))) !== undefined) return true
  for (const folder of [NODE_STORE_FOLDER, DATABASES_FOLDER]) {
    const names = await readdir(join(path, folder)).catch(() => [])
    if (names.length > 0) return true
  }
  return false
}

/** Whether there is a node in the directory, or what is left of one. */
export async function hasNode(dir: string): Promise<boolean> {
  return (await hasIdentity(dir)) || storesExist(dir)
}

/**
 * Puts a new identity in the place of the old one, which is kept beside it, damaged or not: its
 * stores stay, the log that it wrote until now is one of another node from now on.
 *
 * A crash leaves the old identity or the new one, and never none.
 *
 * @param suffix of the name under which the old one is kept, which is returned
 */
export async function replaceIdentity(
  path: string,
  seed: Uint8Array,
  suffix: string
): Promise<string> {
  const file = join(path, IDENTITY_FILE)
  const kept = `${file}.${suffix}`
  const before = await readText(file)
  if (before !== undefined) await writeWhole(kept, before)
  await writeWhole(file, formatIdentity(seed))
  return kept
}

const IDENTITY_FILE = 'identity.json'
const NETWORK_KEY_FILE = 'network.key'
const STORES_FILE = 'stores.json'

export const NODE_STORE_FOLDER = 'node'
export const DATABASES_FOLDER = 'databases'

function formatIdentity(seed: Uint8Array): string {
  const text = Buffer.from(seed).toString('base64url')
  const fields = { format: 1, algorithm: 'Ed25519', seed: text, check: identityCheck(seed) }
  return `${JSON.stringify(fields, undefined, 2)}\n`
}

function parseIdentity(text: string, path: string): Uint8Array {
  try {
    const { seed, check } = JSON.parse(text) as { seed: unknown; check: unknown }
    const bytes = Buffer.from(String(seed), 'base64url')
    // Any other 32 bytes are the seed of some other node.
    if (bytes.length === 32 && check === identityCheck(bytes)) return bytes
  } catch {
    // The message below is the same for every way of being unreadable.
  }
  throw new LaterbaseError(
    'LATERBASE_IDENTITY_INVALID',
    `${join(path, IDENTITY_FILE)} is damaged: ${IDENTITY_WAY_OUT}`,
    { facts: { file: IDENTITY_FILE } }
  )
}

/** Tells rot from a seed; no protection against intent. */
function identityCheck(seed: Uint8Array): string {
  return createHash('sha256').update('laterbase/identity/1').update(seed).digest('hex').slice(0, 8)
}

function identityLost(path: string): LaterbaseError {
  return new LaterbaseError(
    'LATERBASE_IDENTITY_INVALID',
    `${join(path, IDENTITY_FILE)} is gone, and there are stores: ${IDENTITY_WAY_OUT}`,
    { facts: { file: IDENTITY_FILE } }
  )
}

const IDENTITY_WAY_OUT =
  'put its backup back, or go on as a new node with `laterbase doctor --repair --new-identity`, ' +
  'which keeps all events'

function networkKeyLost(path: string): LaterbaseError {
  return new LaterbaseError(
    'LATERBASE_IDENTITY_INVALID',
    `${join(path, NETWORK_KEY_FILE)} is gone, and there are stores: ${NETWORK_KEY_WAY_OUT}`
  )
}

const NETWORK_KEY_WAY_OUT =
  'put its backup back, or give it an invitation of its network with `laterbase join`'

/** The key of the file; undefined where it is damaged and an invitation takes its place. */
function parseNetworkKey(
  text: string,
  joining: Uint8Array | undefined,
  path: string
): Uint8Array | undefined {
  try {
    return parseInvitation(text.trim())
  } catch (cause) {
    if (joining !== undefined) return undefined
    const message = `${join(path, NETWORK_KEY_FILE)} is damaged: ${NETWORK_KEY_WAY_OUT}`
    throw new LaterbaseError('LATERBASE_IDENTITY_INVALID', message, { cause })
  }
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
