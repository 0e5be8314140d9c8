/**
 * A program that sees events in their newest shape. Where an upcaster fails for an event, it is a fault of that
 * event. What a view is follows from its upcasters too, so they are in the hash of the program.
 */

import { assert } from '../core/assert.ts'
import { toHex } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import type { Upcasters } from '../schema/upcast.ts'
import type {
  Fault,
  FoldInput,
  FoldProgram,
  FoldSession,
  MapProgram,
  ViewEvent,
  ViewProgram
} from './program.ts'
import { Selection, listOf } from './selection.ts'
import { remade, unreadEvent } from './view-event.ts'

/** The program itself where there are no upcasters. */
export function upcastProgram(
  program: ViewProgram,
  upcasters: Upcasters,
  hasher: Hasher
): ViewProgram {
  if (upcasters.hash === undefined) return program
  const hash = toHex(hasher.sha256(Buffer.from(`${program.hash} ${upcasters.hash}`)))
  return program.type === 'map'
    ? upcastMap(program, upcasters, hash)
    : upcastFold(program, upcasters, hash)
}

function upcastMap(program: MapProgram, upcasters: Upcasters, hash: string): MapProgram {
  const { type, events: counted, reducer } = program
  return {
    type,
    hash,
    events: counted,
    reducer,
    effort: program.effort,
    map: (events) => {
      const { seen, places, faults } = upcastEvents(events, upcasters)
      return spread(events.length, { made: program.map(seen), places, faults })
    }
  }
}

function upcastFold(program: FoldProgram, upcasters: Upcasters, hash: string): FoldProgram {
  const { type, events: counted, initial, isFinalCalled } = program
  return {
    type,
    hash,
    events: counted,
    initial,
    isFinalCalled,
    effort: program.effort,
    keysOf: (events) => {
      const { seen, places, faults } = upcastEvents(events, upcasters)
      return spread(events.length, { made: program.keysOf(seen), places, faults })
    },
    result: (state) => program.result(state),
    ...(program.select === undefined
      ? ofEvents(program, upcasters)
      : ofSelections(program, program.select, upcasters))
  }
}

type Applied = Pick<FoldProgram, 'select' | 'apply' | 'begin'>

function ofEvents(program: FoldProgram, upcasters: Upcasters): Applied {
  return {
    apply: (state, inputs) => {
      const { seen, places, faults } = upcastEvents(listOf(inputs).map(asEvent), upcasters)
      const step = program.apply(state, seen)
      const own = [...faults].map(([index, { fault }]) => ({ index, fault }))
      const others = step.faults.map(({ index, fault }) => ({ index: places[index] ?? 0, fault }))
      return { ...step, faults: [...own, ...others].sort((a, b) => a.index - b.index) }
    },
    begin: program.begin && sessionsOf(program.begin, upcasters)
  }
}

/** What is selected is selected of the newest shape. */
function ofSelections(
  program: FoldProgram,
  select: NonNullable<FoldProgram['select']>,
  upcasters: Upcasters
): Applied {
  return {
    select: (events) => {
      const { seen, places, faults } = upcastEvents(events, upcasters)
      return spread(events.length, { made: select(seen), places, faults })
    },
    apply: (state, inputs) => program.apply(state, inputs),
    begin: program.begin
  }
}

function asEvent(input: FoldInput): ViewEvent {
  assert(!(input instanceof Selection), 'a program that selects nothing gets events')
  return input
}

/** An event that cannot be upcast ends a session, as one for which a function fails. */
function sessionsOf(
  begin: (state: string) => FoldSession,
  upcasters: Upcasters
): (state: string) => FoldSession {
  return (state) => {
    const session = begin(state)
    return {
      add: (input) => {
        const { seen } = upcastEvents([asEvent(input)], upcasters)
        const [upcast] = seen
        return upcast !== undefined && session.add(upcast)
      },
      text: () => session.text()
    }
  }
}

interface Upcasted {
  /** Those that could be upcast, or need not be. */
  readonly seen: readonly ViewEvent[]
  /** Where each of them had stood. */
  readonly places: readonly number[]
  /** By place, why the others could not. */
  readonly faults: ReadonlyMap<number, Fault>
}

function upcastEvents(events: readonly ViewEvent[], upcasters: Upcasters): Upcasted {
  const seen: ViewEvent[] = []
  const places: number[] = []
  const faults = new Map<number, Fault>()
  for (const [index, event] of events.entries()) {
    try {
      seen.push(upcastEvent(event, upcasters))
      places.push(index)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      faults.set(index, { fault: `upcaster: ${reason}` })
    }
  }
  return { seen, places, faults }
}

/** An event is looked at by several functions, and what they get is made once. */
const made = new WeakMap<Upcasters, WeakMap<ViewEvent, ViewEvent>>()

function upcastEvent(event: ViewEvent, upcasters: Upcasters): ViewEvent {
  // A correction without data takes an event back: it has no shape.
  if (event.data === null && event.corrects !== undefined) return event
  const known = made.get(upcasters) ?? new WeakMap<ViewEvent, ViewEvent>()
  made.set(upcasters, known)
  const held = known.get(event)
  if (held !== undefined) return held
  const newest = upcasters.upcast(event)
  const { key, time, type, subject, source, id, corrects, data_base64, datacontenttype } = event
  const rest = { key, time, type, subject, source, id, corrects, data_base64, datacontenttype }
  const upcast =
    newest === undefined
      ? event
      : remade({ ...rest, ...newest }, () => upcastEvent(unreadEvent(event), upcasters))
  known.set(event, upcast)
  return upcast
}

function spread<Outcome>(
  length: number,
  {
    made: outcomes,
    places,
    faults
  }: {
    readonly made: readonly Outcome[]
    readonly places: readonly number[]
    readonly faults: ReadonlyMap<number, Fault>
  }
): readonly (Outcome | Fault)[] {
  if (faults.size === 0) return outcomes
  const all: (Outcome | Fault)[] = Array.from({ length }, (_, index) => {
    return faults.get(index) ?? { fault: 'nothing was answered' }
  })
  for (const [at, place] of places.entries()) {
    const outcome = outcomes[at]
    if (at < outcomes.length) all[place] = outcome as Outcome
  }
  return all
}
