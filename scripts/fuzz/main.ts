/**
 * `npm run fuzz`: random bytes and mutants of valid messages for every decoder of what others send.
 * `CASES` says how many, `SEED` replays a run. Prints one line of JSON; a failing input is made
 * small, printed as hex, and ends the run with 1.
 *
 * How long a case takes says more about the machine than about the decoder, so the slowest is only
 * reported. What is held is the number of steps: a decoder looks at no byte twice.
 */

import { Reader } from '../../protocols/wire.ts'
import { createPrng } from '../simulate/prng.ts'
import type { Prng } from '../simulate/prng.ts'
import { mutate, randomBytes } from './mutate.ts'
import { TARGETS } from './targets.ts'
import type { Target } from './targets.ts'

const CASES = Number(process.env['CASES'] ?? 1_000_000)
const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
/** Messages of each kind that mutants are made of, and those among them of full size. */
const MESSAGES = 256
const LARGE_MESSAGES = 2
/** A full frame costs a thousand small ones. */
const LARGE_SHARE = 1 / 10_000
const RANDOM_SHARE = 0.1
/** Steps that a message may take beyond two for each of its bytes. */
const STEPS_FREE = 64
/** A region is read once for each count that is tried. */
const READS_OF_A_CASE = 7
const TRIES = 5
/** What the heap may grow while the second half runs, bytes: the collector's own slack. */
const HEAP_GROWTH_MAX = 4 * 1_048_576

interface Corpus {
  readonly target: Target
  readonly small: readonly Uint8Array[]
  readonly large: readonly Uint8Array[]
}

let steps = 0
for (const name of ['byte', 'fixed'] as const) {
  const inner = Reader.prototype[name] as (this: Reader, length: number) => never
  Object.defineProperty(Reader.prototype, name, {
    value(this: Reader, length: number) {
      steps += 1
      return inner.call(this, length)
    }
  })
}

async function main(): Promise<void> {
  const prng = createPrng(SEED)
  const corpora = TARGETS.map((target): Corpus => {
    const make = (size: 'small' | 'large') => (): Uint8Array => target.message(prng, size)
    const small = Array.from({ length: MESSAGES }, make('small'))
    return { target, small, large: Array.from({ length: LARGE_MESSAGES }, make('large')) }
  })
  for (const { target, small, large } of corpora) {
    for (const bytes of [...small, ...large]) {
      if (!(await target.run(bytes))) throw new Error(`${target.name}: a valid message is refused`)
    }
  }
  const accepted: Record<string, number> = {}
  let slowest = { ms: 0, target: '', bytes: 0 }
  let heapBytes = 0
  for (let index = 0; index < CASES; index += 1) {
    if (index === CASES >> 1) heapBytes = heapNow()
    const corpus = corpora[index % corpora.length]
    if (corpus === undefined) throw new Error('there are targets')
    const { target } = corpus
    const bytes = nextInput(corpus, prng)
    const startMs = performance.now()
    const outcome = await attempt(target, bytes)
    if (performance.now() - startMs > slowest.ms) {
      const ms = await shortestMs(target, bytes)
      if (ms > slowest.ms) slowest = { ms, target: target.name, bytes: bytes.length }
    }
    if (outcome === 'accepted') accepted[target.name] = (accepted[target.name] ?? 0) + 1
    else if (outcome !== 'refused') return fail(target, bytes, outcome)
  }
  const heapGrowth = heapNow() - heapBytes
  const isFlat = heapGrowth <= HEAP_GROWTH_MAX
  console.log(JSON.stringify({ seed: SEED, cases: CASES, accepted, slowest, heapGrowth, isFlat }))
  if (!isFlat) process.exitCode = 1
}

function nextInput({ target, small, large }: Corpus, prng: Prng): Uint8Array {
  const kind = prng.fraction()
  if (kind < RANDOM_SHARE) {
    const rest = randomBytes(prng, 300)
    return prng.fraction() < 0.3 ? rest : Uint8Array.from([...target.opening, ...rest])
  }
  const base = prng.pick(kind < RANDOM_SHARE + LARGE_SHARE ? large : small)
  const other = prng.pick(small)
  return mutate(base ?? new Uint8Array(), other ?? new Uint8Array(), prng)
}

/** What became of the bytes; any other text is a broken law. */
async function attempt(target: Target, bytes: Uint8Array): Promise<string> {
  steps = 0
  try {
    const outcome = target.run(bytes)
    const isAccepted = typeof outcome === 'boolean' ? outcome : await outcome
    if (steps > READS_OF_A_CASE * (2 * bytes.length + STEPS_FREE)) return `${steps} steps`
    return isAccepted ? 'accepted' : 'refused'
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
}

/** Of a few tries: what the machine did in between is not the decoder's. */
async function shortestMs(target: Target, bytes: Uint8Array): Promise<number> {
  let shortest = Infinity
  for (let tries = 0; tries < TRIES; tries += 1) {
    const startMs = performance.now()
    await attempt(target, bytes)
    shortest = Math.min(shortest, performance.now() - startMs)
  }
  return shortest
}

async function fail(target: Target, bytes: Uint8Array, outcome: string): Promise<void> {
  const smallest = await minimise(target, bytes)
  const input = Buffer.from(smallest).toString('hex')
  console.log(JSON.stringify({ seed: SEED, target: target.name, input, outcome }))
  process.exitCode = 1
}

/** Takes pieces out, larger ones first, as long as what is left still fails. */
async function minimise(target: Target, bytes: Uint8Array): Promise<Uint8Array> {
  const fails = async (candidate: Uint8Array): Promise<boolean> =>
    !['accepted', 'refused'].includes(await attempt(target, candidate))
  let smallest = bytes
  for (let size = bytes.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= smallest.length;) {
      const candidate = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)])
      if (await fails(candidate)) smallest = candidate
      else at += size
    }
  }
  return smallest
}

function heapNow(): number {
  if (gc === undefined) throw new Error('run with --expose-gc')
  gc()
  return process.memoryUsage().heapUsed
}

await main()
