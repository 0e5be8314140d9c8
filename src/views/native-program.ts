/**
 * Views of functions of this program as what an engine runs: at native speed, with what they throw and return
 * in bounds. Fold functions may change the state that they are given, or copy it: both come to the same.
 *
 * Left out: who may define a view, and whether it is deterministic (`trial.ts`); a function that does not
 * end, which holds the program whose function it is.
 */

import type { Hasher } from '../core/clock.ts'
import { toHex } from '../core/bytes.ts'
import type { Json } from '../core/json.ts'
import { builtInReducer, userReducer } from '../core/views/reducers.ts'
import type { Reducer } from '../core/views/reducers.ts'
import { LaterbaseError } from '../errors.ts'
import type { AnyView, MapView, SelectEvolveView, SelectFoldView } from './define-view.ts'
import { NotJsonError, faultOf, jsonCopy } from './function-value.ts'
import type { Room } from './function-value.ts'
import { EMITS_MAX, EMITTED_BYTES_MAX, VALUE_BYTES_MAX } from './limits.ts'
import { beginFold, foldInputs, stateText, synchronous } from './native-fold.ts'
import type {
  Emitted,
  Fault,
  FoldProgram,
  MapOutcome,
  MapProgram,
  Outcome,
  ViewEvent,
  ViewProgram
} from './program.ts'

/** @throws LATERBASE_VIEW_INVALID with `problems` */
export function nativeProgram(view: AnyView, hasher: Hasher): ViewProgram {
  const given: Members = { ...view }
  for (const name of Object.keys(given)) {
    if (!MEMBERS.includes(name)) refuse(name, `is not known here: ${MEMBERS.join(', ')} are`)
  }
  const { version } = given
  const isVersion = version === undefined || typeof version === 'string' || Number.isFinite(version)
  if (!isVersion) refuse('version', 'must be a text or a number')
  const events = given['events'] ?? 'recorded'
  if (events !== 'recorded' && events !== 'effective') {
    refuse('events', 'must be recorded or effective')
  }
  const hashOf = (...parts: readonly Json[]): string => {
    const text = JSON.stringify(['laterbase view', ...parts, version ?? null, events])
    return toHex(hasher.sha256(Buffer.from(text)))
  }
  if (isMapView(view)) return mapProgram(given, events, hashOf)
  return foldProgram(given, events, hashOf)
}

/** A view is what a program of JavaScript may have written: its types are looked at. */
type Members = Readonly<Record<string, unknown>>
type AnyFunction = (...values: readonly unknown[]) => unknown
type Events = 'recorded' | 'effective'
type HashOf = (...parts: readonly Json[]) => string

function isMapView(view: AnyView): boolean {
  const names = Object.keys(view)
  const isMap = names.includes('map') || names.includes('reduce')
  const isFold = FOLD_MEMBERS.some((name) => names.includes(name))
  if (isMap && isFold) refuse('', 'is either a map with a reduce, or a fold: not both')
  if (!isMap && !isFold) refuse('', 'has neither map nor apply')
  return isMap
}

const FOLD_MEMBERS = [
  'key',
  'select',
  'initial',
  'apply',
  'initialState',
  'evolve',
  'final'
] as const satisfies readonly (keyof SelectFoldView | keyof SelectEvolveView)[]

const MEMBERS: readonly string[] = [
  'name',
  'version',
  'events',
  'map',
  'reduce',
  ...FOLD_MEMBERS
] satisfies readonly (keyof MapView | (typeof FOLD_MEMBERS)[number])[]

function mapProgram(view: Members, events: Events, hashOf: HashOf): MapProgram {
  const map = functionOf(view, 'map')
  const { reduce } = view
  const [reducer, reducerText] = reducerOf(view)
  return {
    type: 'map',
    hash: hashOf('map', textOf(view, 'map'), reduce === undefined ? null : reducerText),
    events,
    map: (given) => given.map((event) => emitted(map, event)),
    reducer
  }
}

function reducerOf(view: Members): [Reducer | undefined, string] {
  const { reduce } = view
  if (reduce === undefined) return [undefined, '']
  if (typeof reduce === 'string') {
    const reducer = builtInReducer(reduce)
    if (reducer === undefined) refuse('reduce', `there is no reducer ${JSON.stringify(reduce)}`)
    return [reducer, reduce]
  }
  const call = functionOf(view, 'reduce')
  const reducer = userReducer((keys, values, rereduce) => {
    return jsonCopy(synchronous(call(keys, values, rereduce)), { bytes: VALUE_BYTES_MAX })
  })
  return [reducer, textOf(view, 'reduce')]
}

