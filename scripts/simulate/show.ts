/**
 * What is seen of a simulation while it runs: a picture redrawn in place on a terminal, plain lines
 * elsewhere, NDJSON for programs.
 */

import { styleText } from 'node:util'

import type { NodeView } from './fleet.ts'
import { reportLines, type SimulationReport, whole } from './report.ts'

export interface Show {
  /** Something happened that stays on the screen. */
  moment(atMs: number, text: string): void
  /** How far each node is now. */
  look(atMs: number, views: readonly NodeView[]): void
  /** All digests are equal; `text` says since when. */
  equal(atMs: number, afterMs: number, text: string): void
  report(report: SimulationReport): void
}

export interface ShowOptions {
  readonly form: 'picture' | 'lines' | 'json'
  readonly colours: boolean
  readonly write: (text: string) => void
  readonly columns: () => number
}

export function createShow(options: ShowOptions): Show {
  if (options.form === 'json') return new JsonShow(options)
  return options.form === 'picture' ? new PictureShow(options) : new LineShow(options)
}

/** Lines of the picture; nodes of the same colour hold the same events. */
export function pictureLines(
  views: readonly NodeView[],
  options: { readonly columns: number; readonly colours: boolean }
): readonly string[] {
  const eventsMax = Math.max(1, ...views.map(({ events }) => events))
  const barWidth = Math.min(40, Math.max(4, options.columns - FIXED_COLUMNS))
  const nameWidth = Math.max(...views.map(({ name }) => name.length))
  const digests = [...new Set(views.map(({ digest }) => digest).filter(isText))]
  return views.map(({ name, state, digest, events, own, peers }) => {
    const filled = Math.round((barWidth * events) / eventsMax)
    const bar = '█'.repeat(filled) + '░'.repeat(barWidth - filled)
    const colour = digest === undefined ? 'dim' : colourOf(digests, digest)
    const paint = (text: string): string => (options.colours ? styleText(colour, text) : text)
    const group = digest === undefined ? '-' : String(digests.indexOf(digest) + 1)
    const fields = [
      paint(`${name.padEnd(nameWidth)} ${bar}`),
      `${whole(events).padStart(9)} events`,
      `${whole(own).padStart(8)} own`,
      paint(`${group} ${(digest ?? 'no database').padEnd(14)}`),
      state === 'up' ? `${peers} ${peers === 1 ? 'peer' : 'peers'}` : state.toUpperCase()
    ]
    return fields.join('  ')
  })
}

/** Columns beside the bar. */
const FIXED_COLUMNS = 70
const COLOURS = ['cyan', 'yellow', 'magenta', 'blue', 'red', 'white'] as const

/** Green is when all are equal. */
function colourOf(digests: readonly string[], digest: string): (typeof COLOURS)[number] | 'green' {
  if (digests.length === 1) return 'green'
  return COLOURS[digests.indexOf(digest) % COLOURS.length] ?? 'white'
}

function isText(digest: string | undefined): digest is string {
  return digest !== undefined
}

function clock(atMs: number): string {
  return `${(atMs / 1000).toFixed(1).padStart(6)} s`
}

class PictureShow implements Show {
  readonly #options: ShowOptions
  #lines: readonly string[] = []

  constructor(options: ShowOptions) {
    this.#options = options
  }

  moment(atMs: number, text: string): void {
    this.#print(`${clock(atMs)}  ${text}`)
  }

  look(atMs: number, views: readonly NodeView[]): void {
    const { colours, columns } = this.#options
    this.#draw(['', clock(atMs), ...pictureLines(views, { columns: columns(), colours })])
  }

  equal(atMs: number, _afterMs: number, text: string): void {
    this.#print(`${clock(atMs)}  ${this.#options.colours ? styleText('green', text) : text}`)
  }

  report(report: SimulationReport): void {
    this.#lines = []
    this.#options.write(`\n${reportLines(report).join('\n')}\n`)
  }

  /** A line above the picture. */
  #print(text: string): void {
    const picture = this.#lines
    this.#erase()
    this.#options.write(`${text}\n`)
    this.#draw(picture)
  }

  #draw(lines: readonly string[]): void {
    this.#erase()
    this.#options.write(lines.map((line) => `${line}\n`).join(''))
    this.#lines = lines
  }

  #erase(): void {
    if (this.#lines.length > 0) this.#options.write(`\u001B[${this.#lines.length}F\u001B[0J`)
    this.#lines = []
  }
}

/** Without a terminal a look every so often is enough, ms. */
const LINE_INTERVAL_MS = 2_000
const JSON_INTERVAL_MS = 500

class LineShow implements Show {
  readonly #options: ShowOptions
  #lookedMs = -Infinity

  constructor(options: ShowOptions) {
    this.#options = options
  }

  moment(atMs: number, text: string): void {
    this.#options.write(`${clock(atMs)}  ${text}\n`)
  }

  look(atMs: number, views: readonly NodeView[]): void {
    if (atMs - this.#lookedMs < LINE_INTERVAL_MS) return
    this.#lookedMs = atMs
    const nodes = views.map(({ name, events, digest, state }) => {
      const how = state === 'up' ? '' : ` ${state}`
      return `${name} ${whole(events)} ${digest ?? '-'}${how}`
    })
    this.#options.write(`${clock(atMs)}    ${nodes.join(' | ')}\n`)
  }

  equal(atMs: number, _afterMs: number, text: string): void {
    this.moment(atMs, text)
  }

  report(report: SimulationReport): void {
    this.#options.write(`\n${reportLines(report).join('\n')}\n`)
  }
}

class JsonShow implements Show {
  readonly #options: ShowOptions
  #lookedMs = -Infinity

  constructor(options: ShowOptions) {
    this.#options = options
  }

  moment(atMs: number, text: string): void {
    this.#say({ event: 'moment', at_ms: Math.round(atMs), text })
  }

  look(atMs: number, views: readonly NodeView[]): void {
    if (atMs - this.#lookedMs < JSON_INTERVAL_MS) return
    this.#lookedMs = atMs
    this.#say({ event: 'look', at_ms: Math.round(atMs), nodes: views })
  }

  equal(atMs: number, afterMs: number): void {
    this.#say({ event: 'equal', at_ms: Math.round(atMs), after_ms: Math.round(afterMs) })
  }

  report(report: SimulationReport): void {
    this.#say({ event: 'report', ...report })
  }

  #say(value: object): void {
    this.#options.write(`${JSON.stringify(value)}\n`)
  }
}
