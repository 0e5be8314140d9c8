/**
 * A member of the network that lies: it answers with garbage, with pages cut short, changed, made up,
 * of other times and other databases, without end, or not at all, and says what nobody asked. It
 * holds no events; what it twists are true answers that it asked of honest boxes.
 */

import { encodeAnnouncement } from '../../../protocols/announce/codec.ts'
import {
  decodeDeltaAnswer,
  decodeDeltaRequest,
  encodeDeltaAnswer,
  encodeDeltaRequest
} from '../../../protocols/delta/codec.ts'
import type { DeltaAnswer, DeltaRequest, WireHead } from '../../../protocols/delta/codec.ts'
import { isRejected } from '../../../protocols/rejected.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { logOrigin } from '../../../src/core/commit.ts'
import type { LogOrigin } from '../../../src/core/commit.ts'
import type { Signer } from '../../../src/core/clock.ts'
import { simHasher, simPeerId, simSigner } from './keys.ts'
import type { Endpoint, SimNetwork } from './network.ts'
import { PAGE_LIES, RogueLog } from './rogue-pages.ts'
import type { PageLie } from './rogue-pages.ts'
import { worldRng } from './world.ts'

/** Ways in which a rogue misbehaves. */
export const LIES = [
  ...PAGE_LIES,
  'garbage',
  'truncate',
  'replay',
  'other-database',
  'silent',
  'slow',
  'busy',
  'wrong-kind',
  'false-digest',
  'own-log',
  'noise',
  'own-branches'
] as const
export type Lie = (typeof LIES)[number]

type PageRequest = Extract<DeltaRequest, { type: 'page' }>

/** Frames kept to be sent again. */
const CAPTURED_MAX = 24
const HEADS = 60

export class Rogue implements Endpoint {
  readonly isHonest = false
  readonly address: string
  readonly peerId: string
  readonly #network: SimNetwork
  readonly #lies: readonly Lie[]
  readonly #databases: readonly string[]
  readonly #signer: Signer
  readonly #links = new Map<string, Endpoint>()
  readonly #captured: { readonly database: string; readonly frame: Uint8Array }[] = []
  readonly #announced: { readonly database: string; readonly message: Uint8Array }[] = []
  readonly #logs = new Map<string, RogueLog>()

