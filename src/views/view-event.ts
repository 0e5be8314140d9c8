/** Stored events as view functions see them: parsed when a member is first looked at. */

import type { Json } from '../core/json.ts'
import { formatEventKey, keyTimeMs } from '../core/event-key.ts'
import type { EventKey } from '../core/event-key.ts'
import { parseStoredValue } from '../schema/envelope.ts'
import type { StoredEvent } from '../store/event-store.ts'
import { formatTime } from '../schema/time.ts'
import type { ViewEvent } from './program.ts'

/** What is not the content of an event, which a modified member may have signed, is `data_base64`. */
export function viewEvent(key: EventKey, value: Uint8Array): ViewEvent {
  return viewEventOf({ key, value, text: () => textOf(value) })
}

/** As `viewEvent`, of what is made of a stored event when somebody looks. */
export function viewEventOf(stored: ViewedEvent): ViewEvent {
  return new StoredViewEvent(stored)
}

/** What is shown of a stored event. */
export type ViewedEvent = Pick<StoredEvent, 'key' | 'value' | 'text'>

/** As `JSON.stringify` writes it, but that numbers stay as they were written. */
export function viewEventText(event: ViewEvent): string {
  return event instanceof StoredViewEvent ? event.text() : JSON.stringify(event)
}

/** The same event as it was before a function had it: what functions do with its data does not show. */
export function unreadEvent(event: ViewEvent): ViewEvent {
  if (event instanceof StoredViewEvent) return event.unread()
  return making.get(event)?.() ?? structuredClone(event)
}

/** An event that was made of another one, and how it is made once more. */
export function remade(event: ViewEvent, make: () => ViewEvent): ViewEvent {
  making.set(event, make)
  return event
}

const making = new WeakMap<ViewEvent, () => ViewEvent>()

type Members = Readonly<Record<string, unknown>>

/** A class, because hundreds of thousands are made in a build, of which few members are read. */
class StoredViewEvent implements ViewEvent {
  readonly #stored: ViewedEvent
  #members: Members | undefined

  constructor(stored: ViewedEvent) {
    this.#stored = stored
  }

  get key(): string {
    return formatEventKey(this.#stored.key)
  }

  get time(): string {
    return formatTime(keyTimeMs(this.#stored.key))
  }

  get type(): string | undefined {
    return this.#text('type')
  }

  get subject(): string | undefined {
    return this.#text('subject')
  }

  get source(): string | undefined {
    return this.#text('source')
  }

  get id(): string | undefined {
    return this.#text('id')
  }

  get schema(): string | undefined {
    return this.#text('schema')
  }

  get corrects(): string | undefined {
    return this.#text('corrects')
  }

  get data(): Json | undefined {
    return this.#parsed()['data'] as Json | undefined
  }

  get data_base64(): string | undefined {
    return this.#text('data_base64')
  }

  get datacontenttype(): string | undefined {
    return this.#text('datacontenttype')
  }

  /** The stored text with the key and the time before it: put together, not written anew. */
  text(): string {
    const text = this.#stored.text()
    const members = parseStoredValue(text)
    // What begins otherwise, or is not an event's content, no honest node has stored.
    if (members === undefined || !text.startsWith('{')) return JSON.stringify(this)
    return `{"key":"${this.key}","time":"${this.time}",${text.slice(1)}`
  }

  unread(): ViewEvent {
    return new StoredViewEvent(this.#stored)
  }

  /** For functions that keep or show an event whole. */
  toJSON(): unknown {
    return { key: this.key, time: this.time, ...this.#parsed() }
  }

  #text(name: string): string | undefined {
    const member = this.#parsed()[name]
    return typeof member === 'string' ? member : undefined
  }

  #parsed(): Members {
    this.#members ??= this.#parse()
    return this.#members
  }

  #parse(): Members {
    const members = parseStoredValue(this.#stored.text())
    return members ?? { data_base64: Buffer.from(this.#stored.value).toString('base64') }
  }
}

/** UTF-8. */
export function textOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString()
}
