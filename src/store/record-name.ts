/** The kinds of records, and what one is called where it is damaged. */

import { formatEventKey, eventKey } from '../core/event-key.ts'

/** The byte that each key begins with. */
export const KIND = {
  meta: 0x00,
  event: 0x01,
  commit: 0x02,
  arrival: 0x03,
  log: 0x04,
  /** 0x05 is kept for views. */
  occurrence: 0x06,
  conflict: 0x07,
  content: 0x08
} as const

export interface RecordName {
  readonly name: string
  /** `key` for a record of an event, `log` (its number here) and `seq` for one of a commit. */
  readonly facts: Readonly<Record<string, string | number>>
}

export function recordName(recordKey: Uint8Array): RecordName {
  const key = Buffer.from(recordKey.buffer, recordKey.byteOffset, recordKey.length)
  const kind = key[0] ?? -1
  const names: Readonly<Record<number, string>> = {
    [KIND.event]: 'event',
    [KIND.occurrence]: 'the list of places of event',
    [KIND.conflict]: 'the list of contents of event'
  }
  const ofEvent = names[kind]
  if (ofEvent !== undefined && key.length >= 17) {
    const text = formatEventKey(eventKey(key.subarray(1, 17)))
    return { name: `${ofEvent} ${text}`, facts: { key: text } }
  }
  const places: Readonly<Record<number, string>> = {
    [KIND.commit]: 'commit',
    [KIND.content]: 'the content of event'
  }
  const ofPlace = places[kind]
  if (ofPlace !== undefined && key.length >= 11) {
    const [log, seq] = [key.readUInt32BE(1), key.readUIntBE(5, 6)]
    return { name: `${ofPlace} ${seq} of log number ${log}`, facts: { log, seq } }
  }
  return { name: `record ${key.toString('hex')} of the store itself`, facts: {} }
}
