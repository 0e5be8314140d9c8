/**
 * What the store on disk must know of a batch's keys before it writes them: what answers for each
 * key, and those contents that the batch holds too. Other contents are neither read nor written, so
 * that a write costs what its own events cost, however many contents a key has.
 */

import { compareBytes, equalBytes } from '../core/bytes.ts'
import { present } from '../core/assert.ts'
import { eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import type { StoreBatch, StoredEvent } from './event-store.ts'
import { hashText, keyText } from './key-layout.ts'
import type { LevelReader } from './level-reader.ts'
import { repeatedKeys } from './merge-batch.ts'
import type { Content, KeyState } from './merge-batch.ts'

/** `contents` is what answers for the key, first, and what the batch touches. */
export interface HeldKey extends KeyState {
  /** What answered for the key before the batch; undefined where nothing did. */
  readonly before: StoredEvent | undefined
}

/** By `keyText`, the batch's keys that are held or that stand in it twice. */
export async function loadHeldKeys(
  reader: LevelReader,
  batch: StoreBatch,
  highest: EventKey | undefined
): Promise<Map<string, HeldKey>> {
  const held = new Map<string, HeldKey>()
  const unchecked = batch.commits.filter((commit) => batch.absent?.has(commit) !== true)
  if (unchecked.length === 0) return held
  const asked = new Map<string, EventKey>()
  for (const text of repeatedKeys(batch.commits, keyText)) {
    const key = eventKey(Buffer.from(text, 'latin1'))
    asked.set(text, key)
    held.set(text, { key, before: undefined, contents: new Map(), lowest: undefined })
  }
  for (const { events } of unchecked) {
    for (const { key } of events) {
      if (highest !== undefined && compareBytes(key, highest) <= 0) asked.set(keyText(key), key)
    }
  }
  const answers = await reader.getMany([...asked.values()])
  const found: HeldKey[] = []
  for (const [index, [text, key]] of [...asked].entries()) {
    const before = answers[index]
    if (before === undefined) continue
    const lowest = contentOf(before)
    const state = { key, before, contents: new Map([[hashText(before.hash), lowest]]), lowest }
    held.set(text, state)
    found.push(state)
  }
  if (found.length > 0) await loadTouched(reader, batch, held)
  return held
}

/** Loads the contents that the batch holds too: they get further places. */
async function loadTouched(
  reader: LevelReader,
  batch: StoreBatch,
  held: ReadonlyMap<string, HeldKey>
): Promise<void> {
  const asked = new Map<string, { key: EventKey; hash: Uint8Array }>()
  for (const { events } of batch.commits) {
    for (const { key, hash } of events) {
      const text = keyText(key)
      const before = held.get(text)?.before
      if (before?.conflict !== true || equalBytes(hash, before.hash)) continue
      asked.set(text + hashText(hash), { key, hash })
    }
  }
  for (const event of await reader.getAlternates([...asked.values()])) {
    if (event === undefined) continue
    const state = present(held.get(keyText(event.key)), 'a held key')
    state.contents.set(hashText(event.hash), contentOf(event))
  }
}

function contentOf({ hash, value, recorded, log, seq, repeated }: StoredEvent): Content {
  const stored = repeated ? 'repeated' : 'once'
  return { hash, value, recorded, stored, places: [{ log, seq }] }
}
