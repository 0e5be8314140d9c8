/**
 * Closing in order, with an end: a disk that does not answer holds up whoever waits for it, for ever.
 * What is not waited for is named. Nothing that was acknowledged is lost by that: what is not written
 * yet was acknowledged to nobody.
 */

import type { Clock } from '../core/clock.ts'
import { LaterbaseError } from '../errors.ts'
import { CLOSE_LATE_MS_MAX, CLOSE_MS_MAX, CLOSE_TOLD_MS } from './limits.ts'
import type { Log } from './options.ts'

export interface ClosingStage {
  /** What is waited for, in words for a person; asked while it is. */
  readonly what: () => string
  readonly close: () => Promise<void>
}

export interface Closing {
  /** One after the other. One that fails or does not end does not keep the others from theirs. */
  readonly stages: readonly ClosingStage[]
  /** Lets others have the data directory; left out where something may still be written to it. */
  readonly unlock: () => Promise<void>
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
  readonly log: Log
}

/**
 * @throws LATERBASE_STORE_FAILED where something was not waited for: the directory stays locked until
 *   the process ends. Else what the first stage threw that failed.
 */
export async function closeInOrder({ stages, unlock, clock, log }: Closing): Promise<void> {
  const endMs = clock.monotonicMs() + CLOSE_MS_MAX
  const failures: unknown[] = []
  const left: string[] = []
  let here: ClosingStage | undefined
  const told = clock.setTimer(CLOSE_TOLD_MS, () => {
    log('warn', 'closing takes long; nothing that was acknowledged is lost if it is cut short', {
      waitingFor: here?.what()
    })
  })
  for (const stage of stages) {
    here = stage
    const leftMs = Math.max(endMs - clock.monotonicMs(), CLOSE_LATE_MS_MAX)
    try {
      if (!(await endsWithin(clock, leftMs, stage.close()))) left.push(stage.what())
    } catch (error) {
      failures.push(error)
    }
  }
  told.cancel()
  // A stage that fails must not leave the directory locked behind it; one that goes on must.
  if (left.length === 0) await unlock()
  else {
    const message =
      `closing did not wait for ${left.join(', ')}: nothing that was acknowledged is lost, and the ` +
      'data directory stays locked until this process ends'
    log('warn', message)
    throw new LaterbaseError('LATERBASE_STORE_FAILED', message, { cause: failures[0] })
  }
  if (failures.length > 0) throw failures[0]
}

function endsWithin(
  clock: Pick<Clock, 'setTimer'>,
  ms: number,
  task: Promise<void>
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(ms, () => resolve(false))
    task.finally(() => timer.cancel()).then(() => resolve(true), reject)
  })
}
