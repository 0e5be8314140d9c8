/** Laterbase as a library. Everything public is re-exported here; nothing else is API. */

export { createLaterbase } from './node/create-node.ts'
export { LaterbaseError, isLaterbaseError, ERROR_CODES } from './errors.ts'
export type { ErrorCode, Problem } from './errors.ts'
export type { LaterbaseOptions, Log, Upcaster } from './node/options.ts'
export type {
  AnyView,
  EvolveView,
  FoldView,
  MapView,
  NativeView,
  SelectEvolveView,
  SelectFoldView,
  SelectingView,
  TypedEvent
} from './views/define-view.ts'
export type { ViewDefinition } from './views/view-definition.ts'
export type { ViewEvent } from './views/program.ts'
export type {
  View,
  ViewAnswer,
  ViewCause,
  ViewChange,
  ViewChangesOptions,
  ViewGetOptions,
  ViewInfo,
  ViewQuery,
  ViewQueryOptions,
  ViewRow,
  Views
} from './node/views.ts'
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
