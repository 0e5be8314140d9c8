/** The nodes of a simulation: their processes, their directories, what befalls them. */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

import { createInvitation } from '../../src/node/invitation.ts'
import type { NodeSight } from './messages.ts'
import { NodeProcess } from './node-process.ts'

export type NodeState = 'up' | 'cut off' | 'down'

export interface NodeView extends NodeSight {
  readonly name: string
  readonly state: NodeState
}

export const DATABASE = 'depot'

interface Member {
  readonly name: string
  readonly dir: string
  process: NodeProcess | undefined
  addresses: readonly string[]
  state: NodeState
  lastSight: NodeSight
}

export class Fleet {
  readonly #members: readonly Member[]
  readonly #invitation = createInvitation(randomBytes(32))
  readonly #mdns: boolean
  #isIntroduced = false

  constructor(folder: string, options: { readonly nodes: number; readonly mdns: boolean }) {
    this.#mdns = options.mdns
    this.#members = Array.from({ length: options.nodes }, (_each, at) => ({
      name: `node-${at + 1}`,
      dir: join(folder, `node-${at + 1}`),
      process: undefined,
      addresses: [],
      state: 'down',
      lastSight: { digest: undefined, events: 0, own: 0, peers: 0 }
    }))
  }

  get size(): number {
    return this.#members.length
  }

  name(at: number): string {
    return this.#member(at).name
  }

  /** Whether the node's process runs; one that is cut off does. */
  isRunning(at: number): boolean {
    return this.#member(at).state !== 'down'
  }

  /** @throws NodeGone when it does not run */
  process(at: number): NodeProcess {
    const { process, name } = this.#member(at)
    if (process === undefined) throw new Error(`${name} was not started`)
    return process
  }

  async start(at: number): Promise<void> {
    const member = this.#member(at)
    const process = new NodeProcess({
      dir: member.dir,
      name: member.name,
      invitation: this.#invitation,
      mdns: this.#mdns,
      database: DATABASE
    })
    // Known before it is up, so that whoever closes the fleet meanwhile ends it too.
    member.process = process
    member.addresses = await process.ready()
    member.state = 'up'
    // It listens on another port now, which those that it was introduced to do not know.
    if (this.#isIntroduced) await this.#introduce(at, this.#others(at))
  }

  /** By address, in place of mDNS. */
  async introduceAll(): Promise<void> {
    this.#isIntroduced = true
    for (const at of this.#members.keys()) {
      await this.#introduce(
        at,
        this.#others(at).filter((other) => other < at)
      )
    }
  }

  async cutOff(at: number): Promise<void> {
    await this.process(at).order({ type: 'go-offline' })
    this.#member(at).state = 'cut off'
  }

  async heal(at: number): Promise<void> {
    await this.process(at).order({ type: 'go-online' })
    this.#member(at).state = 'up'
    // Whoever was restarted meanwhile listens elsewhere.
    if (this.#isIntroduced) await this.#introduce(at, this.#others(at))
  }

  /** As a power cut would. */
  async kill(at: number): Promise<void> {
    this.#member(at).state = 'down'
    await this.process(at).kill()
  }

  /** How far each node is; the last that was known of one that does not run. */
  async views(): Promise<readonly NodeView[]> {
    await Promise.all(this.#members.map((member) => look(member)))
    return this.#members.map(({ name, state, lastSight }) => ({ name, state, ...lastSight }))
  }

  /** Ends every process. Idempotent. */
  async close(options: { readonly inGoodOrder: boolean }): Promise<void> {
    const processes = this.#members.flatMap(({ process }) => process ?? [])
    await Promise.all(
      processes.map((process) => (options.inGoodOrder ? process.close() : process.kill()))
    )
  }

  async #introduce(at: number, others: readonly number[]): Promise<void> {
    const addresses = others.flatMap((other) => this.#member(other).addresses)
    await this.process(at).order({ type: 'connect', addresses })
  }

  #others(at: number): readonly number[] {
    return [...this.#members.keys()].filter(
      (other) => other !== at && this.#member(other).state === 'up'
    )
  }

  #member(at: number): Member {
    const member = this.#members[at]
    if (member === undefined) throw new RangeError(`there is no node ${at + 1}`)
    return member
  }
}

async function look(member: Member): Promise<void> {
  const { process } = member
  if (process === undefined || member.state === 'down') {
    member.lastSight = { ...member.lastSight, peers: 0 }
    return
  }
  try {
    member.lastSight = await process.order({ type: 'watch' })
  } catch (error) {
    // It was killed while it looked: what it said last stays.
    if (!process.isGone) throw error
  }
}
