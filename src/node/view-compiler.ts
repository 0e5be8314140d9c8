/** Makes programs of definitions that came as JSON; knows whether this node runs text of scripts. */

import type { Hasher } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError, type Problem } from '../errors.ts'
import { compileDefinition, needsSandbox } from '../views/compile-definition.ts'
import type { ViewProgram } from '../views/program.ts'
import { readViewDefinition } from '../views/read-definition.ts'
import { loadSandbox } from '../views/sandbox.ts'
import type { Sandbox } from '../views/sandbox.ts'

export interface ViewCompilerInit {
  readonly hasher: Hasher
  /** The operator lets this node run JavaScript of definitions, in the sandbox. */
  readonly scripts: boolean
}

export class ViewCompiler {
  readonly #init: ViewCompilerInit
  #sandbox: Promise<Sandbox> | undefined

  constructor(init: ViewCompilerInit) {
    this.#init = init
  }

  /** @throws LATERBASE_VIEW_INVALID with `problems` */
  async compile(definition: Json): Promise<ViewProgram> {
    const { hasher, scripts } = this.#init
    const read = readViewDefinition(definition)
    if ('problems' in read) throw invalid(read.problems)
    const isScript = needsSandbox(read)
    if (isScript && !scripts) {
      const message = 'this node runs no scripts of views: its operator has not allowed it'
      throw new LaterbaseError('LATERBASE_VIEW_INVALID', message, {
        facts: { scripts_disabled: true }
      })
    }
    const sandbox = isScript ? await this.#loadSandbox() : undefined
    const program = compileDefinition(read, { hasher, sandbox })
    if ('problems' in program) throw invalid(program.problems)
    return program
  }

  /** Made when the first text comes: it takes a tenth of a second, and most nodes have none. */
  #loadSandbox(): Promise<Sandbox> {
    this.#sandbox ??= loadSandbox(this.#init.hasher).catch((error: unknown) => {
      this.#sandbox = undefined
      throw error
    })
    return this.#sandbox
  }
}

function invalid(problems: readonly Problem[]): LaterbaseError {
  const [first] = problems
  const message = `the definition of the view breaks a rule: ${first?.pointer ?? ''} ${first?.detail ?? ''}`
  return new LaterbaseError('LATERBASE_VIEW_INVALID', message, { problems })
}
