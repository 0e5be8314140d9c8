/** What others can make the transport remember or do at once: each cap, reached and exceeded. */

import 'core-js/actual/promise/with-resolvers.js' // Before anything of libp2p.
import { TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import { expect, onTestFinished, test } from 'vitest'

import { AddressBook } from '../../src/p2p/address-book.ts'
import { Announcer } from '../../src/p2p/announce.ts'
import { Gate } from '../../src/p2p/gate.ts'
import {
  ADDRESSES_PER_PEER_MAX,
  ANNOUNCEMENT_BYTES_MAX,
  BOOK_ADDRESSES_MAX,
  CONNECTIONS_DIALED_MAX,
  CUT_OFFS_MAX,
  DIALS_AT_ONCE_MAX,
  DIALS_OF_FOUND_MAX,
  DIAL_MS_MAX,
  FOUND_MAX,
  MEMBERS_MAX,
  REFUSED_ADDRESSES_MAX,
  REFUSED_MIN,
  REJECTED_PEERS_MAX,
  TWINS_MAX,
  VERDICTS_MAX,
  VERDICTS_PER_PEER_MAX,
  VERDICT_MS_MAX
} from '../../src/p2p/limits.ts'
import { Membership } from '../../src/p2p/membership.ts'
import { Perimeter } from '../../src/p2p/perimeter.ts'
import type { AnnouncementVerdict } from '../../src/p2p/transport.ts'
import { Twins } from '../../src/p2p/twins.ts'
import { seededRng } from '../property/arbitraries.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'

const log = (): void => undefined
const SOMEWHERE = ['/ip4/10.0.0.1/tcp/1']
const DIGITS = '123456789ABCDEFGHJKLMNPQRSTUVWXYZ'

/** A text with the form of a peer id. */
function peerId(number: number): string {
  const digits = number.toString(20).split('')
  const tail = digits.map((digit) => DIGITS[Number.parseInt(digit, 20)])
  return '12D3KooW'.padEnd(52 - tail.length, '1') + tail.join('')
}

const peers = (count: number): string[] => Array.from({ length: count }, (_, at) => peerId(at))

test('the address book keeps the members met last, and no more lines than it may have', async () => {
  const saved: (readonly string[])[] = []
  const store = {
    load: async () => [],
    save: async (lines: readonly string[]) => void saved.push(lines)
  }
  const clock = new ManualClock()
  const book = new AddressBook({ store, clock, log })
  const all = peers(MEMBERS_MAX + 10)
  for (const peer of all) {
    const addresses = Array.from({ length: 20 }, (_, port) => `/ip4/10.0.0.1/tcp/${port}`)
    book.met(peer, addresses)
  }
  const members = book.members()
  expect(members.map(([peer]) => peer)).toEqual(all.slice(10).toReversed())
  for (const [, addresses] of members) expect(addresses).toHaveLength(ADDRESSES_PER_PEER_MAX)
  await book.close()
  expect(saved.at(-1)).toHaveLength(BOOK_ADDRESSES_MAX)
})

test('of very many peers that are cut off the one cut off first is let in again', () => {
  const clock = new ManualClock()
  const superfluous = { inboundIsSuperfluous: () => false, outboundIsSuperfluous: () => false }
  const gate = new Gate({ clock, connections: () => [], ...superfluous })
  const all = peers(CUT_OFFS_MAX + 1)
  for (const peer of all) gate.cutOff(peer, 60_000)
  expect(all.filter((peer) => !gate.isCutOff(peer))).toEqual(all.slice(0, 1))
})

interface Rig {
  readonly membership: Membership
  readonly clock: ManualClock
  readonly dialed: string[]
  connected: number
  /** Whether dials fail at once; otherwise they hang. */
  fails: boolean
}

/** Pauses with the test. */
function membershipRig(staticPeers: readonly string[] = []): Rig {
  const clock = new ManualClock()
  const rig: Rig = {
    clock,
    dialed: [],
    connected: 0,
    fails: false,
    membership: new Membership({
      self: 'self',
      clock,
      rng: seededRng(1),
      log,
      staticPeers,
      isConnected: () => false,
      connectedCount: () => rig.connected,
      refuses: () => false,
      dial: (addresses, signal) => {
        rig.dialed.push(addresses[0] ?? '')
        if (rig.fails) return Promise.reject(new Error('nobody'))
        return new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('given up')))
        })
      }
    })
  }
  onTestFinished(() => rig.membership.pause())
  return rig
}

