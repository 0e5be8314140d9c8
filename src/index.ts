/** Laterbase as a library. Everything public is re-exported here; nothing else is API. */

export { createLaterbase } from './node/create-node.ts'
export { LaterbaseError, isLaterbaseError, ERROR_CODES } from './errors.ts'
export type { ErrorCode, Problem } from './errors.ts'
export type { LaterbaseOptions, Log } from './node/options.ts'
export type {
  AppendedEvent,
  AppendOptions,
  AppendResult,
  Change,
  ChangesOptions,
  ChangesPage,
  ClockStatus,
  ConflictStatus,
  Database,
  DatabaseStatus,
  EventFilter,
  EventInput,
  Json,
  Laterbase,
  LogStatus,
  NodeStatus,
  PeerStatus,
  RangeOptions,
  RecordedEvent,
  TrafficStatus,
  UnopenedDatabase
} from './node/laterbase.ts'
export type {
  DataOf,
  EventType,
  JsonSchema,
  SchemaEntry,
  SchemaInfo,
  SchemaOptions,
  Schemas,
  StandardSchema
} from './node/schemas.ts'
