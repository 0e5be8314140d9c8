/** Programs of functions, and events for them. */

import { eventKey } from '../../src/core/event-key.ts'
import type { Json } from '../../src/core/json.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { AnyView } from '../../src/views/define-view.ts'
import { nativeProgram } from '../../src/views/native-program.ts'
import type { FoldProgram, MapProgram, ViewEvent, ViewProgram } from '../../src/views/program.ts'
import { viewEvent } from '../../src/views/view-event.ts'

/** Also of views whose types are not right, as a program of JavaScript may write them. */
export function programOf(view: object): ViewProgram {
  return nativeProgram(view as AnyView, systemHasher)
}

export function mapOf(view: object): MapProgram {
  const program = programOf({ name: 'some', ...view })
  if (program.type !== 'map') throw new Error('a map')
  return program
}

export function foldOf(view: object): FoldProgram {
  const program = programOf({ name: 'some', ...view })
  if (program.type !== 'fold') throw new Error('a fold')
  return program
}

export function eventWith(data: Json, subject?: string): ViewEvent {
  const value = { data, ...(subject !== undefined && { subject }) }
  return viewEvent(eventKey(new Uint8Array(16)), Buffer.from(JSON.stringify(value)))
}
