/**
 * Bugs that the simulator must find. Each is a change of one place in the source, made only while
 * that file is loaded for a test; `find` stands there exactly once. A file that changes takes its
 * bugs along: where the text is gone, plant the same mistake in the new text.
 */

import type { Invariant } from '../../scripts/simulate/deterministic/ledger.ts'

export interface PlantedBug {
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
  /** Invariants of which the first violation must be one. */
  readonly caughtBy: readonly Invariant[]
  /** The first seed that is tried, default 1: close to one that finds what few do, which would take minutes. */
  readonly from?: number
}

const GROUP_COMMIT = 'src/store/group-commit.ts'
const SESSION = 'src/core/sync/session.ts'
const DATABASE = 'src/node/database.ts'
const VIEW_BUILD = 'src/views/view-build.ts'
const VIEW_SLOT = 'src/views/view-slot.ts'

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'acknowledge-before-write',
    file: GROUP_COMMIT,
    find: '      await store.write({ commits: all',
    replace: `      for (const [index, request] of appends.entries()) request.resolve(outcomes[index] ?? [])
      await store.write({ commits: all`,
    caughtBy: ['durability']
  },
  {
    name: 'acknowledge-before-sync',
    file: 'scripts/simulate/deterministic/disk.ts',
    find: '    image.synced = image.batches.length\n    return facts',
    replace: '    return facts',
    caughtBy: ['durability', 'one-place-one-commit', 'feed']
  },
  {
    name: 'announce-before-write',
    file: GROUP_COMMIT,
    find: '      await store.write({ commits: all',
    replace: `      if (own !== undefined) this.#env.committed([], own)
      await store.write({ commits: all`,
    caughtBy: ['announcement']
  },
  {
    name: 'write-on-after-a-failed-write',
    file: 'src/store/reopening-store.ts',
    find: 'if (isTorn && !this.#isReplaced(store)) this.#fail(error, renewal)',
    replace: '',
    caughtBy: ['durability', 'digest', 'count']
  },
  {
    name: 'writer-sleeps-for-ever',
    file: GROUP_COMMIT,
    find: '    this.#running = undefined\n',
    replace:
      '    if (this.#waiting.length > 0 || !this.#closed) return\n    this.#running = undefined\n',
    caughtBy: ['availability', 'convergence']
  },
  {
    name: 'batch-is-split',
    file: DATABASE,
    find: 'return this.#reading(() => this.#writer.append(events, partial))',
    replace: `return Promise.all(events.map(async (event, index) => {
      for (let wait = 0; wait < index * 20; wait += 1) await undefined
      return this.#writer.append([event], partial)
    })).then((outcomes) => outcomes.flat())`,
    caughtBy: ['atomicity']
  },
  {
    name: 'wiped-box-reuses-its-log',
    file: 'src/store/memory-store.ts',
    find: 'nonce: rng.bytes(16)',
    replace: 'nonce: rng.bytes(16).fill(7)',
    caughtBy: ['one-place-one-commit', 'rising-stamps']
  },
  {
    name: 'duplicate-is-counted-twice',
    file: 'src/store/merge-batch.ts',
    find: 'return { content: held, isNew: false }',
    replace: 'return { content: held, isNew: true }',
    caughtBy: ['count', 'feed']
  },
  {
    name: 'conflicting-content-is-overwritten',
    file: 'src/store/merge-batch.ts',
    find: '  state.contents.set(text, content)',
    replace: '  state.contents.clear()\n  state.contents.set(text, content)',
    caughtBy: ['count', 'immutability', 'unexpected-failure', 'honest-cut-off', 'agreement']
  },
  {
    name: 'one-content-of-a-key-is-read',
    file: 'src/store/memory-store.ts',
    find: 'return state === undefined ? [] : eventsOf(state)',
    replace: 'return state === undefined ? [] : eventsOf(state).slice(0, 1)',
    caughtBy: ['immutability', 'honest-cut-off', 'unexpected-failure']
  },
  {
    name: 'cursor-by-key',
    file: 'src/node/feed.ts',
    find: 'if (!repeats && query.matches(event)) {',
    replace: `const last = rows.at(-1)?.event.key
      const isLate = last !== undefined && Buffer.compare(event.key, last) < 0
      if (!isLate && !repeats && query.matches(event)) {`,
    caughtBy: ['feed']
  },
  {
    name: 'feed-repeats-what-stands-twice',
    file: 'src/node/feed.ts',
    find: '  return places.some(isBehind)',
    replace: '  return places.length > 9',
    caughtBy: ['feed']
  },
  {
    name: 'backdated-commit-is-not-served',
    file: 'src/node/delta-responder.ts',
    find: '    merged.push(next)\n',
    replace: `    const [before, here] = [merged.at(-1)?.commit.keys[0], next.commit.keys[0]]
    if (before !== undefined && here !== undefined && Buffer.compare(here, before) < 0) continue
    merged.push(next)
`,
    caughtBy: ['honest-cut-off', 'convergence']
  },
  {
    name: 'cursor-of-another-disk-is-taken',
    file: 'src/node/cursor.ts',
    find: 'if (found !== readCheck(check)) throw foreign()',
    replace: 'if (found === 1) throw foreign()',
    caughtBy: ['feed']
  },
  {
    name: 'portable-cursor-forgets-unknown-logs',
    file: 'src/node/feed.ts',
    find: ', this.tags), ...this.beyond])',
    replace: ', this.tags)])',
    caughtBy: ['feed']
  },
  {
    name: 'live-feed-is-not-woken',
    file: DATABASE,
    find: '    this.#lc = undefined\n    this.committed.tell()',
    replace: '    this.#lc = undefined\n    if (own !== undefined) this.committed.tell()',
    caughtBy: ['feed']
  },
  {
    name: 'digest-is-not-computed-anew',
    file: DATABASE,
    find: '    this.#digest = undefined\n',
    replace: '',
    caughtBy: ['digest']
  },
  {
    name: 'clock-ceiling-is-not-raised',
    file: DATABASE,
    find: '    recordedClock.raise(store.clockCeiling())\n',
    replace: '',
    caughtBy: ['causality', 'rising-stamps']
  },
  {
    name: 'receivers-clock-filters-commits',
    file: DATABASE,
    find: '    return this.#reading(() => this.#writer.merge(commits))',
    replace: `    const latest = BigInt(this.#init.clock.nowMs() + 300_000) << 16n
    return this.#writer.merge(commits.filter(({ recorded }) => recorded <= latest))`,
    caughtBy: ['convergence', 'exchanges', 'unexpected-failure', 'honest-cut-off']
  },
  {
    name: 'key-is-minted-twice',
    file: 'src/core/event-key.ts',
    find: '  key.set(rng.bytes(10), 6)',
    replace: '  key.set(rng.bytes(10).fill(9), 6)',
    caughtBy: ['minted-keys']
  },
  {
    name: 'failed-fetch-is-never-retried',
    file: SESSION,
    find: `  database.fetching = undefined
  database.again = 'no'
  database.retryAtMs =`,
    replace: `  if (database.fetching !== undefined) return []
  database.again = 'no'
  database.retryAtMs =`,
    caughtBy: ['convergence', 'bounded', 'quiet']
  },
  {
    name: 'backoff-never-ends',
    file: SESSION,
    find: 'backoff(database.failures, RETRY_MS, RETRY_MS_MAX, env.rng)',
    replace: 'backoff(database.failures + 20, RETRY_MS, Infinity, env.rng)',
    caughtBy: ['convergence']
  },
  {
    name: 'anti-entropy-stops-when-idle',
    file: SESSION,
    find: '        peer.compareAtMs = env.nowMs + jittered(env.antiEntropyMs, env.rng)',
    replace: '        peer.compareAtMs = Infinity',
    caughtBy: ['convergence']
  },
  {
    name: 'fetches-for-ever',
    file: SESSION,
    find: "  const settled = database.again === 'no'",
    replace: "  const settled = input.stored > 0 && database.again === 'no'",
    caughtBy: ['quiet', 'exchanges', 'bounded']
  },
  {
    name: 'signatures-are-not-checked',
    file: 'src/core/log.ts',
    find: '  if (bad === undefined) return undefined\n',
    replace: '  if (bad === undefined || verdicts.length > 0) return undefined\n',
    caughtBy: ['no-phantom']
  },
  {
    name: 'falling-stamps-are-taken',
    file: 'src/core/log.ts',
    find: '  if (wire.recorded <= tip.recorded) {',
    replace: '  if (wire.recorded < 0n) {',
    caughtBy: ['unexpected-failure', 'no-phantom']
  },
  {
    name: 'own-log-goes-on-after-a-clone',
    file: GROUP_COMMIT,
    find: 'const isOver = commits.some(({ origin }) => origin.id === closed)',
    replace: 'const isOver = commits.some(({ origin }) => origin.id !== origin.id)',
    caughtBy: ['one-place-one-commit', 'unexpected-failure', 'convergence', 'exchanges', 'quiet']
  },
  {
    name: 'second-branch-is-not-kept',
    file: 'src/store/known-logs.ts',
    find: 'return held === undefined ? undefined : { parent: held.log.number, seq }',
    replace: 'return held === undefined ? undefined : undefined',
    caughtBy: ['convergence', 'exchanges', 'quiet', 'bounded']
  },
  {
    name: 'branches-are-never-located',
    file: 'src/node/delta-fetch.ts',
    find: 'page.complete ? await locate(fetch, heads) : isNews',
    replace: 'page.complete ? false : isNews',
    caughtBy: ['convergence', 'exchanges', 'quiet']
  },
  {
    name: 'stale-page-is-served',
    file: 'src/node/delta-responder.ts',
    find: 'const isReady = prepared?.name === pageName(request, { position, ahead })',
    replace: 'const isReady = prepared !== undefined',
    caughtBy: ['honest-cut-off', 'convergence', 'exchanges', 'no-phantom']
  },
  {
    name: 'log-grows-for-an-asker-that-is-ahead',
    file: 'src/node/delta-responder.ts',
    find: '    if (ahead.has(next.log.tip.origin.id)) continue\n',
    replace: '',
    caughtBy: ['honest-cut-off'],
    from: 1_060
  },
  {
    name: 'cursor-of-a-view-before-its-rows',
    file: VIEW_BUILD,
    find: '      .write(putBelow(this.prefix, [...update.changes, state]))\n',
    replace: `      .write(putBelow(this.prefix, [state]))
      .then(() => this.#init.store.write(putBelow(this.prefix, update.changes)))
`,
    caughtBy: ['view-equals-scratch', 'view-digest']
  },
  {
    name: 'build-misses-what-comes-meanwhile',
    file: VIEW_BUILD,
    find: 'return { cursor, index, corrections',
    replace: 'return { cursor: source.head(), index, corrections',
    caughtBy: ['view-equals-scratch', 'view-digest', 'view-alarm']
  },
  {
    name: 'replaced-build-goes-on-answering',
    file: VIEW_BUILD,
    find: 'return this.#isDropped ? undefined : this.#reading()',
    replace: 'return this.#reading()',
    caughtBy: ['view-equals-scratch', 'view-current', 'unexpected-failure']
  },
  {
    name: 'view-is-removed-while-it-answers',
    file: VIEW_SLOT,
    find: '    this.#answerWith(build)',
    replace: `    if (stored !== undefined) await catalog.clear(stored.build)
    this.#answerWith(build)`,
    caughtBy: ['view-equals-scratch', 'view-digest']
  },
  {
    name: 'view-of-another-store-is-kept',
    file: VIEW_SLOT,
    find: "if (isLaterbaseError(error, 'LATERBASE_CURSOR_FOREIGN')) return undefined",
    replace: "if (isLaterbaseError(error, 'LATERBASE_CURSOR_FOREIGN')) return build",
    caughtBy: ['unexpected-failure', 'view-current', 'view-equals-scratch']
  },
  {
    name: 'corrected-event-stays-in-a-view',
    file: 'src/views/effective-events.ts',
    find: 'drop: drop.sort((a, b) => compareBytes(a.place, b.place))',
    replace: 'drop: drop.slice(drop.length)',
    caughtBy: ['view-equals-scratch', 'view-digest', 'view-alarm']
  },
  {
    name: 'what-corrects-a-lost-correction-counts',
    file: 'src/views/correction-graph.ts',
    find: 'for (const each of this.of(key)) pass(each, cause ?? event)',
    replace: 'for (const each of this.of(key)) if (each === undefined) pass(each, cause ?? event)',
    caughtBy: ['view-equals-scratch', 'view-digest', 'view-alarm']
  },
  {
    name: 'runs-of-a-view-forget-what-goes',
    file: 'src/views/map-index.ts',
    find: 'await changedRuns(tree, this.#summaries, rows)',
    replace: `await changedRuns(
      tree,
      this.#summaries,
      rows.filter(({ value }) => value !== undefined)
    )`,
    caughtBy: ['view-equals-scratch', 'view-digest', 'view-alarm']
  },
  {
    name: 'late-event-of-a-fold-is-applied-last',
    file: 'src/views/fold-update.ts',
    find: '  if (!isUpTo(first, head)) {',
    replace: '  if (rows.every(({ isDrop }) => !isDrop)) {',
    caughtBy: ['view-equals-scratch', 'view-digest', 'view-alarm', 'unexpected-failure']
  },
  {
    name: 'known-at-takes-any-commit',
    file: 'src/node/view-source.ts',
    find: 'if (!event.repeated) return new StoredIndexedEvent',
    replace: 'if (event.seq > 0) return new StoredIndexedEvent',
    caughtBy: ['view-equals-scratch']
  },
  {
    name: 'view-that-is-behind-is-compared',
    file: 'src/node/database-views.ts',
    find: 'if (current === undefined || current.cursor !== head) return []',
    replace: "if (current === undefined || head === '') return []",
    caughtBy: ['view-alarm']
  }
]
