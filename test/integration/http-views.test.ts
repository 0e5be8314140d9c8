/** Asking views over HTTP: every parameter, in the URL and in a body, and how an answer looks. */

import assert from 'node:assert/strict'

import { test } from 'vitest'

import type { TypedEvent } from '../../src/index.ts'
import { ask, type Body, post } from '../fixtures/http-server.ts'
import { brief, serveStock } from '../fixtures/served-views.ts'

test('a map answers its rows with the events that they are of, their number and offset', async () => {
  await using served = await serveStock()
  const answer = await served.get('pallets')
  const { total_rows, offset, rows, lc, digest, ...others } = answer.json()
  assert.deepEqual([total_rows, offset, others], [4, 0, {}])
  assert.deepEqual(
    rows.map((row: Body) => row.key),
    [
      ['A1', 2],
      ['A1', 48],
      ['B1', 5],
      ['C1', 7]
    ]
  )
  for (const row of rows) {
    assert.deepEqual(Object.keys(row), ['id', 'key', 'value'])
    const event = (await ask(`${served.events}/${row.id}`)).json()
    assert.deepEqual([event.data.zone, event.data.qty], row.key)
  }
  const written = await post(served.events, { data: { zone: 'D1', qty: 1 } })
  assert.notEqual(lc, written.json().lc)
  const after = (await served.get('pallets')).json()
  assert.equal(after.lc, written.json().lc, 'the cursor of an answer is that of the feed')
  assert.notEqual(after.digest, digest)
})

test('a reduce answers one row, or a row a group, and no numbers of rows', async () => {
  await using served = await serveStock()
  const whole = (await served.get('stock')).json()
  assert.deepEqual(Object.keys(whole), ['rows', 'lc', 'digest'])
  assert.deepEqual(whole.rows, [{ key: null, value: 62 }])
  assert.deepEqual(await served.rows('stock?group=true'), [
    { key: 'A1', value: 50 },
    { key: 'B1', value: 5 },
    { key: 'C1', value: 7 }
  ])
  const ungrouped = await served.get('stock?reduce=false')
  assert.deepEqual([ungrouped.json().total_rows, ungrouped.json().rows.length], [4, 4])
})

test('each parameter of CouchDB does what it does there', async () => {
  await using served = await serveStock()
  const [a2, a48, b5, c7] = [
    ['A1', 2],
    ['A1', 48],
    ['B1', 5],
    ['C1', 7]
  ]
  const pallets: readonly (readonly [query: string, keys: unknown])[] = [
    ['key=["A1",48]', [a48]],
    ['key=["Z9",1]', []],
    ['keys=[["C1",7],["A1",2]]', [c7, a2]],
    ['startkey=["A1",48]', [a48, b5, c7]],
    ['start_key=["B1"]', [b5, c7]],
    ['endkey=["B1",5]', [a2, a48, b5]],
    ['end_key=["B1",5]&inclusive_end=false', [a2, a48]],
    ['startkey=["A1"]&endkey=["A1",{}]', [a2, a48]],
    ['descending=true', [c7, b5, a48, a2]],
    ['descending=true&startkey=["B1",5]&endkey=["A1",48]', [b5, a48]],
    ['limit=2', [a2, a48]],
    ['limit=0', []],
    ['skip=3', [c7]],
    ['limit=1&skip=1&descending=true', [b5]],
    ['startkey=null', [a2, a48, b5, c7]],
    ['endkey=null', []],
    ['reduce=false', [a2, a48, b5, c7]],
    ['include_events=false&update=lazy', [a2, a48, b5, c7]]
  ]
  for (const [query, keys] of pallets) {
    const rows = await served.rows(`pallets?${query}`)
    assert.deepEqual(
      rows.map(({ key }: Body) => key),
      keys,
      query
    )
  }
  const stock: readonly (readonly [query: string, rows: unknown])[] = [
    ['reduce=true', [[null, 62]]],
    ['key="A1"', [[null, 50]]],
    ['key="A1"&group=true', [['A1', 50]]],
    [
      'keys=["C1","A1"]&group=true',
      [
        ['C1', 7],
        ['A1', 50]
      ]
    ],
    [
      'group_level=1&startkey="B"',
      [
        ['B1', 5],
        ['C1', 7]
      ]
    ],
    ['group=true&descending=true&limit=1', [['C1', 7]]],
    ['group=false', [[null, 62]]],
    ['group_level=0', [[null, 62]]]
  ]
  for (const [query, rows] of stock) {
    assert.deepEqual(brief(await served.rows(`stock?${query}`)), rows, query)
  }
})

