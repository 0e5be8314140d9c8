/** The frames of the delta protocol, put together by hand, field by field. */

import { ascii, byte, part, sha256, varint, bytesOf, hex, u64 } from './material.ts'
import type { Part, VectorCommit, VectorLog } from './material.ts'

export interface VectorHead {
  readonly log: Uint8Array
  readonly seq: number | bigint
  readonly hash: Uint8Array
}

export function headAt(commit: VectorCommit): VectorHead {
  const seq = commit.firstSeq + commit.events.length - 1
  return { log: commit.log.id, seq, hash: commit.hash }
}

export function headParts(heads: readonly VectorHead[], field = 'head'): Part[] {
  return [
    part(`${field} count`, varint(heads.length)),
    ...heads.flatMap(({ log, seq, hash }, index) => [
      part(`${field} ${index} log`, log),
      part(`${field} ${index} seq`, varint(seq)),
      part(`${field} ${index} hash`, hash)
    ])
  ]
}

export function nameParts(name: string, field: string): Part[] {
  return [part(`${field} length`, varint(name.length)), part(field, ascii(name))]
}

export function digestParts(digests: readonly { name: string; digest: Uint8Array }[]): Part[] {
  return [
    part('digest count', varint(digests.length)),
    ...digests.flatMap(({ name, digest }, index) => [
      ...nameParts(name, `database ${index}`),
      part(`digest ${index}`, digest)
    ])
  ]
}

export function pageRequestParts(
  heads: readonly VectorHead[],
  bytesMax = 1_048_576,
  places: readonly VectorHead[] = []
): Part[] {
  return [
    part('kind', byte(2)),
    ...nameParts('yard', 'database'),
    part('bytes_max', varint(bytesMax)),
    ...headParts(heads),
    ...headParts(places, 'place')
  ]
}

export function viewsRequestParts(set: { name: string; digest: Uint8Array }): Part[] {
  return [part('kind', byte(3)), ...digestParts([set]).slice(1)]
}

export interface VectorView {
  readonly definition: Uint8Array
  readonly contents: Uint8Array
}

export function viewsParts(views: readonly VectorView[]): Part[] {
  return [
    part('kind', byte(4)),
    part('view count', varint(views.length)),
    ...views.flatMap(({ definition, contents }, index) => [
      part(`view ${index} definition`, definition),
      part(`view ${index} contents`, contents)
    ])
  ]
}

/** A log as a page lists it: by the first of its commits in the page. */
export interface ListedLog {
  readonly log: VectorLog
  readonly firstSeq: number
  readonly previous: Uint8Array
}

export interface VectorPage {
  readonly complete: boolean
  readonly commits: readonly VectorCommit[]
  readonly heads: readonly VectorHead[]
  /** Commits that begin another branch of a log that the page has already. */
  readonly branches?: readonly VectorCommit[]
}

/** The logs of a page in order, and for each commit the index of its own. */
export function listedLogs(page: VectorPage): { logs: ListedLog[]; indexes: number[] } {
  const logs: (ListedLog & { last: VectorCommit })[] = []
  const indexes = page.commits.map((commit) => {
    const { log, firstSeq, previous } = commit
    const begins = page.branches?.includes(commit) === true
    const follows = logs.findIndex((listed) => listed.last.hash === previous)
    const first = logs.findIndex((listed) => listed.log === log)
    const index = begins ? -1 : follows < 0 ? first : follows
    const held = logs[index]
    if (held === undefined) return logs.push({ log, firstSeq, previous, last: commit }) - 1
    held.last = commit
    return index
  })
  return { logs, indexes }
}

export function pageParts(page: VectorPage): Part[] {
  const { logs, indexes } = listedLogs(page)
  return [
    part('kind', byte(2)),
    part('complete', byte(page.complete ? 1 : 0)),
    part('log count', varint(logs.length)),
    ...logs.flatMap(logParts),
    part('commit count', varint(page.commits.length)),
    ...page.commits.flatMap((commit, index) => [
      part(`commit ${index} log_index`, varint(indexes[index] ?? 0)),
      part(`commit ${index} count`, varint(commit.events.length)),
      part(`commit ${index} recorded`, u64(commit.recorded)),
      part(`commit ${index} signature`, commit.signature),
      part(`commit ${index} events length`, varint(commit.region.length)),
      part(`commit ${index} events`, commit.region)
    ]),
    ...headParts(page.heads)
  ]
}

function logParts({ log, firstSeq, previous }: ListedLog, index: number): Part[] {
  const begins = firstSeq === 1
  const genesis = [
    part(`log ${index} public_key`, log.signer.publicKey),
    part(`log ${index} nonce`, log.nonce)
  ]
  return [
    part(`log ${index} id`, log.id),
    part(`log ${index} first_seq`, varint(firstSeq)),
    part(`log ${index} previous`, previous),
    part(`log ${index} has_genesis`, byte(begins ? 1 : 0)),
    ...(begins ? genesis : [])
  ]
}

/** The fields of a page as a vector lists them. */
export function pageFields(page: VectorPage): object {
  const { logs, indexes } = listedLogs(page)
  return {
    complete: page.complete,
    logs: logs.map(({ log, firstSeq, previous }) => ({
      log: hex(log.id),
      first_seq: firstSeq,
      previous: hex(previous),
      ...(firstSeq === 1
        ? { genesis: { public_key: hex(log.signer.publicKey), nonce: hex(log.nonce) } }
        : {})
    })),
    commits: page.commits.map((commit, index) => ({
      log_index: indexes[index],
      count: commit.events.length,
      recorded: String(commit.recorded),
      signature: hex(commit.signature),
      events: hex(commit.region)
    })),
    heads: page.heads.map(headFields)
  }
}

export function headFields({ log, seq, hash }: VectorHead): object {
  return { log: hex(log), seq: Number(seq), hash: hex(hash) }
}

/** The bytes under a version's digest: a domain with its length, then the heads by log id. */
export function digestPreimage(heads: readonly VectorHead[]): Uint8Array {
  const sorted = heads.toSorted(
    (a, b) =>
      Buffer.compare(a.log, b.log) ||
      Number(a.seq) - Number(b.seq) ||
      Buffer.compare(a.hash, b.hash)
  )
  return bytesOf([...nameParts('laterbase/digest/1', 'domain'), ...headParts(sorted).slice(1)])
}

export function digestOf(heads: readonly VectorHead[]): Uint8Array {
  return sha256(digestPreimage(heads))
}
