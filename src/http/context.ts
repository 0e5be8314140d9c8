/** What every handler of the facade works with. Made once by `server.ts`. */

import type { Laterbase } from '../node/laterbase.ts'
import type { Log } from '../node/options.ts'
import type { BodyReader } from './body.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { HttpLimits } from './limits.ts'
import type { Slots } from './slots.ts'

export interface HttpContext {
  readonly node: Laterbase
  readonly limits: HttpLimits
  readonly log: Log
  readonly bodies: BodyReader
  /** Bytes of pages that are being sent. */
  readonly pages: ByteBudget
  /** Places for longpoll, continuous and eventsource readers. */
  readonly feeds: Slots
  /** Places for questions to views. */
  readonly views: Slots
  /** Places for NDJSON streams. */
  readonly streams: Slots
}
