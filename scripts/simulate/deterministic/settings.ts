/**
 * What a run is like: how many boxes, which faults, how often. Drawn anew for every seed, each fault
 * absent from about half of them, from gentle to vicious (swarm testing, Groce et al. 2012): a bug
 * that one fault brings out, another may hide.
 */

import { createPrng } from '../prng.ts'
import type { Prng } from '../prng.ts'
import { LIES } from './rogue.ts'
import type { Lie } from './rogue.ts'

/** Faults of boxes and links: the share of a run's steps that are such a fault. */
export const FAULT_KINDS = [
  'crash',
  'wipe',
  'cut',
  'oneWay',
  'clog',
  'clock',
  'pause',
  'fullDisk',
  'offline',
  'restore',
  'clone'
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

export interface Settings {
  readonly boxes: number
  readonly databases: number
  readonly steps: number
  /** Mean time between two steps, ms. */
  readonly stepMs: number
  readonly antiEntropyMs: number
  readonly shares: Readonly<Record<FaultKind, number>>
  /** Share of writes during which the box crashes. */
  readonly crashOnWrite: number
  /** Share of boxes with another disk, or a copied one, to which many write as soon as they are up. */
  readonly rush: number
  /** Share of crashes after which nobody is told that the connections are gone. */
  readonly silentCrash: number
  readonly loss: number
  readonly duplication: number
  readonly gossipLoss: number
  readonly delayMsMax: number
  readonly slow: number
  /** Bytes of a page; 0: as much as the node asks for. */
  readonly pageBytes: number
  /** What a read of a disk takes at the most, ms. */
  readonly readMsMax: number
  /** Share of boxes that start without knowing the time. */
  readonly timeless: number
  /** Share of steps in which a program or clients do something with views; 0: no box has any. */
  readonly views: number
  /** What the lying member does; nothing: there is none. */
  readonly lies: readonly Lie[]
}

/** How often disks come back from an older snapshot, and boxes are cloned: few, for each is kept. */
const FORKED_LOGS_SHARE_MAX = 0.04
/** In some runs many: what several branches of one log do to one another shows only there. */
const MUCH_FORKING_RUNS = 0.1
const FORKED_LOGS_SHARE_MUCH = 0.1
/** A memory card that is busy. */
const READ_MS_MAX = 60
/** Runs in which boxes have views: each costs as much as one and a half without. */
const VIEWED_RUNS = 0.35
const VIEWS_SHARE_MAX = 0.4

export function chooseSettings(seed: number): Settings {
  const prng = createPrng(seed ^ SETTINGS_SALT)
  const chance = (probability: number): boolean => prng.fraction() < probability
  const some = (max: number): number => (chance(0.5) ? 0 : prng.fraction() * max)
  const isForking = chance(0.4)
  const lies = chance(0.35) ? LIES.filter(() => chance(0.4)) : []
  const settings = {
    boxes: prng.pick([2, 3, 3, 3, 4, 4, 5]) ?? 3,
    databases: chance(0.3) ? prng.integer(2, 3) : 1,
    steps: prng.integer(10, 50),
    stepMs: chance(0.2) ? 20 : 700,
    antiEntropyMs: 5_000,
    shares: {
      crash: some(0.12),
      wipe: some(0.05),
      cut: some(0.25),
      oneWay: some(0.15),
      clog: some(0.15),
      clock: some(0.15),
      pause: some(0.1),
      fullDisk: some(0.06),
      offline: some(0.06),
      restore: isForking ? some(FORKED_LOGS_SHARE_MAX) : 0,
      clone: isForking ? some(FORKED_LOGS_SHARE_MAX) : 0
    },
    crashOnWrite: some(0.15),
    silentCrash: prng.fraction(),
    loss: some(0.3),
    duplication: some(0.5),
    gossipLoss: some(1),
    delayMsMax: 5 + some(800),
    slow: some(0.1),
    pageBytes: chance(0.5) ? 0 : prng.integer(300, 2_500),
    timeless: some(0.5),
    lies
  }
  // Equality needs no gossip at all.
  const gossipLoss = chance(0.1) ? 1 : settings.gossipLoss
  const disks = { readMsMax: some(READ_MS_MAX), rush: prng.fraction() }
  const views = chance(VIEWED_RUNS) ? prng.fraction() * VIEWS_SHARE_MAX : 0
  const shares = chance(MUCH_FORKING_RUNS) ? muchForking(settings.shares, prng) : settings.shares
  return { ...settings, shares, gossipLoss, ...disks, views }
}

function muchForking(shares: Settings['shares'], prng: Prng): Settings['shares'] {
  const [restore, clone] = [prng.fraction(), prng.fraction()]
  return {
    ...shares,
    restore: restore * FORKED_LOGS_SHARE_MUCH,
    clone: clone * FORKED_LOGS_SHARE_MUCH
  }
}

/** Settings draw from a stream of their own, so that changing one leaves the run's chances alone. */
const SETTINGS_SALT = 0x5e77_1e5

/** The settings with nothing of one kind. */
export function without(settings: Settings, name: string): Settings {
  if (name in settings.shares) return { ...settings, shares: { ...settings.shares, [name]: 0 } }
  return { ...settings, [name]: Array.isArray(Reflect.get(settings, name)) ? [] : 0 }
}

/** Everything that `without` can take away and that is there. */
export function presentFaults(settings: Settings): readonly string[] {
  const { lies, pageBytes, crashOnWrite, loss, duplication, gossipLoss, slow } = settings
  const { rush, readMsMax, timeless, views } = settings
  const links = { loss, duplication, gossipLoss, slow, pageBytes }
  const boxes = { crashOnWrite, rush, readMsMax, timeless, views }
  const shares = { ...settings.shares, ...links, ...boxes, lies: lies.length }
  return Object.entries(shares).flatMap(([name, value]) => (value > 0 ? [name] : []))
}
