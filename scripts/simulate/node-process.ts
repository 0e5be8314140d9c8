/** A node of the simulation as its parent sees it: a child process that takes orders. */

import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { Answers, FromWorker, Order, ToWorker, WorkerSetup } from './messages.ts'

/** The process of a node has ended; what was asked of it last may have happened or not. */
export class NodeGone extends Error {
  override readonly name = 'NodeGone'
}

/** For a node to open its directory and listen, ms: libraries load for a second, on a busy box more. */
const START_MS_MAX = 60_000
/** For one order, ms: a page of keys or a batch of events takes some ms. */
const ORDER_MS_MAX = 60_000
/** For a node to close, ms; then it is killed, which is as safe. */
const CLOSE_MS_MAX = 5_000
/** Bytes of a process's last words that are kept. */
const WORDS_MAX = 4_096

interface Pending {
  readonly resolve: (answer: unknown) => void
  readonly reject: (reason: Error) => void
}

export class NodeProcess {
  readonly #child: ChildProcess
  readonly #pending = new Map<number, Pending>()
  readonly #ended: Promise<void>
  readonly #ready: Promise<readonly string[]>
  #nextId = 1
  #lastWords = ''
  #isGone = false

  constructor(setup: WorkerSetup) {
    // `.ts` in a work tree whose Node.js reads TypeScript, `.js` when built.
    const file = import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js'
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: []
    })
    this.#child = child
    this.#ended = new Promise((resolve) => {
      child.once('exit', () => {
        this.#isGone = true
        for (const { reject } of this.#pending.values()) reject(this.#gone())
        this.#pending.clear()
        resolve()
      })
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#lastWords = (this.#lastWords + text).slice(-WORDS_MAX)
    })
    child.on('message', (message: FromWorker) => {
      this.#hear(message)
    })
    this.#ready = this.#expect(READY_ID, START_MS_MAX)
    this.#ready.catch(() => undefined)
    child.send({ type: 'setup', setup } satisfies ToWorker, () => undefined)
  }

  /** The node's addresses, once it is up. @throws NodeGone, or why it could not start */
  ready(): Promise<readonly string[]> {
    return this.#ready
  }

  get isGone(): boolean {
    return this.#isGone
  }

  /** @throws NodeGone, or an error with the reason of the node */
  async order<Type extends Order['type']>(
    order: Extract<Order, { type: Type }>
  ): Promise<Answers[Type]> {
    if (this.#isGone) throw this.#gone()
    const id = this.#nextId++
    const answered = this.#expect<Answers[Type]>(id, ORDER_MS_MAX)
    this.#child.send({ type: 'order', id, order } satisfies ToWorker, (error) => {
      if (error) this.#settle(id, ({ reject }) => reject(this.#gone(error)))
    })
    return answered
  }

  /** Ends it as a power cut would. Resolves when the process is gone. Idempotent. */
  async kill(): Promise<void> {
    if (!this.#isGone) this.#child.kill('SIGKILL')
    await this.#ended
  }

  /** Ends it in good order, or by force when that takes too long. Idempotent. */
  async close(): Promise<void> {
    if (this.#isGone) return
    const timer = setTimeout(() => void this.kill(), CLOSE_MS_MAX)
    await this.order({ type: 'close' }).catch(() => this.kill())
    await this.#ended
    clearTimeout(timer)
  }

  #expect<Answer>(id: number, ms: number): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle(id, (pending) => pending.reject(new Error(`no answer within ${ms} ms`)))
      }, ms)
      this.#pending.set(id, {
        resolve: (answer) => {
          clearTimeout(timer)
          resolve(answer as Answer)
        },
        reject: (reason) => {
          clearTimeout(timer)
          reject(reason)
        }
      })
    })
  }

  #hear(message: FromWorker): void {
    if (message.type === 'ready') {
      this.#settle(READY_ID, (pending) => pending.resolve(message.addresses))
    } else if (message.type === 'answer') {
      this.#settle(message.id, (pending) => pending.resolve(message.answer))
    } else {
      const reason = new Error(message.reason)
      this.#settle(message.id ?? READY_ID, (pending) => pending.reject(reason))
    }
  }

  #settle(id: number, report: (pending: Pending) => void): void {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (pending !== undefined) report(pending)
  }

  #gone(cause?: Error): NodeGone {
    const words = this.#lastWords.trim().split('\n').slice(-3).join(' | ')
    return new NodeGone(`the process of a node has ended${words && `: ${words}`}`, { cause })
  }
}

const READY_ID = 0
