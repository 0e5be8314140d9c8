/** Logs: what an honest page brings, and that a changed one brings nothing that was not written. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { decodeDeltaAnswer, encodeDeltaAnswer } from '../../protocols/delta/codec.ts'
import type { PageCommit, PageLog } from '../../protocols/delta/codec.ts'
import { encodeEvents } from '../../protocols/event/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Rejected } from '../../protocols/rejected.ts'
import { present } from '../../src/core/assert.ts'
import { toHex } from '../../src/core/bytes.ts'
import { commitHash, lastSeq } from '../../src/core/commit.ts'
import type { Commit, LogId } from '../../src/core/commit.ts'
import { checkPage, emptyTip, tipAfter, verifySignatures } from '../../src/core/log.ts'
import type { FindTip, LogPage, LogTip } from '../../src/core/log.ts'
import { systemHasher, systemVerifier } from '../../src/node/system.ts'
import { DATABASE, commitPlans, makeCommits } from './arbitraries.ts'

describe('an honest page', () => {
  test('continues what is held, whatever part of the logs that is', async () => {
    await fc.assert(
      fc.asyncProperty(commitPlans(), fc.nat(), async (plans, cut) => {
        const commits = makeCommits(plans)
        const held = commits.slice(0, cut % (commits.length + 1))
        const news = commits.slice(held.length)
        const checked = await take(pageOf(news), holding(held))
        if (isRejected(checked)) throw new Error(checked.detail)
        expect(hashes(checked)).toEqual(hashes(news))
      }),
      { numRuns: 40 }
    )
  })

  test('brings back every byte of a commit', async () => {
    await fc.assert(
      fc.asyncProperty(commitPlans(), async (plans) => {
        const commits = makeCommits(plans)
        const checked = await take(pageOf(commits), holding([]))
        if (isRejected(checked)) throw new Error(checked.detail)
        expect(checked.map(shown)).toEqual(commits.map(shown))
      }),
      { numRuns: 40 }
    )
  })
})

describe('a page with one byte changed', () => {
  test('is refused, or brings only commits that were written', async () => {
    const plans = fc.tuple(commitPlans(), commitPlans()).map((both) => both.flat())
    await fc.assert(
      fc.asyncProperty(
        plans,
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (plan, cut, at, by) => {
          const commits = makeCommits(plan)
          const held = commits.slice(0, cut % (commits.length + 1))
          const frame = Buffer.from(encodeDeltaAnswer(pageOf(commits)))
          const index = at % frame.length
          frame[index] = (frame[index] ?? 0) ^ by
          const written = new Set(hashes(commits))
          const page = decodeDeltaAnswer(frame)
          if (isRejected(page) || page.type !== 'page') return
          const checked = await take(page, holding(held))
          if (isRejected(checked)) return
          for (const hash of hashes(checked)) expect(written.has(hash)).toBe(true)
        }
      ),
      { numRuns: 400 }
    )
  })

  test('is refused for every single byte of a small one, or brings nothing new', async () => {
    const commits = makeCommits([
      { signer: 0, events: events(1), laterBy: 1 },
      { signer: 1, events: events(2), laterBy: 1 },
      { signer: 0, events: events(3), laterBy: 1 }
    ])
    const frame = Buffer.from(encodeDeltaAnswer({ ...pageOf(commits), heads: [] }))
    const written = new Set(hashes(commits))
    let refused = 0
    for (let at = 0; at < frame.length; at += 1) {
      const changed = Buffer.from(frame)
      changed[at] = (changed[at] ?? 0) ^ 0x01
      const page = decodeDeltaAnswer(changed)
      if (isRejected(page) || page.type !== 'page') {
        refused += 1
        continue
      }
      const checked = await take(page, holding([]))
      if (isRejected(checked)) refused += 1
      else for (const hash of hashes(checked)) expect(written.has(hash)).toBe(true)
    }
    // Only `complete` is under no hash and no signature: to believe it costs one more request.
    expect(refused).toBe(frame.length - 1)
  })
})

describe('the hash of a commit', () => {
  test('changes with every part of it', () => {
    const [commit] = makeCommits([{ signer: 0, events: events(1), laterBy: 5 }])
    const draft = present(commit, 'a commit')
    const other = makeCommits([{ signer: 1, events: events(1), laterBy: 5 }])[0]
    const changes = [
      draft,
      { ...draft, firstSeq: 2 },
      { ...draft, previous: new Uint8Array(32) },
      { ...draft, recorded: draft.recorded + 1n },
      { ...draft, events: events(2) },
      { ...draft, events: [...draft.events, ...draft.events] },
      { ...draft, origin: present(other, 'a commit').origin }
    ]
    const seen = changes.map((changed) => toHex(commitHash(changed, systemHasher)))
    expect(new Set(seen).size).toBe(changes.length)
  })
})

function events(value: number): Commit['events'] {
  const key = new Uint8Array(16).fill(value) as Commit['events'][number]['key']
  const content = Buffer.from(`{"data":${value}}`)
  return [{ key, value: content, hash: systemHasher.sha256(content) }]
}

function pageOf(commits: readonly Commit[]): LogPage {
  const logs = new Map<LogId, { readonly index: number; readonly entry: PageLog }>()
  const wire = commits.map((commit): PageCommit => {
    const { origin, firstSeq, previous, recorded, signature } = commit
    const { publicKey, nonce } = origin.genesis
    const genesis = firstSeq === 1 ? { publicKey, nonce } : undefined
    const entry = { log: origin.idBytes, firstSeq, previous, genesis }
    const known = logs.get(origin.id) ?? { index: logs.size, entry }
    logs.set(origin.id, known)
    const count = commit.events.length
    return {
      logIndex: known.index,
      count,
      recorded,
      signature,
      events: encodeEvents(commit.events)
    }
  })
  const heads = commits.map((commit) => ({
    log: commit.origin.idBytes,
    seq: lastSeq(commit),
    hash: commit.hash
  }))
  const entries = [...logs.values()].map(({ entry }) => entry)
  return { type: 'page', complete: true, logs: entries, commits: wire, heads }
}

/** What a receiver that holds these commits finds. */
function holding(commits: readonly Commit[]): FindTip {
  const tips = new Map<string, LogTip>()
  const last = new Map<LogId, LogTip>()
  for (const commit of commits) {
    const { origin } = commit
    const tip = tipAfter(last.get(origin.id) ?? emptyTip(origin), commit)
    last.set(origin.id, tip)
    tips.set(toHex(tip.hash), tip)
  }
  return (_log, _seq, hash) => tips.get(toHex(hash))
}

async function take(page: LogPage, find: FindTip): Promise<readonly Commit[] | Rejected> {
  const commits = checkPage(page, DATABASE, find, systemHasher)
  if (isRejected(commits)) return commits
  return (await verifySignatures(commits, systemVerifier)) ?? commits
}

function hashes(commits: readonly Commit[]): string[] {
  return commits.map(({ hash }) => toHex(hash))
}

function shown(commit: Commit): unknown {
  const events = commit.events.map(({ key, value, hash }) => [key, value, hash].map(toHex))
  return [
    commit.origin.id,
    commit.firstSeq,
    toHex(commit.previous),
    commit.recorded,
    toHex(commit.hash),
    toHex(commit.signature),
    events
  ]
}
