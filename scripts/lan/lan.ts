/**
 * A LAN on one machine: a bridge and a number of hosts, each in a network namespace of its own, so
 * that real mDNS and real cuts can be tested. Linux, root and iproute2 only; no delay and no loss.
 *
 * Everything it makes is taken down by `dispose`, and when the process exits without that.
 */

import { execFile, execFileSync, fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { promisify } from 'node:util'

/** Hosts of one LAN: their addresses end in 1 to this. */
const HOSTS_MAX = 250
/** How long a child may take to end when asked, ms; then it is killed. */
const CHILD_EXIT_MS_MAX = 5_000

const run = promisify(execFile)

export interface LanHost {
  /** The namespace, for `ip netns exec`. */
  readonly namespace: string
  /** IPv4. */
  readonly address: string
  /** Runs a built script on the host, with an IPC channel; killed when the LAN is taken down. */
  fork(script: string, args?: readonly string[]): ChildProcess
  /** Pulls the cable. */
  cut(): Promise<void>
  heal(): Promise<void>
}

export interface Lan extends AsyncDisposable {
  readonly hosts: readonly LanHost[]
}

/** Why no LAN can be made here, or undefined. */
export function lanUnavailable(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux'
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  try {
    execFileSync('ip', ['netns', 'list'], { stdio: 'ignore' })
  } catch {
    return 'the command "ip" (iproute2) is missing, or may not make namespaces'
  }
  return undefined
}

export interface LanOptions {
  /** Whether the hosts have a route for multicast; default true. */
  readonly multicast?: boolean
}

export async function createLan(hostCount: number, options: LanOptions = {}): Promise<Lan> {
  if (!(hostCount >= 1 && hostCount <= HOSTS_MAX)) throw new RangeError(`1 to ${HOSTS_MAX} hosts`)
  lansMade += 1
  const lan = new NamespaceLan(`lb-${process.pid}-${lansMade}`)
  try {
    await lan.addBridge()
    for (let index = 1; index <= hostCount; index += 1)
      await lan.addHost(index, options.multicast ?? true)
  } catch (error) {
    await lan[Symbol.asyncDispose]()
    throw error
  }
  return lan
}

let lansMade = 0

class NamespaceLan implements Lan {
  readonly hosts: LanHost[] = []
  readonly #prefix: string
  readonly #namespaces: string[] = []
  readonly #children = new Set<ChildProcess>()
  readonly #onExit = (): void => this.#removeAtExit()

  constructor(prefix: string) {
    this.#prefix = prefix
    process.on('exit', this.#onExit)
  }

  async addBridge(): Promise<void> {
    const bridge = await this.#addNamespace('bridge')
    // Without snooping and spanning tree, multicast passes from the first packet on.
    const settings = ['mcast_snooping', '0', 'stp_state', '0', 'forward_delay', '0']
    await ip('-n', bridge, 'link', 'add', 'br0', 'type', 'bridge', ...settings)
    await ip('-n', bridge, 'link', 'set', 'br0', 'up')
  }

  async addHost(index: number, multicast: boolean): Promise<void> {
    const bridge = `${this.#prefix}-bridge`
    const host = await this.#addNamespace(`${index}`)
    const port = `p${index}`
    const address = `10.77.0.${index}`
    const peer = ['peer', 'name', 'eth0', 'netns', host]
    await ip('link', 'add', port, 'netns', bridge, 'type', 'veth', ...peer)
    await ip('-n', bridge, 'link', 'set', port, 'master', 'br0', 'up')
    await ip('-n', host, 'address', 'add', `${address}/24`, 'dev', 'eth0')
    await ip('-n', host, 'link', 'set', 'eth0', 'up')
    // Without a route for it, multicast goes nowhere.
    if (multicast) await ip('-n', host, 'route', 'add', '224.0.0.0/4', 'dev', 'eth0')
    this.hosts.push({
      namespace: host,
      address,
      fork: (script, args = []) => this.#fork(host, script, args),
      cut: () => ip('-n', bridge, 'link', 'set', port, 'down'),
      heal: () => ip('-n', bridge, 'link', 'set', port, 'up')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children].map(endChild))
    for (const namespace of this.#namespaces.splice(0)) await ip('netns', 'delete', namespace)
    process.off('exit', this.#onExit)
  }

  async #addNamespace(name: string): Promise<string> {
    const namespace = `${this.#prefix}-${name}`
    await ip('netns', 'add', namespace)
    this.#namespaces.push(namespace)
    await ip('-n', namespace, 'link', 'set', 'lo', 'up')
    return namespace
  }

  #fork(namespace: string, script: string, args: readonly string[]): ChildProcess {
    // `ip netns exec` becomes the program it runs, so the pid and the IPC channel are the child's.
    const child = fork(script, args, {
      execPath: 'ip',
      execArgv: ['netns', 'exec', namespace, process.execPath]
    })
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  #removeAtExit(): void {
    for (const child of this.#children) child.kill('SIGKILL')
    for (const namespace of this.#namespaces) {
      try {
        execFileSync('ip', ['netns', 'delete', namespace], { stdio: 'ignore' })
      } catch {
        // The process is ending: the other namespaces still have to go.
      }
    }
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await run('ip', args)
}

/** Asks, then kills. */
async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), CHILD_EXIT_MS_MAX)
  await ended
  clearTimeout(timer)
}
