/**
 * Clocks that are wrong, on real processes under libfaketime: 1970 at boot, decades ahead, set while
 * the box runs, forward and back. Recorded times rise in every log all the same, no key comes twice,
 * nothing is refused on the way to other boxes, and the status names whose clock it is.
 */

import { readdirSync, existsSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'

import { createPrng } from '../../scripts/simulate/prng.ts'
import { systemHasher, systemRng } from '../../src/node/system.ts'
import { openLevelStore } from '../../src/store/level-store.ts'
import { buildCli } from '../fixtures/build.ts'
import { scratch } from '../fixtures/cli.ts'
import { until } from '../fixtures/nodes.ts'
import { Box, joinBoxes } from './box.ts'
import { report, seeds, SIZES } from './sizes.ts'

const DATABASE = 'stock'
const library = fakeTimeLibrary()
const skip = SIZES.clockRounds === 0 || (library === undefined && process.env['CI'] === undefined)
if (SIZES.clockRounds > 0 && skip) console.warn('clocks: SKIPPED: libfaketime is missing')

/** libfaketime's way to say when it is: a time for the start, or a distance from the true one. */
const BOOT_1970 = '@1970-01-01 00:00:30'
const SETTINGS = ['+0s', '-3h', '+3h', '+30y', '-10y', '+4m', '-4m']

beforeAll(async () => {
  if (!skip) await buildCli()
}, 180_000)

function fakeTimeLibrary(): string | undefined {
  const folders = existsSync('/usr/lib') ? readdirSync('/usr/lib') : []
  return folders
    .map((folder) => join('/usr/lib', folder, 'faketime/libfaketime.so.1'))
    .find((file) => existsSync(file))
}

/** A box whose clock a test sets, while it runs too. */
class ClockBox extends Box {
  readonly #file: string

  constructor(name: string, root: string, boxes: readonly Box[]) {
    const file = join(root, `${name}.time`)
    super({
      name,
      dir: join(root, name),
      peers: () => boxes,
      env: {
        LD_PRELOAD: library ?? '',
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: '1',
        // Waits and deadlines are of the monotonic clock, which no NTP sets.
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
        DONT_FAKE_MONOTONIC: '1'
      }
    })
    this.#file = file
  }

  /** Put there whole: the process reads it whenever it asks for the time. */
  async setClock(setting: string): Promise<void> {
    await writeFile(`${this.#file}.new`, `${setting}\n`)
    await rename(`${this.#file}.new`, this.#file)
  }
}

async function write(boxes: readonly Box[], commits: number, keys: Set<string>): Promise<void> {
  for (let commit = 0; commit < commits; commit += 1) {
    for (const box of boxes) {
      const n = keys.size
      const results = await box.append(DATABASE, [{ data: { n } }, { data: { n: n + 1 } }])
      for (const { key, status } of results) {
        expect(status).toBe('created')
        expect(keys.has(key), `key ${key} was given twice`).toBe(false)
        keys.add(key)
      }
    }
  }
}

async function untilEqual(boxes: readonly Box[], events: number): Promise<void> {
  await until(async () => {
    const databases = await Promise.all(boxes.map((box) => box.database(DATABASE)))
    const isEqual = new Set(databases.map((database) => database?.digest)).size === 1
    return isEqual && databases[0]?.events === events
  })
}

/** Reads the stores of boxes that are stopped; how many commits there are. */
async function expectRisingStamps(box: Box): Promise<number> {
  const store = await openLevelStore({
    location: join(box.init.dir, 'databases', DATABASE),
    owner: { database: DATABASE, publicKey: new Uint8Array(32) },
    create: false,
    hasher: systemHasher,
    rng: systemRng
  })
  let count = 0
  try {
    for (const log of store.logs()) {
      const commits = await store.commits(log, 0, 100_000)
      for (const [index, commit] of commits.entries()) {
        const before = commits[index - 1]
        if (before !== undefined) expect(commit.recorded).toBeGreaterThan(before.recorded)
      }
      count += commits.length
    }
  } finally {
    await store.close()
  }
  return count
}

test.skipIf(skip)(
  'whatever clocks show, recorded times rise, keys are new, all are equal, and the wrong one is named',
  async () => {
    expect(library).toBeDefined()
    const [seed = 1] = seeds(1)
    const prng = createPrng(seed)
    await using dir = await scratch()
    const boxes: ClockBox[] = []
    for (const name of ['right', 'well', 'dud', 'poisoner']) {
      boxes.push(new ClockBox(name, dir.path, boxes))
    }
    const [right, well, dud, poisoner] = boxes
    if (!right || !well || !dud || !poisoner) throw new Error('four boxes')
    for (const box of boxes) await box.setClock('+0s')
    await dud.setClock(BOOT_1970)
    await poisoner.setClock('+60y')
    try {
      await joinBoxes(boxes)
      for (const box of boxes) await box.start()
      await right.createDatabase(DATABASE)
      await until(async () =>
        (await Promise.all(boxes.map((box) => box.digest(DATABASE)))).every(Boolean)
      )
      const keys = new Set<string>()
      await write(boxes, 3, keys)
      await untilEqual(boxes, keys.size)

      const seen = await right.status()
      expect(seen.clock.own).toBe('right')
      expect(seen.clock.ahead.map(({ peer }) => peer)).toEqual([poisoner.peerId])
      expect(seen.warnings.join()).toContain(`the clock of ${poisoner.peerId} runs ahead`)
      expect((await dud.status()).clock.own).toBe('unset')
      const metrics = await right.metrics()
      const ahead = metrics.get(`laterbase_clock_ahead_seconds{peer="${poisoner.peerId}"}`)
      expect(ahead).toBeGreaterThan(59 * 365 * 86_400)

      // A battery that says last year: not absurd in itself, but all the others are ahead.
      await dud.setClock('-200d')
      await write([right, well, dud], 1, keys)
      await untilEqual(boxes, keys.size)
      expect((await dud.status()).clock.own).toBe('behind')

      // Clocks are set while boxes run, and while they are down.
      for (let round = 0; round < SIZES.clockRounds * 3; round += 1) {
        const box = prng.pick([dud, poisoner, well]) ?? dud
        if (prng.fraction() < 0.4) {
          await box.end(prng.fraction() < 0.5 ? 'SIGKILL' : 'SIGTERM')
          await box.setClock(prng.pick([...SETTINGS, BOOT_1970]) ?? '+0s')
          await box.start()
        } else {
          await box.setClock(prng.pick(SETTINGS) ?? '+0s')
        }
        await write(boxes, 1, keys)
      }
      await untilEqual(boxes, keys.size)
      // Nobody was cut off for what its clock said: that would last longer than is waited here.
      await until(async () => {
        const statuses = await Promise.all(boxes.map((box) => box.status()))
        return statuses.every(({ peers }) => peers.length === boxes.length - 1)
      })
      let commits = 0
      for (const box of boxes) {
        await box.end('SIGTERM')
        commits += await expectRisingStamps(box)
      }
      report('R16', { seed, boxes: boxes.length, keys: keys.size, 'commits looked at': commits })
    } finally {
      for (const box of boxes) await box[Symbol.asyncDispose]()
    }
  },
  60_000 + SIZES.clockRounds * 60_000
)
