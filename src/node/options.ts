/** Options of `createLaterbase`, their defaults and their check. */

import { LaterbaseError } from '../errors.ts'
import type { StandardSchema } from '../schema/standard-schema.ts'
import type { Upcaster } from '../schema/upcast.ts'
import type { AnyView } from '../views/define-view.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import type { JsonSchema } from './schemas.ts'

export type { Upcaster } from '../schema/upcast.ts'

export interface LaterbaseOptions {
  /** Data directory; made when missing. */
  readonly dir: string
  /** A name for people, default the host's name. */
  readonly name?: string
  /** Multiaddrs to listen on; default `/ip4/0.0.0.0/tcp/0`. */
  readonly listen?: readonly string[]
  /** Multiaddrs of nodes to keep a connection to, for other sites or networks without multicast. */
  readonly peers?: readonly string[]
  /** Find neighbours by mDNS; default true. */
  readonly mdns?: boolean
  /** An invitation of the network to join; a directory that has a network key must have this one. */
  readonly invitation?: string
  /** How far in the future an event may be dated, ms; default 300,000. */
  readonly futureToleranceMs?: number
  /** Mean interval of anti-entropy with each peer, ms; default 10,000. */
  readonly antiEntropyMs?: number
  /** Announce commits by gossip; default true. Without it, anti-entropy alone carries everything. */
  readonly gossip?: boolean
  /** Mean interval at which each store is gone through for damage, ms; default a day, 0 for never. */
  readonly verifyMs?: number
  /**
   * Whose definitions of views and schemas this node uses besides its own: peer ids, or `members` for everybody
   * in the network; default nobody's. Definitions of others replicate, are listed, and do nothing here.
   */
  readonly trust?: 'members' | readonly string[]
  /** Run JavaScript of definitions of views, in a sandbox; default false. */
  readonly viewScripts?: boolean
  /** By database, views of functions: defined when the database is opened or comes to be. */
  readonly views?: Readonly<Record<string, readonly AnyView[]>>
  /** By database and name, definitions of views: put, where others are held, when the database is opened. */
  readonly viewDefinitions?: Readonly<Record<string, Readonly<Record<string, ViewDefinition>>>>
  /** By database and type of events, schemas: enforced from the start, as `schemas.define` does later. */
  readonly schemas?: Readonly<Record<string, Readonly<Record<string, StandardSchema | JsonSchema>>>>
  /** By database, what turns data of old events into the shape that its views see. */
  readonly upcasters?: Readonly<Record<string, readonly Upcaster[]>>
  /** Where log lines go; default nowhere. */
  readonly log?: Log
}

/** One structured log line; `fields` are plain JSON. */
export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields?: Readonly<Record<string, unknown>>
) => void

export interface ResolvedOptions {
  readonly dir: string
  readonly name: string
  readonly listen: readonly string[]
  readonly peers: readonly string[]
  readonly mdns: boolean
  readonly invitation: string | undefined
  readonly futureToleranceMs: number
  readonly antiEntropyMs: number
  readonly gossip: boolean
  readonly verifyMs: number
  readonly trust: 'members' | readonly string[]
  readonly viewScripts: boolean
  readonly views: Readonly<Record<string, readonly AnyView[]>>
  readonly viewDefinitions: Readonly<Record<string, Readonly<Record<string, ViewDefinition>>>>
  readonly schemas: Readonly<Record<string, Readonly<Record<string, StandardSchema | JsonSchema>>>>
  readonly upcasters: Readonly<Record<string, readonly Upcaster[]>>
  readonly log: Log
}

export const FUTURE_TOLERANCE_MS = 300_000
export const ANTI_ENTROPY_MS = 10_000
/** Rot is slow; a check reads the whole store once. */
export const VERIFY_MS = 86_400_000

/** @throws LATERBASE_OPTION_INVALID */
export function resolveOptions(options: LaterbaseOptions, hostName: string): ResolvedOptions {
  if (typeof options.dir !== 'string' || options.dir === '') {
    throw new LaterbaseError('LATERBASE_OPTION_INVALID', 'dir: a data directory is required')
  }
  const millis = {
    futureToleranceMs: options.futureToleranceMs,
    antiEntropyMs: options.antiEntropyMs,
    verifyMs: options.verifyMs
  }
  for (const [name, value] of Object.entries(millis)) {
    if (value !== undefined && !(Number.isFinite(value) && value >= 0)) {
      throw new LaterbaseError('LATERBASE_OPTION_INVALID', `${name}: milliseconds, 0 or more`)
    }
  }
  const { trust = [] } = options
  if (
    trust !== 'members' &&
    !(Array.isArray(trust) && trust.every((peer) => typeof peer === 'string'))
  ) {
    throw new LaterbaseError('LATERBASE_OPTION_INVALID', "trust: 'members', or a list of peer ids")
  }
  return {
    dir: options.dir,
    name: options.name ?? hostName,
    listen: options.listen ?? ['/ip4/0.0.0.0/tcp/0'],
    peers: options.peers ?? [],
    mdns: options.mdns ?? true,
    invitation: options.invitation,
    futureToleranceMs: options.futureToleranceMs ?? FUTURE_TOLERANCE_MS,
    antiEntropyMs: options.antiEntropyMs ?? ANTI_ENTROPY_MS,
    gossip: options.gossip ?? true,
    verifyMs: options.verifyMs ?? VERIFY_MS,
    trust,
    viewScripts: options.viewScripts ?? false,
    views: options.views ?? {},
    viewDefinitions: options.viewDefinitions ?? {},
    schemas: options.schemas ?? {},
    upcasters: options.upcasters ?? {},
    log: options.log ?? ((): void => undefined)
  }
}
