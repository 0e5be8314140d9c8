/** Limits and tuning of the store, each with unit and reason. */

/** Bytes: avoids the stalls of backdated keys that the 4 MB default has; replay at open 13 ms/MB. */
export const WRITE_BUFFER_BYTES = 16 * 1_048_576
/** Bytes of one table file; small ones make compactions short. */
export const TABLE_FILE_BYTES = 8 * 1_048_576
/** Bytes of block cache of one database. */
export const CACHE_BYTES = 32 * 1_048_576
/** Bytes that an iterator reads ahead on a scan; the default of 16 kB costs half the speed. */
export const SCAN_BYTES = 1_048_576
/** Bytes of a piece of memory that events share which are read together: what keeps one of them keeps it. */
export const READ_PIECE_BYTES = 8_192
/** Events in a chunk of a scan. */
export const SCAN_CHUNK = 1_000
/**
 * Records that a scan reads before it asks for a thread: one is open after 41 ms (median of 20, Node.js 20), in which a build of
 * a view goes through some 6,000.
 */
export const SCAN_ALONE_RECORDS = 20_000
/** Chunks that a thread may be ahead of who looks at them. */
export const SCAN_MESSAGES_AHEAD = 3
/**
 * MB of objects of such a thread: few live long. With 2 MB for the young ones a process is 30 MB smaller, and a build of a map goes
 * through 171,000 events a second in place of 196,000 (medians of four in turns; 155,000 without a thread).
 */
export const SCAN_THREAD_HEAP = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 32 }
/**
 * Bytes up to which a batch is chained: three times as fast as an array of operations, but its
 * native memory is held until the next garbage collection. A page and what is around it fit.
 */
export const CHAINED_BATCH_BYTES_MAX = 4 * 1_048_576
/** Keys below which single reads beat a range scan. */
export const RANGE_READ_KEYS_MIN = 32
/** Records that a range read may pass over per key wanted before single reads take over. */
export const RANGE_READ_WASTE = 2

/** Requests that wait for one writer; more are refused as overload. */
export const QUEUED_WRITES_MAX = 65_536

/**
 * Bytes of tables whose checksums are looked at before a store is opened, the newest first; what
 * is beyond is looked at while the node runs. Measured: 0.46 – 0.52 GB/s, five times through 178 MB in
 * 22 tables (a million records of 300 bytes) by `firstTableFault`, Node.js 20, a core of an AMD EPYC,
 * the files in the system's memory: so half a second. It was 0.1 – 0.4 GB/s while others were at work
 * on both cores. A slower disk decides: a memory card of 40 MB/s takes seven seconds.
 */
export const TABLES_CHECKED_BYTES_MAX = 256 * 1_048_576
/** How often a store is opened where LevelDB cannot read its log: not read twice, it will not be a third time. */
export const OPEN_ATTEMPTS_MAX = 2
/** Bytes of a table that are asked of the disk at a time: a bad sector costs as many small reads. */
export const TABLE_READ_BYTES = 1_048_576
/** Commits read of a damaged store at a time. */
export const SALVAGE_COMMITS = 256
/** Bytes of commits after which no more are read of a damaged store at a time. */
export const SALVAGE_BYTES = 1_048_576
/**
 * Combinations of contents that are tried for one commit of a damaged store: eight events with two each.
 * More are there only where no record says any more which of them stands in the commit.
 */
export const SALVAGE_COMBINATIONS_MAX = 256
/**
 * Bytes that a block says it becomes, above which it is not tried, where a damaged index does not say where
 * blocks are and any bytes may look like one. A block is of 4 KiB and one record.
 */
export const SNAPPY_TRIED_BYTES_MAX = 1_048_576
/** Bytes that the smallest commit takes in LevelDB's log: how many a log file can hold at the most. */
export const COMMIT_LOG_BYTES_MIN = 390
/** Bytes of commits whose events a check holds in memory at a time. */
export const CHECK_BYTES_MAX = 1_048_576
/** Milliseconds by which what is noted of a store may be behind it. */
export const PROGRESS_MS = 50
/** First and last wait before a store that failed is opened anew once more, ms. */
export const REOPEN_MS = 100
export const REOPEN_MS_MAX = 3_000
/** How long a store has to be open, ms, until its next failure counts as a first one. */
export const REOPEN_STEADY_MS = 60_000
/** For how long openings must not find what was closed, ms, until that is taken for damage. */
export const REOPEN_DAMAGED_MS = 5_000
/**
 * How long a write may wait for the disk, ms: a worn memory card can take some seconds for a sync, and
 * LevelDB a second for a compaction that is behind. Clients and proxies commonly wait for 30 s.
 */
export const WRITE_MS_MAX = 20_000
/** How long a read waits for a store that is being opened, ms: replaying a full log takes 0.3 s. */
export const REOPEN_READ_MS_MAX = 3_000
/** Bytes free, besides those of LevelDB's log, to open a store: the log is written out as a table. */
export const REOPEN_BYTES = 1_048_576
/** Bytes written to see whether the disk takes a write: a block of any file system. */
export const PROBE_BYTES = 4_096

/**
 * Bytes of the disk that are kept free. A compaction writes up to some 200 MB before it deletes what
 * it replaces, a full log is written out as a table, and the person who makes room needs some too.
 */
export const DISK_RESERVE_BYTES = 256_000_000
/** On a disk that is small, this part of it: a memory card of 1 GB must not be useless. */
export const DISK_RESERVE_SHARE = 1 / 16
/** Age at which a measurement is taken anew before a write, ms: some 50 MB at a disk's full speed. */
export const DISK_MEASURE_MS = 250
/** How often the disk is measured without a write, ms: while it is full, and while it is not. */
export const DISK_FULL_MEASURE_MS = 1_000
export const DISK_IDLE_MEASURE_MS = 10_000
