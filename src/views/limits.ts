/** Limits of views. Unit and reason each. */

/** Bytes of a value that a row keeps, as JSON: a row is an answer to a question, an event is not. */
export const ROW_VALUE_BYTES_MAX = 262_144

/** Bytes of the reason that is kept for an event that a function failed for. */
export const FAULT_BYTES_MAX = 500

/** Bytes of the rows of one answer, as JSON, with the events that were asked for: it is held in memory as a whole. */
export const ANSWER_BYTES_MAX = 33_554_432

/** Rows read at a time for an answer: as many as a run or two of the tree has. */
export const QUERY_CHUNK = 256

/** Rows of a build in one batch. */
export const BUILD_BATCH = 4_096

/** Events of one batch of an update, a commit apart: whole commits, so that none is seen in part. */
export const EVENTS_AT_ONCE = 2_000

/** Wait before a store of views is opened anew after an error, ms: a disk that is full or failing stays so a while. */
export const REOPEN_MS = 5_000

/** Runs of rows that are read in one go for groups that lie across them: some thousand rows. */
export const RUNS_READ_AT_ONCE = 32

/**
 * Entries of one level of a view's tree that are kept in memory, of some 200 bytes each: the levels above the
 * lowest of a view of ten million rows have some 2,500.
 */
export const UPPER_RUNS_MAX = 16_384
