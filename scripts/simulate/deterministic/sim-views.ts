/**
 * The views that simulated boxes have: of each name several versions, each of which may take another's place.
 * Some emit several rows, none, or throw; some depend on the order of events; some on which are corrected.
 */

import { assert } from '../../../src/core/assert.ts'
import { compileDefinition } from '../../../src/views/compile-definition.ts'
import { nativeProgram } from '../../../src/views/native-program.ts'
import type { FoldView, MapView, SelectFoldView } from '../../../src/views/define-view.ts'
import type { Json } from '../../../src/node/laterbase.ts'
import type { ViewDefinition } from '../../../src/views/view-definition.ts'
import { simHasher } from './keys.ts'

/** Reducers that are evaluated from scratch here. */
export type PlainReduce = '_sum' | '_count' | '_last'

export interface SimMap extends MapView {
  readonly reduce?: PlainReduce
}

/** Its state is JSON, whatever it is, and so is what it selects. */
export type SimFold = Required<Pick<FoldView, 'key'>> & (FoldView | SelectFoldView)

export type SimView = SimMap | SimFold

/** What clients write, as far as a function can tell; a liar writes other things. */
interface Facts {
  readonly n?: number
  readonly scan?: string
  readonly says?: number
}

function factsOf(data: Json | undefined): Facts {
  return typeof data === 'object' && data !== null ? (data as Facts) : {}
}

const rows: readonly SimMap[] = [
  {
    name: 'rows',
    map: ({ data, key }, emit) => {
      const { n, scan, says } = factsOf(data)
      if (says === 2) throw new Error('says two')
      if (n !== undefined) emit(n % 5, key)
      if (scan !== undefined) emit(['scan', scan], says)
      if (n !== undefined && n % 3 === 0) emit(null, n)
    }
  },
  {
    name: 'rows',
    map: ({ data, time }, emit) => {
      const { n, scan } = factsOf(data)
      emit([time.slice(0, 10), n ?? null], scan ?? 'none')
    }
  }
]

const sums: readonly SimMap[] = [
  {
    name: 'sums',
    map: ({ data }, emit) => {
      const { n, scan } = factsOf(data)
      emit([scan === undefined ? 'fact' : 'scan', (n ?? 1) % 4], n ?? 1)
    },
    reduce: '_sum'
  },
  {
    name: 'sums',
    map: ({ data, key }, emit) => {
      const { n = 0, says = 0 } = factsOf(data)
      if (says === 1) throw new Error('says one')
      emit([n % 3, n % 2], key)
    },
    reduce: '_last'
  }
]

const effective: readonly SimMap[] = [
  {
    name: 'effective',
    events: 'effective',
    map: ({ data, key }, emit) => {
      const { n, scan } = factsOf(data)
      emit(n === undefined ? (scan ?? null) : n % 4, key)
    }
  },
  {
    name: 'effective',
    events: 'effective',
    map: ({ data }, emit) => {
      const { n = 0 } = factsOf(data)
      emit(n % 3)
      if (n % 2 === 0) emit(n % 3)
    },
    reduce: '_count'
  }
]

interface Trail {
  readonly seen: string[]
  readonly count: number
}

/** What came last of each, in order: another order is another state. */
const trails: readonly SimFold[] = [
  {
    name: 'trails',
    key: ({ data }) => {
      const { n, scan } = factsOf(data)
      return n === undefined ? scan : n % 3
    },
    initial: () => ({ seen: [], count: 0 }),
    // What it is given is its own to change.
    apply: (state, { data, key }) => {
      const trail = state as unknown as { seen: string[]; count: number }
      const { n = 1, says = 0 } = factsOf(data)
      trail.seen.push(key.slice(-4))
      if (n % 13 === 7 || says === 2) throw new Error('not this one')
      if (trail.seen.length > 4) trail.seen.shift()
      trail.count += 1
      return state
    },
    final: (state) => {
      const { seen, count } = state as unknown as Trail
      return `${count} ${seen.join()}`
    }
  },
  {
    name: 'trails',
    events: 'effective',
    key: ({ data }) => {
      const { n, scan } = factsOf(data)
      if (scan === '3') throw new Error('not this one')
      return n === undefined ? ['scan', scan ?? null] : ['fact', n % 2]
    },
    select: ({ data }) => factsOf(data) as Json,
    initial: () => 'begin',
    apply: (state: Json, facts: Json) =>
      `${JSON.stringify(state).slice(-24)} ${JSON.stringify(facts)}`
  }
]

/** A definition that replicates, and the same as a function. */
export interface SimDefinition {
  readonly definition: ViewDefinition
  readonly view: SimMap
}

/** The one name that is defined so: whoever defines it does so for all. */
export const TOLD = 'told'

/** Members are in the order of canonical JSON, for they are looked up as text. */
export const SIM_DEFINITIONS: readonly SimDefinition[] = [
  {
    definition: { key: 'data.scan', reduce: '_count' },
    view: {
      name: TOLD,
      map: ({ data }, emit) => emit(factsOf(data).scan ?? null),
      reduce: '_count'
    }
  },
  {
    definition: {
      events: 'effective',
      key: ['data.n', 'data.scan'],
      value: 'key',
      where: { 'data.n': { exists: true } }
    },
    view: {
      name: TOLD,
      events: 'effective',
      map: ({ data, key }, emit) => {
        const { n, scan } = factsOf(data)
        if (n !== undefined) emit([n, scan ?? null], key)
      }
    }
  }
]

/** By name, its versions. */
export const SIM_VIEWS: ReadonlyMap<string, readonly SimView[]> = new Map(
  [rows, sums, effective, trails].map((versions) => [versions[0]?.name ?? '', versions])
)

const HASHES = new Map<SimView, string>([
  ...[...SIM_VIEWS.values()]
    .flat()
    .map((view) => [view, nativeProgram(view, simHasher).hash] as const),
  ...SIM_DEFINITIONS.map(({ view, definition }) => [view, hashOfDefinition(definition)] as const)
])

function hashOfDefinition(definition: ViewDefinition): string {
  const program = compileDefinition(definition, { hasher: simHasher, sandbox: undefined })
  assert('hash' in program, 'a definition that compiles')
  return program.hash
}

/** Of its functions: what a node calls the definition. */
export function hashOf(view: SimView): string {
  return HASHES.get(view) ?? ''
}

/** The version of a name of which an answer says that it is: by the first digits of its digest. */
export function versionOf(name: string, digest: string): SimView | undefined {
  const [digits = ''] = digest.split('-')
  const told = SIM_DEFINITIONS.map(({ view }) => view)
  const versions = name === TOLD ? told : SIM_VIEWS.get(name)
  return versions?.find((view) => hashOf(view).startsWith(digits))
}
