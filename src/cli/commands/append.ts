/** `laterbase append`: events from a file or from standard input, streamed to a node. */

import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'

import { Option, type Command } from 'commander'

import { inPieces, type Piece } from '../append-pieces.ts'
import { addUrlOption, createCommand, type OpenSession } from '../command.ts'
import { type EventDefaults, readEvents, withDefaults } from '../event-input.ts'
import { CommandFailure } from '../failure.ts'
import { PROGRESS_AFTER_MS, REFUSALS_SHOWN_MAX } from '../limits.ts'
import { databasePath, NodeClient, type Problem, problemText } from '../node-client.ts'
import { count, counted, type Terminal } from '../terminal.ts'

export function appendCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'append',
    summary:
      'write events from NDJSON or JSON (an event, or an array), a file or standard input; ' +
      'makes the database when it is missing',
    example:
      'echo \'{"data":{"sku":"4711","qty":48}}\' | laterbase append depot --type pallet.received ' +
      '--time 2026-01-05T06:10:00Z'
  })
  return addUrlOption(command)
    .argument('<db>', 'database')
    .argument('[file]', 'file of events; without one, or with -, standard input')
    .addOption(new Option('--time <time>', 'when it happened, for events without time or key'))
    .addOption(new Option('--type <type>', 'type of the events that have none'))
    .addOption(new Option('--subject <subject>', 'subject of the events that have none'))
    .addOption(new Option('--proceed', 'write what is good, report the rest').default(false))
    .action(async (db: string, file: string | undefined) => {
      const { terminal, log } = openSession(command)
      const { url, proceed, time, type, subject } = command.opts<
        EventDefaults & { url: string; proceed: boolean }
      >()
      const node = new NodeClient(url, log)
      const defaults = { ...(time && { time }), ...(type && { type }), ...(subject && { subject }) }
      const writer = new Writer({ db, node, terminal, defaults, proceed })
      await writer.createDatabase()
      const input = await openInput(file === '-' ? undefined : file, terminal)
      await writer.write(input)
    })
}

interface Input {
  readonly chunks: AsyncIterable<Buffer>
  readonly name: string
  /** Undefined for a stream of unknown length. */
  readonly bytes: number | undefined
}

async function openInput(file: string | undefined, terminal: Terminal): Promise<Input> {
  if (file !== undefined) {
    try {
      const { size } = await stat(file)
      return { chunks: createReadStream(file), name: file, bytes: size }
    } catch (error) {
      const message = `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`
      throw new CommandFailure('file-unreadable', message, { cause: error })
    }
  }
  if (process.stdin.isTTY) terminal.note('Reading events, one JSON object a line; Ctrl-D ends.')
  return { chunks: process.stdin, name: 'standard input', bytes: undefined }
}

interface Append {
  readonly db: string
  readonly node: NodeClient
  readonly terminal: Terminal
  readonly defaults: EventDefaults
  readonly proceed: boolean
}

/** Lines of the answer to an NDJSON stream. */
interface AnswerLine {
  readonly lc?: string
  readonly lines?: readonly [first: number, last: number]
  readonly results?: readonly { readonly status: string; readonly problem?: Problem }[]
  readonly done?: true
  readonly error?: Problem
}

class Writer {
  readonly #append: Append
  readonly #counts = { created: 0, duplicate: 0, rejected: 0 }
  readonly #refusals: { line: number; detail: string }[] = []
  readonly #startedMs = performance.now()
  #lc: string | undefined
  #bytes = 0
  #name = ''

  constructor(append: Append) {
    this.#append = append
  }

  async createDatabase(): Promise<void> {
    const { db, node, terminal } = this.#append
    const response = await node.open(databasePath(db), { method: 'PUT' })
    await response.arrayBuffer()
    if (response.status === 201) terminal.note(`Made the database ${db}.`)
  }

  /** @throws CommandFailure when something was not written, after saying what was */
  async write({ chunks, name, bytes }: Input): Promise<void> {
    const { terminal } = this.#append
    this.#name = name
    try {
      for await (const piece of inPieces(readEvents(chunks))) {
        await this.#send(piece)
        this.#showProgress(bytes)
      }
    } catch (error) {
      terminal.clearProgress()
      throw this.#afterPart(error)
    }
    terminal.clearProgress()
    this.#summarise()
  }

