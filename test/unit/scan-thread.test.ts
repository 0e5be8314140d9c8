/** Threads of scans where there can be none. */

import { EventEmitter } from 'node:events'

import { beforeEach, expect, test, vi } from 'vitest'

import type { ScanThreads } from '../../src/store/scan-thread.ts'

let started: Still[]
let refuses: boolean
let cores: number

/** A thread that does nothing by itself. */
class Still extends EventEmitter {
  constructor() {
    super()
    started.push(this)
    if (refuses) throw new Error('no threads here')
  }

  isKept = true

  ref(): void {
    this.isKept = true
  }

  unref(): void {
    this.isKept = false
  }

  postMessage(): void {
    // Nobody listens.
  }
}

beforeEach(() => {
  started = []
  refuses = false
  cores = 2
})

test('a process that cannot start one is not made to try again', async () => {
  const first = await threads()
  const thread = first.start()
  const missing = new Error('Cannot find module')
  started[0]?.emit('error', Object.assign(missing, { code: 'ERR_MODULE_NOT_FOUND' }))
  started[0]?.emit('exit', 1)
  expect([thread?.isOpen, thread?.isGone]).toEqual([false, true])
  await thread?.gone
  expect(first.start()).toBeUndefined()
  expect(started.length).toBe(1)
})

test('a process that may not start one reads without', async () => {
  refuses = true
  const first = await threads()
  expect([first.start(), first.start()]).toEqual([undefined, undefined])
  expect(started.length).toBe(1)
  await first.close()
})

test.each([true, false])('one that fails may be followed by another, open %s', async (isOpen) => {
  const first = await threads()
  const thread = first.start()
  if (isOpen) started[0]?.emit('message', { type: 'open' })
  started[0]?.emit('error', new Error('out of memory'))
  started[0]?.emit('exit', 1)
  await thread?.gone
  expect(first.start()).toBeDefined()
})

test('a process waits for a thread that ends, whoever has waited for its records', async () => {
  const first = await threads()
  const thread = first.start()
  const [still] = started
  still?.emit('message', { type: 'open' })
  const next = thread?.next()
  const closing = first.close()
  still?.emit('message', {
    type: 'records',
    packed: { bytes: new Uint8Array(0), ends: new Uint32Array(0) }
  })
  await next
  expect(still?.isKept).toBe(true)
  still?.emit('exit', 0)
  await closing
})

test('there is none on one core', async () => {
  cores = 1
  expect((await threads()).start()).toBeUndefined()
  expect(started).toEqual([])
})

test('a store that is closed starts none', async () => {
  const first = await threads()
  await first.close()
  expect(first.start()).toBeUndefined()
})

/** Of a process that has had none. */
async function threads(): Promise<ScanThreads> {
  vi.resetModules()
  vi.doMock('node:worker_threads', () => ({ Worker: Still }))
  vi.doMock('node:os', () => ({ availableParallelism: () => cores }))
  const module = await import('../../src/store/scan-thread.ts')
  return new module.ScanThreads('somewhere')
}