test('the offset is that of the first row among all', async () => {
  await using served = await serveStock()
  const { total_rows, offset } = (await served.get('pallets?startkey=["B1"]&limit=1')).json()
  assert.deepEqual([total_rows, offset], [4, 2])
})

test('include_events adds to each row its event, as a read of it answers', async () => {
  await using served = await serveStock()
  for (const row of await served.rows('pallets?include_events=true')) {
    assert.deepEqual(row.event, (await ask(`${served.events}/${row.id}`)).json())
  }
})

test('the same parameters may stand in a body, for more keys than a URL holds', async () => {
  await using served = await serveStock()
  const url = `${served.url}/db/depot/v/stock`
  const keys = [...Array.from({ length: 5_000 }, (_, n) => `none ${n}`), 'B1', 'A1']
  const answer = await post(url, { keys, group: true, update: true, limit: 10 })
  assert.equal(answer.status, 200, answer.text)
  assert.deepEqual(brief(answer.json().rows), [
    ['B1', 5],
    ['A1', 50]
  ])
  const mixed = await post(`${url}?group=true`, { startkey: null, endkey: 'B', update: 'lazy' })
  assert.deepEqual(brief(mixed.json().rows), [['A1', 50]])
  const twice = await post(`${url}?group=true`, { group: true })
  assert.deepEqual([twice.status, twice.json().code], [400, 'ambiguous-query'])
  assert.equal(twice.json().parameter, 'group')
  const empty = await post(url, {})
  assert.deepEqual(brief(empty.json().rows), [[null, 62]])
})

test('as_of answers what had happened by then, whenever it was written', async () => {
  await using served = await serveStock()
  const at = (time: string): Promise<Body> => served.rows(`stock?key="A1"&as_of=2026-11-02T${time}`)
  assert.deepEqual(brief(await at('07:59:59Z')), [[null, 48]])
  assert.deepEqual(brief(await at('08:00:00Z')), [[null, 50]], 'inclusive')
  assert.deepEqual(brief(await at('09:00:00+01:00')), [[null, 50]], 'a plus sign is read as meant')
  await served.receive(['06:30', 'A1', 100])
  assert.deepEqual(brief(await at('07:59:59Z')), [[null, 148]])
  const [{ id }] = await served.rows('pallets?limit=1')
  assert.deepEqual(brief(await served.rows(`stock?key="A1"&as_of=${id}`)), [[null, 150]])
})

test('known_at answers what had been recorded by then, also together with as_of', async () => {
  await using served = await serveStock()
  const { lc } = (await served.get('stock')).json()
  const { recorded } = (await ask(`${served.events}?lc=0`)).json().results.at(-1)
  await served.database.append({ data: { zone: 'A1', qty: 1_000 }, type: 'now' })
  await served.receive(['06:30', 'A1', 100])
  assert.deepEqual(brief(await served.rows('stock')), [[null, 1_162]])
  for (const known of [recorded, lc]) {
    assert.deepEqual(brief(await served.rows(`stock?known_at=${known}`)), [[null, 62]], known)
  }
  const past = 'as_of=2026-11-02T06:45:00Z'
  assert.deepEqual(brief(await served.rows(`stock?${past}`)), [[null, 148]])
  assert.deepEqual(brief(await served.rows(`stock?${past}&known_at=${recorded}`)), [[null, 48]])
})

test('explain names the events of each row, who recorded them, and how late', async () => {
  await using served = await serveStock()
  const [a1] = await served.rows('stock?group=true&explain=true')
  assert.deepEqual([a1.key, a1.value, a1.events.length], ['A1', 50, 2])
  for (const cause of a1.events) {
    assert.equal(cause.peer, served.node.peerId)
    const event = (await ask(`${served.events}?keys=${cause.key}`)).json().results[0]
    assert.deepEqual([cause.recorded, cause.log, cause.seq], [event.recorded, event.log, event.seq])
    assert.equal(cause.late_ms, Date.parse(cause.recorded) - Date.parse(cause.time))
  }
  await served.receive(...Array.from({ length: 150 }, () => ['10:00', 'A1', 1] as const))
  const [many] = await served.rows('stock?key="A1"&explain=true')
  assert.deepEqual([many.events.length, many.more_events], [100, true])
})

