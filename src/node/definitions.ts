/**
 * The definitions that a database holds: of each name the newest by authors whom this node trusts, which is the
 * one that counts here, and the newest by others, to be shown and to be passed by what is defined next.
 *
 * Which one counts follows from the set of events and from whom the node trusts, never from the order in which
 * they came.
 */

import { isDeepStrictEqual } from 'node:util'

import { toHex } from '../core/bytes.ts'
import type { Clock, Hasher } from '../core/clock.ts'
import type { Commit } from '../core/commit.ts'
import { eventKey } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import { present } from '../core/assert.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'
import type { EventStore, StoredEvent } from '../store/event-store.ts'
import type { AppendEvent, AppendOutcome } from '../store/group-commit.ts'
import {
  DEFINITION_KEYS,
  compareDefinitions,
  contentOf,
  definitionEvent,
  mayDefine,
  readDefinition
} from './definition-events.ts'
import type { DefinedName, DefinitionEvent, DefinitionType } from './definition-events.ts'
import { DEFINITIONS_MAX, DEFINITION_SCAN_CHUNK, DEFINITION_SCAN_MAX } from './limits.ts'

export interface DefinitionsInit {
  readonly store: EventStore
  readonly hasher: Hasher
  readonly clock: Clock
  /** @param author raw public key; the node's own is one */
  readonly trusts: (author: Uint8Array, definition: DefinitionEvent) => boolean
  /** Writes one event as a commit. */
  readonly append: (event: AppendEvent) => Promise<AppendOutcome>
}

export interface Definition {
  readonly event: DefinitionEvent
  /** Raw public keys of those who wrote it: some are trusted, or of one that does not count, none is. */
  readonly authors: readonly Uint8Array[]
}

export class Definitions {
  readonly #init: DefinitionsInit
  readonly #trusted = new NewestByName()
  readonly #others = new NewestByName()
  #loading: Promise<void> | undefined
  #isLoaded = false
  #reopenings = 0
  #last: Promise<unknown> = Promise.resolve()
  readonly #listeners: (() => void)[] = []

  constructor(init: DefinitionsInit) {
    this.#init = init
    init.store.onReopened(() => {
      // A write that was said to have failed may be there after all.
      this.#reopenings += 1
      this.#isLoaded = false
      this.#tell()
    })
  }

  /** Called whenever others may count than did before. */
  onChanged(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Undefined once what is held is known, which it then stays. */
  load(): Promise<void> | undefined {
    if (this.#isLoaded) return undefined
    this.#loading ??= this.#load().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  /** Those that count, deleted ones left out; in the order of their names. To be loaded before. */
  list(type: DefinitionType): readonly Definition[] {
    return this.#trusted.list(type).filter(({ event }) => !event.isDeleted)
  }

  /** Those that would count if their authors were trusted. */
  ignored(type: DefinitionType): readonly Definition[] {
    return this.#others.list(type).filter(({ event }) => {
      const counting = this.#trusted.get(event.of)
      const isNewer = counting === undefined || compareDefinitions(event, counting.event) > 0
      return isNewer && !event.isDeleted
    })
  }

  get(of: DefinedName): Definition | undefined {
    const found = this.#trusted.get(of)
    return found === undefined || found.event.isDeleted ? undefined : found
  }

  /**
   * Writes a definition, which then counts here, whatever had counted before; the same again writes nothing.
   *
   * @param content undefined takes it away
   * @throws LATERBASE_TOO_LARGE; LATERBASE_ARGUMENT_INVALID for content that is not JSON
   */
  put(of: DefinedName, content: Json | undefined): Promise<boolean> {
    // One after the other: each has to be above the one before.
    const written = this.#last.then(() => this.#put(of, content))
    this.#last = written.catch(() => undefined)
    return written
  }

  /** Told of everything that is on disk now. */
  took(commits: readonly Commit[]): void {
    let isNew = false
    for (const { events, origin } of commits) {
      for (const event of events) {
        if (mayDefine(event.key)) isNew = this.#take(event, origin.genesis.publicKey) || isNew
      }
    }
    if (isNew) this.#tell()
  }

  async #load(): Promise<void> {
    const { store } = this.#init
    const reopenings = this.#reopenings
    let read = 0
    for await (const events of store.scan({ ...DEFINITION_KEYS, chunk: DEFINITION_SCAN_CHUNK })) {
      for (const event of events) await this.#takeStored(event)
      read += events.length
      if (read >= DEFINITION_SCAN_MAX) break
    }
    this.#isLoaded = reopenings === this.#reopenings
    this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }

