/** The sync state machine, under random histories of peers that come, go, announce and fail. */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import {
  COMPARE_MS_MAX,
  CUT_OFF_MS,
  RETRY_MS,
  RETRY_MS_MAX,
  RIPPLE_MS
} from '../../src/core/limits.ts'
import { ANTI_ENTROPY_MS, createMachine } from './sync-machine.ts'
import type { Machine, MachineInput, MachineOutput } from './sync-machine.ts'

/** Random acts; which of them can happen is up to the history so far. */
type Act = readonly [kind: number, peer: number, database: number, millis: number]

const acts = fc.array(
  fc.tuple(fc.nat(10), fc.nat(2), fc.nat(1), fc.oneof(fc.nat(400), fc.nat(20_000))),
  { maxLength: 120 }
)
const PEERS = ['ann', 'bob', 'cid']
const DATABASES = ['yard', 'depot']

interface History {
  readonly connected: Set<string>
  readonly fetching: Set<string>
}

/** The input that an act comes to, or none where it cannot happen. */
function inputOf(act: Act, { connected, fetching }: History): MachineInput | undefined {
  const peer = PEERS[act[1]] ?? ''
  const database = DATABASES[act[2]] ?? ''
  const isConnected = connected.has(peer)
  const isFetching = fetching.has(`${peer} ${database}`)
  switch (act[0]) {
    case 0:
      return isConnected ? undefined : { type: 'peer-connected', peer }
    case 1:
      return isConnected ? { type: 'peer-disconnected', peer } : undefined
    case 2:
      return { type: 'peer-subscribed', peer, database }
    case 3:
      return { type: 'compared', peer, unequal: [database], answer: act[3] % 2 === 0 }
    case 4:
      return { type: 'compare-failed', peer }
    case 5:
      return { type: 'announced', peer, database }
    case 6:
      return isFetching
        ? { type: 'fetched', peer, database, stored: act[3] % 3, equal: act[3] % 2 === 0 }
        : undefined
    case 7:
      return isFetching ? { type: 'fetch-failed', peer, database } : undefined
    case 8:
      return { type: 'peer-faulty', peer, reason: 'bad-signature' }
    case 9:
      return { type: 'untold', peers: [peer, 'dan'] }
    default:
      return { type: 'compare-now' }
  }
}

/** What the input changes before the outputs of its step are looked at. */
function follow(history: History, input: MachineInput): void {
  const { connected, fetching } = history
  switch (input.type) {
    case 'peer-connected':
      connected.add(input.peer)
      return
    case 'peer-disconnected':
    case 'peer-faulty':
      connected.delete(input.peer)
      for (const database of DATABASES) fetching.delete(`${input.peer} ${database}`)
      return
    case 'fetched':
    case 'fetch-failed':
      fetching.delete(`${input.peer} ${input.database}`)
      return
    default:
  }
}

function checkOutputs(history: History, outputs: readonly MachineOutput[]): void {
  for (const output of outputs) {
    if (output.type === 'cut-off') continue
    expect(history.connected.has(output.peer)).toBe(true)
    if (output.type !== 'fetch') continue
    const name = `${output.peer} ${output.database}`
    expect(history.fetching.has(name)).toBe(false)
    history.fetching.add(name)
  }
}

