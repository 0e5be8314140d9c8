/**
 * Functions that may take much, and on behalf of which the node does nothing else: how they are called a few events at a
 * time, with rests between. A function that takes too long fails for its event alone, however many such events there are;
 * a view that has many of them is slow, and the node is not. Left out are reduces, which are called for runs of rows: a
 * view of which they take too long for many is given up.
 *
 * Left out: what they may take for one event (`sandbox.ts`).
 */

import { CAREFUL_EVENTS } from './limits.ts'
import type { FoldInputs, FoldProgram, FoldStep, MapProgram, ViewProgram } from './program.ts'
import { listOf } from './selection.ts'

/** What functions have taken of late. */
export interface Effort {
  /** How many events they were not called for, because they had taken too much: what they would answer is not known. */
  readonly skipped: number
  /** Resolves when they may be called for CAREFUL_EVENTS. */
  rest(): Promise<void>
  /** Calls them, however much they have taken: for a few events, after a rest. */
  patiently<T>(call: () => T): T
}

/** Functions are called with care; throws when nobody waits any more for what comes of it. */
export type Care = () => void

/** Of whoever waits to the end. */
export const WAITING: Care = () => undefined

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

/** As `answered`; where that is too much at a time, once more, with care. */
export async function answeredInTheEnd<T>(
  program: Paced,
  care: Care,
  work: (care: Care | undefined) => Promise<T>
): Promise<T> {
  try {
    return await answered(program, () => work(undefined))
  } catch (error) {
    if (!(error instanceof OverworkedError)) throw error
  }
  return answered(program, () => work(care))
}

/** All of them; with care a few at a time, each few after a rest. */
export async function* paced<T>(
  { effort }: Paced,
  events: readonly T[],
  care: Care | undefined
): AsyncGenerator<readonly T[]> {
  if (effort === undefined || care === undefined) {
    yield events
    return
  }
  for (const few of inFews(events)) {
    await effort.rest()
    care()
    yield few
  }
}

/** Those that come in chunks. @throws OverworkedError as soon as it is known */
export async function* pacedChunks<T>(
  program: Paced,
  chunks: AsyncIterable<readonly T[]>,
  care: Care | undefined
): AsyncGenerator<readonly T[]> {
  const { effort } = program
  const before = effort?.skipped
  for await (const chunk of chunks) {
    yield* paced(program, chunk, care)
    // With care functions are called for every event.
    if (care === undefined && effort?.skipped !== before) throw new OverworkedError()
  }
}

/** Calls functions for so many events: those that come a few at a time have rested. */
export function callPaced<T>({ effort }: Paced, count: number, call: () => T): T {
  return effort === undefined || count > CAREFUL_EVENTS ? call() : effort.patiently(call)
}

/** Calls a function for one answer of a question. */
export async function callRested<T>({ effort }: Paced, care: Care, call: () => T): Promise<T> {
  if (effort === undefined) return call()
  await effort.rest()
  care()
  return effort.patiently(call)
}

/** Of a map's reduce, where that is a function that may take much. */
export function reduceEffort({ effort, reducer }: MapProgram): Effort | undefined {
  return reducer?.name === 'user' ? effort : undefined
}

/** `apply`, with care of a few at a time. */
export async function applyPaced(
  program: FoldProgram,
  care: Care | undefined,
  state: string,
  inputs: FoldInputs
): Promise<FoldStep> {
  if (program.effort === undefined || care === undefined) return program.apply(state, inputs)
  const faults: { index: number; fault: string }[] = []
  let [text, at] = [state, 0]
  for await (const few of paced(program, listOf(inputs), care)) {
    const step = callPaced(program, few.length, () => program.apply(text, few))
    for (const { index, fault } of step.faults) faults.push({ index: at + index, fault })
    text = step.state
    at += few.length
  }
  return { state: text, faults }
}

function* inFews<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < all.length; at += CAREFUL_EVENTS) yield all.slice(at, at + CAREFUL_EVENTS)
}
