/** What the simulation says to a node's process over IPC, and what it hears. Plain JSON. */

import type { EventInput } from '../../src/node/laterbase.ts'

/** First message to a worker. */
export interface WorkerSetup {
  readonly dir: string
  readonly name: string
  readonly invitation: string
  readonly mdns: boolean
  readonly database: string
}

export type Order =
  | { readonly type: 'create-database' }
  | { readonly type: 'append'; readonly events: readonly EventInput[] }
  | { readonly type: 'watch' }
  | { readonly type: 'missing'; readonly keys: readonly string[] }
  | { readonly type: 'connect'; readonly addresses: readonly string[] }
  | { readonly type: 'go-offline' }
  | { readonly type: 'go-online' }
  | { readonly type: 'close' }

/** What each order is answered with. */
export interface Answers {
  readonly 'create-database': undefined
  readonly append: readonly Acknowledged[]
  readonly watch: NodeSight
  /** Those of the keys that the node does not have. */
  readonly missing: readonly string[]
  readonly connect: undefined
  readonly 'go-offline': undefined
  readonly 'go-online': undefined
  readonly close: undefined
}

export interface Acknowledged {
  readonly key: string
  readonly isDuplicate: boolean
}

/** How far a node is. */
export interface NodeSight {
  /** Undefined until the database has come. */
  readonly digest: string | undefined
  readonly events: number
  /** Events in the logs that this node wrote. */
  readonly own: number
  readonly peers: number
}

export type ToWorker =
  | { readonly type: 'setup'; readonly setup: WorkerSetup }
  | { readonly type: 'order'; readonly id: number; readonly order: Order }

export type FromWorker =
  | { readonly type: 'ready'; readonly addresses: readonly string[] }
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'failed'; readonly id: number | undefined; readonly reason: string }