describe('in every history', () => {
  test('there is one fetch per peer and database at a time, and no output for who has gone', () => {
    fc.assert(
      fc.property(acts, fc.integer(), (history, seed) => {
        const machine = createMachine(seed)
        const known: History = { connected: new Set(), fetching: new Set() }
        for (const act of history) {
          machine.advance(act[3])
          const input = inputOf(act, known)
          if (input !== undefined) follow(known, input)
          checkOutputs(known, machine.take(input ?? { type: 'timer' }))
        }
      }),
      { numRuns: 300 }
    )
  })

  test('a timer is wanted while there is a peer, and a timer that was taken is over', () => {
    fc.assert(
      fc.property(acts, fc.integer(), (history, seed) => {
        const machine = createMachine(seed)
        const known: History = { connected: new Set(), fetching: new Set() }
        for (const act of history) {
          machine.advance(act[3])
          const input = inputOf(act, known)
          if (input !== undefined) follow(known, input)
          checkOutputs(known, machine.take(input ?? { type: 'timer' }))
          checkOutputs(known, machine.take({ type: 'timer' }))
          const due = machine.dueInMs()
          expect(due !== undefined).toBe(known.connected.size > 0)
          if (due !== undefined) expect(due).toBeGreaterThan(0)
        }
      })
    )
  })

  test('every peer is compared with again, whatever went before', () => {
    fc.assert(
      fc.property(acts, fc.integer(), (history, seed) => {
        const machine = createMachine(seed)
        const known: History = { connected: new Set(), fetching: new Set() }
        for (const act of history) {
          machine.advance(act[3])
          const input = inputOf(act, known)
          if (input !== undefined) follow(known, input)
          checkOutputs(known, machine.take(input ?? { type: 'timer' }))
        }
        const waited = new Set<string>()
        let elapsedMs = 0
        while (known.connected.size > waited.size) {
          elapsedMs += Math.max(0, machine.dueInMs() ?? 0)
          for (const output of machine.wait())
            if (output.type === 'compare') waited.add(output.peer)
          expect(elapsedMs).toBeLessThan(1.5 * ANTI_ENTROPY_MS + COMPARE_MS_MAX + 2 * RIPPLE_MS)
        }
      })
    )
  })
})

describe('a peer that connects', () => {
  test('is compared with at once, and again after each interval', () => {
    const machine = createMachine(1)
    expect(connect(machine, 'ann')).toEqual([{ type: 'compare', peer: 'ann' }])
    for (let round = 0; round < 5; round += 1) {
      machine.take({ type: 'compared', peer: 'ann', unequal: [], answer: true })
      const due = machine.dueInMs() ?? 0
      expect(due).toBeGreaterThanOrEqual(0.5 * ANTI_ENTROPY_MS)
      expect(due).toBeLessThan(1.5 * ANTI_ENTROPY_MS)
      expect(machine.wait()).toEqual([{ type: 'compare', peer: 'ann' }])
    }
  })

  test('is compared with once more when it begins to follow a database', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    machine.take({ type: 'compared', peer: 'ann', unequal: [], answer: true })
    const outputs = machine.take({ type: 'peer-subscribed', peer: 'ann', database: 'yard' })
    expect(outputs).toEqual([{ type: 'compare', peer: 'ann' }])
  })

  test('that never answers a comparison is asked again after its deadline', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    machine.take({ type: 'compare-now' })
    let elapsedMs = 0
    for (;;) {
      elapsedMs += machine.dueInMs() ?? 0
      if (machine.wait().length > 0) break
    }
    expect(elapsedMs).toBeGreaterThanOrEqual(COMPARE_MS_MAX)
    expect(elapsedMs).toBeLessThan(COMPARE_MS_MAX + 2 * RIPPLE_MS)
  })

  test('whose comparison failed is asked again, after waits that double up to the interval', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    for (let failures = 0; failures < 10; failures += 1) {
      machine.take({ type: 'compare-failed', peer: 'ann' })
      const meanMs = Math.min(RETRY_MS * 2 ** failures, ANTI_ENTROPY_MS)
      expect(machine.dueInMs()).toBeLessThan(1.5 * meanMs + 1)
      expect(machine.wait()).toEqual([{ type: 'compare', peer: 'ann' }])
    }
    machine.take({ type: 'compared', peer: 'ann', unequal: [], answer: true })
    machine.take({ type: 'compare-now' })
    machine.take({ type: 'compare-failed', peer: 'ann' })
    expect(machine.dueInMs()).toBeLessThan(1.5 * RETRY_MS + 1)
  })

  test('that sent something invalid is cut off, and nothing more is asked of it', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    const reason = 'bad-signature'
    expect(machine.take({ type: 'peer-faulty', peer: 'ann', reason })).toEqual([
      { type: 'cut-off', peer: 'ann', forMs: CUT_OFF_MS, reason }
    ])
    expect(machine.take({ type: 'announced', peer: 'ann', database: 'yard' })).toEqual([])
    expect(machine.take({ type: 'compare-now' })).toEqual([])
    expect(machine.dueInMs()).toBeUndefined()
  })
})

