/** What goes wrong in a run, one function for each kind. Each ends by itself, or when the run heals. */

import { assertNever } from '../../../src/core/assert.ts'
import { INSTANCES_PER_PEER_MAX } from '../../../src/p2p/limits.ts'
import { Box } from './box.ts'
import type { DiskPart } from './disk.ts'
import { note } from './run.ts'
import type { SimRun } from './run.ts'
import type { FaultKind } from './settings.ts'
import { askWhileWriting } from './viewers.ts'
import { NOW_MS, rush } from './writes.ts'

const YEAR_MS = 365 * 86_400_000

const DISK_PARTS: readonly DiskPart[] = ['all', 'all', 'events', 'views']

export function cause(run: SimRun, kind: FaultKind, box: Box): void {
  switch (kind) {
    case 'crash':
      void crash(run, box)
      return
    case 'wipe':
      void crash(run, box, () => wipe(run, box))
      return
    case 'cut':
    case 'oneWay':
    case 'clog':
      harmLink(run, kind, box)
      return
    case 'clock':
      breakClock(run, box)
      return
    case 'pause':
      void pause(run, box)
      return
    case 'fullDisk':
      void fillDisk(run, box)
      return
    case 'offline':
      void goOffline(run, box)
      return
    case 'restore':
      restore(run, box)
      return
    case 'clone':
      clone(run, box)
      return
    default:
      assertNever(kind)
  }
}

/** The process ends and starts again; `between` happens to the disk meanwhile. */
export async function crash(run: SimRun, box: Box, between?: () => void): Promise<void> {
  const { world, settings } = run
  if (box.life === undefined) return
  const silently = world.chance(settings.silentCrash)
  const when = box.disk.isWriting ? ', while it writes' : ''
  note(run, box.name, silently ? 'loses power' : 'is killed', when.slice(2))
  box.crash(silently)
  between?.()
  await world.sleep(world.prng.fraction() * 5_000)
  if (box.life !== undefined) return
  if (world.chance(settings.timeless)) loseTime(run, box)
  await box.start()
  if (box.node === undefined) return
  note(run, box.name, 'is back')
  if (between !== undefined) mayRush(run, box)
}

/** A box that knows less than its peers know of it is written to before it hears from them. */
function mayRush(run: SimRun, box: Box): void {
  if (run.world.chance(run.settings.rush)) rush(run, box)
}

/** A box without a battery starts in 1970, until it hears the time. */
export function loseTime(run: SimRun, box: Box): void {
  box.wall.set(0)
  note(run, box.name, 'clock', 'starts in 1970')
  run.world.after(run.world.prng.fraction() * 20_000, () => {
    note(run, box.name, 'clock', 'hears the time')
    box.wall.set(NOW_MS + run.world.nowMs)
  })
}

/**
 * What no other disk has is lost with a disk: all else must come back. What is left of views, where only the
 * events are gone, is of a store that is no more.
 */
function wipe(run: SimRun, box: Box): void {
  const part = run.settings.views > 0 && run.world.chance(0.3) ? 'events' : 'all'
  note(run, box.name, 'disk replaced', part === 'all' ? 'by an empty one' : 'but for views')
  box.disk.wipe(part)
  box.diskChanged()
  forgetWhatIsNowhere(run)
}

function forgetWhatIsNowhere(run: SimRun): void {
  for (const [database, ids] of run.ledger.acknowledged) {
    for (const id of ids) {
      const isSomewhere = run.boxes.some(({ disk }) => disk.view(database)?.ids.has(id) === true)
      if (!isSomewhere) ids.delete(id)
    }
  }
}

function harmLink(run: SimRun, kind: 'cut' | 'oneWay' | 'clog', box: Box): void {
  const { world, network } = run
  const other = world.prng.pick(run.boxes)
  if (other === undefined || other === box) return
  const [a, b] = [box.name, other.name]
  if (kind === 'clog') {
    const forMs = world.prng.fraction() * 15_000
    note(run, a, 'clogged', `to ${b} for ${Math.round(forMs)} ms`)
    network.clog(a, b, forMs)
    return
  }
  if (world.chance(0.4)) {
    note(run, a, 'healed', `with ${b}`)
    network.heal(a, b)
  } else if (kind === 'oneWay') {
    note(run, a, 'cut one way', `to ${b}`)
    network.block(a, b)
  } else if (world.chance(0.5)) {
    note(run, a, 'cut', `from ${b}`)
    network.cut(a, b)
  } else {
    note(run, a, 'cut silently', `from ${b}`)
    network.block(a, b)
    network.block(b, a)
  }
}

