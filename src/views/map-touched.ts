/**
 * Which keys of a map an update gives another answer, by which events, and whether what had been counted
 * there is another now. Rows that are put as they were, of an event that comes again, change none.
 */

import { present } from '../core/assert.ts'
import { after, afterPrefix, compareBytes, equalBytes, toHex } from '../core/bytes.ts'
import { decodeViewKey } from '../core/views/collation.ts'
import { rowsIn } from '../core/views/leaves.ts'
import type { RowChange, TreeReader } from '../core/views/row-tree.ts'
import { MapRow } from './map-rows.ts'
import type {
  DroppedEvent,
  IndexChange,
  IndexedEvent,
  MovedEvent,
  TouchedKey
} from './view-index.ts'

/**
 * @param tree of the rows before
 * @param rows that are put or taken away, in the order of their keys; some stay as they are
 */
export async function touchedKeys(
  tree: TreeReader,
  change: IndexChange,
  rows: readonly RowChange[]
): Promise<TouchedKey[]> {
  const events = new Map<string, DroppedEvent>()
  for (const event of [...change.put, ...change.drop]) events.set(toHex(event.place), event)
  const keys: { keyBytes: Uint8Array; lastHeld: Uint8Array | undefined; moved: MovedEvent[] }[] = []
  for (const row of rows) {
    if (!(await isOther(tree, row))) continue
    const { keyBytes, eventPlace } = rowOf(row.key)
    const last = keys.at(-1)
    const isSame = last !== undefined && equalBytes(last.keyBytes, keyBytes)
    const key = isSame ? last : { keyBytes, lastHeld: await lastHeldOf(tree, keyBytes), moved: [] }
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
async function isOther(tree: TreeReader, { key, value }: RowChange): Promise<boolean> {
  const [held] = await rowsIn(tree, { from: key, to: after(key) })
  return (held === undefined) === (value !== undefined)
}

/** The place of the last event of a key. */
async function lastHeldOf(tree: TreeReader, keyBytes: Uint8Array): Promise<Uint8Array | undefined> {
  const bounds = { from: keyBytes, to: afterPrefix(keyBytes) }
  const [last] = await rowsIn(tree, { ...bounds, reverse: true, limit: 1 })
  return last && rowOf(last.key).eventPlace
}

function inEventOrder(events: readonly IndexedEvent[]): IndexedEvent[] {
  const distinct = new Map(events.map((event) => [toHex(event.place), event]))
  return [...distinct.values()].sort((a, b) => compareBytes(a.place, b.place))
}

/** For its key alone. */
function rowOf(key: Uint8Array): MapRow {
  return new MapRow({ key, value: key })
}