test('whom gossip may not reach is compared with soon, however much is new meanwhile', () => {
  const machine = createMachine(1)
  for (const peer of PEERS) connect(machine, peer)
  for (const peer of PEERS) machine.take({ type: 'compared', peer, unequal: [], answer: true })
  for (let news = 0; news < 20; news += 1) {
    expect(machine.take({ type: 'untold', peers: ['ann', 'bob'] })).toEqual([])
  }
  machine.advance(1.5 * RIPPLE_MS)
  const compared = machine.take({ type: 'timer' }).map(({ peer }) => peer)
  expect(compared.toSorted()).toEqual(['ann', 'bob'])
})

describe('announcements', () => {
  test('during a fetch lead to exactly one more, however many they are', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 20 }), (count) => {
        const machine = createMachine(1)
        connect(machine, 'ann')
        expect(announce(machine)).toEqual([FETCH])
        for (let at = 0; at < count; at += 1) expect(announce(machine)).toEqual([])
        const next = machine.take({ ...FETCHED, stored: 1 })
        expect(next).toEqual(count === 0 ? [] : [FETCH])
        expect(count === 0 ? [] : machine.take({ ...FETCHED, stored: 0 })).toEqual([])
      })
    )
  })

  test('of two databases, or by two peers, are fetched side by side', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    connect(machine, 'bob')
    const fetches = ['ann', 'bob'].flatMap((peer) =>
      DATABASES.flatMap((database) => machine.take({ type: 'announced', peer, database }))
    )
    expect(fetches.length).toBe(4)
  })

  test('need no ripple: who announced told the neighbours', () => {
    const machine = createMachine(1)
    for (const peer of PEERS) connect(machine, peer)
    announce(machine)
    const dueBefore = machine.dueInMs()
    expect(machine.take({ ...FETCHED, stored: 3 })).toEqual([])
    expect(machine.dueInMs()).toBe(dueBefore)
  })
})

describe('a comparison during a fetch', () => {
  const unequal = { type: 'compared', peer: 'ann', unequal: ['yard'], answer: false } as const

  test('is settled by a fetch that ends equal, and not by one that does not', () => {
    for (const equal of [true, false]) {
      const machine = createMachine(1)
      connect(machine, 'ann')
      expect(machine.take(unequal)).toEqual([FETCH])
      expect(machine.take(unequal)).toEqual([])
      expect(machine.take({ ...FETCHED, stored: 0, equal })).toEqual(equal ? [] : [FETCH])
    }
  })

  test('does not make an announcement forgotten', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    announce(machine)
    announce(machine)
    machine.take(unequal)
    expect(machine.take({ ...FETCHED, stored: 0, equal: true })).toEqual([FETCH])
  })
})

