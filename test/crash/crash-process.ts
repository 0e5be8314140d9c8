/** One life of a crashing process, from its start to its end by SIGKILL or by itself. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { buildCli } from '../fixtures/build.ts'
import { BELL_FD, shimEnvironment } from './disk-shim.ts'
import type { Fault, ShimPlace } from './disk-shim.ts'
import type { Plan, Word } from './workload.ts'

export interface Life {
  readonly plan: Plan
  readonly place: ShimPlace
  readonly fault?: Fault
  /** Told each word as it comes; ends the process when it has heard enough, or throws. */
  readonly hear: (word: Word) => 'go on' | 'enough'
  /** Whether it goes on when one of its calls hangs; default: it is told to say its last. */
  readonly outlivesHang: boolean
}

/** For one life, ms: far above what any takes, so that a wedged process does not wedge the suite. */
const LIFE_MS_MAX = 90_000
/** For a process to say its last words when a call hangs: its event loop may hang too, ms. */
const LAST_WORDS_MS = 1_000

/**
 * Resolves when the process is gone: the fault killed it, or it was killed when it had nothing more
 * to do.
 *
 * @throws when it ended in any other way, or took far too long
 */
export async function runLife(life: Life): Promise<void> {
  await buildCli()
  const child = spawn(process.execPath, [WORKER, JSON.stringify(life.plan)], {
    env: { PATH: process.env['PATH'], ...shimEnvironment(life.place, life.fault) },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe']
  })
  const end = (): void => {
    child.kill('SIGKILL')
  }
  let failure: unknown
  const wedged = (): void => {
    failure = new Error(`the process did not end within ${LIFE_MS_MAX} ms`)
    end()
  }
  const timers = [setTimeout(wedged, LIFE_MS_MAX)]
  child.stdin.on('error', () => undefined)
  const bell = child.stdio[BELL_FD]
  if (bell !== null && bell !== undefined && 'resume' in bell) {
    bell.on('data', () => {
      if (life.outlivesHang) return
      child.stdin.write('say your last\n')
      timers.push(setTimeout(end, LAST_WORDS_MS))
    })
  }
  createInterface({ input: child.stdout }).on('line', (line) => {
    const word = parseWord(line)
    if (word === undefined || failure !== undefined) return
    try {
      if (life.hear(word) === 'enough') end()
    } catch (error) {
      failure = error
      end()
    }
    if (word.type === 'done') end()
  })
  const [errors] = await Promise.all([text(child.stderr), once(child, 'close')])
  for (const timer of timers) clearTimeout(timer)
  if (failure !== undefined) throw failure
  if (child.signalCode === 'SIGKILL') return
  throw new Error(`the process ended by itself (${child.exitCode ?? child.signalCode}): ${errors}`)
}

/** Undefined for a line that the end of the process cut. */
function parseWord(line: string): Word | undefined {
  try {
    return JSON.parse(line) as Word
  } catch {
    return undefined
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WORKER = join(ROOT, 'dist/test/crash/worker.js')
