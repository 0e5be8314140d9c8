/**
 * Mutants of everything that peers send: into the decoders, in a process of its own, and into the
 * streams of real nodes. `CASES` and `ROUNDS` make it longer, `SEED` replays it.
 */

import { allEvents, connect, startNetwork, until, untilEqual } from '../fixtures/nodes.ts' // First.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'

import { buildScript } from '../../scripts/lan/build.ts'
import { createPrng } from '../../scripts/simulate/prng.ts'
import { mutantMember } from '../fixtures/mutant-member.ts'
import { DATABASE } from '../property/arbitraries.ts'
import { databaseOf, forests } from '../property/forest.ts'

const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const ROUNDS = Number(process.env['ROUNDS'] ?? 6)
const CASES = process.env['CASES'] ?? '20000'

test('no bytes break a decoder, what decodes encodes to the same bytes, and nothing is kept', async () => {
  const script = await buildScript('scripts/fuzz/main.ts')
  const env = { ...process.env, CASES, SEED: String(SEED) }
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script], { env })
  const report = JSON.parse(stdout) as { accepted: Record<string, number>; isFlat: boolean }
  expect(report.isFlat).toBe(true)
  // A decoder that refuses everything would pass the rest.
  expect(Object.values(report.accepted)).toHaveLength(8)
}, 600_000)

test(`members that mutate requests and answers harm nobody, and honest peers go on (seed ${SEED})`, async () => {
  const prng = createPrng(SEED)
  const [a, b] = await startNetwork(2, { antiEntropyMs: 200 })
  if (a === undefined || b === undefined) throw new Error('two nodes')
  await connect(b, a)
  const { database } = await a.createDatabase(DATABASE)
  await until(() => b.databases().includes(DATABASE))
  const theirs = fc.sample(forests(), { seed: SEED, numRuns: 1 })[0] ?? []
  const store = await databaseOf(theirs)
  await store.append(Array.from({ length: 20 }, (_, data) => ({ data })))
  const offered = new Set(await allEvents(store))
  const victim = { invitation: a.invitation(), database: store, prng }
  const address = a.addresses()[0] ?? ''
  await using asking = await mutantMember(address, { ...victim, mutants: 0 })
  for (let round = 0; round < ROUNDS; round += 1) {
    await using answering = await mutantMember(address, { ...victim, mutants: 0.7 })
    for (const node of [a, b]) {
      const { results } = await node.database(DATABASE).append({ data: { round, on: node.peerId } })
      expect(results).toMatchObject([{ status: 'created' }])
    }
    const { answered, reset } = await asking.ask(15)
    expect(answered + reset).toBe(15)
    await database.sync()
    // It is cut off for the first mutant that is no answer, so some of these never come.
    await until(() => answering.answers() > 2 || answering.connection.status !== 'open')
  }
  await untilEqual([a, b], DATABASE)
  const held = (await allEvents(database)).filter((text) => !text.includes('"round"'))
  for (const text of held) expect(offered).toContain(text)
  expect((await allEvents(b.database(DATABASE))).length - held.length).toBe(2 * ROUNDS)
  expect((await a.status()).peers.map(({ peer }) => peer)).toContain(b.peerId)
  expect(asking.connection.status).toBe('open')
}, 300_000)
