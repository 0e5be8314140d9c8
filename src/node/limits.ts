/** Limits of the node: what others can make it do. Unit and reason each. */

import { FRAME_BYTES_MAX, VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { COMPARE_MS_MAX, LOGS_MAX } from '../core/limits.ts'
import { assert } from '../core/assert.ts'

/**
 * Reads of the store for the heads of one request. A peer that is behind in every log costs one
 * each; only a made-up version with very many heads on forked logs comes here.
 */
export const HEAD_LOOKUPS_MAX = 4 * VERSION_HEADS_MAX

/** Branches of one log that are kept; a clone is one more, so only an invented crowd comes here. */
export const BRANCHES_MAX = 64

/** Logs that one request lists with places along their branches: some 40 places a branch. */
export const LOCATED_LOGS_MAX = 16

/** Heads of logs that are one too many, named in requests so that they are not sent. */
export const PASSED_OVER_MAX = VERSION_HEADS_MAX - LOGS_MAX

/** Stores opened at one time at a start: as many as Node.js has threads for the disk. */
export const STORES_OPENED_AT_ONCE = 4

/** How long until a list of databases that the disk did not take is written again, ms. */
export const RELIST_MS = 3_000

/** How long a closing waits until it says for what, ms: a stop of the command line takes 1.9 s. */
export const CLOSE_TOLD_MS = 1_000
/**
 * How long a closing waits for all that is under way, ms: longer than a write may wait for the disk,
 * because what a slow disk still takes is worth waiting for.
 */
export const CLOSE_MS_MAX = 30_000
/** How long it waits for what comes after that, for each, ms. */
export const CLOSE_LATE_MS_MAX = 1_000

/** First and last wait before a store that does not open is tried again, ms: a person may mend its disk. */
export const UNOPENED_RETRY_MS = 1_000
export const UNOPENED_RETRY_MS_MAX = 10_000
/** How many times as long as an attempt took it rests at the least: one may read all tables before it fails. */
export const UNOPENED_REST_FACTOR = 9
/** Such a rest at the most, ms: a store that is put back is to be open soon, however slow its disk is. */
export const UNOPENED_REST_MS_MAX = 600_000

// Checks and healing.

/** Rest after each piece of a check, ms, so that it is never in the way of anybody. */
export const CHECK_REST_MS = 2
/** How long until a check that could not go to its end begins anew, ms: a disk may go on failing. */
export const CHECK_RETRY_MS = 600_000
/** How long after a check no suspicion begins another, ms: what it found is known. */
export const CHECK_SUSPECT_MS = 600_000
/** Findings of a database that are shown, the last ones: a rotten disk has any number. */
export const FINDINGS_MAX = 64
/** Damaged places of a database that are remembered, of each kind; more are found by the next check. */
export const DAMAGED_PLACES_MAX = 1_024
/** First wait between attempts to have damaged commits from whoever is connected then, ms. */
export const HEAL_RETRY_MS = 5_000
/** Last one, ms: every place is asked for at every peer, and nobody may ever have it. */
export const HEAL_RETRY_MS_MAX = 60_000
/** Bytes of events healed at a time, for one walk over the commits: writes wait for as long. */
export const HEAL_BYTES_MAX = 4 * 1_048_576
/** How often one read is tried that meets damage, is healed, and meets more. */
export const HEALED_READ_ATTEMPTS_MAX = 8
/** Pages of one damaged stretch: longer ones are for a new store, which fetches as a new node does. */
export const REFETCH_PAGES_MAX = 64

// Replication.

/** How long an announcement waits for its commit before other peers get it without us, ms. */
export const ANNOUNCED_WAIT_MS = 2_500
/** Announcements that wait at one time; more are not forwarded. */
export const ANNOUNCED_WAITING_MAX = 256
/** Logs of which it is remembered how far they were announced; of the others all is passed on. */
export const PASSED_ON_MAX = 4_096
/** Pages held ready at one time, for as many peers: 1 MiB each at the usual size. */
export const PREPARED_MAX = 64
/** Bytes of all pages held ready: a commit of full size is one page, and not held for many. */
export const PREPARED_BYTES_MAX = 64 * 1_048_576
/** How long a page is held ready, ms: whoever stores the one before for longer waits for it anew. */
export const PREPARED_MS_MAX = 10_000
/**
 * Pages that are made at one time, over all peers: with a commit of full size in each they hold 400 MiB,
 * and at the usual size 24 MiB. More at a time make none of them sooner.
 */
export const PAGES_MADE_MAX = 8
/** Pages that wait for their turn, over all peers: two answers and one held ready for each of 64, and slack. */
export const PAGES_WAITING_MAX = 256
/**
 * How long a page waits for its turn, ms, until its asker hears that we are busy: long for a slow disk, and
 * less than the silence of 30 s after which the asker gives up (REQUEST_PACE), also where it waits twice.
 */
export const PAGE_WAIT_MS_MAX = 10_000
/**
 * Bytes of pages that have come and are not stored yet, of all fetches, above which no further page is asked
 * for: the disk is behind, and asking for more would not make it faster.
 */
export const FETCHED_BYTES_WAIT = 32 * 1_048_576
/**
 * Bytes of the same at the most: pages that were all on their way at one time come whatever the disk
 * does. One beyond it is dropped, and asked for again.
 */
export const FETCHED_BYTES_MAX = 128 * 1_048_576
/**
 * Bytes of pages that one peer is sent again of one database, before its repeats have to wait: some for each fetch
 * that breaks off. Whole pages of the usual size: 8.
 */
export const REPEATED_BYTES_MAX = 8 * 1_048_576
/** What a repeat counts for besides its bytes: a healer asks for some hundred single commits in a row. */
export const REPEATED_ASK_BYTES = 16_384
/** Bytes that are sent again to one peer, of one database, for as long as it asks for them. */
export const REPEATED_BYTES_PER_SECOND = 1_048_576
/** How long a repeat waits at the most, ms: other requests of the same peer stand behind it. */
export const REPEATED_WAIT_MS_MAX = 1_000
/** Pairs of a peer and a database of which it is known what was sent. */
export const REPEATED_PEERS_MAX = 4_096
/** Logs that are known of, held or not, by database: what others invent is forgotten beyond it. */
export const KNOWN_LOGS_MAX = 15_000
/**
 * Commits read ahead of one log: few at first, because one page is often all that is wanted, then
 * more, because a scan of many small ones costs a read each time.
 */
export const READ_AHEAD_MIN = 4
export const READ_AHEAD_MAX = 256

// Feeds.

/** Events of one page of a feed, when none is asked for. */
export const PAGE_LIMIT = 1_000
/** Events read at a time for a live feed. */
export const LIVE_PAGE = 500
/** Bytes of commits read for one page: what one reader can make a node hold in memory. */
export const FEED_PAGE_BYTES = 4 * 1_048_576
/** Events read for one page, matching or not: a narrow filter must not hold up its reader's cursor. */
export const FEED_PAGE_READS = 20_000

// Definitions of views and schemas, which any member may write.

/** Bytes of one: schemas of whole industries have some 30 kB, and each is kept in memory. */
export const DEFINITION_BYTES_MAX = 131_072
/** Definitions of a kind in one database, deleted ones included; of more names the lowest count. */
export const DEFINITIONS_MAX = 512
/** Events dated at the beginning of 1970 that are looked at for definitions: a member may write any number. */
export const DEFINITION_SCAN_MAX = 100_000
/** Of those, looked at in one go. */
export const DEFINITION_SCAN_CHUNK = 1_000

// What is said of others, who make up its names.

/** Different warnings kept. */
export const WARNINGS_MAX = 64
/** Boxes whose clocks are named in the status. */
export const CLOCKS_AHEAD_MAX = 64
/** Forks named in the status; `status().databases` lists all. */
export const FORKS_NAMED_MAX = 16
/** Databases of which it is said that another box wrote in this one's log. */
export const OWN_LOGS_CLOSED_MAX = 64
/** Public keys whose parsed form is kept: making one costs as much as a check with it. */
export const PUBLIC_KEYS_MAX = 1_024

assert(LOGS_MAX < KNOWN_LOGS_MAX, 'there is room for all logs that are held')
assert(LOGS_MAX < VERSION_HEADS_MAX, 'a version with places along some logs can be sent')
assert(FETCHED_BYTES_WAIT + 2 * FRAME_BYTES_MAX < FETCHED_BYTES_MAX, 'a few pages come at one time')
assert(
  4 * REPEATED_WAIT_MS_MAX < COMPARE_MS_MAX,
  'a comparison behind the repeats in flight is in time'
)

/** Events that a build of a view looks at in one go, before others have their turn. */
export const VIEW_SCAN_CHUNK = 250

/** Events that a view names for one row that it explains: what a person reads. */
export const EXPLAIN_EVENTS_MAX = 100

/** Events that one answer names for all the rows that it explains: each is looked up in its log. */
export const EXPLAINED_EVENTS_MAX = 2_000

/** Events that a change of a row names as its causes. */
export const CHANGE_CAUSES_MAX = 20

/** Changes of a view that wait for one reader: who is further behind asks the view, and begins anew. */
export const VIEW_CHANGES_MAX = 10_000
/** Characters of JSON of these: a row's value has up to 256 KiB. */
export const VIEW_CHANGES_BYTES_MAX = 16_777_216

/**
 * Events of a database of which a view can still be asked what no index tells, such as what one cursor covered:
 * they are all gone through, and what they come to is held in memory.
 */
export const VIEW_SCRATCH_EVENTS_MAX = 200_000

/** Pairs of a view and a peer whose contents differ that are named: of a view that is at fault, with every peer. */
export const VIEWS_UNEQUAL_MAX = 64

/** Faults of a view that are shown: enough to see what is wrong with its function. */
export const VIEW_FAULTS_SHOWN = 10

/** Views of a database that answer nothing and are named in the status. */
export const VIEWS_NAMED_MAX = 10
