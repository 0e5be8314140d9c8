/** A data directory is one process's at a time: a node's, or whoever's that examines it. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'

import { createLaterbase } from '../../src/index.ts'
import type { Laterbase } from '../../src/index.ts'
import { examineDirectory } from '../../src/node/directory-doctor.ts'
import type { Examination } from '../../src/node/directory-doctor.ts'
import { makeDirectory } from '../../src/node/make-directory.ts'
import { lockDirectory } from '../../src/store/directory-lock.ts'
import { temporaryDirectory } from '../fixtures/nodes.ts'

const LOCKED = { code: 'LATERBASE_STORE_LOCKED' }

test('a data directory is locked while this process has it, and is free afterwards', async () => {
  const dir = await temporaryDirectory()
  const lock = await lockDirectory(dir)
  await expect(lockDirectory(join(dir, '.'))).rejects.toMatchObject(LOCKED)
  await expect(holdElsewhere(dir)).rejects.toThrow('exit 3')
  await lock.release()
  await lock.release()
  await (await lockDirectory(dir)).release()
})

test('a data directory is locked while another process has it, and free when that is killed', async () => {
  const dir = await temporaryDirectory()
  await (await lockDirectory(dir)).release()
  const kill = await holdElsewhere(dir)
  await expect(lockDirectory(dir)).rejects.toMatchObject(LOCKED)
  await kill()
  await (await lockDirectory(dir)).release()
})

test('no node starts, and nobody else looks, in a data directory in which a doctor is at work', async () => {
  const dir = await temporaryDirectory()
  const node = await start(dir)
  await node.createDatabase('depot')
  await node.close()
  let others: Promise<PromiseSettledResult<unknown>[]> | undefined
  const progress = (): void => {
    others ??= Promise.allSettled([examine(dir), start(dir)])
  }
  expect(await examine(dir, { repair: true, progress })).toEqual([])
  const refused = { status: 'rejected', reason: LOCKED }
  expect(await others).toMatchObject([refused, refused])
  await (await start(dir)).close()
})

test('of two nodes that start at once in a new directory the one that runs has the identity that is kept', async () => {
  const dir = await temporaryDirectory()
  const started = await Promise.allSettled([start(dir), start(dir)])
  const nodes = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  expect(nodes.length).toBe(1)
  await nodes[0]?.close()
  const again = await start(dir)
  expect(again.peerId).toBe(nodes[0]?.peerId)
  await again.close()
  expect(await readFile(join(dir, 'identity.json'), 'utf8')).toContain('Ed25519')
})

test('nobody makes a node where one is being made, and one that is there stays as it is', async () => {
  const dir = await temporaryDirectory()
  const made = await Promise.allSettled([1, 2, 3].map(() => makeDirectory(dir, undefined)))
  expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(made.find(({ status }) => status === 'rejected')).toMatchObject({ reason: LOCKED })
  const identity = await readFile(join(dir, 'identity.json'), 'utf8')
  const invitation = await readFile(join(dir, 'network.key'), 'utf8')
  const lock = await lockDirectory(dir)
  expect(await makeDirectory(dir, undefined)).toMatchObject({ created: false })
  await rm(join(dir, 'identity.json'))
  await expect(makeDirectory(dir, invitation.trim())).rejects.toMatchObject(LOCKED)
  await writeFile(join(dir, 'identity.json'), identity)
  await lock.release()
  expect(await makeDirectory(dir, invitation.trim())).toMatchObject({ created: false })
  expect(await readFile(join(dir, 'identity.json'), 'utf8')).toBe(identity)
})

function start(dir: string): Promise<Laterbase> {
  return createLaterbase({ dir, mdns: false, listen: ['/ip4/127.0.0.1/tcp/0'] })
}

function examine(dir: string, given: Partial<Examination> = {}): Promise<unknown> {
  const quiet = { log: () => undefined, progress: () => undefined }
  const mode = { signatures: false, repair: false, newIdentity: false }
  return examineDirectory({ dir, ...mode, ...quiet, ...given })
}

/** A process that has the directory until it is killed. */
async function holdElsewhere(dir: string): Promise<() => Promise<void>> {
  const classicLevel = createRequire(import.meta.url).resolve('classic-level')
  const script = `
    const { ClassicLevel } = require(${JSON.stringify(classicLevel)})
    new ClassicLevel(${JSON.stringify(join(dir, 'node.lock'))}).open().then(
      () => { console.log('open'); setInterval(() => undefined, 1_000) },
      () => process.exit(3)
    )`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  const exited = once(child, 'exit')
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL')
    await exited
  }
  onTestFinished(kill)
  const opened = once(child.stdout, 'data')
  const code = await Promise.race([opened.then(() => undefined), exited.then(([each]) => each)])
  if (code !== undefined) throw new Error(`exit ${String(code)}`)
  return kill
}
