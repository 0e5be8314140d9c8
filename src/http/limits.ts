/**
 * Every bound of the HTTP facade, with unit and reason. `createHttpServer` takes other values for
 * any of them. What an event itself may weigh is the node's business, not the facade's.
 */

import { COMMIT_BYTES_MAX } from '../../protocols/limits.ts'

const KIB = 1024
const MIB = 1024 * KIB

export interface HttpLimits {
  readonly connectionsMax: number
  readonly headerBytesMax: number
  readonly headersMsMax: number
  readonly connectionIdleMsMax: number
  readonly keepAliveMsMax: number
  readonly urlBytesMax: number
  readonly bodyBytesMax: number
  readonly bodyMsMax: number
  readonly bodiesBytesMax: number
  readonly discardMsMax: number
  readonly streamIdleMsMax: number
  readonly streamsMax: number
  readonly lineBytesMax: number
  readonly groupLinesMax: number
  readonly groupBytesMax: number
  readonly groupLingerMs: number
  readonly briefAnswerBytes: number
  readonly answerBytesMax: number
  readonly keysMax: number
  readonly keysBodyMax: number
  readonly keysBatch: number
  readonly pageEventsDefault: number
  readonly pageEventsMax: number
  readonly pageBytesMax: number
  readonly pagesBytesMax: number
  readonly pageBatch: number
  readonly rangeScanMax: number
  readonly conflictsMax: number
  readonly viewRowsMax: number
  readonly viewsAskedMax: number
  readonly viewMsDefault: number
  readonly viewMsMin: number
  readonly viewMsMax: number
  readonly feedsMax: number
  readonly feedChunkBytes: number
  readonly longpollMsDefault: number
  readonly feedTimeoutMsMax: number
  readonly heartbeatMsDefault: number
  readonly heartbeatMsMin: number
  readonly heartbeatMsMax: number
  readonly stallMsMax: number
  readonly spuriousWakeMs: number
  readonly syncMsMax: number
  readonly closeGraceMs: number
  readonly retryAfterSeconds: number
  readonly retryAfterFullSeconds: number
}

export const HTTP_LIMITS: HttpLimits = {
  /** Open sockets. Some hundred slow ones must not keep a health check out. */
  connectionsMax: 1_024,
  /** Bytes of all headers together; Node's own default, stated. */
  headerBytesMax: 16 * KIB,
  /** For the headers of one request to arrive: a few packets, even over a bad link. */
  headersMsMax: 10_000,
  /** For a socket on which nothing moves in either direction; feeds are exempt, see `stallMsMax`. */
  connectionIdleMsMax: 60_000,
  /** For a kept-alive socket between requests. */
  keepAliveMsMax: 30_000,
  /** Bytes of path and query: 100 keys in UUID form are 3,700. */
  urlBytesMax: 8 * KIB,
  /** Bytes of a body that is held in memory: a request is one commit. */
  bodyBytesMax: COMMIT_BYTES_MAX,
  /** For such a body to arrive: 16 MiB at 4 Mbit/s. */
  bodyMsMax: 35_000,
  /**
   * Bytes of all such bodies at one time, until they are written; parsed they take several times
   * as much. Beyond it a client is asked to come back.
   */
  bodiesBytesMax: 64 * MIB,
  /** For the rest of a body that was refused to be read and dropped, so that the answer arrives. */
  discardMsMax: 5_000,
  /** For the next bytes of an NDJSON stream. */
  streamIdleMsMax: 60_000,
  /** NDJSON streams at one time: each may hold a group and a line. */
  streamsMax: 64,
  /** Bytes of one NDJSON line; above any event. */
  lineBytesMax: MIB,
  /** Lines of one commit of an NDJSON stream: past a thousand a commit gets no cheaper. */
  groupLinesMax: 1_000,
  /** Bytes of one commit of an NDJSON stream, but for its last line. */
  groupBytesMax: MIB,
  /** A line waits this long for others to share its commit, so that a slow stream is acknowledged. */
  groupLingerMs: 50,
  /**
   * Bytes of NDJSON answer that a client has not read yet, from which on commits are acknowledged
   * by their counts alone: many clients send everything before they read anything.
   */
  briefAnswerBytes: 4 * MIB,
  /** Bytes of NDJSON answer kept for such a client; beyond it we wait for it to read. */
  answerBytesMax: 16 * MIB,
  /** Keys in a query: what fits in a URL. */
  keysMax: 100,
  /** Keys in the body of a bulk read. */
  keysBodyMax: 10_000,
  /** Keys of a bulk read that are read and held at one time. */
  keysBatch: 100,
  /** Events on a page when the client does not say. */
  pageEventsDefault: 1_000,
  pageEventsMax: 10_000,
  /** Bytes of a page: it ends early rather than hold thousands of large events in memory. */
  pageBytesMax: 16 * MIB,
  /** Bytes of all pages that are being sent, to readers that may be slow. */
  pagesBytesMax: 256 * MIB,
  /** Events asked of the node at one time; it ends such a read early itself when they are large. */
  pageBatch: 1_000,
  /** Events that one range page may pass over under a filter. */
  rangeScanMax: 10_000,
  /** Conflicting keys in one answer. */
  conflictsMax: 1_000,
  /** Rows of a view in one answer; one that would have more is refused, because CouchDB has no bound. */
  viewRowsMax: 10_000,
  /** Questions to views that are answered, or wait, at one time: each may hold a page. */
  viewsAskedMax: 128,
  /** For a view to be built and to cover what it should: below the patience of common clients. */
  viewMsDefault: 10_000,
  /** A `timeout` below it would be over before a view that is ready has answered. */
  viewMsMin: 100,
  /** Below the time after which a socket on which nothing moves is closed. */
  viewMsMax: 55_000,
  /** Waiting and streaming readers of feeds at one time. */
  feedsMax: 256,
  /** Bytes handed to a socket at one time: what a reader that stopped reading costs, about. */
  feedChunkBytes: 64 * KIB,
  longpollMsDefault: 60_000,
  /** Longest `timeout` of a feed. */
  feedTimeoutMsMax: 600_000,
  /** Below the 30 s after which common proxies give a silent connection up. */
  heartbeatMsDefault: 25_000,
  heartbeatMsMin: 100,
  heartbeatMsMax: 600_000,
  /** For a reader that stopped reading to begin again; then it is cut off and resumes by cursor. */
  stallMsMax: 60_000,
  /** Pause after a wake-up that brought nothing, so that no fault elsewhere becomes a busy loop. */
  spuriousWakeMs: 50,
  /** For anti-entropy asked for by a client. */
  syncMsMax: 55_000,
  /** For answers under way to end when the server closes; then their sockets are cut. */
  closeGraceMs: 500,
  /** What `Retry-After` says, in seconds. */
  retryAfterSeconds: 2,
  /** The same while the disk is full: somebody has to make room. */
  retryAfterFullSeconds: 10
}

/** Characters of a parameter's name, and of a path, that a problem repeats: they are the client's. */
export const NAME_CHARS_MAX = 64
export const INSTANCE_CHARS_MAX = 256
/** Media ranges of one Accept header that are looked at; browsers send about eight. */
export const RANGES_MAX = 64
/** How often Node.js looks for requests that came too slowly, ms. */
export const REQUEST_CHECK_MS = 1_000
