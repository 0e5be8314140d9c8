/** The limits of the wire contract. Every implementation has the same ones; see README.md. */

/** Bytes of one event's value. */
export const EVENT_BYTES_MAX = 262_144
/** Events in one commit. */
export const COMMIT_EVENTS_MAX = 10_000
/** Bytes of a commit's events region: a full HTTP request is one commit. */
export const COMMIT_BYTES_MAX = 16_777_216
/** Bytes of one frame on a delta stream: one commit of full size and its surroundings fit. */
export const FRAME_BYTES_MAX = 17_825_792
/** Bytes of one request frame: a version of 15,000 logs fits. */
export const REQUEST_BYTES_MAX = 1_048_576
/** Heads in one version; DESIGN's next step, a Merkle tree of versions, comes before this. */
export const VERSION_HEADS_MAX = 15_000
/** Databases in one comparison. */
export const DATABASES_MAX = 1_024
/** Bytes of a database name, which is ASCII. */
export const NAME_BYTES_MAX = 63
/** Views in one answer: the definitions of a database, and as many again that are functions of a program. */
export const VIEWS_MAX = 1_024
/** Commits in one page: bounds the signatures that one answer can make a requester check. */
export const PAGE_COMMITS_MAX = 4_096
/** Keys listed in one announcement; a larger commit lists its first ones. 2,048 × 16 B < 64 KiB. */
export const ANNOUNCED_KEYS_MAX = 2_048
