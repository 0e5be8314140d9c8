/** The vectors of `protocols/delta`: digests, requests, answers. Pages in context: `page-vectors.ts`. */

import {
  BAD_VARINTS,
  STORY,
  ascii,
  byte,
  bytesOf,
  counting,
  hex,
  part,
  replaced,
  sha256,
  truncations,
  varint
} from './material.ts'
import type { Part } from './material.ts'
import {
  digestOf,
  digestParts,
  digestPreimage,
  headAt,
  headFields,
  pageFields,
  pageParts,
  pageRequestParts,
  viewsParts,
  viewsRequestParts
} from './delta-frames.ts'
import type { VectorHead, VectorPage } from './delta-frames.ts'
import { invalidPages, validPages } from './page-vectors.ts'

const { gate1, gate2, gate3, gate2Forked, dock1 } = STORY
const HEADS = [headAt(gate3), headAt(dock1)]
const HIGHEST_SEQ = 2n ** 53n - 1n
const DIGESTS = [
  { name: 'depot', digest: counting(0x40, 32) },
  { name: 'yard', digest: digestOf(HEADS) }
]
const PAGE: VectorPage = { complete: true, commits: [gate1, dock1, gate2, gate3], heads: HEADS }
const LATER: VectorPage = { complete: false, commits: [gate2], heads: HEADS }
const SET = { name: 'yard', digest: digestOf(HEADS) }
const VIEWS = [counting(0x50, 32), counting(0x70, 32)].map((definition, index) => ({
  definition,
  contents: counting(0x90 + index, 16)
}))
const EMPTY: VectorPage = { complete: true, commits: [], heads: [] }

export function validDeltas(): object {
  return {
    digests: [
      digestVector('no logs', []),
      digestVector('one log', [headAt(gate1)]),
      digestVector('two logs', HEADS),
      digestVector('the same two, given in the other order', HEADS.toReversed()),
      digestVector('a log with two branches', [headAt(gate2Forked), headAt(gate3)])
    ],
    requests: [
      compare('no databases', []),
      compare('two databases', DIGESTS),
      compare('the longest name', [{ name: 'a'.repeat(63), digest: counting(0, 32) }]),
      pageRequest('everything', []),
      pageRequest('what is beyond two heads', HEADS),
      pageRequest('no more than one commit', [headAt(gate1)], 0),
      pageRequest('the highest sequence number', [{ ...headAt(gate1), seq: HIGHEST_SEQ }]),
      pageRequest('places along a log whose branches part', HEADS, 1_048_576, [headAt(gate1)]),
      viewsRequest('views of a set', SET),
      viewsRequest('views of the longest name', {
        name: 'a'.repeat(63),
        digest: counting(0, 32)
      })
    ],
    answers: [
      {
        name: 'compared',
        hex: hex(bytesOf([part('kind', byte(1)), ...digestParts(DIGESTS)])),
        type: 'compared',
        digests: DIGESTS.map(digestFields)
      },
      ...[EMPTY, PAGE, LATER].map((page, index) => ({
        name: ['a page with nothing', 'two whole logs', 'the middle of a log'][index],
        hex: hex(bytesOf(pageParts(page))),
        type: 'page',
        ...pageFields(page)
      })),
      ...['database-unknown', 'request-invalid', 'busy'].map((reason, index) => ({
        name: `refused: ${reason}`,
        hex: hex(Buffer.from([3, 1 + index])),
        type: 'refused',
        reason
      })),
      viewsAnswer('no views', []),
      viewsAnswer('two views', VIEWS)
    ],
    pages: validPages(),
    definitions: [counting(0, 32), new Uint8Array(32).fill(0xff)].map((functions, index) => ({
      name: `functions ${index + 1}`,
      functions: hex(functions),
      definition: hex(sha256(ascii('laterbase/view/1\n'), functions))
    })),
    perimeters: [perimeter(counting(0, 32)), perimeter(new Uint8Array(32).fill(0xff))]
  }
}

export function invalidDeltas(): object {
  return { requests: invalidRequests(), answers: invalidAnswers(), pages: invalidPages() }
}

function perimeter(networkKey: Uint8Array): object {
  const service = sha256(ascii('laterbase/mdns-service/1\n'), networkKey).subarray(0, 8)
  const check = sha256(ascii('laterbase/invitation/1'), networkKey).subarray(0, 4)
  return {
    name: `network key ${hex(networkKey).slice(0, 8)}…`,
    network_key: hex(networkKey),
    noise_prologue: hex(sha256(ascii('laterbase/noise-prologue/1\n'), networkKey)),
    mdns_service: `_lb-${hex(service)}._udp.local`,
    invitation: `laterbase1_${Buffer.concat([networkKey, check]).toString('base64url')}`
  }
}

interface Rejection {
  readonly name: string
  readonly hex: string
  readonly code: string
}

function rejection(name: string, bytes: Uint8Array, code: string): Rejection {
  return { name, hex: hex(bytes), code }
}

