/**
 * The index of a fold: for each aggregate its newest state, its rows, and states along them from which it may be
 * gone on. Everything in it is a function of the program and the events: two indexes over the same events
 * have the same records, in whatever order they came.
 */

import { buildFold } from './fold-build.ts'
import { queryFold } from './fold-query.ts'
import { updateFold } from './fold-update.ts'
import { lastFaults } from './records.ts'
import type { FoldProgram } from './program.ts'
import type { ViewIndex } from './view-index.ts'

export function createFoldIndex(program: FoldProgram): ViewIndex {
  return {
    build: (events, write, reader, care) => buildFold({ program, events, write, reader, care }),
    update: (reader, state, change, options) => {
      return updateFold({ program, reader, state }, change, options)
    },
    query: (reader, _state, query) => queryFold(program, reader, query),
    faults: lastFaults
  }
}
