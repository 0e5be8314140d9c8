/** Limits that say how often, how long or how much we ourselves do something at a time: there is no beyond. */

export const PACES: Readonly<Record<string, readonly string[]>> = {
  'protocols/limits.ts': ['ANNOUNCED_KEYS_MAX'],
  'src/core/limits.ts': ['RETRY_MS', 'RIPPLE_MS', 'RUN_BITS', 'TREE_LEVELS_MAX'],
  'src/store/limits.ts': [
    'WRITE_BUFFER_BYTES',
    'TABLE_FILE_BYTES',
    'CACHE_BYTES',
    'SCAN_BYTES',
    'SCAN_CHUNK',
    'CHAINED_BATCH_BYTES_MAX',
    'RANGE_READ_KEYS_MIN',
    'RANGE_READ_WASTE',
    'DISK_MEASURE_MS',
    'DISK_FULL_MEASURE_MS',
    'DISK_IDLE_MEASURE_MS',
    'PROBE_BYTES',
    'TABLES_CHECKED_BYTES_MAX',
    'REOPEN_BYTES',
    'REOPEN_MS',
    'REOPEN_MS_MAX',
    'REOPEN_STEADY_MS',
    'REOPEN_DAMAGED_MS',
    'TABLE_READ_BYTES',
    'SALVAGE_COMMITS',
    'SALVAGE_BYTES',
    'COMMIT_LOG_BYTES_MIN',
    'CHECK_BYTES_MAX',
    'PROGRESS_MS'
  ],
  'src/schema/limits.ts': ['CHECK_SLICE_MS'],
  'src/p2p/limits.ts': [
    'OUTBOUND_STREAMS_MAX',
    'SEND_BYTES',
    'ROUND_TRIPS_KEPT',
    'GOSSIP_CHECK_MS',
    'REJECTED_SCORE',
    'SCORE_KEPT_MS',
    'REJECTED_HALF_LIFE_MS',
    'BOOK_SAVE_MS',
    'REDIAL_MS',
    'REFUSED_RETRY_MS',
    'DIAL_GRACE_MS',
    'FOUND_REDIAL_MS',
    'DIAL_YOUNG_MS',
    'LINGER_MS',
    'DUPLICATE_MS',
    'MDNS_QUIET_MS',
    'MDNS_EAGER_MS',
    'MDNS_ALONE_MS',
    'MDNS_ASK_MS_MIN',
    'MDNS_SILENT_MS',
    'REFUSED_SHOWN_MS',
    'TWIN_SHOWN_MS'
  ],
  'src/node/limits.ts': [
    'READ_AHEAD_MIN',
    'READ_AHEAD_MAX',
    'PAGE_LIMIT',
    'LIVE_PAGE',
    'RELIST_MS',
    'CLOSE_TOLD_MS',
    'DEFINITION_SCAN_CHUNK',
    'VIEW_SCAN_CHUNK',
    'UNOPENED_RETRY_MS',
    'UNOPENED_RETRY_MS_MAX',
    'UNOPENED_REST_MS_MAX',
    'CHECK_REST_MS'
  ],
  'src/views/limits.ts': [
    'QUERY_CHUNK',
    'BUILD_BATCH',
    'EVENTS_AT_ONCE',
    'REOPEN_MS',
    'RUNS_READ_AT_ONCE',
    'BATCH_FUEL',
    'BATCH_EVENTS',
    'BATCH_CHARS',
    'SANDBOX_BYTES'
  ],
  'src/http/limits.ts': [
    'groupLingerMs',
    'keysBatch',
    'pageEventsDefault',
    'pageBatch',
    'viewMsDefault',
    'feedChunkBytes',
    'longpollMsDefault',
    'heartbeatMsDefault',
    'spuriousWakeMs',
    'closeGraceMs',
    'retryAfterSeconds',
    'retryAfterFullSeconds',
    'REQUEST_CHECK_MS'
  ],
  'src/cli/limits.ts': [
    'PIECE_EVENTS_MAX',
    'PIECE_BYTES_MAX',
    'PIECE_LINGER_MS',
    'PROGRESS_AFTER_MS',
    'GET_KEYS',
    'FEED_BACKOFF_MS_MIN',
    'FEED_BACKOFF_MS_MAX',
    'VIEW_POLL_MS',
    'STATUS_WATCH_MS',
    'VERIFY_POLL_MS',
    'STOP_MS_MAX',
    'ABORT_MS'
  ]
}

/**
 * Maxima outside of the limits files, by file and name: what a format or a platform cannot say more than, or what
 * decides between two ways to the same. Nobody chose how much is too much, so there is nothing to reach.
 */
export const FORMAT_BOUNDS: Readonly<Record<string, string>> = {
  'protocols/wire.ts VARINT_BYTES_MAX':
    'the bytes of the largest number that JavaScript has exactly',
  'src/cli/addresses.ts PORT_MAX': 'ports have 16 bits',
  'src/cli/commands/simulate.ts SEED_MAX': 'seeds have 32 bits',
  'src/core/event-key.ts KEY_TIME_MS_MAX': 'the time in a ULID has 48 bits',
  'src/core/hybrid-logical-clock.ts STAMP_MAX': 'stamps have 64 bits',
  'src/core/sync/schedule.ts DOUBLINGS_MAX': 'keeps a power finite; the longest wait is a limit',
  'src/core/views/distinct-count.ts HASHES_MAX': 'beyond them registers are shorter than a list',
  'src/core/views/distinct-count.ts RANK_MAX': 'the bits of a hash that do not name a register',
  'src/core/views/exact-sum.ts LAST_BIT_MAX': 'doubles have 64 bits',
  'src/core/views/exact-sum.ts PARTIALS_MAX': 'beyond it the same sum is kept another way',
  'src/core/views/exact-sum.ts SAFE_TEXT_LENGTH_MAX': 'the digits of 2^53',
  'src/core/views/exact-sum.ts SMALL_EXPONENT_MAX': 'doubles have 64 bits',
  'src/core/views/exact-sum.ts SQUARE_MAX': 'doubles have 64 bits',
  'src/node/system.ts TIMER_MS_MAX': 'timers of Node.js have 31 bits',
  'src/p2p/frames.ts PREFIX_BYTES_MAX': 'the bytes of a length below 2^28; the frame is a limit',
  'src/views/engine-instance.ts HOST_PAGES_MAX':
    'the most that the module says; the sandbox is a limit',
  'src/schema/canonical-json.ts PLAIN_LENGTH_MAX': 'longer texts are written another way',
  'src/schema/time.ts RFC_3339_MS_MAX': 'years have four digits',
  'src/views/map-rows.ts EVENT_ROWS_MAX': 'the number of a row within its event has two bytes'
}
