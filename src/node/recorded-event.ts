/** Events as clients see them: text and members of the envelope, made only when looked at. */

import { toHex } from '../core/bytes.ts'
import { formatEventKey, keyTimeMs } from '../core/event-key.ts'
import { stampMs } from '../core/hybrid-logical-clock.ts'
import type { Stamp } from '../core/hybrid-logical-clock.ts'
import { present } from '../core/assert.ts'
import type { Problem } from '../errors.ts'
import { parseStoredValue } from '../schema/envelope.ts'
import { formatTime } from '../schema/time.ts'
import type { StoredEvent } from '../store/event-store.ts'
import type { Json, RecordedEvent } from './laterbase.ts'

/** What is wrong with an event by the schema of its type. @param members of its value */
export type Labels = (members: Readonly<Record<string, unknown>>) => readonly Problem[]

export interface EventPlace {
  /** Id of the log that holds the event, 32 hex digits. */
  readonly log: string
  /** Where it stands there: the event itself for the first place that held it here. */
  readonly at: { readonly seq: number; readonly recorded: Stamp }
  /** This node wrote it, so its value needs no look before it is shown. */
  readonly isOwn: boolean
  /** Undefined where no type of events has a schema. */
  readonly labels?: Labels | undefined
}

export function recordedEvent(stored: StoredEvent, place: EventPlace): RecordedEvent {
  return new LazyEvent(stored, place)
}

/** A class, because thousands are made for one page and few of their members are ever read. */
class LazyEvent implements RecordedEvent {
  readonly log: string
  readonly #stored: StoredEvent
  readonly #at: EventPlace['at']
  #key: string | undefined
  #text: string | undefined
  #members: Readonly<Record<string, unknown>> | undefined
  readonly #labels: Labels | undefined
  #problems: readonly Problem[] | undefined

  constructor(stored: StoredEvent, { log, at, isOwn, labels }: EventPlace) {
    this.#stored = stored
    this.#at = at
    this.#labels = labels
    this.log = log
    if (!isOwn) this.#checkForeign()
  }

  get key(): string {
    this.#key ??= formatEventKey(this.#stored.key)
    return this.#key
  }

  get time(): string {
    return formatTime(keyTimeMs(this.#stored.key))
  }

  get recorded(): string {
    return formatTime(stampMs(this.#at.recorded))
  }

  get seq(): number {
    return this.#at.seq
  }

  get conflict(): boolean {
    return this.#stored.conflict
  }

  get hash(): string {
    return toHex(this.#stored.hash)
  }

  get json(): string {
    const mark = this.conflict ? '"conflict":true,' : ''
    return `{"key":"${this.key}","time":"${this.time}",${mark}${this.#valueText().slice(1)}`
  }

  get data(): Json | undefined {
    return this.#parsed()['data'] as Json | undefined
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

  get corrects(): string | undefined {
    return this.#textMember('corrects')
  }

  get schemaProblems(): readonly Problem[] {
    if (this.#labels === undefined) return NONE
    this.#problems ??= this.#labels(this.#parsed())
    return this.#problems
  }

  toJSON(): unknown {
    return JSON.parse(this.json)
  }

  #textMember(name: string): string | undefined {
    const value = this.#parsed()[name]
    return typeof value === 'string' ? value : undefined
  }

  #parsed(): Readonly<Record<string, unknown>> {
    this.#members ??= parseStoredValue(this.#valueText()) ?? {}
    return this.#members
  }

  #valueText(): string {
    this.#text ??= this.#stored.text()
    return this.#text
  }

  /**
   * A member's node may be modified and sign whatever it likes. What is not the text of a value is
   * shown as bytes, rather than break every answer that holds the event, or forge its neighbours.
   */
  #checkForeign(): void {
    this.#members = parseStoredValue(this.#valueText())
    if (this.#members !== undefined) return
    const bytes = toBuffer(this.#stored.value).toString('base64')
    this.#members = { data_base64: bytes }
    this.#text = JSON.stringify(this.#members)
  }
}

const NONE: readonly Problem[] = []

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
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
