/**
 * Which events count in a view of what is effective: those that no other corrects, and of several that
 * correct one event the highest, unless what they correct was passed over (protocols/event/spec.md, section 5).
 *
 * Decided for each event from the events around it, and so from the set alone: in whatever order they came.
 * How those are found, and when an event is looked at again, is the engine's.
 */

import { compareBytes } from '../core/bytes.ts'
import { formatEventKey, parseEventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { ViewEvent } from './program.ts'

/** The key of the event that this one corrects; undefined for one that corrects none. */
export function correctedKey(event: Pick<ViewEvent, 'key' | 'corrects'>): EventKey | undefined {
  const { key, corrects } = event
  // Of a member of the network any text may have come.
  const corrected = corrects === undefined ? undefined : parseEventKey(corrects)
  return corrected === undefined || formatEventKey(corrected) === key ? undefined : corrected
}

/** Whether it takes back the event that it corrects, and has nothing to put in its place. */
export function isRetraction(event: Pick<ViewEvent, 'key' | 'corrects' | 'data'>): boolean {
  return event.data === null && correctedKey(event) !== undefined
}

/** What is held around an event. Places are keys followed by hashes, of any one length. */
export interface Surroundings {
  /** An event is held that corrects this one's key. */
  readonly isCorrected: boolean
  /** Of an event that corrects another: the places of all that correct that one, this one among them or not. */
  readonly rivals: Iterable<Uint8Array>
  /** Of an event that corrects another: a higher key corrects that one too, or that one is passed over itself. */
  readonly isPassedOver: boolean
}

/** Whether an event counts where what is effective is asked for. */
export function isEffective(
  event: Pick<ViewEvent, 'key' | 'corrects' | 'data'>,
  place: Uint8Array,
  { isCorrected, rivals, isPassedOver }: Surroundings
): boolean {
  if (isCorrected || isRetraction(event)) return false
  if (correctedKey(event) === undefined) return true
  if (isPassedOver) return false
  for (const rival of rivals) if (compareBytes(rival, place) > 0) return false
  return true
}
