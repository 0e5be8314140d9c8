/**
 * Five boxes for minutes: writers, readers, links that are slow and break, boxes that are killed and
 * come back, that stop for a while and go on. At the rests between, all are equal, and memory,
 * sockets and timers are what they were at the first rest.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'

import { LinkRouter, NO_FAULTS } from '../../scripts/fleet/link-router.ts'
import { createPrng } from '../../scripts/simulate/prng.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { present } from '../../src/core/assert.ts'
import { scratch } from '../fixtures/cli.ts'
import { until } from '../fixtures/nodes.ts'
import { Box, joinBoxes } from './box.ts'
import { FeedReader, Load } from './load.ts'
import { report, seeds, SIZES } from './sizes.ts'

const DATABASE = 'stock'
const BOXES = ['a', 'b', 'c', 'd', 'e']
/** The last two are killed and restarted; what is measured over time are processes that stay. */
const CHURNED = 2
const RESTS = 4
const MINUTE_MS = 60_000
/** How long a rest is at least, ms: for what ends by itself. */
const REST_MS = 4_000
/** Growth of what JavaScript holds between the first and the last rest. */
const HEAP_GROWTH_BYTES_MAX = 16 * 1_048_576
const RESOURCES_GROWTH_MAX = 12

interface Sample {
  readonly heapBytes: number
  /** Grows with the store's caches, to their limits, and with the files that LevelDB maps: reported only. */
  readonly rssBytes: number
  /** Of it, what is no mapped file, which the system takes back where it is short. */
  readonly ownBytes: number
  readonly sockets: number
  readonly timers: number
  readonly files: number
}

async function sample(box: Box): Promise<Sample> {
  const metrics = await box.metrics()
  // What is not measured does not grow: a metric that is gone would let everything pass.
  const metric = (name: string): number => present(metrics.get(name), name)
  const resources = (type: string): number => metric(`nodejs_active_resources{type="${type}"}`)
  return {
    heapBytes: metric('nodejs_heap_size_used_bytes'),
    rssBytes: metric('process_resident_memory_bytes'),
    ownBytes: await anonymousBytes(box.pid),
    sockets: resources('TCPSocketWrap'),
    timers: resources('Timeout'),
    files: metric('process_open_fds')
  }
}

async function anonymousBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const kibibytes = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]
  return Number(present(kibibytes, 'RssAnon')) * 1_024
}

/** One thing that happens to the fleet, and is over when this resolves. */
async function disturb(boxes: readonly Box[], router: LinkRouter, prng: Prng): Promise<void> {
  const staying = boxes.slice(0, -CHURNED)
  switch (prng.integer(1, 4)) {
    case 1: {
      const box = prng.pick(boxes.slice(-CHURNED))
      await box?.end(prng.fraction() < 0.7 ? 'SIGKILL' : 'SIGTERM')
      await pause(prng.integer(0, 2_000))
      await box?.start()
      return
    }
    case 2: {
      const box = prng.pick(staying)
      box?.signal('SIGSTOP')
      await pause(prng.integer(500, 6_000))
      box?.signal('SIGCONT')
      return
    }
    case 3: {
      const [one, other] = [prng.pick(boxes), prng.pick(boxes)]
      if (one === undefined || other === undefined || one === other) return
      if (prng.fraction() < 0.5) router.cut(one.init.name, other.init.name)
      else router.freeze(one.init.name, other.init.name)
      await pause(prng.integer(500, 5_000))
      router.healAll()
      return
    }
    default:
      router.breakAll()
      await pause(prng.integer(100, 1_000))
  }
}

async function untilEqual(boxes: readonly Box[]): Promise<void> {
  await until(async () => {
    const digests = await Promise.all(boxes.map((box) => box.digest(DATABASE)))
    return digests[0] !== undefined && new Set(digests).size === 1
  })
}

test.skipIf(SIZES.soakMinutes === 0)(
  'minutes of load, churn, stops and broken links leave all equal, and nothing grown',
  async () => {
    const [seed = 1] = seeds(1)
    const prng = createPrng(Math.imul(seed, 0x9e3779b1))
    await using dir = await scratch()
    await using router = await LinkRouter.start(seed)
    const boxes: Box[] = []
    for (const name of BOXES) {
      const place = { name, dir: join(dir.path, name), router, peers: () => boxes }
      boxes.push(new Box({ ...place, collectsGarbage: true }))
    }
    const staying = boxes.slice(0, -CHURNED)
    const readers = staying.map((box) => new FeedReader(box, DATABASE))
    const rests: Sample[][] = []
    const acknowledged = new Set<string>()
    try {
      await joinBoxes(boxes)
      for (const box of boxes) await box.start()
      await boxes[0]?.createDatabase(DATABASE)
      for (let rest = 0; rest < RESTS; rest += 1) {
        const load = new Load(DATABASE, prng)
        for (const box of boxes) load.add(box)
        router.faults = { delayMsMax: 4, stallShare: 0.005, stallMsMax: 500, breakShare: 0.0005 }
        const endMs = performance.now() + (SIZES.soakMinutes * MINUTE_MS) / RESTS
        while (performance.now() < endMs) {
          await disturb(boxes, router, prng)
          for (const reader of readers) await reader.read()
        }
        await load.stop()
        for (const key of load.acknowledged.keys()) acknowledged.add(key)
        router.faults = NO_FAULTS
        await untilEqual(boxes)
        await pause(REST_MS)
        rests.push(await Promise.all(staying.map(sample)))
      }
      const held = await boxes[0]?.feed(DATABASE)
      const keys = new Set(held?.map(({ key }) => key))
      expect([...acknowledged].filter((key) => !keys.has(key))).toEqual([])
      for (const reader of readers) {
        await reader.read()
        expect(reader.seen.size).toBe(held?.length)
      }
      const of = (pick: (each: Sample) => number): string =>
        rests.map((each) => Math.max(...each.map(pick))).join(' ')
      report('R12', {
        minutes: SIZES.soakMinutes,
        events: keys.size,
        'heap MiB at rests': of(({ heapBytes }) => Math.round(heapBytes / 1_048_576)),
        'resident MiB': of(({ rssBytes }) => Math.round(rssBytes / 1_048_576)),
        'of its own': of(({ ownBytes }) => Math.round(ownBytes / 1_048_576)),
        sockets: of(({ sockets }) => sockets),
        timers: of(({ timers }) => timers),
        files: of(({ files }) => files)
      })
      for (const [index] of staying.entries()) {
        const [first, last] = [rests[0]?.[index], rests.at(-1)?.[index]]
        if (first === undefined || last === undefined) throw new Error('there were rests')
        expect(last.heapBytes - first.heapBytes).toBeLessThan(HEAP_GROWTH_BYTES_MAX)
        expect(last.sockets - first.sockets).toBeLessThan(RESOURCES_GROWTH_MAX)
        expect(last.timers - first.timers).toBeLessThan(RESOURCES_GROWTH_MAX)
      }
    } finally {
      // A process that is stopped does not end.
      for (const box of boxes) if (box.isUp) box.signal('SIGCONT')
      for (const box of boxes) await box[Symbol.asyncDispose]()
    }
  },
  (SIZES.soakMinutes + 4) * MINUTE_MS
)
