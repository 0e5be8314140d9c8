/**
 * Cuts JSON text into the texts of its events, without parsing them: a number such as an 18-digit
 * SSCC must reach the node as it was written, or the node could not refuse to round it.
 *
 * Takes an object, objects one after the other, or an array of objects, over any number of lines.
 * Knows brackets, strings and commas; whether an event is JSON is for the node to say.
 */

import { inputFailure } from './failure.ts'
import { EVENT_TEXT_BYTES_MAX } from './limits.ts'

export interface EventText {
  /** One line of UTF-8. */
  readonly bytes: Buffer
  /** Where it begins in the input, from 1. */
  readonly line: number
}

export class JsonSplitter {
  #line = 1
  #depth = 0
  #inString = false
  #isEscaped = false
  #inArray = false
  #arrayEnded = false
  #parts: Buffer[] = []
  #bytes = 0
  #startLine = 1

  /** The events that end in `chunk`. @throws CommandFailure for text that is no such JSON */
  push(chunk: Buffer): readonly EventText[] {
    const found: EventText[] = []
    let start = 0
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]
      if (byte === LINE_FEED) this.#line++
      if (this.#depth === 0) {
        if (byte === BRACE_OPEN && !this.#arrayEnded) {
          this.#depth = 1
          this.#startLine = this.#line
          start = at
        } else if (byte !== undefined) this.#between(byte)
      } else if (this.#closes(byte)) {
        this.#keep(chunk.subarray(start, at + 1))
        found.push({ bytes: this.#take(), line: this.#startLine })
      }
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start))
    return found
  }

  /** @throws CommandFailure when the input ends too early */
  end(): void {
    if (this.#depth > 0) {
      throw inputFailure(`the input ends inside the event that begins in line ${this.#startLine}`)
    }
    if (this.#inArray) throw inputFailure('the input ends before its array does: is it whole?')
  }

  /** Whether `byte`, inside an event, ends it. */
  #closes(byte: number | undefined): boolean {
    if (this.#inString) {
      if (this.#isEscaped) this.#isEscaped = false
      else if (byte === BACKSLASH) this.#isEscaped = true
      else if (byte === QUOTE) this.#inString = false
      return false
    }
    if (byte === QUOTE) this.#inString = true
    else if (byte === BRACE_OPEN || byte === BRACKET_OPEN) this.#depth++
    else if (byte === BRACE_CLOSE || byte === BRACKET_CLOSE) this.#depth--
    return this.#depth === 0
  }

  #between(byte: number): void {
    if (WHITESPACE.has(byte)) return
    if (byte === COMMA && this.#inArray) return
    if (byte === BRACKET_OPEN && !this.#inArray && !this.#arrayEnded) {
      this.#inArray = true
      return
    }
    if (byte === BRACKET_CLOSE && this.#inArray) {
      this.#inArray = false
      this.#arrayEnded = true
      return
    }
    const text = String.fromCodePoint(byte)
    throw inputFailure(`line ${this.#line}: an event, {…}, is expected, not '${text}'`)
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length
    if (this.#bytes > EVENT_TEXT_BYTES_MAX) {
      throw inputFailure(
        `line ${this.#startLine}: an event of more than ${EVENT_TEXT_BYTES_MAX} bytes`
      )
    }
    this.#parts.push(part)
  }

  #take(): Buffer {
    const bytes = Buffer.concat(this.#parts)
    this.#parts = []
    this.#bytes = 0
    // Strings have no bare line breaks, so these stand between tokens.
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] === LINE_FEED || bytes[at] === CARRIAGE_RETURN) bytes[at] = SPACE
    }
    return bytes
  }
}

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const BRACKET_OPEN = 0x5b
const BACKSLASH = 0x5c
const BRACKET_CLOSE = 0x5d
const BRACE_OPEN = 0x7b
const BRACE_CLOSE = 0x7d
const WHITESPACE: ReadonlySet<number> = new Set([SPACE, 0x09, LINE_FEED, CARRIAGE_RETURN])
