/** Limits of the core's own: those of the wire are in protocols/limits.ts. Unit and reason each. */

import { FRAME_BYTES_MAX, VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { assert } from './assert.ts'
import type { Pace } from './sync/pace.ts'

/** Bytes of commits asked for in one page. 1 MiB: measured as fast as streaming, at a bounded RSS. */
export const PAGE_BYTES = 1_048_576

/** Pages of one fetch in a row: then other peers and databases have their turn. 64 GiB at the most. */
export const FETCH_PAGES_MAX = 65_536

/**
 * Logs of one database. Every box that ever wrote has one for each of its lives, so a fleet is far
 * below it; it is what keeps a version below the wire's limit whatever a member invents.
 */
export const LOGS_MAX = 10_000

/**
 * How far a remote stamp may be ahead of our wall clock to move our clock, ms: one box set to 2099 would drag
 * the recorded time of the whole fleet there, for ever. No clock of a box that is set at all is so far off.
 */
export const REMOTE_AHEAD_MS_MAX = 300_000

/** How long a peer that sent something invalid stays cut off, ms. */
export const CUT_OFF_MS = 60_000

/**
 * How slow the answer to a page request may come. Silence: a page that is gathered on a slow disk while
 * other answers fill a slow link takes some seconds. Rate: half of what an analogue modem carries;
 * a commit of full size may take an hour, and no page longer.
 */
export const REQUEST_PACE: Pace = {
  silentMsMax: 30_000,
  graceMs: 30_000,
  bytesPerSecondMin: 4_096
}

/** How long a comparison may take, ms. Small and answered from memory, so silence means a cut. */
export const COMPARE_MS_MAX = 5_000

/** First and last wait before a failed fetch is tried again with the same peer, ms. */
export const RETRY_MS = 250
export const RETRY_MS_MAX = 30_000

/**
 * Fetches in a row that brought nothing and did not end equal, before the next one has to wait; then the
 * wait doubles up to the maximum, ms. A peer that lacks what we have makes some; one that claims
 * differences and has none would have us ask, with a version of up to 600 kB, as often as it speaks.
 */
export const FRUITLESS_MAX = 4
export const FRUITLESS_MS_MAX = 4_000

/** Mean wait before neighbours are told of commits that did not come by gossip, ms. */
export const RIPPLE_MS = 100

/**
 * Bytes of a view's key as it is sorted. Each row holds its own, and tables are made of blocks of 4 KiB:
 * two of these. A key is a name, a time, a few of both; what is longer belongs into the value.
 */
export const VIEW_KEY_BYTES_MAX = 8_192

/**
 * Arrays and objects within one another in a view's key. Keys are compared level by level, in recursion;
 * an event may be nested 512 deep, a key in use has one level or two.
 */
export const VIEW_KEY_DEPTH_MAX = 64

/**
 * Bits of a row's hash for a level of a view's tree: one row in 64 begins a run. Smaller runs cost more entries,
 * longer ones more rows read again for one that comes late.
 */
export const RUN_BITS = 6
/** Runs that are looked into at one time, each with a read. */
export const PARTS_AT_ONCE = 16
/**
 * Bytes of rows that are kept side by side in one record, unless one alone has more: a run of small rows is one
 * record, and of large ones no more is read and written for one that comes than some of them.
 */
export const LEAF_BYTES = 16_384
/** Levels of such a tree: as many as the 32 bits of the hash give, for 64^5 rows. */
export const TREE_LEVELS_MAX = 6

assert(PAGE_BYTES < FRAME_BYTES_MAX, 'a page fits a frame')
assert(LOGS_MAX < VERSION_HEADS_MAX, 'a version can be sent')
