/** The child's side of `child.ts`: answers calls until the parent lets go, then ends the process. */

import { monitorEventLoopDelay } from 'node:perf_hooks'

import type { Api, CallReply } from './child.ts'

interface Call {
  readonly id: number
  readonly name: string
  readonly argument: unknown
}

/** @param close frees what the handlers hold; the process ends when it is done */
export function serve(api: Api, close: () => Promise<void>): void {
  process.on('message', (message) => {
    const { id, name, argument } = message as Call
    const handler = api[name] as ((argument: unknown) => unknown) | undefined
    void Promise.resolve()
      .then(() => {
        if (handler === undefined) throw new Error(`no such call: ${name}`)
        return handler(argument)
      })
      .then(
        (result) => reply({ id, result }),
        (error: unknown) => reply({ id, error: describe(error) })
      )
  })
  process.once('disconnect', () => {
    void close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(describe(error))
        process.exit(1)
      }
    )
  })
}

function reply(message: CallReply): void {
  if (process.connected) process.send?.(message)
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** What a stretch of work cost this process. */
export interface Cost {
  readonly ms: number
  /** User and system time of all threads, seconds. */
  readonly cpuSeconds: number
  /** The highest resident set of the process so far, bytes. */
  readonly rssBytesMax: number
  /** How much later than due a timer was, of a hundred at the most one: the event loop was busy. */
  readonly loopP99Ms: number
}

/** How often the event loop is looked at, ms. */
const LOOP_MS = 2

/** Starts counting; the function it returns tells the cost since then. */
export function costSince(): () => Cost {
  const [startMs, start] = [performance.now(), process.resourceUsage()]
  const loop = monitorEventLoopDelay({ resolution: LOOP_MS })
  loop.enable()
  return () => {
    loop.disable()
    const end = process.resourceUsage()
    const micros = end.userCPUTime - start.userCPUTime + (end.systemCPUTime - start.systemCPUTime)
    return {
      ms: performance.now() - startMs,
      cpuSeconds: micros / 1e6,
      rssBytesMax: end.maxRSS * 1024,
      loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - LOOP_MS)
    }
  }
}
