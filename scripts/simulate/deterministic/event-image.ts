/** What a simulated disk has of one store of events: the batches that were written, and what they come to. */

import type { LogId } from '../../../src/core/commit.ts'
import type { StoreBatch } from '../../../src/store/event-store.ts'
import { SetView } from './ledger.ts'
import type { CommitFacts } from './ledger.ts'

export interface Landing {
  readonly database: string
  readonly ownLog: LogId
  readonly batch: StoreBatch
  /** What `submitted` answered. */
  readonly believed: readonly boolean[]
  /** It had failed, and was there when the store was opened anew: on a copy of the disk too. */
  readonly isFound?: boolean
}

/** One store, as the disk has it. */
export interface Image {
  readonly incarnation: Uint8Array
  readonly nonce: Uint8Array
  batches: StoreBatch[]
  facts: (readonly CommitFacts[])[]
  /** How many of the batches stay when the power goes. */
  synced: number
  view: SetView
  heads: Map<LogId, number>
  /** A write that failed: it may be there all the same when the store is opened anew. */
  torn: Landing | undefined
}

export function emptyImage(incarnation: Uint8Array, nonce: Uint8Array): Image {
  const empty = { batches: [], facts: [], synced: 0, torn: undefined }
  return { incarnation, nonce, ...empty, view: new SetView(), heads: new Map() }
}

export function append(image: Image, batch: StoreBatch, facts: readonly CommitFacts[]): void {
  image.batches.push(batch)
  image.facts.push(facts)
  for (const each of facts) {
    const { origin, firstSeq, events } = each.commit
    image.view.add(each)
    const last = firstSeq + events.length - 1
    image.heads.set(origin.id, Math.max(last, image.heads.get(origin.id) ?? 0))
  }
}

/** Keeps only the first batches. */
export function rebuild(image: Image, count: number): void {
  const [batches, facts] = [image.batches, image.facts]
  Object.assign(image, { batches: [], facts: [], view: new SetView(), heads: new Map() })
  for (const [index, batch] of batches.slice(0, count).entries()) {
    append(image, batch, facts[index] ?? [])
  }
  image.synced = count
}

export function copyImages(images: ReadonlyMap<string, Image>): Map<string, Image> {
  return new Map(
    [...images].map(([database, image]) => {
      const copy = {
        ...image,
        batches: [...image.batches],
        facts: [...image.facts],
        view: new SetView(image.view),
        heads: new Map(image.heads)
      }
      return [database, copy]
    })
  )
}
