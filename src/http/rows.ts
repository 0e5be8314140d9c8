/**
 * Events as rows of JSON, put together from text: `RecordedEvent.json` is what the client wrote,
 * and a parse and a second serialisation would cost more than everything else on a read.
 *
 * The other members are safe between quotes as they are: keys, cursors, log ids and times are made
 * by the node from letters, digits and punctuation that JSON does not escape.
 */

import type { RecordedEvent } from '../node/laterbase.ts'

export interface RowOptions {
  /** False leaves `data` and `data_base64` out of the event. */
  readonly includeData: boolean
  /** A row must be one line, for NDJSON and SSE. */
  readonly oneLine: boolean
}

/**
 * `{"lc","key","recorded","log","seq","event"}`; without `lc` outside the changes feed, with `schema_problems`
 * where the event does not follow the schema of its type.
 */
export function eventRow(event: RecordedEvent, options: RowOptions, lc?: string): string {
  const cursor = lc === undefined ? '{' : `{"lc":"${lc}",`
  const place = `"recorded":"${event.recorded}","log":"${event.log}","seq":${event.seq}`
  const { schemaProblems } = event
  const label =
    schemaProblems.length === 0 ? '' : `"schema_problems":${JSON.stringify(schemaProblems)},`
  return `${cursor}"key":"${event.key}",${place},${label}"event":${eventText(event, options)}}`
}

/** Strong: the hash is of the content, and the one thing that may join it later is the mark. */
export function eventTag(event: Pick<RecordedEvent, 'hash' | 'conflict'>): string {
  return event.conflict ? `"${event.hash}-conflict"` : `"${event.hash}"`
}

export function missingRow(key: string): string {
  return `{"key":${JSON.stringify(key)},"missing":true}`
}

function eventText(event: RecordedEvent, options: RowOptions): string {
  if (!options.includeData) return JSON.stringify(envelope(event))
  return options.oneLine ? onOneLine(event.json) : event.json
}

/** Inside strings JSON has no bare line breaks, so these stand between tokens only. */
function onOneLine(json: string): string {
  return json.includes('\n') || json.includes('\r') ? json.replaceAll(/[\r\n]/g, ' ') : json
}

function envelope(event: RecordedEvent): Readonly<Record<string, unknown>> {
  const { key, time, corrects, type, subject, source, id, schema, datacontenttype } = event
  const conflict = event.conflict ? true : undefined
  return { key, time, conflict, corrects, type, subject, source, id, schema, datacontenttype }
}
