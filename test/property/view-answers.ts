/** What a view answered, compared with what it must be, from scratch, at the position that it says it covers. */

import { expect } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { toHex } from '../../src/core/bytes.ts'
import { keyAfter, keyTimeMs, parseEventKey } from '../../src/core/event-key.ts'
import { stampAt } from '../../src/core/hybrid-logical-clock.ts'
import { systemHasher } from '../../src/node/system.ts'
import type { ViewAnswer, ViewQuery } from '../../src/node/views.ts'
import { parseTime } from '../../src/schema/time.ts'
import type { EventStore } from '../../src/store/event-store.ts'
import { nativeProgram } from '../../src/views/native-program.ts'
import type { ViewProgram } from '../../src/views/program.ts'
import { PLACE_BYTES } from '../../src/store/event-store.ts'
import type { IndexedEvent } from '../../src/views/view-index.ts'
import { modelAnswer, modelRows } from './map-model.ts'
import { foldAnswer, foldFaults } from './fold-model.ts'
import type { Asked, ModelAnswer } from './map-model.ts'
import { indexQuery, placeText } from './map-plans.ts'
import { DEFINITIONS, askedOf, kindOf } from './view-questions.ts'
import { countedOf, coveredEvents, keyText, pastOf, scratchDigest } from './view-scratch.ts'
import type { Past } from './view-scratch.ts'

/** Rows of values that are too large are made elsewhere. */
export const NO_LIMITS = { valueBytes: Infinity, rows: Infinity }

export function definitionOf(name: string): (typeof DEFINITIONS)[string] {
  return present(DEFINITIONS[name], 'a definition')
}

export function programOf(name: string): ViewProgram {
  return nativeProgram({ ...definitionOf(name), name: 'any' }, systemHasher)
}

export interface Answered {
  readonly query: ViewQuery
  readonly answer: ViewAnswer
}

/** Resolves with whether something was left out that had not happened, or was not known, by then. */
export async function expectAnswer(
  store: EventStore,
  definition: string,
  { query, answer }: Answered
): Promise<boolean> {
  const program = programOf(definition)
  const said = `${definition} ${JSON.stringify(query)}`
  const covered = [...(await coveredEvents(store, answer.lc)).values()]
  const counted = countedOf(covered, program.events)
  const past = countedOf(pastOf(covered, await pastAsked(store, query)), program.events)
  const asked = present(askedOf(query, kindOf(definitionOf(definition))), `refused: ${said}`)
  const times = { before: undefined, recordedBy: undefined }
  const expected = answerOf(program, past, { ...asked, ...times })
  expect(shownAnswer(answer), said).toEqual({
    rows: expected.rows.map(({ key, value }) => ({ key, value })),
    total: expected.totalRows,
    offset: expected.offset,
    faults: faultsOf(program, counted) + expected.faults
  })
  expect(answer.digest, said).toBe(await scratchDigest(program, counted))
  expectEvents({ query, answer }, expected, covered)
  return past.length < counted.length
}

export function answerOf(
  program: ViewProgram,
  events: readonly IndexedEvent[],
  asked: Asked
): ModelAnswer {
  if (program.type === 'map') {
    return modelAnswer(modelRows(program, events, NO_LIMITS).rows, asked, program.reducer)
  }
  const { rows, faults } = foldAnswer(program, events, indexQuery(asked, 1_000))
  return {
    rows: rows.map(({ key, value }) => ({ key, value, place: undefined })),
    causes: rows.map(({ causes }) => causes.map(toHex)),
    totalRows: undefined,
    offset: undefined,
    faults
  }
}

/** Of how many events a function fails. */
function faultsOf(program: ViewProgram, events: readonly IndexedEvent[]): number {
  if (program.type === 'map') return modelRows(program, events, NO_LIMITS).faults
  return foldFaults(program, events).length
}

function shownAnswer(answer: ViewAnswer): unknown {
  return {
    rows: answer.rows.map(({ key, value }) => ({ key, value })),
    total: answer.total_rows,
    offset: answer.offset,
    faults: answer.faults
  }
}

/** Which event a row is of, the event itself, and the events that made it. */
function expectEvents(
  { query, answer }: Answered,
  expected: ModelAnswer,
  covered: readonly IndexedEvent[]
): void {
  const keyAt = new Map(covered.map((each) => [placeText(each), keyText(each)]))
  for (const [index, row] of answer.rows.entries()) {
    const { place } = present(expected.rows[index], 'a row')
    if (place !== undefined) expect(row.id).toBe(keyAt.get(place))
    if (query.include_events === true) expect(row.event?.key).toBe(row.id)
    if (query.explain !== true) continue
    const causes = present(expected.causes[index], 'causes')
    expect(row.events?.map(({ key }) => key)).toEqual(causes.map((each) => keyAt.get(each)))
  }
}

async function pastAsked(
  store: EventStore,
  { as_of: asOf, known_at: knownAt }: ViewQuery
): Promise<Past> {
  const ms = knownAt === undefined ? undefined : timeOf(knownAt)
  const cursor = knownAt !== undefined && ms === undefined ? knownAt : undefined
  const held = cursor === undefined ? undefined : await coveredEvents(store, cursor)
  return {
    before: asOf === undefined ? undefined : placeAfter(asOf),
    recordedBy: ms === undefined ? undefined : stampAt(ms + 1) - 1n,
    held: held && new Set(held.keys())
  }
}

function timeOf(text: string): number | undefined {
  const key = parseEventKey(text)
  return key === undefined ? parseTime(text) : keyTimeMs(key)
}

/** The first place that had not happened by then. */
function placeAfter(text: string): Uint8Array {
  const key = parseEventKey(text)
  const place = new Uint8Array(PLACE_BYTES)
  if (key !== undefined) place.set(present(keyAfter(key), 'a key above'))
  else {
    const endMs = present(parseTime(text), 'a time') + 1
    new DataView(place.buffer).setBigUint64(0, BigInt(endMs) << 16n)
  }
  return place
}