  constructor(
    network: SimNetwork,
    rogue: {
      readonly address: string
      readonly lies: readonly Lie[]
      readonly databases: readonly string[]
    }
  ) {
    this.address = rogue.address
    this.#network = network
    this.#lies = rogue.lies
    this.#databases = rogue.databases
    this.#signer = simSigner(rogue.address)
    this.peerId = simPeerId(this.#signer.publicKey)
    network.ledger.strangers.add(toHex(this.#signer.publicKey))
    if (rogue.lies.includes('own-branches')) network.ledger.expectForks(this.#signer.publicKey)
  }

  start(): void {
    this.#network.attach(this)
    if (this.#lies.includes('noise')) this.#makeNoise()
  }

  deliver(action: () => void): void {
    action()
  }

  hasLink(address: string): boolean {
    return this.#links.has(address)
  }

  linkUp(other: Endpoint): void {
    this.#links.set(other.address, other)
  }

  linkDown(address: string): void {
    this.#links.delete(address)
  }

  gossipsTo(): boolean {
    return true
  }

  followed(): Iterable<string> {
    return this.#databases
  }

  follows(): void {
    // It hears of everything all the same.
  }

  hear(_from: Endpoint, database: string, message: Uint8Array): void {
    this.#announced.push({ database, message })
    if (this.#announced.length > CAPTURED_MAX) this.#announced.shift()
  }

  async answer(from: Endpoint, frame: Uint8Array): Promise<Uint8Array | undefined> {
    const request = decodeDeltaRequest(frame)
    if (isRejected(request)) return undefined
    const lie = this.#network.world.prng.pick(this.#lies) ?? 'silent'
    const truth = await this.#ask(from, frame)
    if (lie === 'silent') return forever()
    if (lie === 'slow') await this.#network.world.sleep(this.#fraction() * 40_000)
    if (lie === 'garbage') return this.#bytes(200)
    if (lie === 'busy') return encodeDeltaAnswer({ type: 'refused', reason: 'busy' })
    if (lie === 'truncate') {
      return truth?.slice(0, Math.floor(truth.length * this.#fraction()))
    }
    if (request.type === 'compare') return this.#compared(request, lie) ?? truth
    if (request.type === 'views') return this.#views(lie, truth)
    if (truth === undefined) return undefined
    this.#capture(request.database, truth)
    return this.#page(request, truth, lie)
  }

  #compared(request: Extract<DeltaRequest, { type: 'compare' }>, lie: Lie): Uint8Array | undefined {
    if (lie === 'wrong-kind') {
      return encodeDeltaAnswer({ type: 'page', complete: true, logs: [], commits: [], heads: [] })
    }
    const mix = this.#network.world.chance(0.3)
    const digests = request.digests.map(({ database, digest }) => ({
      database: mix && this.#network.world.chance(0.2) ? 'No Name' : database,
      digest: lie === 'false-digest' ? this.#bytes(32, 32) : digest
    }))
    if (lie === 'false-digest') return encodeDeltaAnswer({ type: 'compared', digests })
    // Whoever asks for pages is whom one can lie to.
    const unequal = digests.map(({ database }) => ({ database, digest: this.#bytes(32, 32) }))
    return this.#network.world.chance(0.7)
      ? encodeDeltaAnswer({ type: 'compared', digests: unequal })
      : undefined
  }

  /** What views contain is a word that anybody can make up. */
  #views(lie: Lie, truth: Uint8Array | undefined): Uint8Array | undefined {
    const answer = truth === undefined ? undefined : decodeDeltaAnswer(truth)
    if (lie !== 'false-digest' || answer?.type !== 'views') return truth
    const views = answer.views.map(({ definition }) => {
      return { definition, contents: this.#bytes(16, 16) }
    })
    return encodeDeltaAnswer({ type: 'views', views })
  }

  #page(request: PageRequest, truth: Uint8Array, lie: Lie): Uint8Array {
    const decoded = decodeDeltaAnswer(truth)
    if (isRejected(decoded) || decoded.type !== 'page') return truth
    const { prng } = this.#network.world
    if (lie === 'replay') return prng.pick(this.#captured)?.frame ?? truth
    if (lie === 'other-database') {
      const others = this.#captured.filter(({ database }) => database !== request.database)
      return prng.pick(others)?.frame ?? truth
    }
    if (lie === 'wrong-kind') return encodeDeltaAnswer({ type: 'compared', digests: [] })
    if (lie === 'own-log' || lie === 'own-branches') {
      const log = this.#logOf(request.database)
      const page = lie === 'own-log' ? log.page(request, decoded) : log.branch(request, decoded)
      return encodeDeltaAnswer(page)
    }
    if (!isPageLie(lie)) return truth
    const log = this.#logOf(request.database)
    const twisted: DeltaAnswer = log.twist(lie, decoded)
    return encodeDeltaAnswer(twisted)
  }

  /** The true answer, as another honest box gives it. */
  #ask(from: Endpoint, frame: Uint8Array): Promise<Uint8Array | undefined> {
    const others = [...this.#links.values()].filter((other) => other !== from && other.isHonest)
    const to = this.#network.world.prng.pick(others)
    if (to === undefined) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#network.exchange({ from: this, to }, frame, {
        resolve,
        fail: () => resolve(undefined)
      })
      this.#network.world.after(5_000, () => resolve(undefined))
    })
  }

  /** Requests and announcements that nobody wants, for ever. */
  #makeNoise(): void {
    const { world } = this.#network
    world.after(500 + this.#fraction() * 8_000, () => {
      const to = world.prng.pick([...this.#links.values()])
      if (to !== undefined) {
        if (world.chance(0.5)) this.#request(to)
        else this.#announce(to)
      }
      this.#makeNoise()
    })
  }

  #request(to: Endpoint): void {
    const database = this.#network.world.prng.pick(this.#databases) ?? ''
    const page = { type: 'page' as const, database, bytesMax: 0, heads: this.#heads(), places: [] }
    const frame = this.#network.world.chance(0.5) ? this.#bytes(100) : encodeDeltaRequest(page)
    this.#network.exchange({ from: this, to }, frame, {
      resolve: () => undefined,
      fail: () => undefined
    })
  }

  #announce(to: Endpoint): void {
    const { world } = this.#network
    const database = world.prng.pick(this.#databases) ?? ''
    const [head] = this.#heads()
    const heard = world.prng.pick(this.#announced)?.message
    const madeUp = encodeAnnouncement({
      log: head?.log ?? this.#bytes(16, 16),
      firstSeq: world.prng.integer(1, 2 ** 40),
      count: 1,
      hash: this.#bytes(32, 32),
      keys: [this.#bytes(16, 16)]
    })
    const message = world.prng.pick([this.#bytes(80), heard ?? madeUp, madeUp]) ?? madeUp
    this.#network.send(this, to, () => to.hear(this, database, message))
  }

  #heads(): WireHead[] {
    return Array.from({ length: this.#network.world.prng.integer(1, HEADS) }, () => ({
      log: this.#bytes(16, 16),
      seq: this.#network.world.prng.integer(1, 2 ** 40),
      hash: this.#bytes(32, 32)
    }))
  }

  #logOf(database: string): RogueLog {
    const held = this.#logs.get(database)
    if (held !== undefined) return held
    const genesis = { publicKey: this.#signer.publicKey, database, nonce: this.#bytes(16, 16) }
    const origin: LogOrigin = logOrigin(genesis, simHasher)
    const { world, ledger } = this.#network
    const log = new RogueLog({ world, ledger, signer: this.#signer, origin, database })
    this.#logs.set(database, log)
    return log
  }

  #capture(database: string, frame: Uint8Array): void {
    this.#captured.push({ database, frame })
    if (this.#captured.length > CAPTURED_MAX) this.#captured.shift()
  }

  #fraction(): number {
    return this.#network.world.prng.fraction()
  }

  #bytes(max: number, min = 0): Uint8Array {
    const { world } = this.#network
    return worldRng(world).bytes(world.prng.integer(min, max))
  }
}

function isPageLie(lie: Lie): lie is PageLie {
  return PAGE_LIES.some((name) => name === lie)
}

function forever(): Promise<undefined> {
  return new Promise(() => undefined)
}
