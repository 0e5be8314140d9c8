/** One simulated box: the production node on a simulated clock, disk and network. */

import { createHash } from 'node:crypto'

import type { Hasher, Signer, Verifier } from '../../src/core/clock.ts'
import { equalBytes, toHex } from '../../src/core/bytes.ts'
import { LaterbaseNode } from '../../src/node/node.ts'
import { resolveOptions } from '../../src/node/options.ts'
import { SimDisk } from './disk.ts'
import { SimTransport } from './network.ts'
import type { SimNetwork } from './network.ts'
import { BoxClock, worldRng } from './world.ts'

export const simHasher: Hasher = {
  sha256: (bytes) => createHash('sha256').update(bytes).digest()
}

/** Stands in for Ed25519, which is checked elsewhere: as deterministic, a hundred times as fast. */
function simSigner(name: string): Signer {
  const publicKey = simHasher.sha256(Buffer.from(name))
  return { publicKey, sign: (message) => simSignature(publicKey, message) }
}

const simVerifier: Verifier = {
  verify: async (publicKey, message, signature) =>
    equalBytes(simSignature(publicKey, message), signature)
}

function simSignature(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const half = simHasher.sha256(Buffer.concat([publicKey, message]))
  return Buffer.concat([half, half])
}

export class Box {
  readonly name: string
  readonly disk: SimDisk
  readonly #network: SimNetwork
  readonly #signer: Signer
  #clock: BoxClock
  #transport: SimTransport | undefined
  /** Undefined while the box is down or on its way up. */
  node: LaterbaseNode | undefined

  constructor(network: SimNetwork, name: string, offsetMs: number) {
    this.name = name
    this.#network = network
    this.disk = new SimDisk(network.world, simHasher)
    this.#signer = simSigner(name)
    this.#clock = new BoxClock(network.world, offsetMs)
  }

  get peerId(): string {
    return toHex(this.#signer.publicKey).slice(0, 12)
  }

  /** Sets the wall clock. */
  setClock(offsetMs: number): void {
    this.#clock.offsetMs = offsetMs
  }

  get clockOffsetMs(): number {
    return this.#clock.offsetMs
  }

  async start(): Promise<void> {
    const { world } = this.#network
    this.#clock = new BoxClock(world, this.#clock.offsetMs)
    const transport = new SimTransport(this.#network, this.peerId)
    this.#transport = transport
    const node = await LaterbaseNode.start({
      options: resolveOptions({ dir: this.name, antiEntropyMs: 5_000 }, this.name),
      dir: this.name,
      networkKey: new Uint8Array(32),
      nodeStore: this.disk.nodeStore(),
      signer: this.#signer,
      clock: this.#clock,
      rng: worldRng(world),
      hasher: simHasher,
      verifier: simVerifier,
      peerIdOf: (publicKey) => toHex(publicKey).slice(0, 12),
      stores: this.disk.place(this.#signer.publicKey, this.#clock),
      makeTransport: () => transport
    })
    // Crashed on the way up: what started is a ghost.
    if (this.#transport === transport) this.node = node
  }

  /** Power off: nothing of the process goes on, not even what it was about to say. */
  async crash(): Promise<void> {
    this.#clock.dead = true
    this.disk.crash()
    this.node = undefined
    const transport = this.#transport
    this.#transport = undefined
    await transport?.close()
  }
}
