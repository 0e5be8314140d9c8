/**
 * Definitions of views as JSON, which replicate: declarative ones, and JavaScript text for a sandbox.
 */

import type { Json } from '../core/json.ts'
import type { BuiltInReduce } from './define-view.ts'

/** What every definition has besides its functions. */
interface DefinitionBase {
  readonly events?: 'recorded' | 'effective'
}

/** `where`, `key`, `value`, `reduce`: no code. */
export interface DeclarativeDefinition extends DefinitionBase {
  /** Every member must hold: a path of the event, and a value, or `{"in": […]}`, `{"gte": …}` and so on. */
  readonly where?: Readonly<Record<string, Json>>
  /** A path such as `data.sscc`, `{"const": …}`, or an array of them. Default `null`. */
  readonly key?: Json
  readonly value?: Json
  readonly reduce?: BuiltInReduce
}

/** JavaScript text of functions, run in a sandbox without clock and chance. */
export interface ScriptDefinition extends DefinitionBase {
  readonly language: 'javascript'
  /** `function (event, emit) { … }` or an arrow function. */
  readonly map?: string
  /** A built-in reducer's name, or `function (keys, values, rereduce) { … }`. */
  readonly reduce?: string
  readonly fold?: {
    /** `(event) => key`; default the event's subject. */
    readonly key?: string
    /** JSON. */
    readonly initial: Json
    /** `(state, event) => state`. */
    readonly apply: string
    /** `(state) => result`. */
    readonly final?: string
  }
}

export type ViewDefinition = DeclarativeDefinition | ScriptDefinition
