/**
 * Transports as processes of their own: in network namespaces that only mDNS connects, through a
 * cut; and one that must end by itself when it is closed.
 *
 * Needs Linux, root and iproute2. Without them it is skipped aloud, but never in CI.
 */

import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { beforeAll, expect, test } from 'vitest'
import { buildScript } from '../../scripts/lan/build.ts'
import { createLan, lanUnavailable } from '../../scripts/lan/lan.ts'
import type { MemberReport } from '../../scripts/lan/member.ts'
import { NETWORK_KEY, peer } from './p2p-harness.ts'

const unavailable = lanUnavailable()
const skipLan = unavailable !== undefined && process.env['CI'] === undefined
if (skipLan) console.warn(`p2p-lan: tests on a LAN of namespaces are SKIPPED: ${unavailable}`)

let script = ''

beforeAll(async () => {
  script = await buildScript('scripts/lan/member.ts')
}, 120_000)

/** Follows the reports of a child and waits for the next one that fits. */
class Member {
  readonly child: ChildProcess
  readonly reports: MemberReport[] = []
  readonly #waiters = new Set<() => void>()

  constructor(child: ChildProcess) {
    this.child = child
    child.on('message', (report) => {
      this.reports.push(report as MemberReport)
      for (const waiter of this.#waiters) waiter()
    })
  }

  /** Resolves with the first report of `type` after the first `after` reports. */
  async next<T extends MemberReport['type']>(
    type: T,
    after = 0,
    withinMs = 30_000
  ): Promise<Extract<MemberReport, { type: T }>> {
    const timeout = AbortSignal.timeout(withinMs)
    for (;;) {
      const found = this.reports.slice(after).find((report) => report.type === type)
      if (found !== undefined) return found as Extract<MemberReport, { type: T }>
      if (timeout.aborted) throw new Error(`no ${type} in ${JSON.stringify(this.reports)}`)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#waiters.delete(done)
          timeout.removeEventListener('abort', done)
          resolve()
        }
        this.#waiters.add(done)
        timeout.addEventListener('abort', done)
      })
    }
  }
}

function keys(): { networkKey: string; seed: () => string } {
  return {
    networkKey: randomBytes(32).toString('hex'),
    seed: () => randomBytes(32).toString('hex')
  }
}

test.skipIf(skipLan)(
  'two boxes find each other by mDNS alone, notice a cut, and are together again after it',
  async () => {
    expect(unavailable).toBeUndefined()
    const { networkKey, seed } = keys()
    await using lan = await createLan(3)
    const seedB = seed()
    const seeds = [seed(), seedB, seed()]
    const [a, b, stranger] = lan.hosts.map(
      (host, index) =>
        new Member(host.fork(script, [index === 2 ? seed() : networkKey, seeds[index] ?? '']))
    )
    if (a === undefined || b === undefined || stranger === undefined) throw new Error('three hosts')
    const [readyA, readyB] = await Promise.all([a.next('ready'), b.next('ready')])
    expect(await a.next('connected')).toEqual({ type: 'connected', peer: readyB.peerId })
    expect(await b.next('connected')).toEqual({ type: 'connected', peer: readyA.peerId })

    const [beforeA, beforeB] = [a.reports.length, b.reports.length]
    await lan.hosts[0]?.cut()
    await Promise.all([a.next('disconnected', beforeA), b.next('disconnected', beforeB)])
    const [cutA, cutB] = [a.reports.length, b.reports.length]
    await lan.hosts[0]?.heal()
    await Promise.all([a.next('connected', cutA), b.next('connected', cutB)])

    // A box that is replaced by another process has another port.
    const hostB = lan.hosts[1]
    const lostA = a.reports.length
    const ended = new Promise((resolve) => b.child.once('exit', resolve))
    b.child.kill('SIGKILL')
    await ended
    const again = new Member(hostB?.fork(script, [networkKey, seedB]) ?? b.child)
    expect((await again.next('ready')).addresses).not.toEqual(readyB.addresses)
    await again.next('connected')
    await a.next('disconnected', lostA)
    await a.next('connected', lostA)

    // Another network on the same LAN is neither met nor dialed.
    await stranger.next('warnings')
    expect(stranger.reports.filter(({ type }) => type === 'connected')).toEqual([])
    const { warnings } = await a.next('warnings', a.reports.length)
    expect(warnings).toEqual([])
  },
  120_000
)

test.skipIf(skipLan)(
  'two boxes that have one identity hear each other, and both say so',
  async () => {
    expect(unavailable).toBeUndefined()
    const { networkKey, seed } = keys()
    const copied = seed()
    await using lan = await createLan(2)
    const boxes = lan.hosts.map((host) => new Member(host.fork(script, [networkKey, copied])))
    for (const [index, box] of boxes.entries()) {
      const other = lan.hosts[1 - index]?.address ?? ''
      const { peerId } = await box.next('ready')
      for (let seen = 0; ; seen = box.reports.length) {
        const { warnings } = await box.next('warnings', seen)
        const text = `another box uses the identity of this one, ${peerId}: ${other}:`
        if (warnings.some((warning) => warning.startsWith(text))) break
      }
    }
  },
  60_000
)

test.skipIf(skipLan)(
  'a box without a multicast route says so',
  async () => {
    expect(unavailable).toBeUndefined()
    const { networkKey, seed } = keys()
    await using lan = await createLan(1, { multicast: false })
    const host = lan.hosts[0]
    if (host === undefined) throw new Error('one host')
    const member = new Member(host.fork(script, [networkKey, seed()]))
    for (let seen = 0; ; seen = member.reports.length) {
      const { warnings } = await member.next('warnings', seen)
      if (warnings.some((warning) => warning.includes('mDNS'))) break
    }
  },
  60_000
)

test('a process ends by itself once its transport is closed, with a peer connected', async () => {
  const { seed } = keys()
  await using other = await peer()
  const networkKey = Buffer.from(NETWORK_KEY).toString('hex')
  const listen = '/ip4/127.0.0.1/tcp/0'
  const child = fork(script, [networkKey, seed(), listen, other.address()])
  const member = new Member(child)
  try {
    const { peerId } = await member.next('ready')
    await other.until(`connected ${peerId}`)
    const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)))
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  } finally {
    child.kill('SIGKILL')
  }
}, 60_000)
