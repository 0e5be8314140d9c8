/**
 * Functions that may take much, and on behalf of which the node does nothing else: how they are called a few events at a
 * time, with rests between. A function that takes too long fails for its event alone, however many such events there are;
 * a view that has many of them is slow, and the node is not.
 *
 * Left out: what they may take for one event (`sandbox.ts`).
 */

import { CAREFUL_EVENTS } from './limits.ts'
import type { FoldInputs, FoldProgram, FoldStep, ViewProgram } from './program.ts'
import { listOf } from './selection.ts'

/** What functions have taken of late. */
export interface Effort {
  /** How many events they were not called for, because they had taken too much: what they would answer is not known. */
  readonly skipped: number
  /**
   * Where they are called for CAREFUL_EVENTS at the most, after a rest each time: throws when nobody waits any more for
   * what comes of it.
   */
  care: (() => void) | undefined
  /** Resolves when they may be called for so many. */
  rest(): Promise<void>
}

type Paced = Pick<ViewProgram, 'effort'>

/** Functions were not called for some events. */
export class OverworkedError extends Error {
  constructor() {
    super('the functions of the view take too long, or too much memory, for too many events')
    this.name = 'OverworkedError'
  }
}

/** @throws OverworkedError where functions were not called meanwhile: nothing may be kept of what comes of that */
export async function answered<T>({ effort }: Paced, work: () => Promise<T>): Promise<T> {
  const before = effort?.skipped
  const result = await work()
  if (effort?.skipped !== before) throw new OverworkedError()
  return result
}

/**
 * As `answered`; where that is too much at a time, once more, carefully.
 *
 * @param care see `Effort`
 */
export async function answeredInTheEnd<T>(
  program: Paced,
  care: () => void,
  work: (isCareful: boolean) => Promise<T>
): Promise<T> {
  const { effort } = program
  try {
    return await answered(program, () => work(false))
  } catch (error) {
    if (!(error instanceof OverworkedError) || effort === undefined) throw error
  }
  effort.care = care
  try {
    return await answered(program, () => work(true))
  } finally {
    effort.care = undefined
  }
}

/** All of them; or a few at a time, each few after a rest, as long as anybody waits for what comes of it. */
export async function* paced<T>(
  { effort }: Paced,
  events: readonly T[]
): AsyncGenerator<readonly T[]> {
  if (effort?.care === undefined) {
    yield events
    return
  }
  for (const few of inFews(events)) {
    await effort.rest()
    effort.care?.()
    yield few
  }
}

function* inFews<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += CAREFUL_EVENTS) yield all.slice(at, at + CAREFUL_EVENTS)
}

/** Those that come in chunks. @throws OverworkedError as soon as it is known */
export async function* pacedChunks<T>(
  program: Paced,
  chunks: AsyncIterable<readonly T[]>
): AsyncGenerator<readonly T[]> {
  const { effort } = program
  const before = effort?.skipped
  for await (const chunk of chunks) {
    yield* paced(program, chunk)
    if (effort?.skipped !== before) throw new OverworkedError()
  }
}

/** `apply`, of a few at a time where functions are called carefully. */
export async function applyPaced(
  program: FoldProgram,
  state: string,
  inputs: FoldInputs
): Promise<FoldStep> {
  const { effort } = program
  if (effort?.care === undefined) return program.apply(state, inputs)
  const faults: { index: number; fault: string }[] = []
  let [text, at] = [state, 0]
  for (const few of inFews(listOf(inputs))) {
    await effort.rest()
    const step = program.apply(text, few)
    for (const { index, fault } of step.faults) faults.push({ index: at + index, fault })
    text = step.state
    at += few.length
  }
  return { state: text, faults }
}
