/** A node and its peers compare what their views contain: when they ask, what they answer, and of what they warn. */

import { expect, test, vi } from 'vitest'

import {
  decodeDeltaAnswer,
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import type { DatabaseDigest, DeltaAnswer, WireView } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import type { Json } from '../../src/core/json.ts'
import { NodeDatabase } from '../../src/node/database.ts'
import { VIEWS_UNEQUAL_MAX } from '../../src/node/limits.ts'
import { resolveOptions } from '../../src/node/options.ts'
import type { View } from '../../src/node/views.ts'
import type { NativeView } from '../../src/views/define-view.ts'
import { makeSmall } from '../fixtures/small-limits.ts'
import { settled, startScripted } from '../fixtures/scripted-node.ts'
import type { ScriptedNode } from '../fixtures/scripted-node.ts'

vi.mock('../../protocols/limits.ts', async (original) => {
  const { smallable } = await import('../fixtures/small-limits.ts')
  return smallable(await original())
})

const YARD = 'yard'

interface Compared extends ScriptedNode {
  readonly yard: NodeDatabase
  /** Whom the node asked about views, in order. */
  readonly asked: string[]
  /** Lines of the log that warn. */
  readonly lines: string[]
  /** How peers answer that; as the node itself does, unless a test says otherwise. */
  answer: (request: DatabaseDigest) => Promise<DeltaAnswer | Uint8Array>
  /** The peer compares with the node, and has the same set. */
  compare(peer?: string): Promise<void>
  warnings(): Promise<readonly string[]>
}

/** A node with some events; its peers have the set that it has itself. */
async function comparedNode(): Promise<Compared> {
  const lines: string[] = []
  const log = (level: string, message: string, fields: unknown = {}): void => {
    if (level === 'warn') lines.push(`${message} ${JSON.stringify(fields)}`)
  }
  const scripted = await startScripted({
    options: resolveOptions({ dir: 'memory', log }, 'scripted')
  })
  const { node, transport } = scripted
  const { database } = await node.createDatabase(YARD)
  if (!(database instanceof NodeDatabase)) throw new Error('a database of the node')
  await database.append([{ data: 1 }, { data: 2 }])
  const digests = (): DatabaseDigest[] => [{ database: YARD, digest: database.digestBytes() }]
  const made: Compared = {
    ...scripted,
    yard: database,
    asked: [],
    lines,
    answer: (request) => viewsAt(scripted, request),
    compare: async (peer = 'peer') => {
      const frame = encodeDeltaRequest({ type: 'compare', digests: digests() })
      await transport.handlers.requested(peer, frame)
      await settled()
    },
    warnings: async () => (await node.status()).warnings
  }
  transport.script = async (peer, frame) => {
    const request = decodeDeltaRequest(frame)
    if (isRejected(request)) throw new Error(request.detail)
    if (request.type === 'compare') {
      return encodeDeltaAnswer({ type: 'compared', digests: digests() })
    }
    if (request.type === 'page') return encodeDeltaAnswer({ type: 'refused', reason: 'busy' })
    made.asked.push(peer)
    const answer = await made.answer(request)
    return answer instanceof Uint8Array ? answer : encodeDeltaAnswer(answer)
  }
  return made
}

/** What the node says when it is asked itself. */
async function viewsAt(
  { transport }: ScriptedNode,
  set: DatabaseDigest
): Promise<Extract<DeltaAnswer, { type: 'views' }>> {
  const frame = encodeDeltaRequest({ type: 'views', ...set })
  const answer = decodeDeltaAnswer(await transport.handlers.requested('asker', frame))
  if (isRejected(answer) || answer.type !== 'views') throw new Error('an answer about views')
  return answer
}

/** The same views with other contents. */
async function othersAt(
  compared: Compared,
  set: DatabaseDigest
): Promise<Extract<DeltaAnswer, { type: 'views' }>> {
  const { views } = await viewsAt(compared, set)
  return { type: 'views', views: views.map(withOtherContents) }
}

function withOtherContents({ definition, contents }: WireView): WireView {
  return { definition, contents: contents.map((byte) => byte ^ 1) }
}

/** A view that is current. */
async function currentView({ yard }: Compared, name = 'by-data'): Promise<View> {
  const definition: NativeView = { name, map: ({ data }, emit) => emit(data) }
  const view = await yard.views.define<Json, Json, Json>(definition)
  await view.refresh()
  return view
}

test('a peer that holds the same set is asked once, and again when the set or a view has changed', async () => {
  const compared = await comparedNode()
  const { transport, asked, yard } = compared
  const view = await currentView(compared)
  transport.connect('peer')
  await settled()
  expect(asked).toEqual(['peer'])
  await compared.compare()
  expect(asked).toHaveLength(1)

  await yard.append({ data: 3 })
  await compared.compare()
  // The view is of another set than the one that is held.
  expect(asked).toHaveLength(1)
  await view.refresh()
  await compared.compare()
  expect(asked).toHaveLength(2)
  await compared.compare()
  expect(asked).toHaveLength(2)

  transport.disconnect('peer')
  transport.connect('peer')
  await settled()
  expect(asked).toHaveLength(3)
  expect(await compared.warnings()).toEqual([])
})

test('a node without views asks nobody', async () => {
  const compared = await comparedNode()
  compared.transport.connect('peer')
  await settled()
  expect(compared.asked).toEqual([])
})

test('a view is told of where exactly its set is asked for, and is not brought up to date for it', async () => {
  const compared = await comparedNode()
  const { yard } = compared
  const view = await currentView(compared)
  const digest = yard.digestBytes()
  const told = await viewsAt(compared, { database: YARD, digest })
  expect(told.views).toHaveLength(1)
  const none = { type: 'views', views: [] }
  const otherDigest = digest.map((byte) => byte ^ 1)
  expect(await viewsAt(compared, { database: YARD, digest: otherDigest })).toEqual(none)
  expect(await viewsAt(compared, { database: 'nowhere', digest })).toEqual(none)

  await yard.append({ data: 3 })
  expect(await viewsAt(compared, { database: YARD, digest: yard.digestBytes() })).toEqual(none)
  expect((await view.info()).behind).toBe(1)
  await view.refresh()
  const later = await viewsAt(compared, { database: YARD, digest: yard.digestBytes() })
  expect(later.views.map(({ definition }) => definition)).toEqual(
    told.views.map(({ definition }) => definition)
  )
  expect(later).not.toEqual(told)
})

test('no more views are told of than one answer may have', async () => {
  makeSmall({ VIEWS_MAX: 2 })
  const compared = await comparedNode()
  for (const name of ['a', 'b', 'c']) await currentView(compared, name)
  const digest = compared.yard.digestBytes()
  expect((await viewsAt(compared, { database: YARD, digest })).views).toHaveLength(2)
})

test('a view that differs is named with its peer in the log and the status, until it is equal again', async () => {
  const compared = await comparedNode()
  const { transport, yard, lines } = compared
  const view = await currentView(compared)
  compared.answer = (set) => othersAt(compared, set)
  transport.connect('peer')
  await settled()
  // What was unequal is asked once more before it is said.
  expect(compared.asked).toHaveLength(2)
  const fields = JSON.stringify({ database: YARD, view: 'by-data', peer: 'peer' })
  expect(lines).toEqual([`a view differs from that of a peer that holds the same events ${fields}`])
  const [warning = ''] = await compared.warnings()
  expect(warning).toMatch(/^yard: view by-data differs from that of peer, /)

  await yard.append({ data: 3 })
  await view.refresh()
  await compared.compare()
  expect(await compared.warnings()).toHaveLength(1)
  expect(lines).toHaveLength(1)

  compared.answer = (set) => viewsAt(compared, set)
  await yard.append({ data: 4 })
  await view.refresh()
  await compared.compare()
  expect(await compared.warnings()).toEqual([])
})

test('several peers of one view are named together, one box of two with an identity by that', async () => {
  const compared = await comparedNode()
  await currentView(compared)
  compared.answer = (set) => othersAt(compared, set)
  for (const peer of ['first', 'second+a', 'second+b']) compared.transport.connect(peer)
  await settled()
  const warnings = await compared.warnings()
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toContain('differs from that of first, second, for')
})

test('a view that is replaced or removed, or whose database is gone, is warned of no more', async () => {
  const compared = await comparedNode()
  const { node, yard } = compared
  for (const name of ['removed', 'replaced', 'kept']) await currentView(compared, name)
  compared.answer = (set) => othersAt(compared, set)
  compared.transport.connect('peer')
  await settled()
  const named = async (): Promise<string[]> =>
    (await compared.warnings()).map((text) => /view (\S+)/.exec(text)?.[1] ?? '')
  expect(await named()).toEqual(['kept', 'removed', 'replaced'])
  await yard.views.remove('removed')
  await yard.views.define({ name: 'replaced', map: () => undefined })
  expect(await named()).toEqual(['kept'])
  await node.forgetDatabase(YARD)
  expect(await named()).toEqual([])
})

test('other definitions, views that only one has, and views that are not told of are no difference', async () => {
  const compared = await comparedNode()
  await currentView(compared)
  const strange = { definition: new Uint8Array(32).fill(1), contents: new Uint8Array(16) }
  for (const [peer, views] of Object.entries({ none: [], others: [strange, strange] })) {
    compared.answer = async () => ({ type: 'views', views })
    compared.transport.connect(peer)
    await settled()
  }
  expect(compared.asked).toEqual(['none', 'others'])
  expect(await compared.warnings()).toEqual([])
})

test('what differs only once, or while the set or the view changes here, is not a difference', async () => {
  const compared = await comparedNode()
  const { transport, yard } = compared
  const view = await currentView(compared)
  let answers = 0
  compared.answer = (set) => {
    answers += 1
    return answers === 1 ? othersAt(compared, set) : viewsAt(compared, set)
  }
  transport.connect('once')
  await settled()
  expect(answers).toBe(2)

  compared.answer = async (set) => {
    const others = await othersAt(compared, set)
    await yard.append({ data: 'meanwhile' })
    return others
  }
  transport.connect('set')
  await settled()

  compared.answer = async (set) => {
    const others = await othersAt(compared, set)
    if (others.views.length > 0) await currentView(compared, 'another')
    return others
  }
  await view.refresh()
  await compared.compare('set')
  const twiceEach = ['once', 'once', 'set', 'set', 'set', 'set']
  await vi.waitFor(() => expect(compared.asked).toEqual(twiceEach))
  await settled()
  expect(compared.lines).toEqual([])
  expect(await compared.warnings()).toEqual([])
})

test('a peer that does not know the question is asked no more while it is connected, and is not cut off', async () => {
  const compared = await comparedNode()
  const { transport, yard } = compared
  const view = await currentView(compared)
  compared.answer = async () => ({ type: 'refused', reason: 'request-invalid' })
  transport.connect('older')
  await settled()
  await yard.append({ data: 3 })
  await view.refresh()
  await compared.compare('older')
  expect(compared.asked).toEqual(['older'])
  expect(transport.cutOffs).toEqual([])
})

test('a peer that refuses, or answers something else, is asked again at the next comparison', async () => {
  const compared = await comparedNode()
  await currentView(compared)
  const answers: readonly DeltaAnswer[] = [
    { type: 'refused', reason: 'busy' },
    { type: 'compared', digests: [] }
  ]
  let asked = 0
  compared.answer = async (request) => answers[asked++] ?? viewsAt(compared, request)
  compared.transport.connect('peer')
  for (let round = 0; round < 5; round += 1) await compared.compare()
  expect(asked).toBe(3)
  expect(compared.transport.cutOffs).toEqual([])
})

test('a peer that has not built a view yet is asked again, until it has', async () => {
  const compared = await comparedNode()
  await currentView(compared)
  compared.answer = async () => ({ type: 'views', views: [] })
  compared.transport.connect('peer')
  await settled()
  await compared.compare()
  expect(await compared.warnings()).toEqual([])
  compared.answer = (request) => othersAt(compared, request)
  await compared.compare()
  expect(await compared.warnings()).toHaveLength(1)
  const { length } = compared.asked
  await compared.compare()
  expect(compared.asked).toHaveLength(length)
})

test('a peer whose answer cannot be read is cut off', async () => {
  const tooMany = Buffer.concat([Buffer.from([4, 0x81, 0x08]), Buffer.alloc(1_025 * 48)])
  for (const rubbish of [Buffer.from('rubbish'), tooMany, Buffer.from([4, 1, 0])]) {
    const compared = await comparedNode()
    await currentView(compared)
    compared.answer = async () => rubbish
    compared.transport.connect('peer')
    await settled()
    expect(compared.transport.cutOffs).toHaveLength(1)
    expect(await compared.warnings()).toEqual([])
  }
})

test('so many views that differ are named, whatever others claim', async () => {
  const compared = await comparedNode()
  await currentView(compared)
  compared.answer = (set) => othersAt(compared, set)
  for (let peer = 0; peer < VIEWS_UNEQUAL_MAX + 5; peer += 1) {
    compared.transport.connect(`p${peer}`)
    await settled()
  }
  const [warning = ''] = await compared.warnings()
  expect(warning.match(/\bp\d+/g)).toHaveLength(VIEWS_UNEQUAL_MAX)
  expect(compared.lines).toHaveLength(VIEWS_UNEQUAL_MAX)
})

test('a peer is asked about one database at a time', async () => {
  const compared = await comparedNode()
  const { node, transport } = compared
  const names = ['a', 'b', 'c']
  for (const name of names) {
    const { database } = await node.createDatabase(name)
    const view = await database.views.define({ name: 'all', map: (_, emit) => emit(1) })
    await view.refresh()
  }
  let underWay = 0
  let most = 0
  compared.answer = async (request) => {
    underWay += 1
    most = Math.max(most, underWay)
    await settled()
    underWay -= 1
    return viewsAt(compared, request)
  }
  transport.connect('peer')
  const digests = names.map((database) => {
    return { database, digest: (node.database(database) as NodeDatabase).digestBytes() }
  })
  const frame = encodeDeltaRequest({ type: 'compare', digests })
  await Promise.all([1, 2].map(() => transport.handlers.requested('peer', frame)))
  for (let round = 0; round < 8; round += 1) await settled()
  expect([compared.asked.length, most]).toEqual([3, 1])
})
