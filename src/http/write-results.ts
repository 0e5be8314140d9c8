/** What a write is answered with. The same words for a request and for a stream's commits. */

import type { AppendedEvent, AppendResult } from '../node/laterbase.ts'
import { HttpProblem, problemCodeOf, problemMembers } from './problem.ts'

/** One entry of `results`, as plain JSON. */
export type WriteResult =
  { readonly key: string; readonly status: 'created' | 'duplicate' } | RejectedResult

export interface RejectedResult {
  readonly status: 'rejected'
  readonly problem: Readonly<Record<string, unknown>>
}

/** `locate` says in the client's own terms what was wrong with the entry at `index`. */
export function writeResults(
  appended: AppendResult,
  locate: (problem: HttpProblem, index: number) => HttpProblem = (problem) => problem
): readonly WriteResult[] {
  return appended.results.map((result, index) => {
    if (result.status !== 'rejected') return { key: result.key, status: result.status }
    const { code, problem } = result
    const plain = new HttpProblem(problemCodeOf(code), problem.detail, { errors: [problem] })
    return rejected(locate(plain, index))
  })
}

export function rejected(problem: HttpProblem): RejectedResult {
  return { status: 'rejected', problem: problemMembers(problem) }
}

/** 201 when something is new, 200 when nothing is or something was refused. */
export function writeStatus(results: readonly AppendedEvent[]): 200 | 201 {
  if (results.some((each) => each.status === 'rejected')) return 200
  return results.some((each) => each.status === 'created') ? 201 : 200
}
