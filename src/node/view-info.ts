/** What is known of a view besides its rows, for `ViewInfo`. */

import type { ViewBuild } from '../views/view-build.ts'
import type { ViewSlot } from '../views/view-slot.ts'
import { VIEW_FAULTS_SHOWN } from './limits.ts'
import { keyTextOf } from './view-causes.ts'
import type { RefusedDefinition } from './view-definitions.ts'
import type { ViewInfo } from './views.ts'

/** Of a name that has no view here. */
export function refusedInfo({ name, reason }: RefusedDefinition): ViewInfo {
  return {
    name,
    type: undefined,
    hash: '',
    origin: 'definition',
    reduce: undefined,
    events: 'recorded',
    state: 'refused',
    reason,
    progress: undefined,
    lc: undefined,
    behind: 0,
    rows: 0,
    faults: 0,
    lastFaults: [],
    digest: undefined,
    differs: [],
    diskBytes: 0
  }
}

export function stateOf({ current, failure, done }: ViewSlot): ViewInfo['state'] {
  if (failure !== undefined) return failure.isRefused ? 'refused' : 'failed'
  if (current === undefined) return 'building'
  return done === undefined ? 'ready' : 'replacing'
}

/** The last events that functions failed for. */
export async function lastFaultsOf(build: ViewBuild): Promise<ViewInfo['lastFaults']> {
  const reading = await build.read()
  if (reading === undefined) return []
  try {
    const faults = await build.index.faults(reading.reader, VIEW_FAULTS_SHOWN)
    return faults.map(({ place, fault }) => {
      return { key: keyTextOf(place), fault }
    })
  } finally {
    await reading.release()
  }
}