/** NTP steps either way, years ahead, 1970, drift; a clock that was wrong may come right. */
function breakClock(run: SimRun, box: Box): void {
  const { prng, nowMs } = run.world
  const right = NOW_MS + nowMs
  const scripts: readonly (readonly [string, number, number])[] = [
    ['comes right', right, 1],
    ['1970', 0, 1],
    ['a year ahead', right + YEAR_MS, 1],
    ['ten years ahead', right + 10 * YEAR_MS, 1],
    ['an hour back', box.wall.nowMs() - 3_600_000, 1],
    ['an hour on', box.wall.nowMs() + 3_600_000, 1],
    ['four minutes on', box.wall.nowMs() + 240_000, 1],
    ['a little back', box.wall.nowMs() - prng.fraction() * 2_000, 1],
    ['drifts ahead', box.wall.nowMs(), 1 + prng.fraction() * 0.1],
    ['drifts behind', box.wall.nowMs(), 1 - prng.fraction() * 0.1],
    ['stands still', box.wall.nowMs(), 0]
  ]
  const [what, wallMs, rate] = prng.pick(scripts) ?? ['comes right', right, 1]
  note(run, box.name, 'clock', what)
  box.wall.set(wallMs, rate)
}

/** SIGSTOP, then SIGCONT. */
async function pause(run: SimRun, box: Box): Promise<void> {
  const { life } = box
  if (life === undefined || life.isPaused) return
  const forMs = run.world.prng.fraction() * 20_000
  note(run, box.name, 'paused', `for ${Math.round(forMs)} ms`)
  life.pause()
  await run.world.sleep(forMs)
  if (life.isDead) return
  note(run, box.name, 'goes on')
  life.resume()
}

async function fillDisk(run: SimRun, box: Box): Promise<void> {
  if (box.disk.isFull) return
  box.disk.hasReserve = run.world.chance(0.5)
  note(run, box.name, 'disk full', box.disk.hasReserve ? 'but for the reserve' : '')
  box.disk.isFull = true
  box.disk.wasFull = true
  await run.world.sleep(run.world.prng.fraction() * 6_000)
  if (!run.progress.isHealing) makeRoom(run, box)
}

/** There is room again; the node finds out by itself. */
export function makeRoom(run: SimRun, box: Box): void {
  if (box.disk.isFull) note(run, box.name, 'disk has room')
  box.disk.isFull = false
}

async function goOffline(run: SimRun, box: Box): Promise<void> {
  const { node } = box
  if (node === undefined) return
  note(run, box.name, 'goes offline')
  void node.goOffline()
  await run.world.sleep(run.world.prng.fraction() * 10_000)
  if (box.node !== node) return
  note(run, box.name, 'goes online')
  void node.goOnline()
}

/** The disk of some moments ago comes back, as from a backup, or a part of it does. */
function restore(run: SimRun, box: Box): void {
  const snapshot = box.disk.snapshot()
  note(run, box.name, 'backed up')
  const { settings, world } = run
  const part = settings.views > 0 ? (world.prng.pick(DISK_PARTS) ?? 'all') : 'all'
  if (part !== 'views') run.ledger.expectForks(box.publicKey)
  world.after(world.prng.fraction() * 20_000, () => {
    if (run.progress.isHealing) return
    void crash(run, box, () => {
      note(run, box.name, 'disk restored', `${part}, from its backup`)
      box.disk.restore(snapshot, part)
      if (part === 'views') return
      box.diskChanged()
      forgetWhatIsNowhere(run)
    })
  })
}

/** Another box with the same key and the same disk, at another address: no more than a node listens to. */
function clone(run: SimRun, box: Box): void {
  const alike = run.boxes.filter(({ identity }) => identity === box.identity)
  if (alike.length >= INSTANCES_PER_PEER_MAX) return
  const name = `box-${run.boxes.length}`
  run.ledger.expectForks(box.publicKey)
  const copy = new Box(run.network, {
    name,
    identity: box.identity,
    wallMs: box.wall.nowMs(),
    antiEntropyMs: run.settings.antiEntropyMs
  })
  copy.disk.readMsMax = run.settings.readMsMax
  copy.disk.restore(box.disk.snapshot())
  copy.takeAfter(box)
  askWhileWriting(run, copy)
  note(run, name, 'is a clone', `of ${box.name}`)
  run.boxes.push(copy)
  void copy.start().then(() => mayRush(run, copy))
}
