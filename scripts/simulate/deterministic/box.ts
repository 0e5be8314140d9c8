/** One simulated box: the production node on a simulated clock, disk and network. */

import { equalBytes, toHex } from '../../../src/core/bytes.ts'
import type { Signer } from '../../../src/core/clock.ts'
import { LaterbaseNode } from '../../../src/node/node.ts'
import type { NodeDatabase } from '../../../src/node/database.ts'
import { resolveOptions } from '../../../src/node/options.ts'
import { programDefinitions } from '../../../src/node/program-definitions.ts'
import type { LogId } from '../../../src/core/commit.ts'
import type { StoreBatch } from '../../../src/store/event-store.ts'
import { Life, WallClock, processClock } from './clocks.ts'
import { SimDisk } from './disk.ts'
import type { Covered } from './coverage.ts'
import type { DiskWitness } from './disk.ts'
import type { Landing } from './event-image.ts'
import { simHasher, simPeerId, simSigner, simVerifier } from './keys.ts'
import type { CommitFacts, Invariant } from './ledger.ts'
import type { SimNetwork } from './network.ts'
import { BoxReader } from './reader.ts'
import type { SimView } from './sim-views.ts'
import { SimTransport } from './transport.ts'
import { worldRng } from './world.ts'

export interface BoxInit {
  /** Its address on the network. */
  readonly name: string
  /** Whose key it has: its own name's, unless it was cloned. */
  readonly identity: string
  readonly wallMs: number
  readonly antiEntropyMs: number
}

/** A stamp this far ahead of the wall clock is not believed, ms: the rule of the commit spec. */
const BELIEVED_AHEAD_MS = 300_000

export class Box {
  readonly name: string
  readonly disk: SimDisk
  readonly wall: WallClock
  /** By database, what this box acknowledged and its disk must have. */
  readonly acknowledged = new Map<string, Set<string>>()
  /** By database and name, the views that its program defines, and defines again at each start. */
  readonly #programs = new Map<string, Map<string, SimView>>()
  /** By database and view, since when it was seen to answer by the definition that its program has, ms. */
  readonly answering = new Map<string, number>()
  /** Views that its program has removed so far. */
  removals = 0
  /** By database, what an answer of a view covered that its disk gave. */
  readonly #lastAnswers = new Map<string, LastAnswer>()
  readonly #network: SimNetwork
  readonly #init: BoxInit
  readonly #signer: Signer
  readonly #stamps: StampWitness
  readonly #readers = new Map<string, { paged: BoxReader; live: BoxReader }>()
  #transport: SimTransport | undefined
  /** Undefined while the box is off. */
  life: Life | undefined
  /** Undefined while the box is down or on its way up. */
  node: LaterbaseNode | undefined