/** What is emitted after the function has returned, or in spite of a fault, is not looked at. */
function emitted(map: AnyFunction, event: ViewEvent): MapOutcome {
  // Most events emit one row, and an array that grows by one has room for seventeen.
  let rows: Emitted[] = []
  const room: Room = { bytes: EMITTED_BYTES_MAX }
  let fault: Fault | undefined
  let isOver = false
  const emit = (key: unknown, value: unknown): void => {
    if (isOver) return
    try {
      if (rows.length >= EMITS_MAX) throw new NotJsonError(`emits more than ${EMITS_MAX} rows`)
      const row = { key: jsonCopy(key, room), value: jsonCopy(value, room) }
      if (rows.length === 0) rows = [row]
      else rows.push(row)
    } catch (error) {
      // A function that catches what is thrown here has failed all the same.
      fault ??= faultOf(error)
      throw error
    }
  }
  try {
    synchronous(map(event, emit))
  } catch (error) {
    fault ??= faultOf(error)
  }
  isOver = true
  return fault ?? { rows }
}

function foldProgram(view: Members, events: Events, hashOf: HashOf): FoldProgram {
  const initialName = eitherOf(view, 'initial', 'initialState')
  const applyName = eitherOf(view, 'apply', 'evolve')
  const initial = functionOf(view, initialName)
  const apply = functionOf(view, applyName)
  const key = view['key'] === undefined ? undefined : functionOf(view, 'key')
  const select = view['select'] === undefined ? undefined : functionOf(view, 'select')
  const final = view['final'] === undefined ? undefined : functionOf(view, 'final')
  const hash = hashOf(
    'fold',
    key === undefined ? null : textOf(view, 'key'),
    select === undefined ? null : textOf(view, 'select'),
    textOf(view, initialName),
    textOf(view, applyName),
    final === undefined ? null : textOf(view, 'final')
  )
  return {
    type: 'fold',
    hash,
    events,
    initial: initialText(initial, initialName),
    keysOf: (given) => given.map((event) => keyOf(key, event)),
    select: select && ((given) => given.map((event) => selected(select, event))),
    apply: (state, given) => foldInputs(apply, state, given),
    begin: (state) => beginFold(apply, state),
    result: (state) => resultOf(final, state),
    isFinalCalled: final !== undefined
  }
}

function initialText(initial: AnyFunction, name: string): string {
  try {
    return stateText(initial())
  } catch (error) {
    return refuse(name, faultOf(error).fault, error)
  }
}

function keyOf(key: AnyFunction | undefined, event: ViewEvent): Outcome | undefined {
  if (key === undefined) return event.subject === undefined ? undefined : { value: event.subject }
  try {
    const value = key(event)
    return typeof value === 'string' ? { value } : copied(value)
  } catch (error) {
    return faultOf(error)
  }
}

function selected(select: AnyFunction, event: ViewEvent): Outcome | undefined {
  try {
    return copied(select(event))
  } catch (error) {
    return faultOf(error)
  }
}

/** @throws NotJsonError */
function copied(value: unknown): Outcome | undefined {
  if (value === undefined) return undefined
  return { value: jsonCopy(synchronous(value), { bytes: VALUE_BYTES_MAX }) }
}

function resultOf(final: AnyFunction | undefined, state: string): Outcome {
  const value = JSON.parse(state) as Json
  if (final === undefined) return { value }
  try {
    return { value: jsonCopy(synchronous(final(value)), { bytes: VALUE_BYTES_MAX }) }
  } catch (error) {
    return faultOf(error)
  }
}

function eitherOf(view: Members, name: string, other: string): string {
  if (view[name] !== undefined && view[other] !== undefined) {
    refuse(other, `is another word for ${name}: give one of them`)
  }
  return view[other] === undefined ? name : other
}

function functionOf(view: Members, name: string): AnyFunction {
  const given = view[name]
  if (typeof given !== 'function') return refuse(name, 'must be a function')
  return given as AnyFunction
}

/** Views with equal texts count as equal: one without a text of its own must be told by its version. */
function textOf(view: Members, name: string): string {
  const text = Function.prototype.toString.call(view[name])
  if (text.includes('[native code]') && view['version'] === undefined) {
    refuse(name, 'is bound or built in, and has no text to tell it by: give the view a version')
  }
  return text
}

function refuse(name: string, detail: string, cause?: unknown): never {
  const pointer = name === '' ? '' : `/${name}`
  const message = `the view is not valid: ${name === '' ? 'it' : name} ${detail}`
  throw new LaterbaseError('LATERBASE_VIEW_INVALID', message, {
    problems: [{ pointer, detail }],
    cause
  })
}
