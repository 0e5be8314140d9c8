/** Limits of views. Unit and reason each. */

import { assert } from '../core/assert.ts'

/** Bytes of a value that a row keeps, as JSON: a row is an answer to a question, an event is not. */
export const ROW_VALUE_BYTES_MAX = 262_144

/** Bytes of the reason that is kept for an event that a function failed for. */
export const FAULT_BYTES_MAX = 500

/** Bytes of the rows of one answer, as JSON, with the events that were asked for: it is held in memory as a whole. */
export const ANSWER_BYTES_MAX = 33_554_432

/** Rows read at a time for an answer: as many as a run or two of the tree has. */
export const QUERY_CHUNK = 256

/** Records of a build in one batch: leaves of some 4 KiB, and one above each. */
export const BUILD_BATCH = 512

/**
 * Bytes that a build of a map holds of open runs, one for each view key; beyond that all rows are sorted.
 * And what a key takes besides its rows, about.
 */
export const GATHERED_BYTES_MAX = 16 * 1_048_576
export const GATHERED_KEY_BYTES = 400

/**
 * Bytes of rows that a build of a map holds in memory to sort them; of more it writes parts of this size, which it
 * merges.
 */
export const SORT_BYTES_MAX = 24 * 1_048_576
/** Bytes of rows of such a part in one record, and records that are written in one batch. */
export const SORT_RECORD_BYTES = 65_536
export const SORT_RECORDS_AT_ONCE = 32

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

/** Stretches of the lowest runs, of some 64 entries, that are put together for one range. */
export const STRETCHES_AT_ONCE = 8
/** As many are kept for one change: some 3 MiB. */
export const STRETCHES_MAX = 256

/** Rows that a map may emit for one event: a delivery note of thousands of lines is not yet a fault. */
export const EMITS_MAX = 10_000
/** Bytes of JSON of all that is emitted for one event, about: sixteen times what an event may have. */
export const EMITTED_BYTES_MAX = 4 * 1_048_576
/**
 * Bytes of JSON of an emitted value, of a state or of what a query answers of one. An event has a quarter of it;
 * a state is read, changed and written whole for each event that comes.
 */
export const VALUE_BYTES_MAX = 1_048_576
/** Bytes of what a fold selects of an event, as JSON: as many as an event has, as pages of rows are read ahead. */
export const SELECTION_BYTES_MAX = 262_144
/** Characters of what is said of a function that failed: a line, for a person. */
export const FAULT_CHARS_MAX = 300

/**
 * Bytes of a definition that replicates, as canonical JSON. It is an event, which may have four times as many; a
 * function for a view is a page of text.
 */
export const DEFINITION_BYTES_MAX = 65_536
/** Steps of a path into an event, such as `data.lines.0.sku`: far beyond what people nest. */
export const PATH_STEPS_MAX = 32
/** Paths, constants and dates of a declarative key or value together: each is made for each row. */
export const EXPRESSION_PARTS_MAX = 256
/** Arrays and objects within one another in a declarative key or value. */
export const EXPRESSION_DEPTH_MAX = 16
/** Members of `where`: each is looked at for each element of `each`. */
export const CONDITIONS_MAX = 64

/**
 * Fuel for one call of a view's text: passes through loops of the engine, some 10 to 30 ns each on the reference
 * machine. A usual event takes a thousand. What is large may take more, for each character of JSON that is
 * given: a delivery note of 256 KiB that is emitted line by line takes 6 million. A fifth of a second is the most
 * that a node may do nothing else for one event.
 */
export const CALL_FUEL = 2_500_000
export const CALL_FUEL_PER_CHAR = 20
export const CALL_FUEL_MAX = 8_000_000
/**
 * Fuel for a batch of events, all together. Whoever is in a batch that took more is called again alone, so that
 * what is above its own does not depend on the batch it came in: what an event takes depends a little on
 * those before it, and cannot be this much less than alone.
 */
export const BATCH_FUEL = 600_000
/** Events in a batch, and characters of JSON, at the most: as fast as larger ones (measured), far below its fuel. */
export const BATCH_EVENTS = 128
export const BATCH_CHARS = 49_152
/**
 * Bytes of a sandbox's memory, of which the engine's stack and constants have 5 MiB: of one that begins, which a batch
 * has to do with, and of one for an event alone.
 */
