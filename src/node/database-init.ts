/** What a database of a node works with: its store, the node's clocks and keys, and whom it tells what. */

import type { Commit, LogId } from '../core/commit.ts'
import type { Clock, Hasher, Rng, Signer } from '../core/clock.ts'
import type { DerivedStore } from '../store/derived-store.ts'
import type { Upcasters } from '../schema/upcast.ts'
import type { EventStore } from '../store/event-store.ts'
import type { DefinitionEvent } from './definition-events.ts'
import type { AnyView } from '../views/define-view.ts'
import type { ViewDefinition } from '../views/view-definition.ts'
import type { NodeDatabase } from './database.ts'
import type { VerifyStatus } from './laterbase.ts'
import type { Log } from './options.ts'
import type { OwnSchema } from './schema-table.ts'
import type { ViewCompiler } from './view-compiler.ts'
import type { RecordedClock } from './recorded-clock.ts'

export interface DatabaseInit {
  readonly name: string
  readonly store: EventStore
  readonly signer: Signer
  readonly hasher: Hasher
  readonly rng: Rng
  readonly clock: Clock
  readonly recordedClock: RecordedClock
  readonly futureToleranceMs: number
  readonly peerId: (publicKey: Uint8Array) => string
  /** Whose definitions count here, by raw public key: those of others are only shown. */
  readonly trusts: (author: Uint8Array, definition: DefinitionEvent) => boolean
  /** After each own commit is on disk. */
  readonly announce: (database: NodeDatabase, commit: Commit) => void
  /** Anti-entropy with all peers, for `sync`. */
  readonly sync: (database: NodeDatabase, signal: AbortSignal | undefined) => Promise<void>
  /** A read or a write met damage: whether it was healed, so that another try is worth it. */
  readonly heal: (database: NodeDatabase, error: unknown) => Promise<boolean>
  readonly verify: (database: NodeDatabase, signatures: boolean) => Promise<VerifyStatus>
  readonly verification: (database: string) => VerifyStatus
  /** A peer's stamp is too far ahead to be believed. */
  readonly clockAhead: (database: string, commit: Commit) => void
  /** The store of its views, made when it is missing. */
  readonly openViews: (anew: boolean) => Promise<DerivedStore>
  readonly viewCompiler: ViewCompiler
  /** Peer ids of nodes whose view of this name has other rows of the same events. */
  readonly viewDiffers: (database: string, view: string) => readonly string[]
  /** Views of functions that this database has whenever it is open. */
  readonly views: readonly AnyView[]
  /** By name, definitions of views that are put when it is opened, where others are held. */
  readonly viewDefinitions: Readonly<Record<string, ViewDefinition>>
  /** Of this program. */
  readonly schemas: readonly OwnSchema[]
  readonly upcasters: Upcasters
  readonly log: Log
  /** Somebody wrote on in the log of this node: it was closed, and a new one begun. */
  readonly ownLogClosed: (database: string, log: LogId) => void
}
