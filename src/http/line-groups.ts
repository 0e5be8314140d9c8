/**
 * Cuts a stream of NDJSON into groups of lines, each to become one commit. Knows lines, bytes and
 * idle times; knows nothing of events.
 *
 * A line is parsed here, alone, and the outcome dropped: lines are joined into one array for the
 * node, and two halves such as `{"data":[1` and `2]}` would join into an event that nobody sent.
 */

import type { IncomingMessage } from 'node:http'

import { decodeUtf8, withoutByteOrderMark } from './body.ts'
import { after } from './deadline.ts'
import type { HttpLimits } from './limits.ts'
import { HttpProblem } from './problem.ts'

export interface Line {
  /** Place in the stream, from 1; empty lines count, and are not handed out. */
  readonly number: number
  readonly text: string
  /** Why it cannot be written. */
  readonly fault: HttpProblem | undefined
}

export class LineGroups {
  readonly #request: IncomingMessage
  readonly #limits: HttpLimits
  readonly #signal: AbortSignal
  /** Lines cut and not yet handed out; at most one chunk of them. */
  #lines: Line[] = []
  #linesTaken = 0
  /** Bytes after the last line break. */
  #rest: Buffer[] = []
  #restBytes = 0
  #linesSeen = 0
  #ended = false

  constructor(request: IncomingMessage, limits: HttpLimits, signal: AbortSignal) {
    this.#request = request
    this.#limits = limits
    this.#signal = signal
  }

  /**
   * The next lines, never an empty list, only the last with a fault; undefined at the end.
   *
   * @throws HttpProblem `body-timeout` when nothing comes, `malformed-request` for a cut stream;
   *   `signal.reason`
   */
  async next(): Promise<readonly Line[] | undefined> {
    const group: Line[] = []
    let bytes = 0
    for (;;) {
      for (let line = this.#takeLine(); line !== undefined; line = this.#takeLine()) {
        group.push(line)
        bytes += line.text.length
        // A fault ends its group: what stands before it is written, whatever comes after.
        if (line.fault !== undefined || this.#isFull(group.length, bytes)) return group
      }
      if (this.#ended) return group.length > 0 ? group : undefined
      if (!(await this.#readMore(group.length > 0))) return group
    }
  }

  #takeLine(): Line | undefined {
    const line = this.#lines[this.#linesTaken]
    if (line === undefined) return undefined
    this.#linesTaken++
    if (this.#linesTaken === this.#lines.length) {
      this.#lines = []
      this.#linesTaken = 0
    }
    return line
  }

  #isFull(lines: number, bytes: number): boolean {
    return lines >= this.#limits.groupLinesMax || bytes >= this.#limits.groupBytesMax
  }

  /** False when a group that has lines should not wait longer. */
  async #readMore(mayLinger: boolean): Promise<boolean> {
    this.#signal.throwIfAborted()
    const chunk = this.#request.read() as Buffer | null
    if (chunk !== null) {
      this.#take(chunk)
      return true
    }
    if (this.#request.readableEnded) {
      this.#ended = true
      if (this.#restBytes > 0) this.#cut([this.#takeRest()])
      return true
    }
    if (this.#request.destroyed) {
      throw new HttpProblem('malformed-request', 'The stream was cut short.')
    }
    const { groupLingerMs, streamIdleMsMax } = this.#limits
    if (await this.#stirred(mayLinger ? groupLingerMs : streamIdleMsMax)) return true
    if (mayLinger) return false
    throw new HttpProblem('body-timeout', `Nothing came for ${streamIdleMsMax} ms.`)
  }

  /** Resolves to true when there is something to read, or the end; to false after `ms`. */
  #stirred(ms: number): Promise<boolean> {
    const request = this.#request
    const signal = this.#signal
    return new Promise((resolve, reject) => {
      const settle = (report: () => void): void => {
        cancel()
        signal.removeEventListener('abort', onAbort)
        for (const event of STIRRINGS) request.off(event, onStir)
        report()
      }
      const onStir = (): void => {
        settle(() => {
          resolve(true)
        })
      }
      const onAbort = (): void => {
        settle(() => {
          reject(signal.reason as Error)
        })
      }
      const cancel = after(ms, () => {
        settle(() => {
          resolve(false)
        })
      })
      signal.addEventListener('abort', onAbort, { once: true })
      for (const event of STIRRINGS) request.on(event, onStir)
    })
  }

  #take(chunk: Buffer): void {
    const end = chunk.lastIndexOf(LINE_FEED)
    if (end === -1) {
      this.#keepRest(chunk)
      return
    }
    const whole = chunk.subarray(0, end)
    const tail = chunk.subarray(end + 1)
    const first = whole.indexOf(LINE_FEED)
    if (this.#restBytes > 0) {
      this.#keepRest(first === -1 ? whole : whole.subarray(0, first))
      this.#cut([this.#takeRest()])
      if (first !== -1) this.#cut(splitLines(whole.subarray(first + 1)))
    } else {
      this.#cut(splitLines(whole))
    }
    this.#keepRest(tail)
  }

  /** Bytes past the limit are counted and dropped: such a line is refused whatever it holds. */
  #keepRest(bytes: Buffer): void {
    if (this.#restBytes <= this.#limits.lineBytesMax && bytes.length > 0) this.#rest.push(bytes)
    this.#restBytes += bytes.length
  }

  #takeRest(): Buffer {
    const rest = Buffer.concat(this.#rest)
    this.#rest = []
    this.#restBytes = 0
    return rest
  }

  #cut(lines: readonly Buffer[]): void {
    for (const bytes of lines) {
      this.#linesSeen++
      const line = parseLine(bytes, this.#linesSeen, this.#limits.lineBytesMax)
      if (line !== undefined) this.#lines.push(line)
    }
  }
}

const LINE_FEED = 0x0a
const STIRRINGS = ['readable', 'end', 'close', 'error'] as const
const BLANK = /^[ \t\r]*$/

function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  let start = 0
  for (;;) {
    const end = bytes.indexOf(LINE_FEED, start)
    if (end === -1) break
    lines.push(bytes.subarray(start, end))
    start = end + 1
  }
  lines.push(bytes.subarray(start))
  return lines
}

function parseLine(bytes: Buffer, number: number, bytesMax: number): Line | undefined {
  if (bytes.length > bytesMax) {
    const detail = `Line ${number}: a line may have ${bytesMax} bytes.`
    const facts = { line: number, line_bytes_max: bytesMax }
    return { number, text: '', fault: new HttpProblem('too-large', detail, { facts }) }
  }
  try {
    const decoded = decodeUtf8(bytes)
    const text = number === 1 ? withoutByteOrderMark(decoded) : decoded
    if (BLANK.test(text)) return undefined
    const value: unknown = JSON.parse(text)
    const isEvent = typeof value === 'object' && value !== null && !Array.isArray(value)
    return { number, text, fault: isEvent ? undefined : notAnEvent(number) }
  } catch (error) {
    const detail = `Line ${number} is not JSON.`
    const options = { facts: { line: number }, cause: error }
    return { number, text: '', fault: new HttpProblem('malformed-json', detail, options) }
  }
}

function notAnEvent(number: number): HttpProblem {
  return new HttpProblem('event-invalid', `Line ${number}: an event is an object.`, {
    facts: { line: number },
    errors: [{ pointer: '', detail: 'an event is an object' }]
  })
}
