/** Placeholder. */
import type { FoldProgram } from './program.ts'
import type { ViewIndex } from './view-index.ts'

export function createFoldIndex(program: FoldProgram): ViewIndex {
  throw new Error(`not yet: ${program.hash}`)
}
