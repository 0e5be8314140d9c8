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

// Schemas, which may come from other nodes.

/** Nesting of a JSON Schema: its checker is made by recursion. */
export const SCHEMA_DEPTH_MAX = 128
/**
 * How long the making of a checker may take, ms: that of GS1's schema for EPCIS takes some 300 on a fast box
 * that does nothing else.
 */
export const COMPILE_MS_MAX = 10_000
/**
 * Characters of a schema that is not watched while it is used, where it has no keyword that can take long: on
 * the largest event it takes some hundred milliseconds then.
 */
export const TAME_SCHEMA_CHARACTERS_MAX = 8_192
/** How long one event may take, ms, where the schema is watched: far above any honest one, for busy machines. */
export const CHECK_MS_MAX = 1_000
/** How long events are checked in one go, ms, before others have their turn. */
export const CHECK_SLICE_MS = 20
/** How often a schema may take longer than that; then it is set aside. */
export const CHECK_OVERRUNS_MAX = 3
/** Faults of one event that are told: one is looked for, but each branch of a choice has its own. */
export const EVENT_PROBLEMS_MAX = 8
