/**
 * The events of a file or of standard input, as lines of NDJSON: either form of input is
 * recognised by its first line, and neither is held in memory as a whole.
 */

import { inputFailure } from './failure.ts'
import { type EventText, JsonSplitter } from './json-splitter.ts'
import { EVENT_TEXT_BYTES_MAX } from './limits.ts'

/** Members that an event gets when it has none of its own. */
export interface EventDefaults {
  readonly time?: string
  readonly type?: string
  readonly subject?: string
}

/** Groups of events, as they come. @throws CommandFailure for an input that is no JSON */
export async function* readEvents(
  input: AsyncIterable<Buffer>
): AsyncGenerator<readonly EventText[]> {
  let head = Buffer.alloc(0)
  let splitter: Splitter | undefined
  for await (const chunk of input) {
    if (splitter !== undefined) {
      yield splitter.push(chunk)
      continue
    }
    head = Buffer.concat([head, chunk])
    splitter = chooseSplitter(head, false)
    if (splitter !== undefined) yield splitter.push(withoutMark(head))
  }
  if (splitter === undefined) {
    splitter = chooseSplitter(head, true)
    yield splitter.push(withoutMark(head))
  }
  yield splitter.end() ?? []
}

/** Adds what is missing to the text of an event; numbers in it stay as they were written. */
export function withDefaults(event: Buffer, defaults: EventDefaults): Buffer {
  const added = Object.entries(defaults).filter(([, value]) => value !== undefined)
  if (added.length === 0) return event
  let members: object
  try {
    members = JSON.parse(event.toString('utf8')) as object
  } catch {
    // The node says what is wrong with it, and in which line.
    return event
  }
  const hasOwnTime = 'time' in members || 'key' in members
  const missing = added.filter(([name]) => (name === 'time' ? !hasOwnTime : !(name in members)))
  if (missing.length === 0 || Array.isArray(members)) return event
  const open = event.indexOf('{')
  const texts = missing.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`)
  const comma = Object.keys(members).length > 0 ? ',' : ''
  return Buffer.concat([
    event.subarray(0, open + 1),
    Buffer.from(texts.join(',') + comma),
    event.subarray(open + 1)
  ])
}

interface Splitter {
  push(chunk: Buffer): readonly EventText[]
  end(): readonly EventText[] | void
}

const LINE_FEED = 0x0a

/** Undefined as long as the first line is not whole. */
function chooseSplitter(head: Buffer, isAll: true): Splitter
function chooseSplitter(head: Buffer, isAll: boolean): Splitter | undefined
function chooseSplitter(head: Buffer, isAll: boolean): Splitter | undefined {
  const text = withoutMark(head).toString('utf8')
  const start = text.search(/\S/)
  if (start === -1) return isAll ? new LineSplitter() : undefined
  if (text[start] === '[') return new JsonSplitter()
  const end = text.indexOf('\n', start)
  if (end === -1 && !isAll) {
    if (head.length <= EVENT_TEXT_BYTES_MAX) return undefined
    throw inputFailure(`line 1: an event of more than ${EVENT_TEXT_BYTES_MAX} bytes`)
  }
  return isJson(text.slice(start, end === -1 ? undefined : end))
    ? new LineSplitter()
    : new JsonSplitter()
}

/** NDJSON: what is in a line is for the node to judge. */
class LineSplitter implements Splitter {
  #rest: Buffer[] = []
  #bytes = 0
  #line = 0

  push(chunk: Buffer): readonly EventText[] {
    const found: EventText[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, start)
      if (end === -1) break
      this.#rest.push(chunk.subarray(start, end))
      this.#takeInto(found)
      start = end + 1
    }
    this.#rest.push(chunk.subarray(start))
    this.#bytes += chunk.length - start
    if (this.#bytes > EVENT_TEXT_BYTES_MAX) {
      throw inputFailure(`line ${this.#line + 1}: more than ${EVENT_TEXT_BYTES_MAX} bytes`)
    }
    return found
  }

  end(): readonly EventText[] {
    const found: EventText[] = []
    this.#takeInto(found)
    return found
  }

  #takeInto(found: EventText[]): void {
    const [only, ...more] = this.#rest
    const bytes = only !== undefined && more.length === 0 ? only : Buffer.concat(this.#rest)
    this.#rest = []
    this.#bytes = 0
    this.#line++
    // A space, a tab, a carriage return: an empty line to everybody.
    if (bytes.some((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0d)) {
      found.push({ bytes, line: this.#line })
    }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** PowerShell and others begin a file with a byte order mark. */
function withoutMark(bytes: Buffer): Buffer {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return hasMark ? bytes.subarray(3) : bytes
}