test('the short address is the same view, names the long one, and never means anything else', async () => {
  await using served = await serveStock()
  const short = await ask(`${served.url}/depot/stock?group=true`)
  const long = await served.get('stock?group=true')
  assert.equal(short.text, long.text)
  assert.equal(short.headers['content-location'], '/db/depot/v/stock?group=true')
  assert.equal(short.headers.etag, long.headers.etag)
  const posted = await post(`${served.url}/depot/stock`, { key: 'B1' })
  assert.deepEqual(brief(posted.json().rows), [[null, 5]])
  const others: readonly (readonly [path: string, status: number, code: string])[] = [
    ['/depot/none', 404, 'view-unknown'],
    ['/none/stock', 404, 'database-unknown'],
    ['/db/stock', 404, 'database-unknown'],
    ['/_up/stock', 404, 'route-unknown'],
    ['/_depot/stock', 404, 'route-unknown'],
    ['/Depot/stock', 404, 'route-unknown'],
    ['/depot/_def', 404, 'route-unknown'],
    ['/depot/stock/', 404, 'route-unknown'],
    ['/depot/stock/_def', 404, 'route-unknown'],
    ['/depot', 404, 'route-unknown']
  ]
  for (const [path, status, code] of others) {
    const answer = await ask(served.url + path)
    assert.deepEqual([answer.status, answer.json().code], [status, code], path)
  }
  for (const [method, allow] of [
    ['PUT', 'GET, HEAD, OPTIONS, POST'],
    ['DELETE', 'GET, HEAD, OPTIONS, POST']
  ] as const) {
    const refused = await ask(`${served.url}/depot/stock`, { method })
    assert.deepEqual([refused.status, refused.headers['allow']], [405, allow])
  }
})

test('HEAD answers what GET does, but for the body', async () => {
  await using served = await serveStock()
  const full = await served.get('stock?group=true')
  const head = await ask(`${served.url}/db/depot/v/stock?group=true`, { method: 'HEAD' })
  assert.deepEqual([head.status, head.text], [200, ''])
  for (const name of ['etag', 'content-type', 'content-length', 'laterbase-lc']) {
    assert.equal(head.headers[name], full.headers[name], name)
  }
})

test('an answer is not sent again to who has its rows, though events came that change none', async () => {
  await using served = await serveStock()
  const first = await served.get('stock?key="A1"')
  const condition = { 'if-none-match': String(first.headers.etag) }
  assert.match(String(first.headers.etag), /^W\/"[0-9a-f]{32}"$/)
  assert.equal(first.headers['cache-control'], 'no-cache')
  const same = await served.get('stock?key="A1"', condition)
  assert.deepEqual([same.status, same.text], [304, ''])
  assert.equal(same.headers.etag, first.headers.etag)
  await served.receive(['10:00', 'B1', 1])
  const unrelated = await served.get('stock?key="A1"', condition)
  assert.equal(unrelated.status, 304)
  assert.notEqual(unrelated.headers['laterbase-lc'], first.headers['laterbase-lc'])
  assert.equal((await served.get('stock', condition)).status, 200, 'another question')
  await served.receive(['05:00', 'A1', 1])
  const changed = await served.get('stock?key="A1"', condition)
  assert.deepEqual(brief(changed.json().rows), [[null, 51]])
  assert.equal((await served.get('stock', { 'if-none-match': '*' })).status, 304)
})

test('a view whose functions fail for events says that it is degraded, and lists them', async () => {
  await using served = await serveStock()
  await post(served.events, [
    { type: 'note', data: null },
    { type: 'note', data: null }
  ])
  const { degraded, faults, rows } = (await served.get('stock')).json()
  assert.deepEqual([degraded, faults, brief(rows)], [true, 2, [[null, 62]]])
  const info = (await served.get('stock/_info')).json()
  assert.equal(info.faults, 2)
  assert.equal(info.last_faults.length, 2)
  assert.match(info.last_faults[0].fault, /null/)
})

