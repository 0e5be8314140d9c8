/**
 * Aborts a connection that is not closed, in a task of its own. yamux sends the first frame of a new
 * stream in a microtask; on a connection aborted since, that throws where nobody can catch it, and
 * ends the process (@libp2p/yamux 8.0.3).
 */

import type { Connection } from '@libp2p/interface'
import { passed } from '../core/clock.ts'
import type { Clock } from '../core/clock.ts'

export async function abortSoon(
  clock: Clock,
  connection: Connection,
  reason: Error
): Promise<void> {
  if (connection.status === 'closed' || connection.status === 'aborted') return
  await passed(clock, 0)
  connection.abort(reason)
}
