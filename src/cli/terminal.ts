/**
 * What a command writes: results to standard output, as text or as one JSON value a line; notes
 * and progress to standard error. Colours and progress only where a person looks.
 */

import { styleText } from 'node:util'

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan'

export class Terminal {
  /** `--json`: standard output carries JSON lines and nothing else. */
  readonly json: boolean
  #hasProgress = false

  constructor(json: boolean) {
    this.json = json
  }

  /** A line of the result, for a person. */
  line(text = ''): void {
    if (!this.json) process.stdout.write(`${text}\n`)
  }

  /** A value of the result, for a program. */
  value(value: unknown): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`)
  }

  /** The result in both forms. */
  result(value: unknown, text: string): void {
    if (this.json) this.value(value)
    else this.line(text)
  }

  /** Something worth knowing that is not the result. */
  note(text: string): void {
    this.clearProgress()
    if (!this.json) process.stderr.write(`${text}\n`)
  }

  /** Shown in place of the line before, and only to a person. */
  progress(text: string): void {
    if (!process.stderr.isTTY) return
    this.#hasProgress = true
    process.stderr.write(`\r\u001B[2K${text.slice(0, (process.stderr.columns || 80) - 1)}`)
  }

  clearProgress(): void {
    if (!this.#hasProgress) return
    this.#hasProgress = false
    process.stderr.write('\r\u001B[2K')
  }

  style(style: Style, text: string): string {
    return hasColours(process.stdout) ? styleText(style, text) : text
  }
}

/** Resolves when a reader has room for more: a pipe must not fill our memory. */
export async function writeOut(text: string): Promise<void> {
  if (process.stdout.write(text)) return
  await new Promise((resolve) => {
    process.stdout.once('drain', resolve)
  })
}

/** https://no-color.org */
export function hasColours(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && (process.env['NO_COLOR'] ?? '') === ''
}

/** Rows of equal width a column; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[]): readonly string[] {
  const texts = rows.map((row) =>
    row.map((cell) => (typeof cell === 'number' ? count(cell) : cell))
  )
  const widths: number[] = []
  for (const row of texts) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  const isNumber = (at: number): boolean => rows.some((row) => typeof row[at] === 'number')
  return texts.map((row) =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0
        return isNumber(at) ? cell.padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  )
}

/** `1,234`. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `3 events`, `1 event`. */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`
}
