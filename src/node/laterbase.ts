/**
 * The public shape of a node: what a library user, the HTTP facade and the command line see.
 * `create-node.ts` makes one.
 */

import type { Json } from '../core/json.ts'
import type { ErrorCode, Problem } from '../errors.ts'
import type { Schemas } from './schemas.ts'
import type { Views } from './views.ts'

export type { Json } from '../core/json.ts'

/**
 * An event as a client offers it: a CloudEvents-shaped envelope around `data`.
 *
 * When it happened is given by `key` or `time` (they must agree when both are given); with
 * neither, the event is stamped now. With `source` and `id` the key is derived from them and
 * `time`, which is then required, so that the same fact offered twice, anywhere, is one event.
 */
export interface EventInput {
  readonly data?: Json
  /** Base64 bytes in place of `data`. */
  readonly data_base64?: string
  readonly datacontenttype?: string
  /** ULID or UUIDv7 text. */
  readonly key?: string
  /** RFC 3339. */
  readonly time?: string
  readonly type?: string
  readonly subject?: string
  readonly source?: string
  readonly id?: string
  readonly schema?: string
  /**
   * Key of the event that this one corrects, ULID or UUIDv7 text: views with `events: 'effective'` then take
   * this one in its place, or neither when `data` is null. It need not be held here.
   */
  readonly corrects?: string
}

/**
 * An event as the store holds it. `data` and the other members are parsed on first use; what another
 * node wrote is looked at first, and shown as `data_base64` where it is no event's content.
 */
export interface RecordedEvent {
  /** ULID text, 26 characters. */
  readonly key: string
  /** When it happened, RFC 3339 with milliseconds, UTC. */
  readonly time: string
  /** When a node accepted it, RFC 3339 with milliseconds, UTC. */
  readonly recorded: string
  /** Id of the log that holds it, 32 hex digits, and its place there, from 1. */
  readonly log: string
  readonly seq: number
  /** Another event with this key and other content exists; this one has the lowest hash. */
  readonly conflict: boolean
  /** SHA-256 of the content, 64 hex digits. */
  readonly hash: string
  readonly data: Json | undefined
  readonly data_base64: string | undefined
  readonly datacontenttype: string | undefined
  readonly type: string | undefined
  readonly subject: string | undefined
  readonly source: string | undefined
  readonly id: string | undefined
  readonly schema: string | undefined
  /** Key of the event that this one corrects, ULID text. */
  readonly corrects: string | undefined
  /**
   * What is wrong with it by the schema that its type has here now, by pointers into the event: empty where it
   * follows, or where there is none. Looked at on first use. Events of others may be so, and such as are older
   * than the schema.
   */
  readonly schemaProblems: readonly Problem[]
  /** The event as JSON text: `key`, `time`, then the members as stored. */
  readonly json: string
}

export interface AppendOptions {
  /** `trust`: take an event dated in the future, beyond the tolerance. */
  readonly clock?: 'trust'
  /** `proceed`: write what is good and report the rest in `problems`; default is all or nothing. */
  readonly onError?: 'proceed'
  readonly signal?: AbortSignal
}

export interface AppendResult {
  /** Short cursor: a feed from here shows what comes after this write. */
  readonly lc: string
  /** One per event offered, in that order; with `onError: 'proceed'` refused ones are `rejected`. */
  readonly results: readonly AppendedEvent[]
}

export type AppendedEvent =
  | {
      readonly key: string
      readonly status: 'created' | 'duplicate'
      /** SHA-256 of the content, 64 hex digits. */
      readonly hash: string
    }
  | { readonly status: 'rejected'; readonly code: string; readonly problem: Problem }

/** `since` and `lc` take: `0` (everything), `now`, an RFC 3339 time, or a cursor of a feed. */
export interface ChangesOptions {
  /** Exclusive; default `0`. */
  readonly since?: string
  readonly filter?: EventFilter
  readonly signal?: AbortSignal
}

/** Members that are given must all hold. */
export interface EventFilter {
  readonly type?: string
  readonly subject?: string
  readonly source?: string
  /** When it happened: inclusive, RFC 3339 or ULID. */
  readonly from?: string
  /** When it happened: exclusive, RFC 3339 or ULID. */
  readonly to?: string
}

export interface Change {
  /** Short cursor, good on this node's store: everything up to and with this event. */
  readonly lc: string
  readonly event: RecordedEvent
}

