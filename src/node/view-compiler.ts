/** Makes programs of definitions that came as JSON; knows whether this node runs text of scripts. */

import type { Hasher } from '../core/clock.ts'
import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'
import type { ViewProgram } from '../views/program.ts'

export interface ViewCompilerInit {
  readonly hasher: Hasher
  /** The operator lets this node run JavaScript of definitions, in the sandbox. */
  readonly scripts: boolean
}

export class ViewCompiler {
  readonly #init: ViewCompilerInit

  constructor(init: ViewCompilerInit) {
    this.#init = init
  }

  /** @throws LATERBASE_VIEW_INVALID with `problems` */
  async compile(definition: Json): Promise<ViewProgram> {
    const message = `not yet: ${typeof definition} ${this.#init.scripts}`
    throw new LaterbaseError('LATERBASE_VIEW_INVALID', message)
  }
}