test('a row whose value cannot be made says why, and the others are as they are', async () => {
  await using served = await serveStock()
  const { views } = served.database
  type Pallet = TypedEvent<{ zone: string; qty: number }>
  await views.define({
    name: 'last',
    key: ({ data }: Pallet) => data.zone,
    initial: () => 0,
    apply: (_, { data }) => data.qty,
    final: (qty) => {
      if (qty === 5) throw new Error('not five')
      return qty
    }
  })
  await views.define({
    name: 'reduced',
    map: ({ data }: Pallet, emit) => emit(data.zone, data.qty),
    reduce: (_keys, values) => {
      if (values.includes(5)) throw new Error('not five')
      return values.length
    }
  })
  for (const name of ['last', 'reduced']) {
    const { rows, degraded, faults } = (await served.get(`${name}?group=true`)).json()
    assert.deepEqual([degraded, faults, rows.length], [true, 1, 3])
    const [broken] = rows.filter(({ value }: Body) => value === null)
    assert.equal(broken.key, 'B1')
    assert.match(broken.fault, /not five/)
    assert.equal(rows.filter(({ fault }: Body) => fault !== undefined).length, 1)
  }
})

test('a fold answers a state for each aggregate, and what it was', async () => {
  await using served = await serveStock()
  await served.database.views.define<{ zone: string; qty: number }, number[], string>({
    name: 'arrivals',
    key: ({ data }) => data.zone,
    initial: () => [],
    apply: (all, { data }) => [...all, data.qty],
    final: (all) => all.join(' then ')
  })
  const whole = await served.get('arrivals')
  assert.equal(whole.status, 200, whole.text)
  assert.deepEqual(Object.keys(whole.json()), ['rows', 'lc', 'digest'])
  const cases: readonly (readonly [query: string, rows: unknown])[] = [
    [
      '',
      [
        ['A1', '48 then 2'],
        ['B1', '5'],
        ['C1', '7']
      ]
    ],
    ['?key="A1"', [['A1', '48 then 2']]],
    [
      '?keys=["C1","A1"]&group=true',
      [
        ['C1', '7'],
        ['A1', '48 then 2']
      ]
    ],
    ['?startkey="B"&limit=1', [['B1', '5']]],
    ['?descending=true&skip=2', [['A1', '48 then 2']]],
    [
      '?as_of=2026-11-02T07:30:00Z',
      [
        ['A1', '48'],
        ['B1', '5']
      ]
    ]
  ]
  for (const [query, rows] of cases) {
    assert.deepEqual(brief(await served.rows(`arrivals${query}`)), rows, query)
  }
  await served.receive(['07:59', 'A1', 9])
  const [late] = await served.rows('arrivals?key="A1"&explain=true')
  assert.deepEqual([late.value, late.events.length], ['48 then 9 then 2', 3])
  for (const query of ['reduce=false', 'group_level=1', 'include_events=true']) {
    const refused = await served.get(`arrivals?${query}`)
    assert.deepEqual([refused.status, refused.json().code], [400, 'argument-invalid'], query)
  }
  assert.equal((await served.get('arrivals/_info')).json().type, 'fold')
})

test('what is known of views is listed, sorted by name', async () => {
  await using served = await serveStock()
  await served.get('stock')
  const list = await ask(`${served.url}/db/depot/v`)
  const { views } = list.json()
  assert.deepEqual(
    views.map(({ name, type, origin, reduce }: Body) => [name, type, origin, reduce]),
    [
      ['pallets', 'map', 'library', undefined],
      ['stock', 'map', 'library', '_sum']
    ]
  )
  const info = (await served.get('stock/_info')).json()
  assert.deepEqual(info, views[1])
  assert.deepEqual([info.state, info.behind, info.rows, info.faults], ['ready', 0, 4, 0])
  assert.match(info.hash, /^[0-9a-f]{64}$/)
  assert.equal((await ask(`${served.url}/db/depot/v?x=1`)).status, 400)
  assert.equal((await served.get('none/_info')).json().code, 'view-unknown')
})
