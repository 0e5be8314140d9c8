/**
 * A box of the fleet: the built program as a process of its own on a data directory that outlives
 * it, its links through the router, spoken to over HTTP.
 */

import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { buildScript } from '../../scripts/lan/build.ts'
import type { LinkRouter } from '../../scripts/fleet/link-router.ts'
import { runCli, startNode } from '../fixtures/cli.ts'
import type { RunningNode } from '../fixtures/cli.ts'
import type { DatabaseStatus, NodeStatus } from '../../src/node/laterbase.ts'

export interface BoxInit {
  readonly name: string
  readonly dir: string
  /** Boxes to keep a connection to, those of them that are up when this one starts. */
  readonly peers?: () => readonly Box[]
  /** Without one its links are direct. */
  readonly router?: LinkRouter
  readonly env?: Readonly<Record<string, string>>
  /** Its memory is measured. */
  readonly collectsGarbage?: boolean
}

export interface Appended {
  readonly key: string
  readonly status: string
}

/** An event as a feed gives it, with the place that it has. */
export interface FedEvent {
  readonly key: string
  readonly log: string
  readonly seq: number
  /** RFC 3339. */
  readonly recorded: string
  /** The event itself, as JSON. */
  readonly text: string
}

export class Box implements AsyncDisposable {
  readonly init: BoxInit
  #running: RunningNode | undefined

  constructor(init: BoxInit) {
    this.init = init
  }

  get isUp(): boolean {
    return this.#running !== undefined
  }

  get url(): string {
    return this.#node().url
  }

  get pid(): number {
    return this.#node().child.pid ?? 0
  }

  get address(): string {
    return this.#node().ready.addresses[0] ?? ''
  }

  get peerId(): string {
    return this.#node().ready.peerId
  }

  async start(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { name, dir, peers = () => [], router, collectsGarbage = false } = this.init
    const up = peers().filter((box) => box !== this && box.isUp)
    const args = up.flatMap(({ address }) => ['--peer', address])
    const preloads: string[] = []
    if (router !== undefined) preloads.push(await preload('through-router'))
    if (collectsGarbage) preloads.push(await preload('collect-garbage'))
    const routed =
      router === undefined ? {} : { LINK_NAME: name, LINK_ROUTER_PORT: String(router.port) }
    this.#running = await startNode(dir, ['--log-level', 'error', ...args], {
      env: { NODE_OPTIONS: preloads.join(' '), ...this.init.env, ...routed, ...env }
    })
    router?.name(this.address, name)
  }

  /** Ends the process; the directory stays. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const running = this.#running
    this.#running = undefined
    await running?.end(signal)
  }

  /** To the process: SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#node().child.kill(signal)
  }

  /** The disk is replaced by an empty one, and the box joins its network again. */
  async wipe(invitation: string): Promise<void> {
    await rm(this.init.dir, { recursive: true, force: true })
    const joined = await runCli(['join', invitation, '--dir', this.init.dir])
    if (joined.code !== 0) throw new Error(joined.stderr)
  }

  /** Copies the directory of the box, which is stopped. */
  async copyTo(dir: string): Promise<void> {
    await rm(dir, { recursive: true, force: true })
    await cp(this.init.dir, dir, { recursive: true })
  }

  /** Puts an older copy in the place of the directory. */
  async restore(copy: string): Promise<void> {
    await rm(this.init.dir, { recursive: true, force: true })
    await cp(copy, this.init.dir, { recursive: true })
  }

  async invitation(): Promise<string> {
    const { stdout } = await runCli(['invite', '--dir', this.init.dir])
    return /laterbase1_\S+/.exec(stdout)?.[0] ?? ''
  }

  async createDatabase(name: string): Promise<void> {
    await expectOk(await fetch(`${this.url}/db/${name}`, { method: 'PUT' }))
  }

  /** One commit; resolves once it is acknowledged. */
  async append(name: string, events: readonly object[]): Promise<readonly Appended[]> {
    const answer = await fetch(`${this.url}/db/${name}/e`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(events)
    })
    await expectOk(answer)
    return ((await answer.json()) as { results: Appended[] }).results
  }

  async status(): Promise<NodeStatus> {
    return (await expectOk(await fetch(`${this.url}/_status`))).json() as Promise<NodeStatus>
  }

  async database(name: string): Promise<DatabaseStatus | undefined> {
    return (await this.status()).databases.find((database) => database.name === name)
  }

  async digest(name: string): Promise<string | undefined> {
    const answer = await fetch(`${this.url}/db/${name}/_digest`)
    return answer.ok ? ((await answer.json()) as { digest: string }).digest : undefined
  }

  /** A page of the feed of a database; 'replaced' for a cursor of a store that is no more. */
  async feedPage(name: string, lc: string): Promise<FeedPage | 'replaced'> {
    const answer = await fetch(`${this.url}/db/${name}/e?lc=${encodeURIComponent(lc)}&limit=5000`)
    if (answer.status === 410) return 'replaced'
    const page = (await (await expectOk(answer)).json()) as WireFeedPage
    const events = page.results.map(({ event, ...row }) => ({ ...row, text: textOf(event) }))
    return { events, lc: page.last_lc, version: page.last_version, pending: page.pending }
  }

  /** Everything that a database's feed gives. */
  async feed(name: string): Promise<readonly FedEvent[]> {
    const fed: FedEvent[] = []
    for (let lc = '0'; ;) {
      const page = await this.feedPage(name, lc)
      if (page === 'replaced') throw new Error('the store was replaced while it was read')
      fed.push(...page.events)
      lc = page.lc
      if (page.pending === 0) return fed
    }
  }

  async metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await (await expectOk(await fetch(`${this.url}/metrics`))).text()
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
    return new Map(
      lines.map((line) => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      })
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]()
  }

  #node(): RunningNode {
    if (this.#running === undefined) throw new Error(`${this.init.name} is down`)
    return this.#running
  }
}

export interface FeedPage {
  readonly events: readonly FedEvent[]
  /** Where to go on, on this box and on any box. */
  readonly lc: string
  readonly version: string
  readonly pending: number
}

interface WireFeedPage {
  readonly results: readonly (Omit<FedEvent, 'text'> & { readonly event: object })[]
  readonly last_lc: string
  readonly last_version: string
  readonly pending: number
}

/** What was written: whether another content of the key is known is for each box to say. */
function textOf(event: object): string {
  return JSON.stringify({ ...event, conflict: undefined })
}

/** Boxes of one network in the folders of a scratch directory, the first of them with its key. */
export async function joinBoxes(boxes: readonly Box[]): Promise<string> {
  const [first, ...others] = boxes
  if (first === undefined) throw new Error('a network has boxes')
  const made = await runCli(['init', '--dir', first.init.dir])
  if (made.code !== 0) throw new Error(made.stderr)
  const invitation = await first.invitation()
  for (const { init } of others) await runCli(['join', invitation, '--dir', init.dir])
  return invitation
}

const scripts = new Map<string, Promise<string>>()

/** The option that loads a script of the fleet ahead of a node's own process. */
async function preload(name: string): Promise<string> {
  const script = scripts.get(name) ?? buildScript(join('scripts', 'fleet', `${name}.ts`))
  scripts.set(name, script)
  return `--import=${pathToFileURL(await script).href}`
}

async function expectOk(answer: Response): Promise<Response> {
  if (answer.ok) return answer
  throw new Error(`${answer.url}: ${answer.status} ${await answer.text()}`)
}
