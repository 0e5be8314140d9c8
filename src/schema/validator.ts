/** What says whether the data of an event follows a schema, whatever kind of schema that is. */

import type { Problem } from '../errors.ts'

export interface Validator {
  /** What is wrong with the data, by pointers into it; empty for data that follows. */
  readonly check: (data: unknown) => readonly Problem[]
  /** It is quick on any data that an event may have; else it is to be run within a time. */
  readonly isTame: boolean
}

export interface InvalidSchema {
  /** By pointers into the schema. */
  readonly problems: readonly Problem[]
}
