/**
 * A measurement's own process: forked, called over IPC, ended by its handle. The other side is
 * `serve.ts`.
 */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** How long one call may take, ms: only to end a run that hangs; loaded machines are slow. */
const CALL_MS_MAX = 600_000
/** How long a child may take to end when asked, ms; then it is killed. */
const EXIT_MS_MAX = 20_000

/** What a child offers: functions of one plain argument with a plain result. */
export type Api = Record<string, (argument: never) => unknown>

export type CallReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }

export interface Child<A extends Api> {
  readonly pid: number
  call<N extends keyof A & string>(
    name: N,
    ...argument: Parameters<A[N]>
  ): Promise<Awaited<ReturnType<A[N]>>>
  /** Asks the process to end, and waits until it has. */
  end(): Promise<void>
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

const running = new Set<ChildProcess>()

/** Kills what is running now, for a parent that ends before its time. */
export function killChildren(): void {
  for (const child of running) child.kill('SIGKILL')
}

/** @param script a file of this folder without its ending, such as `node-process` */
export function startChild<A extends Api>(script: string): Child<A> {
  const process = fork(fileURLToPath(new URL(`./${script}.js`, import.meta.url)), {
    serialization: 'json',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc']
  })
  running.add(process)
  process.once('exit', () => running.delete(process))
  const waiting = new Map<number, Waiting>()
  const exited = new Promise<void>((resolve) => process.once('exit', () => resolve()))
  process.on('message', (message) => settle(waiting, message as CallReply))
  process.once('exit', (code, signal) => {
    const error = new Error(`${script} (pid ${process.pid}) ended: ${signal ?? code}`)
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  })
  process.once('error', () => process.kill('SIGKILL'))
  let calls = 0
  return {
    pid: process.pid ?? 0,
    call: (name, ...argument) => {
      calls += 1
      return call(process, waiting, { id: calls, name, argument: argument[0] }) as never
    },
    end: async () => {
      if (process.connected) process.disconnect()
      const timer = setTimeout(() => process.kill('SIGKILL'), EXIT_MS_MAX)
      await exited
      clearTimeout(timer)
    }
  }
}

/** Runs `use` with a child, which is ended whatever happens. */
export async function withChild<A extends Api, T>(
  script: string,
  use: (child: Child<A>) => Promise<T>
): Promise<T> {
  const child = startChild<A>(script)
  try {
    return await use(child)
  } finally {
    await child.end()
  }
}

function call(
  process: ChildProcess,
  waiting: Map<number, Waiting>,
  request: { readonly id: number; readonly name: string; readonly argument: unknown }
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const overdue = new Error(`${request.name} took more than ${CALL_MS_MAX / 1000} s`)
    const timer = setTimeout(() => settled(() => reject(overdue)), CALL_MS_MAX)
    const settled = (how: () => void): void => {
      clearTimeout(timer)
      waiting.delete(request.id)
      how()
    }
    waiting.set(request.id, {
      resolve: (result) => settled(() => resolve(result)),
      reject: (error) => settled(() => reject(error))
    })
    process.send(request, (error) => {
      if (error !== null) settled(() => reject(error))
    })
  })
}

function settle(waiting: Map<number, Waiting>, reply: CallReply): void {
  const request = waiting.get(reply.id)
  if (request === undefined) return
  if ('error' in reply) request.reject(new Error(reply.error))
  else request.resolve(reply.result)
}
