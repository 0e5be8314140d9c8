/**
 * Makes programs of definitions that came as JSON. The sandbox of scripts is loaded with the first of them: a
 * node without any does not pay for it.
 */

import type { Hasher } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'
import type { Problem } from '../errors.ts'
import { compileDefinition, needsSandbox } from '../views/compile-definition.ts'
import type { ViewProgram } from '../views/program.ts'
import { readViewDefinition } from '../views/read-definition.ts'
import { loadSandbox } from '../views/sandbox.ts'
import type { EffortClock, Sandbox } from '../views/sandbox.ts'

export interface ViewCompilerInit {
  readonly hasher: Hasher
  readonly clock: EffortClock
  /** The operator lets this node run JavaScript of definitions, in the sandbox. */
  readonly scripts: boolean
}

export class ViewCompiler {
  readonly #init: ViewCompilerInit
  #sandbox: Promise<Sandbox> | undefined

  constructor(init: ViewCompilerInit) {
    this.#init = init
  }

  /** @throws LATERBASE_VIEW_INVALID with `problems`, or where scripts are not run here */
  async compile(definition: Json): Promise<ViewProgram> {
    const { hasher, clock, scripts } = this.#init
    const read = readViewDefinition(definition)
    if ('problems' in read) throw invalid(read.problems)
    const isScript = needsSandbox(read)
    if (isScript && !scripts) throw scriptsDisabled()
    if (isScript) this.#sandbox ??= loadSandbox(hasher, clock)
    const program = compileDefinition(read, { hasher, sandbox: await this.#sandbox })
    if ('problems' in program) throw invalid(program.problems)
    return program
  }
}

function invalid(problems: readonly Problem[]): LaterbaseError {
  const [first] = problems
  const { pointer, detail } = first ?? { pointer: '', detail: 'is none of a view' }
  const message = `${pointer === '' ? 'the definition' : `${pointer}:`} ${detail}`
  return new LaterbaseError('LATERBASE_VIEW_INVALID', message, { problems })
}

function scriptsDisabled(): LaterbaseError {
  const message =
    'this node runs no JavaScript of definitions: its operator has to allow it, with --view-scripts'
  return new LaterbaseError('LATERBASE_VIEW_INVALID', message, { facts: { scripts: 'disabled' } })
}
