/**
 * What is known of logs: the store's, and commits that are on their way into it. Says which commits
 * are new and where they belong, and finds commits by their place and hash, which is how two nodes speak of a
 * place in a log that may have several branches.
 *
 * Reads the store only where a commit does not simply follow a tip.
 */

import { present } from '../core/assert.ts'
import { equalBytes } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import { lastSeq, logId } from '../core/commit.ts'
import type { Commit, LogId } from '../core/commit.ts'
import { checkPage, follows } from '../core/log.ts'
import type { FindTip, LogPage, LogTip } from '../core/log.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { lastSeqOf } from './event-store.ts'
import type { EventStore, ForkPoint, StoredCommit, StoredLog } from './event-store.ts'
import { hashText } from './key-layout.ts'
import { LogTable } from './merge-batch.ts'

export type Placement =
  /** Follows the tip of its log or of one of its branches, or begins a log. */
  | { readonly type: 'next' }
  /** Follows an earlier commit: begins a branch. */
  | { readonly type: 'branch'; readonly fork: ForkPoint }
  /** Follows what is not held. */
  | { readonly type: 'gap' }

/** A commit that is held, and the stored log whose own part it is in. */
export interface HeldCommit {
  readonly log: StoredLog
  readonly commit: StoredCommit
}

export interface Sifted {
  /** What is not held, in its order. */
  readonly news: readonly Commit[]
  /** Of commits that follow one another, the last one that is stored. */
  readonly held: readonly HeldCommit[]
}

interface Pending {
  readonly number: number
  readonly tip: LogTip
}

export class KnownLogs {
  readonly #store: EventStore
  readonly #table: LogTable
  readonly #arrival: number
  /** By hash, commits that are on their way. */
  readonly #pending = new Map<string, Pending>()

  constructor(store: EventStore) {
    this.#store = store
    this.#table = new LogTable(store.logs())
    this.#arrival = store.arrival()
  }

  /**
   * Others have written since. What was found in the store may then be beyond what is known here,
   * so that only placements as `next`, which come from here alone, can be added.
   */
  isStale(): boolean {
    return this.#store.arrival() !== this.#arrival
  }

  /** All stored logs, those included that are on their way. */
  logs(): readonly StoredLog[] {
    return this.#table.all()
  }

  logCount(): number {
    return this.#table.count()
  }

  branches(id: LogId): readonly StoredLog[] {
    return this.#table.branches(id)
  }

  /** Those of the commits that are not held, in their order. */
  async newOf(commits: readonly Commit[]): Promise<readonly Commit[]> {
    return (await this.sift(commits)).news
  }

  /**
   * What is held of commits, and what is not. Whoever holds a commit holds what it follows, so a few
   * looks at the store are enough for a long run of commits.
   */
  async sift(commits: readonly Commit[]): Promise<Sifted> {
    const news = new Set<Commit>()
    const held: HeldCommit[] = []
    for (const chain of chainsOf(commits)) {
      let [low, high] = [0, chain.length]
      let middle = 0
      let last: HeldCommit | 'pending' | undefined
      while (low < high) {
        const found = await this.#find(present(chain[middle], 'an index of the chain'))
        if (found === undefined) high = middle
        else [low, last] = [middle + 1, found]
        middle = (low + high) >> 1
      }
      for (const commit of chain.slice(low)) news.add(commit)
      if (last !== undefined && last !== 'pending') held.push(last)
    }
    return { news: commits.filter((commit) => news.has(commit)), held }
  }

  /** Where a commit belongs that is not held. */
  async place(commit: Commit): Promise<Placement> {
    const branches = this.#table.branches(commit.origin.id)
    if (branches.length === 0) return { type: commit.firstSeq === 1 ? 'next' : 'gap' }
    if (branches.some(({ tip }) => follows(commit, tip))) return { type: 'next' }
    const fork = await this.#forkPoint(commit)
    return fork === undefined ? { type: 'gap' } : { type: 'branch', fork }
  }

  /** Takes a commit into account that was placed as `next` or `branch`. */
  add(commit: Commit, placement: Placement): void {
    const fork = placement.type === 'branch' ? placement.fork : undefined
    const { number, tip } = this.#table.extend(commit, fork)
    this.#pending.set(hashText(commit.hash), { number, tip })
  }

