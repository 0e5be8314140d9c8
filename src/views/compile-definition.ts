/** A definition that was read as what an engine runs; and its hash, equal for equal views on every node. */

import { assert } from '../core/assert.ts'
import { toHex } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import { builtInReducer } from '../core/views/reducers.ts'
import type { Problem } from '../errors.ts'
import { canonicalJson } from '../schema/canonical-json.ts'
import { declarativeProgram } from './declarative-program.ts'
import type { ViewProgram } from './program.ts'
import { isReducerName } from './read-definition.ts'
import { Script } from './sandbox.ts'
import type { Sandbox, ScriptTexts } from './sandbox.ts'
import { scriptFoldProgram, scriptMapProgram } from './script-program.ts'
import type { DeclarativeDefinition, ScriptDefinition, ViewDefinition } from './view-definition.ts'

export interface CompileOptions {
  readonly hasher: Hasher
  /** For text: undefined where `needsSandbox` says no. */
  readonly sandbox: Sandbox | undefined
}

export function needsSandbox(definition: ViewDefinition): definition is ScriptDefinition {
  return 'language' in definition
}

/** @param definition from `readViewDefinition`. Problems are of its texts, with lines. */
export function compileDefinition(
  definition: ViewDefinition,
  { hasher, sandbox }: CompileOptions
): ViewProgram | { readonly problems: readonly Problem[] } {
  if (!needsSandbox(definition)) {
    return declarativeProgram(definition, hashOf(definition, DECLARATIVE_VERSION, hasher))
  }
  assert(sandbox !== undefined, 'a text has a sandbox')
  const script = sandbox.compile(textsOf(definition))
  if (!(script instanceof Script))
    return { problems: script.problems.map((problem) => inDefinition(problem, definition)) }
  const { events = 'recorded', reduce } = definition
  const fold = plainFold(definition.fold)
  const identity = { hash: hashOf(definition, sandbox.version, hasher), events }
  if (fold === undefined) {
    if (reduce === undefined) return scriptMapProgram(script, identity, undefined)
    const reducer = isReducerName(reduce) ? builtInReducer(reduce) : 'text'
    return scriptMapProgram(script, identity, reducer)
  }
  return scriptFoldProgram(script, identity, {
    initial: textOfJson(fold.initial),
    hasKey: fold.key !== undefined,
    hasSelect: fold.select !== undefined,
    hasFinal: fold.final !== undefined
  })
}

type Fold = NonNullable<ScriptDefinition['fold']>
type PlainFold = Extract<Fold, { readonly apply: string }>

/** In our words: each of Emmett's may stand for its own. */
function plainFold(fold: Fold | undefined): PlainFold | undefined {
  if (fold === undefined) return undefined
  const { initialState, evolve, ...rest }: Partial<PlainFold> & Partial<EmmettFold> = fold
  return { initial: initialState, apply: evolve, ...rest } as PlainFold
}

type EmmettFold = Extract<Fold, { readonly evolve: string }>

/** To be changed when a word of declarative definitions means something else than before. */
const DECLARATIVE_VERSION = '1'

function hashOf(
  definition: DeclarativeDefinition | ScriptDefinition,
  version: string,
  hasher: Hasher
): string {
  const text = textOfJson(['laterbase definition', version, definition as unknown as Json])
  return toHex(hasher.sha256(Buffer.from(text)))
}

function textOfJson(value: Json): string {
  const text = canonicalJson(value)
  assert(typeof text === 'string', 'a definition is JSON')
  return text
}

function textsOf({ map, reduce, fold }: ScriptDefinition): ScriptTexts {
  const { key, select, apply, final } = plainFold(fold) ?? {}
  // Always in this order: what an engine remembers depends on it.
  const texts = { map, key, select, apply, final, reduce }
  const given = Object.entries(texts).filter(([slot, text]) => {
    return text !== undefined && !(slot === 'reduce' && isReducerName(text))
  })
  return Object.fromEntries(given)
}

function inDefinition({ pointer, detail }: Problem, { fold }: ScriptDefinition): Problem {
  if (fold === undefined) return { pointer: `/${pointer}`, detail }
  const word = pointer === 'apply' && 'evolve' in fold ? 'evolve' : pointer
  return { pointer: `/fold/${word}`, detail }
}
