/** What a fold answers: the newest states as they are kept, or what they were (`fold-past.ts`). */

import { after, compareBytes } from '../core/bytes.ts'
import { decodeViewKey } from '../core/views/collation.ts'
import type { DerivedReader, DerivedRecord } from '../store/derived-store.ts'
import { AnswerSize, weightOf } from './answer-size.ts'
import { WAITING, callRested } from './effort.ts'
import { pastPlaces, pastState } from './fold-past.ts'
import type { PastAggregate } from './fold-past.ts'
import { decodeHead } from './fold-records.ts'
import type { FoldHead } from './fold-records.ts'
import { AGGREGATES_AT_ONCE, HEADS_AT_ONCE, HEADS_BYTES } from './limits.ts'
import type { FoldProgram } from './program.ts'
import { TAG, boundsOf, tagged } from './records.ts'
import type { IndexAnswer, IndexQuery, IndexRow, KeyRange } from './view-index.ts'

export async function queryFold(
  program: FoldProgram,
  reader: DerivedReader,
  query: IndexQuery
): Promise<IndexAnswer> {
  const rows: IndexRow[] = []
  const size = new AnswerSize()
  let { skip } = query
  let faults = 0
  for (const range of query.ranges) {
    const wanted = (): number => skip + query.limit - rows.length
    for await (const states of statesIn({ program, reader, query, wanted }, range)) {
      for (const { past, text } of states) {
        if (rows.length >= query.limit) break
        if (skip > 0) {
          skip -= 1
          continue
        }
        const result = program.isFinalCalled
          ? await callRested(program, past.care, () => program.result(text))
          : program.result(text)
        if ('fault' in result) faults += 1
        const { value, fault } =
          'fault' in result
            ? { value: null, fault: result.fault }
            : { value: result.value, fault: undefined }
        size.addRow(weightOf(value))
        rows.push({
          key: decodeViewKey(past.aggregate).value,
          value,
          place: undefined,
          fault,
          causes: await pastPlaces(past, program, query.causes === 0 ? 0 : query.causes + 1)
        })
      }
    }
  }
  return { rows, totalRows: undefined, offset: undefined, faults }
}

interface Asked {
  readonly program: FoldProgram
  readonly reader: DerivedReader
  readonly query: IndexQuery
  /** How many aggregates are still to come. */
  readonly wanted: () => number
}

interface KeyedState {
  readonly past: PastAggregate
  readonly text: string
}

async function* statesIn(asked: Asked, range: KeyRange): AsyncGenerator<KeyedState[]> {
  const { reader, query, wanted } = asked
  const isPast = query.before !== undefined || query.recordedBy !== undefined
  const pageMax = isPast ? AGGREGATES_AT_ONCE : HEADS_AT_ONCE
  let from = tagged(TAG.foldHead, range.from ?? NOTHING)
  let to = range.to === undefined ? boundsOf(TAG.foldHead).to : tagged(TAG.foldHead, range.to)
  let pageLimit = Math.min(AGGREGATES_AT_ONCE, pageMax)
  while (wanted() > 0) {
    const limit = Math.min(wanted(), pageLimit)
    const page = await reader.scan({ from, to, reverse: query.descending, limit })
    const states = await Promise.all(page.map((record) => stateOf(asked, record)))
    yield states.filter((state) => state !== undefined)
    const last = page.at(-1)
    if (last === undefined || page.length < limit) return
    // States have up to 1 MiB: as many are read as are not much together.
    const bytes = page.reduce((sum, { value }) => sum + value.length, 0)
    pageLimit = Math.min(pageMax, bytes > HEADS_BYTES ? Math.max(1, limit >> 1) : 4 * pageLimit)
    if (query.descending) to = last.key
    else from = after(last.key)
  }
}

async function stateOf(asked: Asked, record: DerivedRecord): Promise<KeyedState | undefined> {
  const { program, reader, query } = asked
  const aggregate = record.key.subarray(1)
  const head = decodeHead(record.value)
  const past = { reader, aggregate, head, bounds: query, care: query.care ?? WAITING }
  const text = isNewest(head, query) ? head.text : await pastState(past, program)
  return text === undefined ? undefined : { past, text }
}

function isNewest(head: FoldHead, { before, recordedBy }: IndexQuery): boolean {
  if (recordedBy !== undefined) return false
  return before === undefined || compareBytes(head.place, before) < 0
}

const NOTHING = new Uint8Array(0)
