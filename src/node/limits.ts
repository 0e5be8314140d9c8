/** Limits of the node: what others can make it do. Unit and reason each. */

import { VERSION_HEADS_MAX } from '../../protocols/limits.ts'
import { LOGS_MAX } from '../core/limits.ts'
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

assert(LOGS_MAX < VERSION_HEADS_MAX, 'a version with places along some logs can be sent')