export const SANDBOX_BYTES = 8 * 1_048_576
export const SANDBOX_BYTES_MAX = 32 * 1_048_576
/**
 * Depth of calls, in bytes of stack as `metered-wasm.ts` counts them, which is twice what they take: a third of
 * the stack that Node.js gives a program. Room for functions of a view that nest a thousand deep.
 */
export const CALL_DEPTH_BYTES_MAX = 655_360
/** Bytes of the engine's own stack, of the 5 MiB that it has. */
export const ENGINE_STACK_BYTES = 262_144
/** Characters of all that a text emits for one event: four times what an event may have. */
export const SCRIPT_EMITTED_CHARS_MAX = 1_048_576
/**
 * Fuel that an event may take on average, for itself and for each of its characters: twenty times what a usual one
 * takes, so that thousands of events that come together do not hold a node for a second; and what large ones need.
 * Of what is beyond it this much is lent, three quarters of a second's work, before functions are not called for a while;
 * after a rest no more is owed than leaves room for CAREFUL_EVENTS, each of which has three functions at the most.
 */
export const MEAN_FUEL = 25_000
export const MEAN_FUEL_PER_CHAR = 30
export const FUEL_DEBT_MAX = 30 * CALL_FUEL
export const FUEL_DEBT_RESTED = 8 * CALL_FUEL
export const CAREFUL_EVENTS = 2
/** What is paid back in a millisecond, in which the engine uses about twice as much. */
export const FUEL_REPAID_PER_MS = 50_000

/**
 * A run of a fold's rows has so many on average, or so many bytes where rows are large: what is read again for an
 * event that comes late, and written in one record.
 */
export const RUN_ROWS = 128
export const RUN_BYTES = 16_384

/**
 * Bytes of a state that is kept at the end of every run; of larger ones every second, fourth and so on is, so that
 * states take no more room than rows.
 */
export const CHECKPOINT_BYTES = 2_048

/** Records of a fold that are read at a time: some 16 KiB each. */
export const PAGE_RECORDS = 64

/** Newest states that are read at a time; of states that have more bytes than these together, fewer the next time. */
export const HEADS_AT_ONCE = 256
export const HEADS_BYTES = 1_048_576

/** Aggregates of a fold that are read at a time, where records of each are: so many reads wait for the disk together. */
export const AGGREGATES_AT_ONCE = 16

/** Bytes of rows, states and aggregates that a build of a fold holds in memory until runs end. */
export const BUILD_BYTES_MAX = 48 * 1_048_576

/** Of these, what an aggregate takes besides its rows and its state, about. */
export const AGGREGATE_BYTES = 2_560

/** Bytes of events that it holds as objects before their functions are called, about: more are slow to collect. */
export const BUILD_EVENTS_BYTES = 524_288

/** Bytes of events, as objects, after which it counts what it holds, where no event waits. */
export const BUILD_COUNTED_BYTES = 8 * 1_048_576

/** Bytes that it writes at a time. */
export const BUILD_WRITE_BYTES = 4 * 1_048_576

/** Of bits that say which aggregates were written out: of a million one in nine that was not counts as if. */
export const WRITTEN_OUT_BYTES = 1_048_576

/** Buffers of each of nine lengths that it uses again, up to 64 KiB: 2 MiB together. */
export const ROW_BUFFERS = 16

/** Events of a sample over which a view is tried when it is defined. */
export const TRIAL_EVENTS_MAX = 200
/** The same where so many take too much. */
export const TRIAL_EVENTS_FEW = 12

/** Orders in which they come then, and how many come together at the most. */
export const TRIAL_ORDERS = 3
export const TRIAL_BATCH_EVENTS = 24

/** Characters shown of a row that came out otherwise. */
export const TRIAL_ROW_CHARS_MAX = 500

assert(
  FUEL_DEBT_RESTED + 3 * CAREFUL_EVENTS * CALL_FUEL_MAX <= FUEL_DEBT_MAX,
  'who has rested has the strength for a few events'
)
assert(BATCH_FUEL * 4 <= CALL_FUEL, 'a batch says what each of its events does alone')
assert(SANDBOX_BYTES * 2 <= SANDBOX_BYTES_MAX, 'a batch says what each of its events does alone')
