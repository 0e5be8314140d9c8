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
import { commitHash, lastSeq, sealCommit } from '../../src/core/commit.ts'
import type { Commit, LogId } from '../../src/core/commit.ts'
import { checkPage, emptyTip, placeCommit, tipAfter, verifySignatures } from '../../src/core/log.ts'
import type { CheckedPage, LogPage, LogTip } from '../../src/core/log.ts'
import { systemHasher, systemVerifier } from '../../src/node/system.ts'
import { DATABASE, SIGNERS, commitPlans, makeCommits } from './arbitraries.ts'

describe('an honest page', () => {
  test('brings exactly the commits that are not held, whatever part of them is', async () => {
    await fc.assert(
      fc.asyncProperty(commitPlans(), fc.nat(), async (plans, cut) => {
        const commits = makeCommits(plans)
        const held = commits.slice(0, cut % (commits.length + 1))
        const tips = tipsAfter(held)
        const checked = await take(pageOf(commits), tips)
        if (isRejected(checked)) throw new Error(checked.detail)
        expect(checked.forks).toEqual([])
        expect(hashes(checked.commits)).toEqual(hashes(commits.slice(held.length)))
      }),
      { numRuns: 40 }
    )
  })

  test('brings back every byte of a commit', async () => {
    await fc.assert(
      fc.asyncProperty(commitPlans(), async (plans) => {
        const commits = makeCommits(plans)
        const checked = await take(pageOf(commits), new Map())
        if (isRejected(checked)) throw new Error(checked.detail)
        expect(checked.commits.map(shown)).toEqual(commits.map(shown))
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
          const checked = await take(page, tipsAfter(held))
          if (isRejected(checked)) return
          for (const hash of hashes(checked.commits)) expect(written.has(hash)).toBe(true)
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
      const checked = await take(page, new Map())
      if (isRejected(checked)) refused += 1
      else for (const hash of hashes(checked.commits)) expect(written.has(hash)).toBe(true)
    }
    // Only `complete` is under no hash and no signature: to believe it costs one more request.
    expect(refused).toBe(frame.length - 1)
  })
})

describe('the place of a commit', () => {
  test('is `next` exactly behind the tip, `held` up to it, `gap` beyond', () => {
    fc.assert(
      fc.property(commitPlans(), fc.nat(), fc.nat(), (plans, of, cut) => {
        const ofOneLog = makeCommits(plans.map((plan) => ({ ...plan, signer: 0 })))
        const commit = ofOneLog[of % Math.max(1, ofOneLog.length)]
        if (commit === undefined) return
        const held = ofOneLog.slice(0, cut % (ofOneLog.length + 1))
        const tip = tipsAfter(held).get(commit.origin.id) ?? emptyTip(commit.origin)
        const difference = ofOneLog.indexOf(commit) - held.length
        const expected = difference === 0 ? 'next' : difference < 0 ? 'held' : 'gap'
        expect(placeCommit(commit, tip)).toBe(expected)
      })
    )
  })

  test('is `fork` where another commit stands at the same place', () => {
    fc.assert(
      fc.property(commitPlans(), (plans) => {
        const ours = makeCommits(plans.map((plan) => ({ ...plan, signer: 0 })))
        const last = ours.at(-1)
        if (last === undefined) return
        const signer = present(SIGNERS[0], 'a signer')
        const theirs = sealCommit({ ...last, recorded: last.recorded + 1n }, signer, systemHasher)
        const tip = present(tipsAfter(ours).get(last.origin.id), 'a tip')
        expect(placeCommit(theirs, tip)).toBe('fork')
      })
    )
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

function tipsAfter(commits: readonly Commit[]): Map<LogId, LogTip> {
  const tips = new Map<LogId, LogTip>()
  for (const commit of commits) {
    const { origin } = commit
    tips.set(origin.id, tipAfter(tips.get(origin.id) ?? emptyTip(origin), commit))
  }
  return tips
}

async function take(
  page: LogPage,
  tips: ReadonlyMap<LogId, LogTip>
): Promise<CheckedPage | Rejected> {
  const checked = checkPage(page, DATABASE, (log) => tips.get(log), systemHasher)
  if (isRejected(checked)) return checked
  return (await verifySignatures(checked.commits, systemVerifier)) ?? checked
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