/** A rig to which so many strangers were announced, after some time. */
async function rigWithStrangers(count: number, fails: boolean): Promise<Rig> {
  const rig = membershipRig()
  rig.fails = fails
  rig.membership.resume()
  for (const peer of peers(count)) rig.membership.found(peer, SOMEWHERE)
  await rig.clock.pass(5_000)
  return rig
}

test('no more strangers are dialed at once than may be', async () => {
  const rig = await rigWithStrangers(FOUND_MAX + 50, false)
  expect(rig.dialed).toHaveLength(DIALS_OF_FOUND_MAX)
})

test('of strangers beyond the room for them nothing is remembered', async () => {
  const rig = await rigWithStrangers(FOUND_MAX + 50, true)
  expect(new Set(rig.dialed).size).toBe(FOUND_MAX)
})

test('no more members are dialed at once than may be, and of very many the first are forgotten', async () => {
  const rig = membershipRig()
  const all = peers(MEMBERS_MAX + 20)
  for (const peer of all) rig.membership.remember(peer, SOMEWHERE)
  rig.membership.resume()
  await rig.clock.pass(1_000)
  expect(rig.dialed).toHaveLength(DIALS_AT_ONCE_MAX)
  for (const address of rig.dialed) {
    expect(all.slice(20).map((peer) => `${SOMEWHERE[0]}/p2p/${peer}`)).toContain(address)
  }
})

test('who has many connections dials static peers only, so that others can dial in', async () => {
  const fixed = '/ip4/10.0.0.2/tcp/1'
  const rig = membershipRig([fixed])
  rig.connected = CONNECTIONS_DIALED_MAX
  for (const peer of peers(30)) rig.membership.remember(peer, SOMEWHERE)
  rig.membership.resume()
  await rig.clock.pass(10_000)
  expect(rig.dialed).toEqual([fixed])
})

test('a dial that does not end is given up, and leaves its place to others', async () => {
  const rig = membershipRig()
  const all = peers(DIALS_AT_ONCE_MAX + 1)
  for (const peer of all) rig.membership.remember(peer, SOMEWHERE)
  rig.membership.resume()
  await rig.clock.pass(1_000)
  expect(rig.dialed).toHaveLength(DIALS_AT_ONCE_MAX)
  await rig.clock.pass(DIAL_MS_MAX)
  expect(new Set(rig.dialed).size).toBe(all.length)
})

test('of very many hosts whose handshakes failed the last few are remembered', async () => {
  const perimeter = new Perimeter(new Uint8Array(32), new ManualClock(), log)
  const components = { logger: { forComponent: () => log } }
  const encrypter = perimeter.encrypter()(components as never)
  for (let host = 0; host < 2 * REFUSED_ADDRESSES_MAX; host += 1) {
    for (let tries = 0; tries < REFUSED_MIN; tries += 1) {
      // It is nothing that noise could speak to.
      const secured = encrypter.secureInbound({ remoteAddr: `/ip4/10.0.0.${host}/tcp/1` } as never)
      await expect(secured).rejects.toThrow()
    }
  }
  const refused = perimeter.warnings()
  expect(refused).toHaveLength(REFUSED_ADDRESSES_MAX)
  expect(refused.at(-1)).toContain(`10.0.0.${2 * REFUSED_ADDRESSES_MAX - 1}`)
})

test('of very many places at which our own identity is heard the last few are named', () => {
  const twins = new Twins({ self: 'self', clock: new ManualClock(), log, connected: () => [] })
  for (let host = 0; host < 2 * TWINS_MAX; host += 1) {
    twins.heardSelf([`/ip4/10.0.0.${host}/tcp/1`], [])
  }
  const [named] = twins.warnings()
  expect(named?.match(/10\.0\.0\.\d+/g)).toHaveLength(TWINS_MAX)
  expect(named).toContain(`10.0.0.${2 * TWINS_MAX - 1}`)
})

