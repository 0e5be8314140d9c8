/** A directory in which a node lives and dies, over and over. Removed with its scope. */

import { cp, mkdir, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Prng } from '../../scripts/simulate/prng.ts'
import { runLife } from './crash-process.ts'
import type { Fault, ShimPlace } from './disk-shim.ts'
import { History } from './history.ts'
import type { Finding } from './history.ts'
import { readJournal, readTree } from './journal.ts'
import type { Before, Journal, NamePromise } from './journal.ts'
import { cutPower, forgetGraves } from './power-cut.ts'
import type { CutKind } from './power-cut.ts'
import type { Load, Plan, Word } from './workload.ts'

export interface LifeOptions {
  readonly load: Load
  readonly fault?: Fault
  readonly withoutSync?: boolean
  /** Whether it goes on when one of its calls hangs. */
  readonly outlivesHang?: boolean
  /** Told each word after the history was; says when the process has done enough. */
  readonly hear?: (word: Word) => 'go on' | 'enough'
}

export class CrashSite implements AsyncDisposable {
  readonly history: History
  readonly #folder: string
  readonly place: ShimPlace
  #cycle = 0
  #before: Before = { names: new Map(), sizes: new Map() }

  /** @param from a site to begin with a copy of; its clients are known here too */
  static async open(library: string, from?: CrashSite): Promise<CrashSite> {
    const folder = await realpath(await mkdtemp(join(tmpdir(), 'laterbase-crash-')))
    const site = new CrashSite(folder, library, from?.history.copy() ?? new History())
    if (from !== undefined) {
      site.#cycle = from.#cycle
      await cp(from.place.dir, site.place.dir, { recursive: true })
    }
    return site
  }

  private constructor(folder: string, library: string, history: History) {
    this.#folder = folder
    this.history = history
    this.place = {
      library,
      dir: join(folder, 'tree'),
      journal: join(folder, 'journal'),
      graves: join(folder, 'graves'),
      space: join(folder, 'space')
    }
  }

  /** One process, from its start to its end. */
  async live(options: LifeOptions): Promise<void> {
    const { dir, journal, graves } = this.place
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await mkdir(graves, { recursive: true })
    await rm(journal, { force: true })
    this.#before = await readTree(dir)
    this.#cycle += 1
    const plan: Plan = {
      dir,
      cycle: this.#cycle,
      load: options.load,
      withoutSync: options.withoutSync ?? false,
      retries: this.history.takeRetries(),
      since: this.history.cursor
    }
    const { fault, outlivesHang = false } = options
    const hear = (word: Word): 'go on' | 'enough' => {
      this.history.hear(word)
      return options.hear?.(word) ?? 'go on'
    }
    const life = { plan, place: this.place, hear, outlivesHang }
    await runLife({ ...life, ...(fault !== undefined && { fault }) })
  }

  journal(promise?: NamePromise): Promise<Journal> {
    return readJournal(this.place.journal, this.#before, promise)
  }

  /** The process ended, the system went on. */
  keepAll(): Promise<void> {
    return forgetGraves(this.place.graves)
  }

  /** @returns what was taken away, in words */
  async cutPower(kind: CutKind, prng: Prng, promise?: NamePromise): Promise<string[]> {
    const { dir, graves } = this.place
    const journal = await this.journal(promise)
    return cutPower({ dir, graves, before: this.#before, journal, kind, prng })
  }

  compare(): Promise<Finding> {
    return this.history.compare(this.place.dir)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}
