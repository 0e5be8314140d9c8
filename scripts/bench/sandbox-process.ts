/** The child process that calls a map of a view: as functions of the program, and as text in the sandbox. */

import { parseEventKey } from '../../src/core/event-key.ts'
import { systemClock, systemHasher } from '../../src/node/system.ts'
import { ViewCompiler } from '../../src/node/view-compiler.ts'
import { nativeProgram } from '../../src/views/native-program.ts'
import type { ViewEvent, ViewProgram } from '../../src/views/program.ts'
import { viewEvent } from '../../src/views/view-event.ts'
import { historyEvents, rawEvents } from './events.ts'
import { costSince, serve } from './serve.ts'

const MAP = '({ type, time, data }, emit) => emit([type, time.slice(0, 10)], data.qty)'
/** Events of one call, as in a build. */
const CHUNK = 1_000

const api = {
  /** Events a second through a map, once every function is warm. */
  map: async ({ seed, count, isScript }: MapArgument): Promise<number> => {
    const program = isScript ? await scripted() : native()
    const raw = rawEvents(historyEvents(seed, count), count)
    run(program, raw, Math.min(count, 4 * CHUNK))
    const cost = costSince()
    run(program, raw, count)
    return (count / cost().ms) * 1_000
  }
}

export type SandboxApi = typeof api

export interface MapArgument {
  readonly seed: number
  readonly count: number
  readonly isScript: boolean
}

function scripted(): Promise<ViewProgram> {
  const compiler = new ViewCompiler({ hasher: systemHasher, clock: systemClock, scripts: true })
  return compiler.compile({ language: 'javascript', map: MAP })
}

function native(): ViewProgram {
  return nativeProgram(
    {
      name: 'native',
      map: ({ type, time, data }, emit) => {
        const { qty } = data as { readonly qty: number }
        emit([type ?? null, time.slice(0, 10)], qty)
      }
    },
    systemHasher
  )
}

/** Each event is parsed anew, as in a build. */
function run(program: ViewProgram, raw: ReturnType<typeof rawEvents>, count: number): void {
  if (program.type !== 'map') throw new Error('a map is expected')
  for (let at = 0; at < count; at += CHUNK) {
    const length = Math.min(CHUNK, count - at)
    const events = Array.from({ length }, (_, index): ViewEvent => eventAt(raw, at + index))
    const outcomes = program.map(events)
    if (outcomes.some((outcome) => 'fault' in outcome)) throw new Error('the map failed')
  }
}

/** Another key than the store's would do: what counts is that it is formatted as one. */
function eventAt(raw: ReturnType<typeof rawEvents>, index: number): ViewEvent {
  const key = parseEventKey('01J00000000000000000000000')
  if (key === undefined) throw new Error('a key')
  return viewEvent(key, raw.value(index))
}

serve(api, async () => undefined)