  constructor(network: SimNetwork, init: BoxInit) {
    this.name = init.name
    this.#network = network
    this.#init = init
    this.#signer = simSigner(init.identity)
    this.wall = new WallClock(network.world, init.wallMs)
    this.#stamps = new StampWitness(network, this.wall, {
      name: init.name,
      publicKey: this.#signer.publicKey
    })
    this.disk = new SimDisk(network.world, simHasher, this.#stamps)
  }

  get identity(): string {
    return this.#init.identity
  }

  get publicKey(): Uint8Array {
    return this.#signer.publicKey
  }

  /** Up, and not held by SIGSTOP. */
  get isAnswering(): boolean {
    return this.node !== undefined && this.life?.isPaused === false
  }

  get transport(): SimTransport | undefined {
    return this.#transport
  }

  database(name: string): NodeDatabase | undefined {
    const { node } = this
    if (node === undefined || !node.databases().includes(name)) return undefined
    return node.database(name) as NodeDatabase
  }

  readers(database: string): { readonly paged: BoxReader; readonly live: BoxReader } {
    const held = this.#readers.get(database)
    if (held !== undefined) return held
    const { ledger } = this.#network
    const readers = {
      paged: new BoxReader(ledger, `${this.name} ${database}`),
      live: new BoxReader(ledger, `${this.name} ${database} live`)
    }
    this.#readers.set(database, readers)
    return readers
  }

  program(database: string): Map<string, SimView> {
    const held = this.#programs.get(database) ?? new Map<string, SimView>()
    this.#programs.set(database, held)
    return held
  }

  answered(database: string, answer: LastAnswer): void {
    this.#lastAnswers.set(database, answer)
  }

  lastAnswer(database: string): LastAnswer | undefined {
    return this.#lastAnswers.get(database)
  }

  async start(): Promise<void> {
    const { world, ledger } = this.#network
    const life = new Life(world)
    this.life = life
    this.#stamps.begin()
    this.answering.clear()
    const peerId = simPeerId(this.#signer.publicKey)
    const heldSeq = (database: string, log: LogId): number => this.disk.heldSeq(database, log)
    const transport = new SimTransport(this.#network, { address: this.name, peerId, life, heldSeq })
    this.#transport = transport
    const clock = processClock(world, this.wall, life)
    try {
      const node = await LaterbaseNode.start({
        options: this.#options(),
        defined: await programDefinitions(this.#options(), simHasher),
        dir: this.name,
        networkKey: new Uint8Array(32),
        nodeStore: this.disk.nodeStore(life),
        signer: this.#signer,
        clock,
        rng: worldRng(world),
        hasher: simHasher,
        verifier: simVerifier,
        peerIdOf: simPeerId,
        stores: this.disk.stores(life, this.#signer.publicKey, clock),
        makeTransport: () => transport,
        unlock: async () => undefined
      })
      // Crashed on the way up: what started is a ghost.
      if (!life.isDead) this.node = node
    } catch (error) {
      if (!life.isDead)
        ledger.violate('unexpected-failure', `${this.name} starts: ${String(error)}`)
    }
  }

  /**
   * Nothing of the process goes on, not even what it was about to say.
   *
   * @param silently the power went: no peer is told that the connection has ended
   */
  crash(silently: boolean): void {
    this.life?.end()
    this.life = undefined
    this.disk.crash()
    this.node = undefined
    this.#transport?.leave(silently)
    this.#transport = undefined
    this.checkAcknowledged()
  }

  /** All that it acknowledged is on its disk, until that is wiped. */
  checkAcknowledged(): void {
    for (const [database, ids] of this.acknowledged) this.#checkAcknowledged(database, ids)
  }

  /** The disk is a new one, or of another time: what is told from now on is all that counts. */
  diskChanged(): void {
    this.acknowledged.clear()
    this.#lastAnswers.clear()
    this.#stamps.forget()
    for (const { paged, live } of this.#readers.values()) {
      paged.diskChanged()
      live.diskChanged()
    }
  }

  /** Readers of another box go on here, each from where it is; and its program runs here too. */
  takeAfter(other: Box): void {
    for (const [database, views] of other.#programs) this.#programs.set(database, new Map(views))
    for (const [database, { paged, live }] of other.#readers) {
      const name = `${this.name} ${database}`
      const readers = { paged: paged.copy(name), live: live.copy(`${name} live`) }
      this.#readers.set(database, readers)
    }
  }

  /** A client was told that these are stored. */
  acknowledge(database: string, ids: readonly string[]): void {
    const held = this.acknowledged.get(database) ?? new Set<string>()
    this.acknowledged.set(database, held)
    for (const id of ids) held.add(id)
    this.#checkAcknowledged(database, ids)
  }

  violate(invariant: Invariant, detail: string): void {
    this.#network.ledger.violate(invariant, detail)
  }

  #checkAcknowledged(database: string, ids: Iterable<string>): void {
    const view = this.disk.view(database)
    for (const id of ids) {
      if (view?.ids.has(id) === true) continue
      const detail = `${this.name} acknowledged ${id} of ${database}; its disk does not have it`
      this.#network.ledger.violate('durability', detail)
      return
    }
  }

  #options(): ReturnType<typeof resolveOptions> {
    const { ledger } = this.#network
    const log = (level: string, message: string, fields: LogFields = {}): void => {
      const told = `${this.name}: ${message} ${JSON.stringify(fields)}`
      if (level === 'error') ledger.violate('unexpected-failure', told)
      const isAlarm = message.startsWith('a view differs') && !this.#network.isLiar(fields['peer'])
      if (isAlarm) ledger.violate('view-alarm', told)
    }
    const { antiEntropyMs } = this.#init
    const views = [...this.#programs].map(
      ([name, program]) => [name, [...program.values()]] as const
    )
    const options = { dir: this.name, antiEntropyMs, log, trust: 'members' as const }
    return resolveOptions({ ...options, views: Object.fromEntries(views) }, this.name)
  }
}

type LogFields = Readonly<Record<string, unknown>>

/** What an answer of a view covered. */
interface LastAnswer {
  readonly lc: string
  readonly covered: Covered
}

interface BoxIdentity {
  readonly name: string
  readonly publicKey: Uint8Array
}

/** Watches the stamps of one box, and hands what its disk takes to the ledger. */
class StampWitness implements DiskWitness {
  readonly #network: SimNetwork
  readonly #wall: WallClock
  readonly #name: string
  readonly #publicKey: Uint8Array
  /** The highest stamp of its own on its disk. */
  #own = 0n
  /** The highest stamp of its own that this process asked to write. */
  #asked = 0n
  /** The highest stamp on its disk that it believed. */
  #seen = 0n
  /** What this process made and asked to write, by hash: two boxes with one disk may make the very same commit. */
  readonly #made = new Set<string>()
  /** Logs of its own on which it has met what another box wrote. */
  readonly #closed = new Set<LogId>()

  constructor(network: SimNetwork, wall: WallClock, init: BoxIdentity) {
    this.#network = network
    this.#wall = wall
    this.#name = init.name
    this.#publicKey = init.publicKey
  }

  /** A new process. */
  begin(): void {
    this.#asked = 0n
    this.#made.clear()
  }

  /** A new disk. */
  forget(): void {
    this.#own = 0n
    this.#asked = 0n
    this.#seen = 0n
    this.#made.clear()
    this.#closed.clear()
  }

  submitted(batch: StoreBatch, ownLog: LogId): readonly boolean[] {
    let seen = this.#seen
    const nowMs = this.#wall.nowMs()
    return batch.commits.map((commit) => {
      const { origin, recorded } = commit
      // Its own log may come back to a box from others, as theirs do.
      if (origin.id === ownLog && !this.#network.ledger.knows(commit)) {
        this.#checkOwn(recorded, seen)
        if (this.#closed.has(origin.id)) {
          const detail = `${this.#name} writes on in log ${origin.id}, which another box has written in`
          this.#network.ledger.violate('one-place-one-commit', detail)
        }
        this.#asked = recorded
        this.#made.add(toHex(commit.hash))
        return true
      }
      const isBelieved = Number(recorded >> 16n) <= nowMs + BELIEVED_AHEAD_MS
      if (isBelieved && recorded > seen) seen = recorded
      return isBelieved
    })
  }

  landed({ database, ownLog, batch, believed, isFound }: Landing): readonly CommitFacts[] {
    return batch.commits.map((commit, index) => {
      const { recorded, origin } = commit
      const isOwn = origin.id === ownLog
      const isKnown = this.#network.ledger.knows(commit)
      const isNew = isOwn && !isKnown
      // What had failed and is found is of this box's own hand, though a copy of its disk has it too.
      const isOfOurs = equalBytes(origin.genesis.publicKey, this.#publicKey)
      const isMade = this.#made.delete(toHex(commit.hash))
      if (isKnown && isOfOurs && !isMade && isFound !== true) this.#closed.add(origin.id)
      if (isNew && recorded > this.#own) this.#own = recorded
      if (believed[index] === true && recorded > this.#seen) this.#seen = recorded
      return this.#network.ledger.meet(database, commit, isOwn)
    })
  }

  refused(detail: string): void {
    this.#network.ledger.violate('unexpected-failure', `${this.#name} writes: ${detail}`)
  }

  #checkOwn(recorded: bigint, seen: bigint): void {
    const before = this.#asked > this.#own ? this.#asked : this.#own
    const { ledger } = this.#network
    if (recorded <= before) {
      ledger.violate('rising-stamps', `${this.#name} stamps ${recorded} after ${before}`)
    } else if (recorded <= seen) {
      ledger.violate('causality', `${this.#name} stamps ${recorded} and had seen ${seen}`)
    }
  }
}
