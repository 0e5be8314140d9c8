/**
 * Links between real nodes on one machine, that can be slow, stall, break, or carry one way only:
 * every connection that a node opens goes through here, behind a line that says from whom to which
 * port (`through-router.ts`). Faults are drawn from a seed.
 *
 * Left out: it passes on the bytes of TCP, so it cannot lose or reorder them. A stall is what loss
 * looks like above TCP; a frozen link is a cable that was pulled, of which neither end hears.
 */

import { createServer, connect } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'

import { createPrng } from '../simulate/prng.ts'
import type { Prng } from '../simulate/prng.ts'

export interface LinkFaults {
  /** Wait before a chunk is passed on, ms, each way: uniform up to this. */
  readonly delayMsMax: number
  /** Share of chunks before which the link stalls, and for how long at most, ms. */
  readonly stallShare: number
  readonly stallMsMax: number
  /** Share of chunks at which the connection breaks. */
  readonly breakShare: number
}

export const NO_FAULTS: LinkFaults = {
  delayMsMax: 0,
  stallShare: 0,
  stallMsMax: 0,
  breakShare: 0
}

/** Bytes of one direction that wait here; beyond them the sender is held up, as by a full pipe. */
const WAITING_BYTES_MAX = 1_048_576
/** How often a frozen link looks whether it was thawed, ms. */
const FROZEN_LOOK_MS = 20
/** Bytes of the line that opens a connection. */
const PREFACE_BYTES_MAX = 256

interface Passage {
  readonly from: string
  readonly to: string
  readonly sockets: readonly Socket[]
}

export class LinkRouter implements AsyncDisposable {
  faults: LinkFaults = NO_FAULTS
  /** Bytes passed on since the start. */
  bytes = 0
  readonly #server: Server
  readonly #prng: Prng
  readonly #names = new Map<number, string>()
  readonly #passages = new Set<Passage>()
  /** Pairs that cannot connect, `a b` in order of names. */
  readonly #cut = new Set<string>()
  /** Directions in which nothing passes, `from to`. */
  readonly #frozen = new Set<string>()

  private constructor(server: Server, prng: Prng) {
    this.#server = server
    this.#prng = prng
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async start(seed: number): Promise<LinkRouter> {
    const server = createServer({ pauseOnConnect: false })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve())
    })
    return new LinkRouter(server, createPrng(seed))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Who listens at the address of a node: its links are known by this name. */
  name(address: string, name: string): void {
    this.#names.set(Number(/\/tcp\/(\d+)/.exec(address)?.[1]), name)
  }

  /** Breaks the link of two nodes, and lets nobody over it. */
  cut(a: string, b: string): void {
    this.#cut.add(pairOf(a, b))
    for (const passage of this.#passages) {
      if (pairOf(passage.from, passage.to) === pairOf(a, b)) destroy(passage)
    }
  }

  /** Nothing passes from one to the other, and neither is told. */
  freeze(from: string, to: string): void {
    this.#frozen.add(`${from} ${to}`)
  }

  healAll(): void {
    this.#cut.clear()
    this.#frozen.clear()
  }

  /** Breaks every connection at once; they may be made again. */
  breakAll(): void {
    for (const passage of this.#passages) destroy(passage)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.breakAll()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(inbound: Socket): void {
    let head = Buffer.alloc(0)
    inbound.on('error', () => inbound.destroy())
    const onData = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\n')
      if (end < 0 && head.length < PREFACE_BYTES_MAX) return
      inbound.off('data', onData)
      inbound.pause()
      const [from = '', port = ''] = head.subarray(0, Math.max(0, end)).toString().split(' ')
      this.#open(inbound, { from, port: Number(port), first: head.subarray(end + 1) })
    }
    inbound.on('data', onData)
  }

  #open(
    inbound: Socket,
    { from, port, first }: { from: string; port: number; first: Buffer }
  ): void {
    const to = this.#names.get(port) ?? String(port)
    if (!(port > 0) || this.#cut.has(pairOf(from, to))) {
      inbound.destroy()
      return
    }
    const outbound = connect({ host: '127.0.0.1', port, noDelay: true })
    const passage: Passage = { from, to, sockets: [inbound, outbound] }
    this.#passages.add(passage)
    for (const socket of passage.sockets) {
      socket.on('error', () => socket.destroy())
      socket.once('close', () => {
        this.#passages.delete(passage)
        this.#endWhenHeard(passage)
      })
    }
    inbound.unshift(first)
    void this.#pass(inbound, outbound, `${from} ${to}`)
    void this.#pass(outbound, inbound, `${to} ${from}`)
  }

  /** The end of a connection is news as well: over a frozen link it does not arrive. */
  #endWhenHeard(passage: Passage): void {
    const { from, to } = passage
    const frozen = this.#frozen.has(`${from} ${to}`) || this.#frozen.has(`${to} ${from}`)
    if (!frozen) destroy(passage)
    else void sleep(FROZEN_LOOK_MS).then(() => this.#endWhenHeard(passage))
  }

  async #pass(source: Socket, sink: Socket, way: string): Promise<void> {
    const waiting: Buffer[] = []
    let waitingBytes = 0
    let wake = (): void => undefined
    source.on('data', (chunk) => {
      waiting.push(chunk)
      waitingBytes += chunk.length
      if (waitingBytes > WAITING_BYTES_MAX) source.pause()
      wake()
    })
    sink.once('close', () => wake())
    source.resume()
    while (!sink.destroyed) {
      const chunk = waiting.shift()
      if (chunk === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      await this.#hold(way, sink)
      if (this.#prng.fraction() < this.faults.breakShare) sink.destroy()
      if (sink.destroyed) return
      this.bytes += chunk.length
      if (!sink.write(chunk)) await new Promise<void>((resolve) => onceFree(sink, resolve))
      waitingBytes -= chunk.length
      if (waitingBytes <= WAITING_BYTES_MAX) source.resume()
    }
  }

  async #hold(way: string, sink: Socket): Promise<void> {
    const { delayMsMax, stallShare, stallMsMax } = this.faults
    const stallMs = this.#prng.fraction() < stallShare ? this.#prng.fraction() * stallMsMax : 0
    const waitMs = this.#prng.fraction() * delayMsMax + stallMs
    if (waitMs > 0) await sleep(waitMs)
    while (this.#frozen.has(way) && !sink.destroyed) await sleep(FROZEN_LOOK_MS)
  }
}

function onceFree(sink: Socket, then: () => void): void {
  sink.once('drain', then)
  sink.once('close', then)
}

function sleep(ms: number): Promise<void> {
  return after(ms, undefined, { ref: false })
}

function destroy({ sockets }: Passage): void {
  for (const socket of sockets) socket.destroy()
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