export interface ChangesPage {
  /** In order of recorded time, merged over the logs. */
  readonly changes: readonly Change[]
  /** Where to go on, on this node's store. Moves through events that a filter passed over. */
  readonly lastLc: string
  /** Where to go on, on any node of the network. */
  readonly lastVersion: string
  /** Events still to come after this page, those a filter would pass over included. */
  readonly pending: number
}

export interface RangeOptions {
  /** When it happened: inclusive, RFC 3339 or ULID; default the beginning. */
  readonly from?: string
  /** When it happened: exclusive, RFC 3339 or ULID; default the end. */
  readonly to?: string
  readonly reverse?: boolean
  readonly signal?: AbortSignal
}

export interface LogStatus {
  /** 32 hex digits. */
  readonly log: string
  /** Peer id of the node that writes, or wrote, this log; undefined before its first commit came. */
  readonly peer: string | undefined
  /** Whether this node writes it now. */
  readonly own: boolean
  /** The last sequence number that this node holds. */
  readonly held: number
  /** The last sequence number that this node has heard of. */
  readonly known: number
  /** Recorded time of the last commit held, RFC 3339; undefined for an empty log. */
  readonly lastRecorded: string | undefined
  /** The log has several branches, each listed: two boxes wrote under one identity. */
  readonly forked: boolean
  /** For a branch: the last sequence number that it shares with the one that it left. */
  readonly forkedAfter: number | undefined
}

/** What is known of whether the stored bytes are as they were written. */
export interface VerifyStatus {
  readonly running: boolean
  /** Commits looked at, of how many, by the check that runs or ran last. */
  readonly done: number
  readonly total: number
  /** When the last whole check ended, RFC 3339. */
  readonly checkedAt: string | undefined
  /** Damages found since the node started, by checks and reads, and how many of them were healed. */
  readonly found: number
  readonly healed: number
  /** Damages that wait for a peer that can give what is damaged. */
  readonly open: number
  /** The damages found last, in words. */
  readonly findings: readonly string[]
}

export interface DatabaseStatus {
  readonly name: string
  readonly events: number
  readonly commits: number
  readonly lc: string
  /** Portable cursor. */
  readonly version: string
  /** Equal on two nodes exactly when they hold the same set; short enough for the phone. */
  readonly digest: string
  readonly logs: readonly LogStatus[]
  readonly diskBytes: number
  /** For how long the disk has not answered a write that was given up; 0 when it answers. */
  readonly writeUnansweredMs: number
  readonly integrity: VerifyStatus
}

/** A database of this node whose store does not open. The others go on without it. */
export interface UnopenedDatabase {
  readonly name: string
  /** What every operation on it fails with. */
  readonly code: ErrorCode
  /** In words for a person, as is the way out. */
  readonly reason: string
  readonly wayOut: string
  /** The node tries again by itself. */
  readonly retried: boolean
}

export interface ConflictStatus {
  readonly key: string
  /** All events of that key, lowest hash first. */
  readonly events: readonly RecordedEvent[]
}

export interface Database {
  readonly name: string
  /** What is made of its events. */
  readonly views: Views
  readonly schemas: Schemas

  /**
   * Writes one or more events as one commit, all or nothing. Resolves when they are on disk.
   *
   * @throws LATERBASE_EVENT_INVALID, LATERBASE_TOO_LARGE, LATERBASE_KEY_CONFLICT,
   *   LATERBASE_FUTURE_DATED, each with `problems`; nothing was written
   */
  append(events: EventInput | readonly EventInput[], options?: AppendOptions): Promise<AppendResult>
  /**
   * The same from JSON text (an event or an array of events), as it came over a wire. Numbers that
   * a double cannot hold exactly are refused, which `append` cannot see in values already parsed.
   */
  appendJson(text: string, options?: AppendOptions): Promise<AppendResult>

  get(key: string): Promise<RecordedEvent | undefined>
  /** In the order of `keys`; `undefined` where there is none. */
  getMany(keys: readonly string[]): Promise<(RecordedEvent | undefined)[]>
  /** Events by when they happened. */
  range(options?: RangeOptions): AsyncIterable<RecordedEvent>
  conflicts(): AsyncIterable<ConflictStatus>

