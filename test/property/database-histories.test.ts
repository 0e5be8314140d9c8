/**
 * Any history of a database: whatever was done before, it answers as the plain model does. How many
 * histories is said by `MODEL_RUNS`.
 */

import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'

import { createMemoryStore } from '../../src/store/memory-store.ts'
import { systemHasher } from '../../src/node/system.ts'
import { createFolder, openAt } from '../conformance/stores.ts'
import { DATABASE, seededRng } from './arbitraries.ts'
import { databaseCommands, expectReplica } from './database-commands.ts'
import type { RealDatabase } from './database-commands.ts'
import { DatabaseModel } from './database-model.ts'
import { OWNER_SIGNER, databaseOn, forests, steppingClock } from './forest.ts'

const RUNS = Number(process.env['MODEL_RUNS'] ?? 60)
const COMMANDS_MAX = 100
/** Disks are slower, and their store is compared with the one in memory elsewhere. */
const DISK_SHARE = 1 / 20
const OWNER = { database: DATABASE, publicKey: OWNER_SIGNER.publicKey }

const folder = createFolder()
afterEach(() => folder.remove())

const histories = fc.tuple(forests(20), databaseCommands(COMMANDS_MAX))
type Setup = Pick<RealDatabase, 'database' | 'reopen'>

async function runAll(numRuns: number, open: () => Promise<Setup>): Promise<void> {
  let commands = 0
  await fc.assert(
    fc.asyncProperty(histories, async ([forest, history]) => {
      const model = new DatabaseModel()
      const real: RealDatabase = Object.assign(await open(), { forest })
      try {
        await fc.asyncModelRun(() => ({ model, real }), history)
        await expectReplica(model, real.database)
      } finally {
        await real.database.close()
      }
      commands += model.handed.length
    }),
    { numRuns }
  )
  expect(commands).toBeGreaterThan(0)
}

test('whatever is done to a database in memory, it answers as the model does', async () => {
  await runAll(RUNS, async () => {
    const [rng, clock] = [seededRng(5), steppingClock()]
    const store = createMemoryStore({ owner: OWNER, hasher: systemHasher, rng })
    const setup: Setup = {
      database: databaseOn(store, { rng, clock }),
      // What is in memory outlives its node only here: the node begins anew on the same store.
      reopen: async () => {
        setup.database = databaseOn(store, { rng, clock })
      }
    }
    return setup
  })
}, 3_600_000)

test('whatever is done to a database on disk, it answers as the model does, reopened too', async () => {
  await runAll(Math.ceil(RUNS * DISK_SHARE), async () => {
    const location = await folder.next()
    const [rng, clock] = [seededRng(6), steppingClock()]
    const setup: Setup = {
      database: databaseOn(await openAt(location, OWNER), { rng, clock }),
      reopen: async () => {
        await setup.database.close()
        setup.database = databaseOn(await openAt(location, OWNER, false), { rng, clock })
      }
    }
    return setup
  })
}, 3_600_000)
