/**
 * Finds numbers in JSON text that a double cannot hold: an 18-digit SSCC sent as a bare number
 * would come back as another pallet. They are refused with their place, never rounded.
 */

import type { Problem } from '../errors.ts'
import { escapePointer } from './canonical-json.ts'

/**
 * The first number in `text` that does not survive, if any.
 *
 * @param text JSON that JSON.parse has accepted
 */
export function findInexactNumber(text: string): Problem | undefined {
  // Fifteen significant digits always survive, so most texts are cleared by one native search.
  if (!SUSPECT.test(text)) return undefined
  return new Scanner(text).scan()
}

/** Sixteen characters of a number in a row, or an exponent that may leave the range of doubles. */
const SUSPECT = /[-0-9.eE+]{16}|[0-9][eE][-+]?[0-9]{3}/

interface Frame {
  readonly isArray: boolean
  index: number
  name: string
}

class Scanner {
  readonly #text: string
  #at = 0
  readonly #stack: Frame[] = []

  constructor(text: string) {
    this.#text = text
  }

  scan(): Problem | undefined {
    let expectsName = false
    while (this.#at < this.#text.length) {
      const character = this.#text.charAt(this.#at)
      const top = this.#stack.at(-1)
      if (character === '"') {
        const name = this.#string()
        if (expectsName && top !== undefined) top.name = JSON.parse(name) as string
        expectsName = false
      } else if (character === '{' || character === '[') {
        this.#stack.push({ isArray: character === '[', index: 0, name: '' })
        expectsName = character === '{'
        this.#at += 1
      } else if (character === '}' || character === ']') {
        this.#stack.pop()
        expectsName = false
        this.#at += 1
      } else if (character === ',') {
        if (top !== undefined) top.index += 1
        expectsName = top !== undefined && !top.isArray
        this.#at += 1
      } else if (character === '-' || (character >= '0' && character <= '9')) {
        const number = this.#number()
        if (!survives(number)) return { pointer: this.#pointer(), detail: explain(number) }
      } else {
        this.#at += 1
      }
    }
    return undefined
  }

  #string(): string {
    const from = this.#at
    this.#at += 1
    while (this.#text.charAt(this.#at) !== '"') {
      this.#at += this.#text.charAt(this.#at) === '\\' ? 2 : 1
    }
    this.#at += 1
    return this.#text.slice(from, this.#at)
  }

  #number(): string {
    NUMBER.lastIndex = this.#at
    const number = NUMBER.exec(this.#text)?.[0] ?? ''
    this.#at += Math.max(1, number.length)
    return number
  }

  #pointer(): string {
    return this.#stack
      .map((frame) => `/${frame.isArray ? frame.index : escapePointer(frame.name)}`)
      .join('')
  }
}

const NUMBER = /[-+0-9.eE]+/y

/** Whether the double nearest to `number` is written back as the same decimal value. */
function survives(number: string): boolean {
  const double = Number(number)
  if (!Number.isFinite(double)) return false
  const [sent, kept] = [decimal(number), decimal(String(double))]
  return sent.digits === kept.digits && sent.exponent === kept.exponent
}

/** Sign and digits without zeros at either end, and the power of ten of the last one. */
function decimal(number: string): { digits: string; exponent: number } {
  const [mantissa = '', power = '0'] = number.toLowerCase().split('e')
  const negative = mantissa.startsWith('-')
  const [whole = '', fraction = ''] = mantissa.replace('-', '').split('.')
  const all = (whole + fraction).replace(/^0+/, '')
  const digits = all.replace(/0+$/, '')
  if (digits === '') return { digits: '0', exponent: 0 }
  const exponent = Number(power) - fraction.length + (all.length - digits.length)
  return { digits: negative ? `-${digits}` : digits, exponent }
}

function explain(number: string): string {
  const shown = number.length > 40 ? `${number.slice(0, 40)}…` : number
  return `${shown} would be read back as ${Number(number)}: send it as a string`
}
