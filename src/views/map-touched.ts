/**
 * Which keys of a map an update gives another answer, by which events, and whether what had been counted
 * there is another now. Rows that are put as they were, of an event that comes again, change none.
 */

import { present } from '../core/assert.ts'
import { compareBytes, equalBytes, toHex } from '../core/bytes.ts'
import { decodeViewKey } from '../core/views/collation.ts'
import type { TreeChange } from '../core/views/row-tree.ts'
import type { DerivedReader } from '../store/derived-store.ts'
import { MapRow } from './map-rows.ts'
import { boundsOf, tagged } from './records.ts'
import type {
  DroppedEvent,
  IndexChange,
  IndexedEvent,
  MovedEvent,
  TouchedKey
} from './view-index.ts'

/**
 * @param reader the rows before
 * @param rows that are put or taken away, in the order of their keys; some stay as they are
 */
export async function touchedKeys(
  reader: DerivedReader,
  change: IndexChange,
  rows: readonly TreeChange[]
): Promise<TouchedKey[]> {
  const events = new Map<string, DroppedEvent>()
  for (const event of [...change.put, ...change.drop]) events.set(toHex(event.place), event)
  const keys: { keyBytes: Uint8Array; lastHeld: Uint8Array | undefined; moved: MovedEvent[] }[] = []
  for (const row of rows) {
    if (!(await isOther(reader, row))) continue
    const { keyBytes, eventPlace } = rowOf(row.key)
    const last = keys.at(-1)
    const isSame = last !== undefined && equalBytes(last.keyBytes, keyBytes)
    const key = isSame
      ? last
      : { keyBytes, lastHeld: await lastHeldOf(reader, keyBytes), moved: [] }
    if (!isSame) keys.push(key)
    const before = key.moved.at(-1)
    // Of an event with several rows of this key.
    if (before !== undefined && equalBytes(before.place, eventPlace)) continue
    const event = present(events.get(toHex(eventPlace)), 'the event of a row')
    const isGone = row.value === undefined
    const isBehind = key.lastHeld !== undefined && compareBytes(key.lastHeld, eventPlace) > 0
    const cause = isGone ? (event.by ?? event) : event
    key.moved.push({ place: eventPlace, cause, late: isGone || isBehind })
  }
  return keys.map(({ keyBytes, moved }) => ({
    key: decodeViewKey(keyBytes).value,
    keyBytes,
    causes: inEventOrder(moved.map(({ cause }) => cause)),
    late: moved.some(({ late }) => late),
    moved
  }))
}

/** Whether a row comes that was not there, or one goes that was. */
async function isOther(reader: DerivedReader, { key, value }: TreeChange): Promise<boolean> {
  const isHeld = (await reader.get(tagged(0, key))) !== undefined
  return isHeld === (value === undefined)
}

/** The place of the last event of a key. */
async function lastHeldOf(
  reader: DerivedReader,
  keyBytes: Uint8Array
): Promise<Uint8Array | undefined> {
  const [last] = await reader.scan({ ...boundsOf(0, keyBytes), reverse: true, limit: 1 })
  return last && rowOf(last.key.subarray(1)).eventPlace
}

function inEventOrder(events: readonly IndexedEvent[]): IndexedEvent[] {
  const distinct = new Map(events.map((event) => [toHex(event.place), event]))
  return [...distinct.values()].sort((a, b) => compareBytes(a.place, b.place))
}

/** For its key alone. */
function rowOf(key: Uint8Array): MapRow {
  return new MapRow({ key, value: key })
}
