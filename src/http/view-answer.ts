/**
 * Answers of views, and what is known of views, as text. Names of members are CouchDB's where CouchDB
 * has them.
 */

import type { ViewAnswer, ViewInfo, ViewRow } from '../node/views.ts'
import { weakTag } from './entity-tags.ts'
import type { HttpLimits } from './limits.ts'
import { HttpProblem } from './problem.ts'

export interface AnswerText {
  readonly json: string
  /**
   * Weak: the cursor moves, and with it the body, also when events come that change no row of this
   * answer, and then who has its rows needs no others.
   */
  readonly etag: string
}

/** @throws HttpProblem `too-large` */
export function answerText(answer: ViewAnswer, limits: HttpLimits): AnswerText {
  if (answer.rows.length > limits.viewRowsMax) throw tooManyRows(limits)
  const texts: string[] = []
  let bytes = 0
  for (const row of answer.rows) {
    const text = rowText(row)
    bytes += text.length
    if (bytes > limits.pageBytesMax) throw tooManyBytes(limits, texts.length)
    texts.push(text)
  }
  const { total_rows, offset, lc, digest, faults, differs } = answer
  const total = total_rows === undefined ? '' : `"total_rows":${total_rows},`
  const counts = offset === undefined ? total : `${total}"offset":${offset},`
  const counted = faults > 0 ? `,"faults":${faults}` : ''
  const doubted = differs === undefined ? '' : `,"differs":${JSON.stringify(differs)}`
  const degraded = counted + doubted === '' ? '' : `,"degraded":true${counted}${doubted}`
  const rows = `{${counts}"rows":[${texts.join(',')}]`
  return {
    json: `${rows},"lc":${JSON.stringify(lc)},"digest":${JSON.stringify(digest)}${degraded}}`,
    etag: weakTag(rows + degraded)
  }
}

/** What is known of a view, as plain JSON. */
export function describeView(info: ViewInfo): Readonly<Record<string, unknown>> {
  const { lastFaults, diskBytes, state, reason, ...others } = info
  // Of a fault of this machine the reason may name its paths.
  const shown = state === 'failed' ? 'the log of the node says why; it is tried again' : reason
  return { ...others, state, reason: shown, last_faults: lastFaults, disk_bytes: diskBytes }
}

function rowText({ id, key, value, event, events, more_events, fault }: ViewRow): string {
  const ofMap = id === undefined ? '' : `"id":${JSON.stringify(id)},`
  const keyText = `"key":${JSON.stringify(key)}`
  // As it was written, for a parse and a second serialisation would cost more than all else.
  const of = event === undefined ? '' : `,"event":${event.json}`
  const by = events === undefined ? '' : `,"events":${JSON.stringify(events)}`
  const more = more_events === true ? ',"more_events":true' : ''
  const why = fault === undefined ? '' : `,"fault":${JSON.stringify(fault)}`
  return `{${ofMap}${keyText},"value":${JSON.stringify(value ?? null)}${of}${by}${more}${why}}`
}

function tooManyRows({ viewRowsMax }: HttpLimits): HttpProblem {
  const detail =
    `The answer has more than ${viewRowsMax} rows: ask for at most so many with limit, ` +
    'and go on with startkey or skip.'
  return new HttpProblem('too-large', detail, { facts: { rows_max: viewRowsMax } })
}

function tooManyBytes({ pageBytesMax }: HttpLimits, rows: number): HttpProblem {
  const detail =
    `The answer has more than ${pageBytesMax} bytes after ${rows} rows: ask for fewer with limit, ` +
    'and go on with startkey or skip.'
  const facts = { answer_bytes_max: pageBytesMax, rows_that_fit: rows }
  return new HttpProblem('too-large', detail, { facts })
}