  /** The tip that a log had right after the commit with this hash; undefined where it is not known. */
  async tipAt(id: LogId, seq: number, hash: Uint8Array): Promise<LogTip | undefined> {
    const pending = this.#pending.get(hashText(hash))
    if (pending !== undefined) return pending.tip
    for (const { tip } of this.#table.branches(id)) {
      if (tip.seq === seq && equalBytes(tip.hash, hash)) return tip
    }
    const held = await findCommit(this.#store, id, { seq, hash })
    if (held === undefined) return undefined
    const { origin } = held.log.tip
    return { origin, seq, hash, recorded: held.commit.recorded }
  }

  async #find(commit: Commit): Promise<HeldCommit | 'pending' | undefined> {
    const { id } = commit.origin
    const branches = this.#table.branches(id)
    if (branches.length === 0) return undefined
    if (branches.some(({ tip }) => follows(commit, tip))) return undefined
    if (this.#pending.has(hashText(commit.hash))) return 'pending'
    return findCommit(this.#store, id, { seq: lastSeq(commit), hash: commit.hash })
  }

  async #forkPoint({ origin, firstSeq, previous }: Commit): Promise<ForkPoint | undefined> {
    const seq = firstSeq - 1
    const [first] = this.#table.branches(origin.id)
    if (seq === 0) {
      const isGenesis = first !== undefined && equalBytes(previous, origin.hash)
      return isGenesis ? { parent: first.number, seq } : undefined
    }
    const pending = this.#pending.get(hashText(previous))
    if (pending !== undefined) return { parent: pending.number, seq }
    const held = await findCommit(this.#store, origin.id, { seq, hash: previous })
    return held === undefined ? undefined : { parent: held.log.number, seq }
  }
}

/** Commits in runs of which each follows the one before. */
function chainsOf(commits: readonly Commit[]): Commit[][] {
  const chains: Commit[][] = []
  const byHead = new Map<string, Commit[]>()
  for (const commit of commits) {
    const previous = hashText(commit.previous)
    const held = byHead.get(previous)
    const chain = held ?? []
    if (held === undefined) chains.push(chain)
    byHead.delete(previous)
    chain.push(commit)
    byHead.set(hashText(commit.hash), chain)
  }
  return chains
}

/**
 * Checks a page against what is held, all but the signatures.
 *
 * @returns its commits: the new ones, in page order, and what is held
 */
export async function checkAgainst(
  known: KnownLogs,
  page: LogPage,
  context: { readonly database: string; readonly hasher: Hasher }
): Promise<Sifted | Rejected> {
  const bases = new Map<string, LogTip>()
  for (const { log, firstSeq, previous } of page.logs) {
    const base = await known.tipAt(logId(log), firstSeq - 1, previous)
    if (base !== undefined) bases.set(hashText(previous), base)
  }
  const find: FindTip = (_log, _seq, hash) => bases.get(hashText(hash))
  const checked = checkPage(page, context.database, find, context.hasher)
  return isRejected(checked) ? checked : known.sift(checked)
}

/** The commit of a log that ends at `seq` with this hash, on whichever branch. */
export async function findCommit(
  store: EventStore,
  id: LogId,
  at: { readonly seq: number; readonly hash: Uint8Array }
): Promise<HeldCommit | undefined> {
  for (const log of store.branches(id)) {
    if (log.tip.seq === at.seq && !equalBytes(log.tip.hash, at.hash)) continue
    const commit = await ownCommitAt(store, log, at.seq)
    if (commit === undefined || !equalBytes(commit.hash, at.hash)) continue
    if (lastSeqOf(commit) === at.seq) return { log, commit }
  }
  return undefined
}

/** The commit that holds an event, if it is in the stored log's own part: after where it branched off. */
export async function ownCommitAt(
  store: EventStore,
  log: StoredLog,
  seq: number
): Promise<StoredCommit | undefined> {
  if (seq <= (log.fork?.seq ?? 0) || seq > log.tip.seq) return undefined
  const [commit] = await store.commits(log, seq - 1, 1)
  return commit
}
