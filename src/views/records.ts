/**
 * How an index's records are told apart: a tag before their keys; and how they are read below the prefix of
 * one view's build, or as the levels of a tree.
 */

import { afterPrefix } from '../core/bytes.ts'
import { TREE_LEVELS_MAX } from '../core/limits.ts'
import { assert } from '../core/assert.ts'
import type { TreeChange, TreeEntry, TreeReader } from '../core/views/row-tree.ts'
import type { DerivedChange, DerivedReader, DerivedRecord } from '../store/derived-store.ts'
import { FAULT_BYTES_MAX } from './limits.ts'

/** Of a tree leaves have 0 for a tag, and the levels above them their number. */
export const TAG = {
  /** place → why a function failed for this event */
  fault: 0x20,
  /** see row-sorter.ts; none is left of a build that is whole */
  sorted: 0x28,
  foldRow: 0x30,
  foldCheckpoint: 0x31,
  foldHead: 0x32,
  /** corrected key, place of the event that corrects it → whether that is passed over */
  correction: 0x40,
  /** one record: see view-engine.ts */
  state: 0x50
} as const

assert(TREE_LEVELS_MAX < TAG.fault, 'a level is no other tag')

export function tagged(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 1)
  const bytes = Buffer.allocUnsafe(length)
  bytes[0] = tag
  let at = 1
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** What stands below a prefix, with keys as if it were not there. */
export function below(reader: DerivedReader, prefix: Uint8Array): DerivedReader {
  const full = (key: Uint8Array): Uint8Array => prefixed(prefix, key)
  const relative = ({ key, value }: DerivedRecord): DerivedRecord => {
    return { key: key.subarray(prefix.length), value }
  }
  return {
    get: (key) => reader.get(full(key)),
    scan: async (range) => {
      const records = await reader.scan({ ...range, from: full(range.from), to: full(range.to) })
      return records.map(relative)
    },
    async *chunks(range) {
      const whole = { ...range, from: full(range.from), to: full(range.to) }
      for await (const records of reader.chunks(whole)) yield records.map(relative)
    }
  }
}

export function putBelow(
  prefix: Uint8Array,
  changes: readonly DerivedChange[]
): readonly DerivedChange[] {
  return changes.map(({ key, value }) => ({ key: prefixed(prefix, key), value }))
}

function prefixed(prefix: Uint8Array, key: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(prefix.length + key.length)
  bytes.set(prefix)
  bytes.set(key, prefix.length)
  return bytes
}

/** The bounds of all records of a tag, or of those whose keys begin so behind it. */
export function boundsOf(
  tag: number,
  prefix: Uint8Array = NOTHING
): { readonly from: Uint8Array; readonly to: Uint8Array } {
  const from = tagged(tag, prefix)
  return { from, to: afterPrefix(from) }
}

const NOTHING = new Uint8Array(0)

export function treeReader(reader: DerivedReader, height: number): TreeReader {
  return {
    height,
    entries: async (level, { from, to, reverse, limit }) => {
      const records = await reader.scan({
        from: tagged(level, from ?? NOTHING),
        to: to === undefined ? tagged(level + 1) : tagged(level, to),
        ...(reverse !== undefined && { reverse }),
        ...(limit !== undefined && { limit })
      })
      return records.map(({ key, value }): TreeEntry => ({ key: key.subarray(1), value }))
    },
    leaf: async (key) => {
      const value = await reader.get(tagged(0, key))
      return value && { key, value }
    }
  }
}

export function treeChange({ level, key, value }: TreeChange): DerivedChange {
  return { key: tagged(level, key), value }
}

/** What changes when an event is among those that a function failed for, or is not any more. */
export async function faultChange(
  reader: DerivedReader,
  place: Uint8Array,
  fault: string | undefined
): Promise<{ readonly change: DerivedChange | undefined; readonly more: -1 | 0 | 1 }> {
  const key = tagged(TAG.fault, place)
  const held = await reader.get(key)
  if (fault === undefined) {
    return held === undefined
      ? { change: undefined, more: 0 }
      : { change: { key, value: undefined }, more: -1 }
  }
  if (held !== undefined) return { change: undefined, more: 0 }
  return { change: { key, value: faultBytes(fault) }, more: 1 }
}

export function faultBytes(fault: string): Uint8Array {
  return Buffer.from(fault).subarray(0, FAULT_BYTES_MAX)
}

/** The faults of the events that happened last. */
export async function lastFaults(
  reader: DerivedReader,
  limit: number
): Promise<readonly { readonly place: Uint8Array; readonly fault: string }[]> {
  const records = await reader.scan({ ...boundsOf(TAG.fault), reverse: true, limit })
  return records.map(({ key, value }) => {
    return { place: key.subarray(1), fault: Buffer.from(value).toString() }
  })
}
