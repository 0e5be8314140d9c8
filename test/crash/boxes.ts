/**
 * A box whose data directory is to be damaged, in the states in which a disk can be found, and the
 * peer that has everything. Its store has tables and a log file, events into the past, events that
 * both boxes wrote, and keys with several contents.
 */

import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { vi } from 'vitest'

import { createLaterbase } from '../../src/index.ts'
import type { Database, EventInput, Laterbase } from '../../src/index.ts'
import { readProgress } from '../../src/store/store-progress.ts'
import { reconnect } from '../fixtures/nodes.ts'

export interface Boxes {
  /** Running, with every event. */
  readonly peer: Laterbase
  /** Directories of the box: after an orderly end, as a kill leaves it, and as it was before. */
  readonly ended: string
  readonly killed: string
  readonly older: string
  close(): Promise<void>
}

export async function makeBoxes(): Promise<Boxes> {
  const root = await mkdtemp(join(tmpdir(), 'laterbase-boxes-'))
  const options = { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, antiEntropyMs: 500 }
  const peer = await createLaterbase({ ...options, dir: join(root, 'peer') })
  const dir = join(root, 'box')
  const [killed, older] = [join(root, 'killed'), join(root, 'older')]
  const start = (): Promise<Laterbase> =>
    createLaterbase({ ...options, dir, invitation: peer.invitation() })
  const theirs = (await peer.createDatabase('stock')).database
  await fill(theirs, 0)
  // Each start makes tables of what was in the log file.
  for (let life = 0; life < 3; life += 1) {
    const box = await start()
    await reconnect(box, peer)
    const ours = (await box.createDatabase('stock')).database
    await fill(ours, 10_000 * (life + 1))
    await fill(theirs, 500_000 + 1_000 * life)
    await untilSame(ours, theirs)
    if (life === 2) {
      await untilNoted(join(dir, 'databases', 'stock.progress'), ours)
      await copyDirectory(dir, killed)
    }
    await box.close()
    if (life === 1) await copyDirectory(dir, older)
  }
  return {
    peer,
    ended: dir,
    killed,
    older,
    close: async () => {
      await peer.close()
      await rm(root, { recursive: true, force: true })
    }
  }
}

async function fill(database: Database, from: number): Promise<void> {
  for (let commit = 0; commit < 40; commit += 1) {
    await database.append(
      Array.from({ length: 25 }, (_, index) => pallet(from + commit * 25 + index)),
      { clock: 'trust' }
    )
  }
  // The same fact on both boxes; and one key with another content on each.
  await database.append(pallet(7))
  const key = '01JAAAAAAAAAAAAAAAAAAAAAAA'
  await database.append({ key, data: { by: from } }).catch(() => undefined)
}

function pallet(number: number): EventInput {
  const time = new Date(Date.UTC(2026, 0, 1) + ((number * 7_919) % 1_000_000) * 1_000).toISOString()
  const data = { number, zone: `Z${number % 17}`, note: 'a pallet '.repeat(number % 5) }
  return { source: 'gate', id: String(number), time, data }
}

/** Without the LOCK files: to read one of an open store frees its lock in this process. */
function copyDirectory(from: string, to: string): Promise<void> {
  return cp(from, to, { recursive: true, filter: (source) => basename(source) !== 'LOCK' })
}

/** What is noted beside a store follows a batch soon, and not at once. */
async function untilNoted(file: string, database: Database): Promise<void> {
  const { events } = await database.status()
  await vi.waitFor(
    async () => {
      if ((await readProgress(file))?.events !== events) throw new Error('not noted yet')
    },
    { timeout: 40_000, interval: 10 }
  )
}

async function untilSame(a: Database, b: Database): Promise<void> {
  await vi.waitFor(
    () => {
      if (a.digest() !== b.digest()) throw new Error('not equal yet')
    },
    { timeout: 40_000, interval: 10 }
  )
}
