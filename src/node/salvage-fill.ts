/**
 * What of a damaged store's old files is taken over into a new one, and what the new one still lacks.
 * The new store may have got parts of a log, and branches of a forked one, from peers meanwhile: so
 * each stored log of the old files goes on from whatever the new store holds that it follows.
 */

import { fromHex, toHex } from '../core/bytes.ts'
import type { Verifier } from '../core/clock.ts'
import type { Commit } from '../core/commit.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { emptyTip, verifySignatures } from '../core/log.ts'
import type { LogTip } from '../core/log.ts'
import type { EventStore, ForkPoint } from '../store/event-store.ts'
import { KnownLogs } from '../store/known-logs.ts'
import type { SalvagedLog } from '../store/salvage.ts'
import type { ExpectedHead } from './recovery-note.ts'

/** Tips of what a store holds that more of a salvaged log may follow; none where all of it is held. */
export async function startsOf(
  known: KnownLogs,
  store: EventStore,
  log: SalvagedLog
): Promise<LogTip[]> {
  if (await isHeld(known, log)) return []
  const { origin, first, last } = log
  const tips = store.branches(origin.id).flatMap(({ tip }) => (tip.seq < last.lastSeq ? [tip] : []))
  if ((await known.tipAt(origin.id, first.lastSeq, first.hash)) !== undefined) return tips
  const before = first.firstSeq - 1
  const base =
    before === 0 ? emptyTip(origin) : await known.tipAt(origin.id, before, first.previous)
  return base === undefined ? tips : [base, ...tips]
}

/** Whether a store has all of a salvaged log: who holds a commit holds all before it. */
export async function isHeld(known: KnownLogs, { origin, last }: SalvagedLog): Promise<boolean> {
  return (await known.tipAt(origin.id, last.lastSeq, last.hash)) !== undefined
}

/** The commits before the first whose signature fails. */
export async function signedOf(
  commits: readonly Commit[],
  verifier: Verifier
): Promise<readonly Commit[]> {
  if ((await verifySignatures(commits, verifier)) === undefined) return commits
  const good: Commit[] = []
  for (const commit of commits) {
    if ((await verifySignatures([commit], verifier)) !== undefined) break
    good.push(commit)
  }
  return good
}

export interface TakeOver {
  /** Of the node, whose own stamps must not be given again. */
  readonly publicKey: Uint8Array
  /** The highest stamp that the old store is known to have shown. */
  readonly clockCeiling: Stamp
}

/** Writes those of a run of commits that a store does not hold, each where it belongs. */
export async function takeOver(
  store: EventStore,
  run: readonly Commit[],
  { publicKey, clockCeiling }: TakeOver
): Promise<void> {
  const known = new KnownLogs(store)
  const forks = new Map<Commit, ForkPoint>()
  const commits: Commit[] = []
  for (const commit of await known.newOf(run)) {
    const placement = await known.place(commit)
    if (placement.type === 'gap') break
    if (placement.type === 'branch') forks.set(commit, placement.fork)
    known.add(commit, placement)
    commits.push(commit)
  }
  if (commits.length === 0) return
  let highest = clockCeiling > store.clockCeiling() ? clockCeiling : store.clockCeiling()
  for (const { origin, recorded } of commits) {
    const isOwn = Buffer.compare(origin.genesis.publicKey, publicKey) === 0
    if (isOwn && recorded > highest) highest = recorded
  }
  await store.write({ commits, forks, clockCeiling: highest })
}

export function headOf({ origin, last }: SalvagedLog): ExpectedHead {
  return { log: origin.id, seq: last.lastSeq, hash: toHex(last.hash) }
}

/** Those heads of logs, and of branches, that a store does not reach. */
export async function lackingOf(
  store: EventStore,
  heads: readonly ExpectedHead[]
): Promise<ExpectedHead[]> {
  const known = new KnownLogs(store)
  const lacking: ExpectedHead[] = []
  for (const head of heads) {
    const hash = head.hash === undefined ? undefined : fromHex(head.hash)
    const isReached =
      hash === undefined
        ? store.branches(head.log).some(({ tip }) => tip.seq >= head.seq)
        : (await known.tipAt(head.log, head.seq, hash)) !== undefined
    if (!isReached) lacking.push(head)
  }
  return lacking
}