describe('a fetch', () => {
  test('after a comparison makes the other neighbours hear of it soon', () => {
    const machine = createMachine(1)
    for (const peer of PEERS) connect(machine, peer)
    for (const peer of PEERS) machine.take({ type: 'compared', peer, unequal: [], answer: true })
    machine.take({ type: 'compared', peer: 'ann', unequal: ['yard'], answer: false })
    machine.take({ ...FETCHED, stored: 3 })
    expect(machine.dueInMs()).toBeLessThan(1.5 * RIPPLE_MS)
    machine.advance(1.5 * RIPPLE_MS)
    const compared = machine.take({ type: 'timer' }).map(({ peer }) => peer)
    expect(compared.toSorted()).toEqual(['bob', 'cid'])
  })

  test('that brought nothing makes no ripple', () => {
    const machine = createMachine(1)
    for (const peer of PEERS) connect(machine, peer)
    for (const peer of PEERS) machine.take({ type: 'compared', peer, unequal: [], answer: true })
    machine.take({ type: 'compared', peer: 'ann', unequal: ['yard'], answer: false })
    machine.take({ ...FETCHED, stored: 0 })
    expect(machine.dueInMs()).toBeGreaterThan(1.5 * RIPPLE_MS)
  })

  test('of an earlier connection that ends late changes nothing of the one on the next', () => {
    fc.assert(
      fc.property(acts, fc.integer(), fc.boolean(), (history, seed, failed) => {
        const [machine, twin] = [createMachine(seed), createMachine(seed)]
        const known: History = { connected: new Set(), fetching: new Set() }
        for (const of of [machine, twin]) {
          connect(of, 'ann')
          announce(of)
        }
        const late = { peer: 'ann', database: 'yard', fetch: machine.lastFetch('ann', 'yard') }
        for (const of of [machine, twin]) of.take({ type: 'peer-disconnected', peer: 'ann' })
        for (const act of history) {
          for (const of of [machine, twin]) of.advance(act[3])
          const input = inputOf(act, known) ?? { type: 'timer' }
          follow(known, input)
          const outputs = machine.take(input)
          checkOutputs(known, outputs)
          expect(twin.take(input)).toEqual(outputs)
          const result = failed
            ? ({ type: 'fetch-failed', ...late } as const)
            : ({ type: 'fetched', ...late, stored: 0, equal: true } as const)
          expect(machine.take(result)).toEqual([])
          expect(machine.dueInMs()).toBe(twin.dueInMs())
        }
      }),
      { numRuns: 300 }
    )
  })

  test('that ends after its connection tells the neighbours what it brought', () => {
    const machine = createMachine(1)
    for (const peer of PEERS) connect(machine, peer)
    for (const peer of PEERS) machine.take({ type: 'compared', peer, unequal: [], answer: true })
    machine.take({ type: 'compared', peer: 'ann', unequal: ['yard'], answer: false })
    machine.take({ type: 'peer-disconnected', peer: 'ann' })
    machine.take({ ...FETCHED, stored: 3 })
    expect(machine.dueInMs()).toBeLessThan(1.5 * RIPPLE_MS)
  })

  test('that fails is tried again, after waits that double up to a cap', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    announce(machine)
    for (let failures = 0; failures < 12; failures += 1) {
      machine.take({ type: 'fetch-failed', peer: 'ann', database: 'yard' })
      const meanMs = Math.min(RETRY_MS * 2 ** failures, RETRY_MS_MAX)
      let elapsedMs = 0
      for (;;) {
        elapsedMs += machine.dueInMs() ?? 0
        const outputs = machine.wait()
        if (outputs.some(({ type }) => type === 'fetch')) break
        machine.take({ type: 'compared', peer: 'ann', unequal: ['yard'], answer: true })
      }
      expect(elapsedMs).toBeGreaterThanOrEqual(0.5 * meanMs)
      expect(elapsedMs).toBeLessThan(1.5 * meanMs + 1)
    }
  })

  test('that succeeds ends the waits: the next failure waits the shortest again', () => {
    const machine = createMachine(1)
    connect(machine, 'ann')
    announce(machine)
    for (let failures = 0; failures < 4; failures += 1) {
      machine.take({ type: 'fetch-failed', peer: 'ann', database: 'yard' })
      announce(machine)
    }
    machine.take({ ...FETCHED, stored: 1 })
    announce(machine)
    machine.take({ type: 'fetch-failed', peer: 'ann', database: 'yard' })
    expect(machine.dueInMs()).toBeLessThan(1.5 * RETRY_MS)
  })
})

const FETCH = { type: 'fetch', peer: 'ann', database: 'yard' } as const
const FETCHED = { type: 'fetched', peer: 'ann', database: 'yard', equal: false } as const

function connect(machine: Machine, peer: string): MachineOutput[] {
  return machine.take({ type: 'peer-connected', peer })
}

function announce(machine: Machine): MachineOutput[] {
  return machine.take({ type: 'announced', peer: 'ann', database: 'yard' })
}