function invalidRequests(): Rejection[] {
  const compareParts = [part('kind', byte(1)), ...digestParts(DIGESTS)]
  const pageOf = pageRequestParts(HEADS)
  const viewsOf = viewsRequestParts(SET)
  const tooLong = [part('length', varint(64)), part('name', ascii('a'.repeat(64)))]
  return [
    ...cuts('compare', compareParts),
    ...cuts('page', pageOf),
    ...cuts('views', viewsOf),
    rejection('kind 0', Buffer.concat([byte(0), bytesOf(pageOf.slice(1))]), 'unknown-value'),
    rejection('kind 4', replaced(pageOf, 'kind', byte(4)), 'unknown-value'),
    rejection('kind 255', replaced(pageOf, 'kind', byte(255)), 'unknown-value'),
    rejection('compare: a byte too many', withByte(compareParts), 'trailing-bytes'),
    rejection('page: a byte too many', withByte(pageOf), 'trailing-bytes'),
    rejection('views: a byte too many', withByte(viewsOf), 'trailing-bytes'),
    rejection(
      'views: a name of 64 bytes',
      bytesOf([part('kind', byte(3)), ...tooLong]),
      'over-limit'
    ),
    rejection(
      'compare: 1,025 databases, and no bytes behind the count',
      bytesOf([part('kind', byte(1)), part('count', varint(1_025))]),
      'over-limit'
    ),
    rejection(
      'compare: a name of 64 bytes',
      bytesOf([part('kind', byte(1)), part('count', varint(1)), ...tooLong]),
      'over-limit'
    ),
    rejection(
      'page: a name of 64 bytes',
      bytesOf([part('kind', byte(2)), ...tooLong]),
      'over-limit'
    ),
    rejection(
      'page: 15,001 heads, and no bytes behind the count',
      bytesOf([...pageRequestParts([]).slice(0, -2), part('count', varint(15_001))]),
      'over-limit'
    ),
    rejection(
      'page: 15,001 places, and no bytes behind the count',
      bytesOf([...pageRequestParts([]).slice(0, -1), part('count', varint(15_001))]),
      'over-limit'
    ),
    rejection(
      'page: 15,000 heads, and no bytes behind the count',
      bytesOf([...pageRequestParts([]).slice(0, -2), part('count', varint(15_000))]),
      'truncated'
    ),
    rejection(
      'page: the head of an empty log',
      replaced(pageOf, 'head 0 seq', varint(0)),
      'not-allowed'
    ),
    ...badVarints('compare', compareParts, ['digest count', 'database 0 length']),
    ...badVarints('page', pageOf, ['database length', 'bytes_max', 'head count', 'head 1 seq']),
    ...badVarints('views', viewsOf, ['database 0 length'])
  ]
}

function invalidAnswers(): Rejection[] {
  const comparedParts = [part('kind', byte(1)), ...digestParts(DIGESTS)]
  const views = viewsParts(VIEWS)
  const page = pageParts(PAGE)
  const later = pageParts(LATER)
  const field = (name: string, bytes: Uint8Array): Uint8Array => replaced(page, name, bytes)
  const upTo = (name: string, from = page): Uint8Array =>
    bytesOf(
      from.slice(
        0,
        from.findIndex((each) => each.name === name)
      )
    )
  return [
    ...cuts('compared', comparedParts),
    ...cuts('page', page),
    ...cuts('refused', [part('kind', byte(3)), part('reason', byte(1))]),
    ...cuts('views', views),
    rejection('kind 0', field('kind', byte(0)), 'unknown-value'),
    rejection('kind 5', field('kind', byte(5)), 'unknown-value'),
    rejection('refused: reason 0', Buffer.from([3, 0]), 'unknown-value'),
    rejection('refused: reason 4', Buffer.from([3, 4]), 'unknown-value'),
    rejection('refused: a byte too many', Buffer.from([3, 1, 0]), 'trailing-bytes'),
    rejection('compared: a byte too many', withByte(comparedParts), 'trailing-bytes'),
    rejection('page: a byte too many', withByte(page), 'trailing-bytes'),
    rejection('views: a byte too many', withByte(views), 'trailing-bytes'),
    rejection(
      'views: 1,025 views, and no bytes behind the count',
      Buffer.concat([byte(4), varint(1_025)]),
      'over-limit'
    ),
    rejection(
      'views: 1,024 views, and no bytes behind the count',
      Buffer.concat([byte(4), varint(1_024)]),
      'truncated'
    ),
    ...badVarints('views', views, ['view count']),
    rejection('page: complete is 2', field('complete', byte(2)), 'unknown-value'),
    rejection('page: has_genesis is 2', field('log 0 has_genesis', byte(2)), 'unknown-value'),
    rejection(
      'page: 15,001 logs, and no bytes behind the count',
      Buffer.concat([Buffer.from([2, 1]), varint(15_001)]),
      'over-limit'
    ),
    rejection(
      'page: 4,097 commits, and no bytes behind the count',
      Buffer.concat([upTo('commit count'), varint(4_097)]),
      'over-limit'
    ),
    rejection(
      'page: 15,001 heads, and no bytes behind the count',
      Buffer.concat([upTo('head count'), varint(15_001)]),
      'over-limit'
    ),
    rejection(
      'page: a log at sequence number 0',
      field('log 0 first_seq', varint(0)),
      'not-allowed'
    ),
    rejection(
      'page: a genesis that is missing',
      Buffer.concat([upTo('log 0 has_genesis'), byte(0)]),
      'not-allowed'
    ),
    rejection(
      'page: a genesis that is not the log’s first commit',
      Buffer.concat([upTo('log 0 has_genesis', later), byte(1), counting(0, 48)]),
      'not-allowed'
    ),
    rejection(
      'page: a log index out of range',
      field('commit 3 log_index', varint(2)),
      'not-allowed'
    ),
    rejection(
      'page: a commit of no log',
      Buffer.concat([Buffer.from([2, 1, 0, 1]), varint(0)]),
      'not-allowed'
    ),
    rejection('page: a commit without events', field('commit 0 count', varint(0)), 'not-allowed'),
    rejection(
      'page: a commit of 10,001 events',
      field('commit 0 count', varint(10_001)),
      'over-limit'
    ),
    rejection(
      'page: events of 16 MiB and one byte, and no bytes behind the length',
      Buffer.concat([upTo('commit 0 events length'), varint(16_777_217)]),
      'over-limit'
    ),
    rejection(
      'page: events of 16 MiB, and no bytes behind the length',
      Buffer.concat([upTo('commit 0 events length'), varint(16_777_216)]),
      'truncated'
    ),
    rejection('page: the head of an empty log', field('head 1 seq', varint(0)), 'not-allowed'),
    ...badVarints('page', page, [
      'log count',
      'log 0 first_seq',
      'commit count',
      'commit 0 log_index',
      'commit 0 count',
      'commit 0 events length',
      'head count',
      'head 0 seq'
    ])
  ]
}

