/**
 * The library in C that stands between a process and its disk: compiled for the suite that needs it,
 * and its settings. What it does is said in `shim/disk-shim.c`.
 */

import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll } from 'vitest'

export const FAULTS = ['eio', 'enospc', 'full', 'short', 'hang', 'kill'] as const
export type FaultAction = (typeof FAULTS)[number]

/** The call that goes wrong. */
export interface Fault {
  readonly action: FaultAction
  /** From 1; of the calls that can have this fault. */
  readonly at: number
  /** Only calls on paths that contain this count. */
  readonly only?: string
  /** Only calls of this name count. */
  readonly call?: string
}

/**
 * Compiles the shim; undefined where that cannot be, so that suites skip. With CI set that is a
 * failure: a suite that nobody runs proves nothing.
 */
export async function buildShim(): Promise<string | undefined> {
  const why = await missing()
  if (why === undefined) {
    const folder = await mkdtemp(join(tmpdir(), 'laterbase-shim-'))
    afterAll(() => rm(folder, { recursive: true, force: true }))
    const library = join(folder, 'disk-shim.so')
    const options = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror']
    await run('cc', [...options, '-o', library, SOURCE, '-ldl', '-lpthread'])
    return library
  }
  if (process.env['CI'] !== undefined) throw new Error(`the crash suites cannot run: ${why}`)
  console.warn(`SKIPPED: the crash suites cannot run: ${why}`)
  return undefined
}

async function missing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'LD_PRELOAD is of Linux'
  return run('cc', ['--version']).then(
    () => undefined,
    () => 'there is no C compiler (cc)'
  )
}

/** Where the shim looks, and what it leaves behind. */
export interface ShimPlace {
  readonly library: string
  /** The tree that it watches, an absolute path without links. */
  readonly dir: string
  readonly journal: string
  readonly graves: string
  /** `full` ends when this file is there. */
  readonly space?: string
}

export function shimEnvironment(place: ShimPlace, fault?: Fault): Record<string, string> {
  return {
    LD_PRELOAD: place.library,
    DISK_SHIM_DIR: place.dir,
    DISK_SHIM_JOURNAL: place.journal,
    DISK_SHIM_GRAVES: place.graves,
    DISK_SHIM_BELL: String(BELL_FD),
    // Calls through io_uring would pass the shim by.
    UV_USE_IO_URING: '0',
    ...(place.space !== undefined && { DISK_SHIM_SPACE: place.space }),
    ...(fault !== undefined && { DISK_SHIM_FAULT: `${fault.action}@${fault.at}` }),
    ...(fault?.only !== undefined && { DISK_SHIM_ONLY: fault.only }),
    ...(fault?.call !== undefined && { DISK_SHIM_CALL: fault.call })
  }
}

/** Descriptor by which a process says that a call of it hangs. */
export const BELL_FD = 3

const SOURCE = fileURLToPath(new URL('shim/disk-shim.c', import.meta.url))
const run = promisify(execFile)