  async #takeStored(event: StoredEvent): Promise<void> {
    if (readDefinition(event) === undefined) return
    const { store } = this.#init
    const places = event.repeated ? await store.occurrences(event) : [event]
    for (const { log } of places) {
      this.#take(event, present(store.logs()[log], 'a known log').tip.origin.genesis.publicKey)
    }
  }

  #take(event: Parameters<typeof readDefinition>[0], author: Uint8Array): boolean {
    const definition = readDefinition(event)
    if (definition === undefined) return false
    const those = this.#init.trusts(author, definition) ? this.#trusted : this.#others
    return those.take(definition, author)
  }

  async #put(of: DefinedName, content: Json | undefined): Promise<boolean> {
    await this.load()
    const held = this.get(of)
    const before = held === undefined ? undefined : contentOf(held.event)
    if (isDeepStrictEqual(before, content)) return false
    if (!this.#trusted.hasRoom(of)) {
      throw new LaterbaseError(
        'LATERBASE_TOO_LARGE',
        `a database has at most ${DEFINITIONS_MAX} definitions of a kind, deleted ones included`,
        { facts: { definitions_max: DEFINITIONS_MAX } }
      )
    }
    let above = this.#highestKey(of)
    for (;;) {
      const event = this.#eventAbove(of, content, above)
      const { key, value, hash } = event
      const outcome = await this.#init.append({ key, value, hash, fresh: false })
      if (outcome.type !== 'conflict') return true
      // By chance another name has a definition with this key.
      above = key
    }
  }

  #highestKey(of: DefinedName): EventKey | undefined {
    const newest = [this.#trusted.get(of), this.#others.get(of)]
      .flatMap((each) => each?.event ?? [])
      .sort(compareDefinitions)
    return newest.at(-1)?.key
  }

  #eventAbove(
    of: DefinedName,
    content: Json | undefined,
    above: EventKey | undefined
  ): DefinitionEvent {
    const { clock, hasher } = this.#init
    const nowMs = clock.nowMs()
    const event =
      definitionEvent(of, content, { nowMs, above, hasher }) ??
      // Somebody has taken the last of all keys. Where he is not trusted, ours counts all the same.
      definitionEvent(of, content, { nowMs, above: this.#trusted.get(of)?.event.key, hasher })
    if (event !== undefined) return event
    throw new LaterbaseError(
      'LATERBASE_ARGUMENT_INVALID',
      `a node that is trusted here has defined ${of.name} for the end of all time: trust it no more`
    )
  }
}

/** Of each name the highest in event order, of so many names as there is room for: the lowest ones. */
class NewestByName {
  readonly #byType: Readonly<Record<DefinitionType, Map<string, Definition>>> = {
    'laterbase.view': new Map(),
    'laterbase.schema': new Map()
  }

  get(of: DefinedName): Definition | undefined {
    return this.#byType[of.type].get(nameText(of))
  }

  list(type: DefinitionType): readonly Definition[] {
    const names = [...this.#byType[type].keys()].sort()
    return names.map((name) => present(this.#byType[type].get(name), 'a name of the list'))
  }

  hasRoom(of: DefinedName): boolean {
    const those = this.#byType[of.type]
    return those.size < DEFINITIONS_MAX || those.has(nameText(of))
  }

  /** Whether another counts now. */
  take(event: DefinitionEvent, author: Uint8Array): boolean {
    const those = this.#byType[event.of.type]
    const name = nameText(event.of)
    const held = those.get(name)
    const order = held === undefined ? 1 : compareDefinitions(event, held.event)
    if (order < 0) return false
    const authors = new Map([...(order === 0 ? (held?.authors ?? []) : []), author].map(byHex))
    // The list of authors of an event that comes again and again does not grow with its places.
    those.set(name, {
      event: ownCopy(event),
      authors: [...authors.values()].slice(0, AUTHORS_NAMED)
    })
    if (those.size > DEFINITIONS_MAX) {
      const last = [...those.keys()].reduce((a, b) => (a > b ? a : b))
      those.delete(last)
      if (last === name) return false
    }
    return order > 0
  }
}

function byHex(author: Uint8Array): [string, Uint8Array] {
  return [toHex(author), author]
}

/** One text for a name and a version; no two have the same. */
function nameText({ name, version }: DefinedName): string {
  return JSON.stringify(version === undefined ? [name] : [name, version])
}

const AUTHORS_NAMED = 16

/** It is kept for long, and what it was read from, or came with, is much larger. */
function ownCopy(event: DefinitionEvent): DefinitionEvent {
  const { key, value } = event
  return { ...event, key: eventKey(Uint8Array.from(key)), value: Uint8Array.from(value) }
}