  async #send(piece: Piece): Promise<void> {
    const { db, node, defaults, proceed } = this.#append
    const texts = piece.flatMap((event) => [withDefaults(event.bytes, defaults), NEW_LINE])
    const response = await node.send(databasePath(db, proceed ? '/e?on_error=proceed' : '/e'), {
      method: 'POST',
      contentType: 'application/x-ndjson',
      body: Buffer.concat(texts)
    })
    if (!response.ok) throw this.#refused(await node.problemOf(response), piece)
    let isWhole = false
    for (const text of (await response.text()).split('\n')) {
      if (text === '') continue
      const line = JSON.parse(text) as AnswerLine
      this.#take(line, piece)
      if (line.error !== undefined) throw this.#refused(line.error, piece)
      isWhole ||= line.done === true
    }
    if (!isWhole) throw new CommandFailure('answer-cut', 'the node broke off before its last word')
    for (const event of piece) this.#bytes += event.bytes.length + 1
  }

  #take({ lc, results = [] }: AnswerLine, piece: Piece): void {
    this.#lc = lc ?? this.#lc
    for (const { status, problem } of results) {
      if (status === 'created' || status === 'duplicate') this.#counts[status]++
      else {
        this.#counts.rejected++
        if (this.#refusals.length < REFUSALS_SHOWN_MAX) {
          this.#refusals.push({ line: lineOf(problem, piece), detail: detailOf(problem) })
        }
      }
    }
  }

  #refused(problem: Problem, piece: Piece): CommandFailure {
    const line = problem.line === undefined ? '' : `${this.#name}, line ${lineOf(problem, piece)}: `
    return new CommandFailure(problem.code ?? 'refused', line + detailOf(problem))
  }

  /** The same failure, saying what was written before it. */
  #afterPart(error: unknown): unknown {
    const { created, duplicate } = this.#counts
    if (created + duplicate === 0 || !(error instanceof Error)) return error
    const { message } = error
    const written = `${counted(created, 'event')} before it ${created === 1 ? 'is' : 'are'} written`
    const again = 'those with a key, or source and id, are not doubled when it is run again'
    const { code, exitCode } =
      error instanceof CommandFailure ? error : { code: 'unexpected', exitCode: 1 as const }
    const cause = { exitCode, cause: error }
    return new CommandFailure(code, `${message}; ${written}; ${again}`, cause)
  }

  #showProgress(bytes: number | undefined): void {
    const ms = performance.now() - this.#startedMs
    if (ms < PROGRESS_AFTER_MS) return
    const { created, duplicate, rejected } = this.#counts
    const events = created + duplicate + rejected
    const share = bytes ? ` · ${Math.min(100, Math.round((100 * this.#bytes) / bytes))} %` : ''
    const rate = count(Math.round((1000 * events) / ms))
    this.#append.terminal.progress(`${counted(events, 'event')} · ${rate}/s${share}`)
  }

  #summarise(): void {
    const { db, terminal } = this.#append
    const { created, duplicate, rejected } = this.#counts
    const summary = { db, created, duplicates: duplicate, rejected, lc: this.#lc }
    terminal.value(rejected > 0 ? { ...summary, refusals: this.#refusals } : summary)
    const parts = [
      `${counted(created, 'event')} written`,
      duplicate > 0 ? `${count(duplicate)} already there` : '',
      rejected > 0 ? `${count(rejected)} refused` : ''
    ]
    terminal.line(`${db}: ${parts.filter(Boolean).join(', ')}`)
    for (const { line, detail } of this.#refusals) terminal.note(`  line ${line}: ${detail}`)
    if (rejected === 0) return
    const message = `${counted(rejected, 'event')} of ${this.#name} refused`
    throw new CommandFailure('events-refused', `${message}; the rest is written`)
  }
}

const NEW_LINE = Buffer.from('\n')

/** The node counts the lines of a request; a person those of the input. */
function lineOf(problem: Problem | undefined, piece: Piece): number {
  return piece[(problem?.line ?? 1) - 1]?.line ?? 0
}

/** What is wrong with the event, without the node's way of counting lines. */
function detailOf(problem: Problem = {}): string {
  const fault = problem.errors?.[0]
  if (fault !== undefined) return `${fault.pointer} ${fault.detail}`.trim()
  return problemText(problem)
    .replace(/^Line \d+(: | is )?/, '')
    .replace(/\.$/, '')
}
