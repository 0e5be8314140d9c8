/**
 * Limits of what an event is made of, with unit and reason. How many bytes it may have is in
 * protocols/limits.ts: that one every node keeps to.
 */

/** Nesting that a value may have; deeper is refused, because readers in other languages recurse. */
export const JSON_DEPTH_MAX = 512

/**
 * Characters (UTF-16 code units) of a member that is a text, but for `data_base64`: names, addresses of
 * schemas and ids are far below it, and what is long belongs into the data.
 */
export const MEMBER_CHARACTERS_MAX = 2_048
