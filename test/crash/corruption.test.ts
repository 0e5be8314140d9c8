/**
 * Bits rot, files are cut short, lost, or replaced by older ones: a node then has every event again,
 * with a peer's help or without, or says aloud what is wrong. Never silently less, never something
 * else.
 *
 * `CASES=300 npx vitest run test/crash` is the campaign; `SEED=17` runs one case again.
 */

import { cp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'

import { present } from '../../src/core/assert.ts'
import { isLaterbaseError } from '../../src/errors.ts'
import type { Laterbase } from '../../src/index.ts'
import { createLaterbase } from '../../src/index.ts'
import type { Rng } from '../../src/core/clock.ts'
import { allEvents, reconnect, temporaryDirectory } from '../fixtures/nodes.ts'
import { seededRng } from '../property/arbitraries.ts'
import { makeBoxes } from './boxes.ts'
import type { Boxes } from './boxes.ts'

const FILES = {
  'log file': /^databases\/stock\/\d+\.log$/,
  table: /^databases\/stock\/\d+\.ldb$/,
  MANIFEST: /^databases\/stock\/MANIFEST/,
  CURRENT: /^databases\/stock\/CURRENT$/,
  progress: /^databases\/stock\.progress$/,
  marker: /^databases\/stock\.marker$/,
  'node log file': /^node\/\d+\.log$/,
  'node table': /^node\/\d+\.ldb$/,
  'node MANIFEST': /^node\/MANIFEST/,
  'node CURRENT': /^node\/CURRENT$/,
  identity: /^identity\.json$/,
  'network key': /^network\.key$/,
  'stores mark': /^stores\.json$/
} as const

const DAMAGES = ['flip', 'truncate', 'zero', 'delete', 'swap'] as const

interface Case {
  readonly seed: number
  readonly file: keyof typeof FILES
  readonly damage: (typeof DAMAGES)[number]
  /** The process was killed, rather than ended. */
  readonly killed: boolean
  readonly peer: boolean
}

const KINDS = Object.keys(FILES) as (keyof typeof FILES)[]
const COMBINATIONS = KINDS.length * DAMAGES.length

/** Every kind of file with every kind of damage in turn; the rest is drawn. */
function caseOf(seed: number): Case {
  const at = (seed * 7) % COMBINATIONS
  const rng = seededRng(seed)
  return {
    seed,
    file: present(KINDS[at % KINDS.length], 'a kind of file'),
    damage: present(DAMAGES[Math.floor(at / KINDS.length)], 'a kind of damage'),
    killed: rng.fraction() < 0.5,
    peer: rng.fraction() < 0.5
  }
}

/** As the bar has it. */
const HEALED_MS_MAX = 60_000

const SEED = Number(process.env['SEED'] ?? -1)
const CASES = Number(process.env['CASES'] ?? 12)
const SEEDS = SEED >= 0 ? [SEED] : Array.from({ length: CASES }, (_, index) => index)

let boxes: Boxes
let expected: readonly string[]
beforeAll(async () => {
  boxes = await makeBoxes()
  expected = await allEvents(boxes.peer.database('stock'))
})
afterAll(() => boxes.close())

describe('a damaged file is answered by every event or aloud', () => {
  test.each(SEEDS.map(caseOf))(
    '$seed: $file, $damage',
    async (each) => {
      const dir = join(await temporaryDirectory(), 'box')
      await cp(each.killed ? boxes.killed : boxes.ended, dir, { recursive: true })
      const done = await damage(dir, each)
      const outcome = await run(dir, each)
      expect(outcome, `${JSON.stringify(each)}: ${done}`).not.toMatch(/^silent/)
    },
    2 * HEALED_MS_MAX
  )
})

test('a directory with nothing damaged has every event, and nothing to say', async () => {
  for (const [at, from] of [boxes.killed, boxes.ended].entries()) {
    const dir = join(await temporaryDirectory(), `box-${at}`)
    await cp(from, dir, { recursive: true })
    expect(
      await run(dir, { seed: 0, file: 'progress', damage: 'flip', killed: at === 0, peer: false })
    ).toBe('complete')
  }
})

/** What became of a damaged directory; `silent…` is what must not be. */
async function run(dir: string, { peer }: Case): Promise<string> {
  let node: Laterbase
  try {
    const listen = ['/ip4/127.0.0.1/tcp/0']
    node = await createLaterbase({ dir, listen, mdns: false, antiEntropyMs: 500 })
  } catch (error) {
    return isLaterbaseError(error) ? `refused: ${error.code}` : `silent failure: ${String(error)}`
  }
  onTestFinished(() => node.close())
  if (peer && node.invitation() === boxes.peer.invitation()) {
    await reconnect(node, boxes.peer)
    await vi.waitFor(async () => expect(await eventsOf(node)).toEqual(expected), {
      timeout: HEALED_MS_MAX,
      interval: 50
    })
    return 'healed'
  }
  const events = await eventsOf(node)
  const isComplete = JSON.stringify(events) === JSON.stringify(expected)
  const { warnings } = await node.status()
  await node.close()
  if (isComplete) return 'complete'
  const less = `${events.length} of ${expected.length} events`
  return warnings.length > 0 ? `aloud: ${less}: ${warnings.join()}` : `silent: ${less}`
}

async function eventsOf(node: Laterbase): Promise<readonly string[]> {
  return node.databases().includes('stock') ? allEvents(node.database('stock')) : []
}

/** Damages one file of a kind; says what it did. */
async function damage(dir: string, { seed, file, damage: kind }: Case): Promise<string> {
  const rng = seededRng(seed + 1_000)
  const names = (await readdir(dir, { recursive: true })).filter((name) => FILES[file].test(name))
  const sorted = names.toSorted()
  const name = present(sorted[pick(rng, sorted.length)], `a ${file}`)
  const path = join(dir, name)
  const bytes = await readFile(path)
  const at = pick(rng, bytes.length)
  switch (kind) {
    case 'flip':
      bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(rng, 8))
      await writeFile(path, bytes)
      return `${name}: byte ${at}`
    case 'truncate':
      await truncate(path, at)
      return `${name}: ${at} of ${bytes.length} bytes`
    case 'zero':
      bytes.fill(0, at, Math.min(bytes.length, at + 1 + pick(rng, 4_096)))
      await writeFile(path, bytes)
      return `${name}: zeros at ${at}`
    case 'delete':
      await rm(path)
      return `${name}: gone`
    case 'swap': {
      const older = (await readdir(boxes.older, { recursive: true })).filter((each) => {
        return FILES[file].test(each)
      })
      const same = older.find((each) => basename(each) === basename(name))
      const other = present(same ?? older[0], `an older ${file}`)
      await writeFile(path, await readFile(join(boxes.older, other)))
      return `${name}: as ${other} was`
    }
  }
}

function pick(rng: Rng, below: number): number {
  return Math.floor(rng.fraction() * below)
}