function cuts(message: string, parts: readonly Part[]): Rejection[] {
  return truncations(parts).map(({ name, bytes }) =>
    rejection(`${message}: cut ${name}`, bytes, 'truncated')
  )
}

function badVarints(
  message: string,
  parts: readonly Part[],
  fields: readonly string[]
): Rejection[] {
  return fields.flatMap((field) =>
    BAD_VARINTS.map(({ name, bytes }) =>
      rejection(`${message}: ${field}: ${name}`, replaced(parts, field, bytes), 'bad-varint')
    )
  )
}

function withByte(parts: readonly Part[]): Uint8Array {
  return Buffer.concat([bytesOf(parts), byte(0)])
}

function digestVector(name: string, heads: readonly VectorHead[]): object {
  const digest = digestOf(heads)
  return {
    name,
    heads: heads.map(headFields),
    preimage: hex(digestPreimage(heads)),
    digest: hex(digest),
    short: shortText(digest)
  }
}

/** The first 50 bits, 5 to a character. */
function shortText(digest: Uint8Array): string {
  const bits = BigInt(`0x${hex(digest.subarray(0, 7))}`) >> 6n
  let text = ''
  for (let at = 45n; at >= 0n; at -= 5n) {
    text += '0123456789ABCDEFGHJKMNPQRSTVWXYZ'[Number((bits >> at) & 31n)] ?? ''
  }
  return `${text.slice(0, 4)}-${text.slice(4, 8)}-${text.slice(8)}`
}

function compare(name: string, digests: typeof DIGESTS): object {
  return {
    name,
    hex: hex(bytesOf([part('kind', byte(1)), ...digestParts(digests)])),
    type: 'compare',
    digests: digests.map(digestFields)
  }
}

function pageRequest(
  name: string,
  heads: readonly VectorHead[],
  bytesMax = 1_048_576,
  places: readonly VectorHead[] = []
): object {
  return {
    name,
    hex: hex(bytesOf(pageRequestParts(heads, bytesMax, places))),
    type: 'page',
    database: 'yard',
    bytes_max: bytesMax,
    heads: heads.map(headFields),
    places: places.map(headFields)
  }
}

function viewsRequest(name: string, set: typeof SET): object {
  const { name: database, digest } = set
  const frame = bytesOf(viewsRequestParts(set))
  return { name, hex: hex(frame), type: 'views', database, digest: hex(digest) }
}

function viewsAnswer(name: string, views: typeof VIEWS): object {
  return {
    name,
    hex: hex(bytesOf(viewsParts(views))),
    type: 'views',
    views: views.map(({ definition, contents }) => {
      return { definition: hex(definition), contents: hex(contents) }
    })
  }
}

function digestFields({ name, digest }: (typeof DIGESTS)[number]): object {
  return { database: name, digest: hex(digest) }
}
