/** `/metrics`: a text that Prometheus can read, with figures that are those of the node. */

import { expect, test } from 'vitest'

import { connect, startNetwork, untilEqual } from '../fixtures/nodes.ts'
import { createHttpServer } from '../../src/http/server.ts'

const SAMPLE = /^[a-z_]+(\{[a-z]+="[^"\\\n]*"(,[a-z]+="[^"\\\n]*")*\})? -?[0-9][0-9.e+-]*$/

test('every figure of /metrics is one line under its help and type, and true', async () => {
  const [a, b] = await startNetwork(2)
  if (a === undefined || b === undefined) throw new Error('two nodes')
  await connect(a, b)
  const { database } = await a.createDatabase('stock')
  await database.append([{ data: 1 }, { data: 2 }])
  await database.append({ data: 3 })
  await untilEqual([a, b], 'stock')
  await b.database('stock').sync()
  await b.database('stock').views.define({
    name: 'twice',
    map: ({ data }, emit) => {
      if (data === 2) throw new Error('two')
      emit(data)
      emit(data)
    }
  })
  await (await b.database('stock').views.get('twice')).refresh()
  await using server = await createHttpServer(b, { port: 0 })
  const answer = await fetch(`${server.url}/metrics`)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const lines = (await answer.text()).trimEnd().split('\n')
  const samples = new Map<string, number>()
  let family = ''
  for (const line of lines) {
    if (line.startsWith('# HELP ')) family = line.split(' ')[2] ?? ''
    else if (line.startsWith('# TYPE ')) expect(line).toMatch(`# TYPE ${family} `)
    else {
      expect(line).toMatch(SAMPLE)
      expect(line.split(/[{ ]/)[0]).toBe(family)
      const at = line.lastIndexOf(' ')
      expect(samples.has(line.slice(0, at))).toBe(false)
      samples.set(line.slice(0, at), Number(line.slice(at + 1)))
    }
  }
  expect(samples.get('laterbase_events{database="stock"}')).toBe(3)
  expect(samples.get('laterbase_commits{database="stock"}')).toBe(2)
  expect(samples.get('laterbase_logs{database="stock"}')).toBe(1)
  expect(samples.get('laterbase_events_missing{database="stock"}')).toBe(0)
  expect(samples.get('laterbase_peers_connected')).toBe(1)
  expect(samples.get('laterbase_peers_equal{database="stock"}')).toBe(1)
  const view = '{database="stock",view="twice"}'
  expect(samples.get(`laterbase_view_rows${view}`)).toBe(4)
  expect(samples.get(`laterbase_view_faults${view}`)).toBe(1)
  expect(samples.get(`laterbase_view_behind_events${view}`)).toBe(0)
  expect(samples.get(`laterbase_view_built_ratio${view}`)).toBe(1)
  expect(samples.get(`laterbase_view_failed${view}`)).toBe(0)
  expect(samples.get('laterbase_clock_wrong')).toBe(0)
  expect(samples.get('laterbase_fetches_total')).toBeGreaterThan(0)
  expect(samples.get('laterbase_peer_bytes_total{direction="in"}')).toBeGreaterThan(0)
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1_000_000)
})

test('/metrics takes no parameters, and is text or nothing', async () => {
  const [node] = await startNetwork(1)
  if (node === undefined) throw new Error('a node')
  await using server = await createHttpServer(node, { port: 0 })
  const status = async (path: string, accept = '*/*'): Promise<number> =>
    (await fetch(`${server.url}${path}`, { headers: { accept } })).status
  expect(await status('/metrics?x=1')).toBe(400)
  expect(await status('/metrics', 'application/json')).toBe(406)
  expect(await status('/metrics', 'application/openmetrics-text;q=0.9,text/plain;q=0.5')).toBe(200)
})
