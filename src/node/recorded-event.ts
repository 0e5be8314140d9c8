/** Events as clients see them: text and members of the envelope, made only when looked at. */

import { createHash } from 'node:crypto'

import { formatEventKey, keyTimeMs } from '../core/event-key.ts'
import { stampMs } from '../core/hybrid-logical-clock.ts'
import { present } from '../core/assert.ts'
import { formatTime } from '../schema/time.ts'
import type { StoredEvent } from '../store/event-store.ts'
import type { Json, RecordedEvent } from './laterbase.ts'

/** @param log the id of the log that holds the event, 32 hex digits */
export function recordedEvent(stored: StoredEvent, log: string): RecordedEvent {
  return new LazyEvent(stored, log)
}

/** A class, because thousands are made for one page and few of their members are ever read. */
class LazyEvent implements RecordedEvent {
  readonly log: string
  readonly #stored: StoredEvent
  #key: string | undefined
  #members: Readonly<Record<string, Json>> | undefined

  constructor(stored: StoredEvent, log: string) {
    this.#stored = stored
    this.log = log
  }

  get key(): string {
    this.#key ??= formatEventKey(this.#stored.key)
    return this.#key
  }

  get time(): string {
    return formatTime(keyTimeMs(this.#stored.key))
  }

  get recorded(): string {
    return formatTime(stampMs(this.#stored.recorded))
  }

  get seq(): number {
    return this.#stored.seq
  }

  get conflict(): boolean {
    return this.#stored.conflict
  }

  get hash(): string {
    return createHash('sha256').update(this.#stored.value).digest('hex')
  }

  get json(): string {
    const mark = this.conflict ? '"conflict":true,' : ''
    return `{"key":"${this.key}","time":"${this.time}",${mark}${this.#text().slice(1)}`
  }

  get data(): Json | undefined {
    return this.#parsed()['data']
  }

  get data_base64(): string | undefined {
    return this.#textMember('data_base64')
  }

  get datacontenttype(): string | undefined {
    return this.#textMember('datacontenttype')
  }

  get type(): string | undefined {
    return this.#textMember('type')
  }

  get subject(): string | undefined {
    return this.#textMember('subject')
  }

  get source(): string | undefined {
    return this.#textMember('source')
  }

  get id(): string | undefined {
    return this.#textMember('id')
  }

  get schema(): string | undefined {
    return this.#textMember('schema')
  }

  toJSON(): unknown {
    return JSON.parse(this.json)
  }

  #textMember(name: string): string | undefined {
    const value = this.#parsed()[name]
    return typeof value === 'string' ? value : undefined
  }

  #parsed(): Readonly<Record<string, Json>> {
    this.#members ??= parseValue(this.#text())
    return this.#members
  }

  /**
   * The value as text of a JSON object. A peer may run a node that wrote something else: then the
   * bytes are shown as they are, in base64, rather than break every answer that holds the event.
   */
  #text(): string {
    const { value } = this.#stored
    const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString()
    if (text.startsWith('{"data')) return text
    return `{"data_base64":"${Buffer.from(value).toString('base64')}"}`
  }
}

function parseValue(text: string): Readonly<Record<string, Json>> {
  try {
    return JSON.parse(text) as Record<string, Json>
  } catch {
    return { data_base64: Buffer.from(text).toString('base64') }
  }
}

/** Whether all members of a filter hold. */
export function matches(
  event: RecordedEvent,
  filter: { readonly type?: string; readonly subject?: string; readonly source?: string }
): boolean {
  for (const name of ['type', 'subject', 'source'] as const) {
    if (filter[name] !== undefined && event[name] !== present(filter[name], 'given')) return false
  }
  return true
}
