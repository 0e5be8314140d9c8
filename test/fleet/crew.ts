/**
 * Many real nodes in one process: libp2p over loopback through the router, ClassicLevel on disk. A
 * process each would need 125 MB and nearly a second of imports on a box with two cores: it would be
 * the start of Node.js that is measured. One event loop for all is slower than a box for each, so
 * the figures are on the safe side.
 */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'

import type { LinkRouter } from '../../scripts/fleet/link-router.ts'
import { runAs } from '../../scripts/fleet/through-router.ts'
import type { Prng } from '../../scripts/simulate/prng.ts'
import { createLaterbase } from '../../src/index.ts'
import type { Laterbase, LaterbaseOptions } from '../../src/index.ts'
import { createInvitation } from '../../src/node/invitation.ts'

export interface CrewInit {
  readonly count: number
  readonly dir: string
  readonly router: LinkRouter
  readonly prng: Prng
  readonly options?: Partial<LaterbaseOptions>
}

/** Static peers of a node, among those that started before it: each finds the rest through them. */
const PEERS_EACH = 3

interface Member {
  readonly name: string
  readonly options: LaterbaseOptions
  node: Laterbase | undefined
}

/** Of all nodes that are up, since each started. */
export interface Traffic {
  readonly requests: number
  readonly fetches: number
  readonly announcements: number
  readonly bytes: number
}

export class Crew implements AsyncDisposable {
  readonly #init: CrewInit
  readonly #members: Member[] = []

  private constructor(init: CrewInit) {
    this.#init = init
  }

  static async start(init: CrewInit): Promise<Crew> {
    const crew = new Crew(init)
    const invitation = createInvitation(randomBytes(32))
    for (let index = 0; index < init.count; index += 1) await crew.#add(index, invitation)
    return crew
  }

  /** Those that are up. */
  nodes(): readonly Laterbase[] {
    return this.#members.flatMap(({ node }) => node ?? [])
  }

  names(): readonly string[] {
    return this.#members.map(({ name }) => name)
  }

  node(name: string): Laterbase | undefined {
    return this.#members.find((member) => member.name === name)?.node
  }

  /** Splits the nodes into so many groups by chance; links between groups break. */
  partition(groups: number): void {
    const { prng, router } = this.#init
    const group = this.#members.map(() => prng.integer(1, groups))
    for (const [index, { name }] of this.#members.entries()) {
      for (const [other, { name: otherName }] of this.#members.entries()) {
        if (index < other && group[index] !== group[other]) router.cut(name, otherName)
      }
    }
  }

  async stop(name: string): Promise<void> {
    const member = this.#member(name)
    const { node } = member
    member.node = undefined
    await node?.close()
  }

  async restart(name: string): Promise<void> {
    await this.#start(this.#member(name))
  }

  /** What all nodes together have asked of and told each other since they started. */
  async traffic(): Promise<Traffic> {
    const sum = { requests: 0, fetches: 0, announcements: 0, bytes: 0 }
    for (const node of this.nodes()) {
      const { traffic } = await node.status()
      sum.requests += traffic.requestsAsked
      sum.fetches += traffic.fetches
      sum.announcements += traffic.announcementsSent
      sum.bytes += traffic.bytesOut
    }
    return sum
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes().map((node) => node.close()))
  }

  async #add(index: number, invitation: string): Promise<void> {
    const { dir, prng, options } = this.#init
    const earlier = [...this.#members]
    const peers: string[] = []
    while (peers.length < PEERS_EACH && earlier.length > 0) {
      const [picked] = earlier.splice(prng.integer(0, earlier.length - 1), 1)
      peers.push(picked?.node?.addresses()[0] ?? '')
    }
    const name = `n${index}`
    const member: Member = {
      name,
      options: {
        dir: join(dir, name),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        mdns: false,
        invitation,
        peers,
        ...options
      },
      node: undefined
    }
    await this.#start(member)
    // At its port from now on: the others know it there.
    const listen = (member.node?.addresses() ?? []).map((each) => each.replace(/\/p2p\/.*$/, ''))
    this.#members.push({ ...member, options: { ...member.options, listen } })
  }

  async #start(member: Member): Promise<void> {
    const { router } = this.#init
    const node = await runAs(member.name, router.port, () => createLaterbase(member.options))
    router.name(node.addresses()[0] ?? '', member.name)
    member.node = node
  }

  #member(name: string): Member {
    const member = this.#members.find((each) => each.name === name)
    if (member === undefined) throw new Error(`there is no ${name}`)
    return member
  }
}
