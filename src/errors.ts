/**
 * Every error code of Laterbase, once. Codes are API: they stay when messages change. Each is
 * documented in README.md, "Error codes"; a test compares the two lists.
 */

export const ERROR_CODES = [
  /** An event, or its envelope, breaks a rule; `problems` says where, by JSON pointer. */
  'LATERBASE_EVENT_INVALID',
  /** An event, a commit or a request is larger than its limit. */
  'LATERBASE_TOO_LARGE',
  /** The key exists with other content; nothing of the request was written. */
  'LATERBASE_KEY_CONFLICT',
  /** The event's time is further ahead of this node's clock than is allowed. */
  'LATERBASE_FUTURE_DATED',
  /** A database or view name breaks the naming rule. */
  'LATERBASE_NAME_INVALID',
  /** This node has no database of that name. */
  'LATERBASE_DATABASE_UNKNOWN',
  /** A key, a time or another argument cannot be read. */
  'LATERBASE_ARGUMENT_INVALID',
  /** A cursor cannot be read at all. */
  'LATERBASE_CURSOR_INVALID',
  /** A cursor is of another store, or of a store that was replaced. */
  'LATERBASE_CURSOR_FOREIGN',
  /** The data directory is in use by another process, or by this one. */
  'LATERBASE_STORE_LOCKED',
  /** The store of a known database is gone from the data directory. */
  'LATERBASE_STORE_LOST',
  /** Stored bytes do not match their hash, or a record is missing. */
  'LATERBASE_STORE_CORRUPT',
  /** A read or write of the store failed, or the store is being opened anew after one did. */
  'LATERBASE_STORE_FAILED',
  /** The disk has no more than its reserve left; nothing of the request was written. */
  'LATERBASE_DISK_FULL',
  /** The store was written by a newer version of Laterbase. */
  'LATERBASE_STORE_FORMAT',
  /** The identity file or the network key cannot be read. */
  'LATERBASE_IDENTITY_INVALID',
  /** The invitation cannot be read, or the directory belongs to another network. */
  'LATERBASE_INVITATION_INVALID',
  /** An option of the node, or an entry of a configuration file, is wrong. */
  'LATERBASE_OPTION_INVALID',
  /** A view's definition breaks a rule, or its functions are not deterministic; nothing was defined. */
  'LATERBASE_VIEW_INVALID',
  /** The database has no view of that name. */
  'LATERBASE_VIEW_UNKNOWN',
  /** The view is being built, and has no answer yet; `facts` say how far it is. */
  'LATERBASE_VIEW_BUILDING',
  /** The view cannot be built or read; its state says why. */
  'LATERBASE_VIEW_FAILED',
  /** A schema breaks a rule of its kind; `problems` says where, by JSON pointer into it. */
  'LATERBASE_SCHEMA_INVALID',
  /** The database has no schema of that type and version. */
  'LATERBASE_SCHEMA_UNKNOWN',
  /** Changes of a view that a reader was to follow are gone: the view is asked anew, and followed from there. */
  'LATERBASE_CHANGES_LOST',
  /** A peer did not answer, or the connection to it broke. */
  'LATERBASE_PEER_UNREACHABLE',
  /** The node was closed, or is closing. */
  'LATERBASE_CLOSED'
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

/** One fault in what a client sent. `pointer` is an RFC 6901 JSON pointer into the request. */
export interface Problem {
  readonly pointer: string
  readonly detail: string
}

export interface LaterbaseErrorOptions {
  readonly cause?: unknown
  readonly problems?: readonly Problem[]
  /** Machine-readable facts, such as limits; plain JSON. */
  readonly facts?: Readonly<Record<string, string | number | boolean>>
}

/** An operation failed. `code` is stable, `message` is for people. */
export class LaterbaseError extends Error {
  readonly code: ErrorCode
  readonly problems: readonly Problem[]
  readonly facts: Readonly<Record<string, string | number | boolean>>

  constructor(code: ErrorCode, message: string, options: LaterbaseErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'LaterbaseError'
    this.code = code
    this.problems = options.problems ?? []
    this.facts = options.facts ?? {}
  }
}

/** Whether `error` is a LaterbaseError, and of `code` when one is given. */
export function isLaterbaseError(error: unknown, code?: ErrorCode): error is LaterbaseError {
  return error instanceof LaterbaseError && (code === undefined || error.code === code)
}

/** Whether a store's files are damaged or gone, rather than out of reach, in use or without room. */
export function isDamage(error: unknown): error is LaterbaseError {
  return (
    isLaterbaseError(error, 'LATERBASE_STORE_CORRUPT') ||
    isLaterbaseError(error, 'LATERBASE_STORE_LOST')
  )
}