  /** Everything after `since`, then what comes, until `signal` aborts or the loop is left. */
  changes(options?: ChangesOptions): AsyncIterable<Change>
  /** One page; at most `limit` events (default 1000). */
  changesPage(options?: ChangesOptions & { readonly limit?: number }): Promise<ChangesPage>
  /**
   * Resolves when there may be something after `since`, at once if there is.
   *
   * @throws `signal.reason` on abort
   */
  changed(since: string, options?: { readonly signal?: AbortSignal }): Promise<void>

  digest(): string
  status(): Promise<DatabaseStatus>
  /**
   * Goes through everything that is stored, heals from peers what is damaged, and resolves when it is
   * through; joins a check that runs already. A store that cannot be healed in place is made anew
   * from what is whole in it, and this database is closed for that moment.
   */
  verify(options?: {
    /** Check every signature too; a few thousand a second. */
    readonly signatures?: boolean
    readonly signal?: AbortSignal
  }): Promise<VerifyStatus>
  verification(): VerifyStatus
  /** Anti-entropy of this database with all connected peers now; resolves when they are done. */
  sync(options?: { readonly signal?: AbortSignal }): Promise<void>
}

export interface PeerStatus {
  readonly peer: string
  readonly address: string
  readonly direction: 'inbound' | 'outbound'
  /** RFC 3339. */
  readonly connectedAt: string
  readonly roundTripMs: number | undefined
  /** Databases in which the digests of both were equal when last compared, and those not. */
  readonly equal: readonly string[]
  readonly unequal: readonly string[]
}

/** Whose clock is wrong, as far as recorded times tell. */
export interface ClockStatus {
  /** The clock of this box, RFC 3339. */
  readonly now: string
  /** The newest recorded time that this node believes, ahead of its clock; below 0 when idle. */
  readonly recordedAheadMs: number
  /**
   * The clock of this box: never set (before there was this program), before what this box recorded
   * itself, probably behind as most others are ahead, or not to be told from one other box's.
   */
  readonly own: 'right' | 'unset' | 'set-back' | 'behind' | 'unsure'
  /** Boxes that recorded in our future, the furthest first. */
  readonly ahead: readonly {
    readonly peer: string
    /** RFC 3339. */
    readonly recorded: string
    readonly aheadMs: number
  }[]
}

/** Counted since the start. */
export interface TrafficStatus {
  /** Fetches from peers, of any number of pages. */
  readonly fetches: number
  readonly requestsAsked: number
  readonly requestsFailed: number
  readonly requestsAnswered: number
  readonly announcementsSent: number
  readonly announcementsHeard: number
  /** Of requests, answers and announcements, without what carries them. */
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface NodeStatus {
  readonly name: string
  readonly peerId: string
  readonly version: string
  readonly dir: string
  readonly addresses: readonly string[]
  readonly startedAt: string
  readonly offline: boolean
  readonly peers: readonly PeerStatus[]
  readonly databases: readonly DatabaseStatus[]
  readonly unopened: readonly UnopenedDatabase[]
  readonly clock: ClockStatus
  readonly traffic: TrafficStatus
  /** In words for a person; empty when all is well. */
  readonly warnings: readonly string[]
}

export interface Laterbase extends AsyncDisposable {
  readonly name: string
  readonly peerId: string
  readonly dir: string
  addresses(): readonly string[]
  peers(): readonly PeerStatus[]
  status(): Promise<NodeStatus>
  /** One string that lets another box join this network; a secret. */
  invitation(): string

  /** Names of those that are open, sorted. */
  databases(): readonly string[]
  /** Those that are known here and do not open: sorted, empty when all is well. */
  unopened(): readonly UnopenedDatabase[]
  /** @throws LATERBASE_DATABASE_UNKNOWN; why it is not open, where it is known and does not open */
  database(name: string): Database
  /** Makes the database here, and so on every node of the network; `created` is false if it was there. */
  createDatabase(name: string): Promise<{ readonly database: Database; readonly created: boolean }>
  /** Deletes this node's copy, also one that does not open, and does not take it from peers again until it is created here. */
  forgetDatabase(name: string): Promise<void>

  /** Dials another node once, and keeps it as a static peer of this run. */
  connect(multiaddr: string, options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Closes every connection and refuses new ones; writing and reading go on. */
  goOffline(): Promise<void>
  goOnline(): Promise<void>

  /**
   * Idempotent. What was acknowledged is on disk; feeds end.
   *
   * @throws LATERBASE_STORE_FAILED where the disk does not answer: after some 30 s it is not waited for
   *   any more, and the data directory stays locked until the process ends
   */
  close(): Promise<void>
}