type Validator = (peer: string, message: { data: Uint8Array }) => Promise<TopicValidatorResult>

/** An announcer on as much of gossipsub as it uses. */
function announcerRig(judge: () => Promise<AnnouncementVerdict>): {
  readonly announcer: Announcer
  readonly clock: ManualClock
  readonly judged: string[]
  readonly published: number[]
  readonly come: (peer: string) => Promise<TopicValidatorResult>
} {
  const clock = new ManualClock()
  const judged: string[] = []
  const published: number[] = []
  const announced = (peer: string): Promise<AnnouncementVerdict> => (judged.push(peer), judge())
  const announcer = new Announcer({
    clock,
    log,
    announced,
    names: (peer) => [peer],
    subscribed: () => undefined
  })
  const topicValidators = new Map<string, Validator>()
  const gossip = {
    topicValidators,
    addEventListener: () => undefined,
    subscribe: () => undefined,
    getSubscribers: () => [],
    publish: async (_topic: string, { length }: Uint8Array) => void published.push(length)
  }
  announcer.subscribe('yard')
  announcer.attach(gossip as never, new AbortController().signal)
  const [validate] = topicValidators.values()
  if (validate === undefined) throw new Error('the announcer judges')
  const come = (peer: string): Promise<TopicValidatorResult> =>
    validate(peer, { data: new Uint8Array(1) })
  return { announcer, clock, judged, published, come }
}

test('of announcements that wait for their verdict so many of one peer are judged, and so many of all', async () => {
  const rig = announcerRig(() => new Promise(() => undefined))
  for (let count = 0; count < 2 * VERDICTS_PER_PEER_MAX; count += 1) void rig.come('ann')
  expect(rig.judged).toHaveLength(VERDICTS_PER_PEER_MAX)
  for (const peer of peers(20)) {
    for (let count = 0; count < 2 * VERDICTS_PER_PEER_MAX; count += 1) void rig.come(peer)
  }
  expect(rig.judged).toHaveLength(VERDICTS_MAX)
  expect(await rig.come('bob')).toBe(TopicValidatorResult.Ignore)
})

test('an announcement without a verdict is ignored in time, and keeps its place until there is one', async () => {
  const rig = announcerRig(() => new Promise(() => undefined))
  const verdicts = Array.from({ length: VERDICTS_PER_PEER_MAX }, () => rig.come('ann'))
  await rig.clock.pass(VERDICT_MS_MAX)
  for (const verdict of verdicts) expect(await verdict).toBe(TopicValidatorResult.Ignore)
  await rig.come('ann')
  expect(rig.judged).toHaveLength(VERDICTS_PER_PEER_MAX)
})

test('of very many peers whose announcements were rejected the first are forgotten', async () => {
  const rig = announcerRig(async () => 'reject')
  const all = peers(REJECTED_PEERS_MAX + 5)
  for (const peer of all) expect(await rig.come(peer)).toBe(TopicValidatorResult.Reject)
  expect(all.filter((peer) => rig.announcer.score(peer) === 0)).toEqual(all.slice(0, 5))
})

test('an announcement above its limit neither goes out nor comes in', async () => {
  const rig = announcerRig(async () => 'accept')
  await rig.announcer.announce('yard', new Uint8Array(ANNOUNCEMENT_BYTES_MAX + 1))
  await rig.announcer.announce('yard', new Uint8Array(ANNOUNCEMENT_BYTES_MAX))
  expect(rig.published).toEqual([ANNOUNCEMENT_BYTES_MAX])
  const { inboundTransform } = rig.announcer.transform()
  const topic = '/laterbase/announce/1.0.0/yard'
  expect(inboundTransform(topic, new Uint8Array(ANNOUNCEMENT_BYTES_MAX))).toBeDefined()
  expect(() => inboundTransform(topic, new Uint8Array(ANNOUNCEMENT_BYTES_MAX + 1))).toThrow(
    'too large'
  )
  expect(() => inboundTransform(`${topic}s`, new Uint8Array(1))).toThrow('not followed')
  await settled()
})
