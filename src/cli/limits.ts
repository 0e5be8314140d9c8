/** Every bound of the command line, with unit and reason. */

/** Bytes of one event read from a file: above what any node takes, so that the node says no. */
export const EVENT_TEXT_BYTES_MAX = 2 * 1024 * 1024

/** Events of one request of `append`: ten commits, so that progress is seen and a refusal is near. */
export const PIECE_EVENTS_MAX = 10_000

/** Bytes of one request of `append`, but for its last event. */
export const PIECE_BYTES_MAX = 4 * 1024 * 1024

/** A piece of a slow input waits this long for more, ms. */
export const PIECE_LINGER_MS = 100

/** Refused events that `append` describes one by one. */
export const REFUSALS_SHOWN_MAX = 20

/** Progress is for what takes longer than this, ms. */
export const PROGRESS_AFTER_MS = 1_000

/** Keys of one request of `get`: as many as a node takes, unless it is told otherwise. */
export const GET_KEYS = 1_000

/** First and last wait, ms, before `feed --live` asks again a node that cut it or does not answer. */
export const FEED_BACKOFF_MS_MIN = 250
export const FEED_BACKOFF_MS_MAX = 10_000

/** How often `view` asks again for a view that is being built, ms. */
export const VIEW_POLL_MS = 500

/** How long `status --watch` shows a status before it asks for the next one, ms. */
export const STATUS_WATCH_MS = 1_000

/** How often `verify` asks a node how far it is, ms. */
export const VERIFY_POLL_MS = 250

/** A stop takes no longer than this, ms: stopping is as safe as kill -9, so the rest may be cut. */
export const STOP_MS_MAX = 1_900

/** A process whose own signal has not ended it by then, ms, is aborted. */
export const ABORT_MS = 200
