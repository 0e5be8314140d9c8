/**
 * The views of a database that replicated definitions make: follows the definitions that count here, and says
 * of those that cannot be used why.
 */

import type { Json } from '../core/json.ts'
import { LaterbaseError } from '../errors.ts'
import type { ViewProgram } from '../views/program.ts'
import type { ViewEngine } from '../views/view-engine.ts'
import { contentOf } from './definition-events.ts'
import type { DefinitionEvent } from './definition-events.ts'
import type { Definitions } from './definitions.ts'

export interface ViewDefinitionsInit {
  readonly engine: ViewEngine
  readonly definitions: Definitions
  /** @throws LATERBASE_VIEW_INVALID */
  readonly compile: (definition: Json) => Promise<ViewProgram>
}

/** A definition that is held and makes no view here. */
export interface RefusedDefinition {
  readonly name: string
  readonly reason: string
}

const UNTRUSTED =
  'it is JavaScript, and none of its authors is trusted here: the operator has to trust one, with --trust'

export class ViewDefinitions {
  readonly #init: ViewDefinitionsInit
  /** By view, why its definition is not used. */
  readonly #refused = new Map<string, string>()
  /** By view, the definition that it was made of. */
  readonly #used = new Map<string, DefinitionEvent>()
  #following: Promise<void> = Promise.resolve()

  constructor(init: ViewDefinitionsInit) {
    this.#init = init
  }

  refused(): readonly RefusedDefinition[] {
    return [...this.#refused].map(([name, reason]) => ({ name, reason }))
  }

  /** Resolves when the views are those of the definitions that are held now. */
  follow(): Promise<void> {
    this.#following = this.#following.then(() => this.#follow())
    return this.#following
  }

  async #follow(): Promise<void> {
    const { engine, definitions } = this.#init
    await definitions.load()
    const held = definitions.list('laterbase.view').map(({ event }) => event)
    const names = new Set(held.map(({ of }) => of.name))
    for (const name of this.#used.keys()) {
      if (names.has(name)) continue
      this.#used.delete(name)
      if (this.#isOurs(name)) await engine.remove(name)
    }
    // One by one, as questions come meanwhile: a view that is refused is so at each moment.
    const refused = new Set<string>()
    for (const event of held) {
      const reason = await this.#use(event)
      if (reason !== undefined) refused.add(event.of.name)
    }
    for (const { event } of definitions.ignored('laterbase.view')) {
      const { name } = event.of
      if (names.has(name) || engine.has(name)) continue
      this.#refuse(name, UNTRUSTED)
      refused.add(name)
    }
    for (const name of this.#refused.keys()) if (!refused.has(name)) this.#refused.delete(name)
    await engine.forgetUndefined()
  }

  /**
   * Of a name that this program has functions for, the functions count.
   *
   * @returns why it is not used, if it is not
   */
  async #use(event: DefinitionEvent): Promise<string | undefined> {
    const { engine, compile } = this.#init
    const { name } = event.of
    if (engine.has(name) && !this.#isOurs(name)) {
      return this.#refuse(name, 'this program has functions of its own under that name')
    }
    if (this.#used.get(name) === event && engine.has(name)) return undefined
    try {
      const program = await compile(contentOf(event) ?? null)
      await engine.define(name, program, 'definition')
      this.#used.set(name, event)
      return undefined
    } catch (error) {
      if (!(error instanceof LaterbaseError)) throw error
      const reason = this.#refuse(name, error.message)
      if (engine.has(name)) await engine.remove(name)
      return reason
    }
  }

  #refuse(name: string, reason: string): string {
    this.#refused.set(name, reason)
    return reason
  }

  #isOurs(name: string): boolean {
    const { engine } = this.#init
    return engine.has(name) && engine.slot(name).origin === 'definition'
  }
}
