/**
 * Definitions of views as JSON, which replicate: declarative ones, and JavaScript text for a sandbox. This file
 * says what every word of them means; `read-definition.ts` reads them.
 *
 * A declarative one says which events count (`where`), and what row each makes (`key`, `value`); with `each`, what
 * rows, one for each element of an array in it:
 *
 *     { "where": { "type": "delivery.received", "each.qty": { "gt": 0 } },
 *       "each": "data.lines",
 *       "key": ["each.sku", { "date": "time", "unit": "day" }],
 *       "value": "each.qty", "reduce": "_sum" }
 */

import type { Json } from '../core/json.ts'
import type { BuiltInReduce } from './define-view.ts'

/** What every definition has besides its functions. */
interface DefinitionBase {
  readonly events?: 'recorded' | 'effective'
}

/**
 * Where in an event something stands: the name of one of its members (`key`, `time`, `type`, `subject`, `source`,
 * `id`, `schema`, `corrects`, `data`, `data_base64`, `datacontenttype`), and of members within it, with dots:
 * `data.address.city`; of an array the number of an element, from 0: `data.lines.0.sku`. Or the same as a JSON
 * pointer (RFC 6901), for names with dots: `/data/net.weight`.
 *
 * With `each`, `each` is the element: `each.sku`, or `each` for the whole.
 *
 * Only members that the JSON has: no length, nothing that is inherited. What is not there is absent, which is
 * not null.
 */
export type EventPath = string

/**
 * What a path's value must be: a text, a number, a boolean, null or an array, for the same; or an object of
 * these, all of which must hold.
 *
 * Equal is what is the same JSON: 1 and 1.0, members in any order. Greater and less are in the order of view
 * keys, and between values of the same type only: a text is neither above nor below a number.
 * Of what is absent only `{"ne": …}` and `{"exists": false}` hold.
 */
export type Condition =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | {
      readonly eq?: Json
      readonly ne?: Json
      readonly gt?: Json
      readonly gte?: Json
      readonly lt?: Json
      readonly lte?: Json
      /** One of them is equal. */
      readonly in?: readonly Json[]
      /** It is there, null included; or it is not. */
      readonly exists?: boolean
      /** It is a text that begins so. */
      readonly prefix?: string
    }

/** A part of a time. Years have four digits, and weeks are not among them. */
export type DateUnit = 'year' | 'month' | 'day' | 'hour' | 'minute'

/**
 * What a key or a value is made of: a path for what stands there, null if it is absent; an array of such;
 * or an object with one of these, and no other member.
 */
export type Expression =
  | EventPath
  | readonly Expression[]
  /** This JSON. */
  | { readonly const: Json }
  /** An object of such. */
  | { readonly object: Readonly<Record<string, Expression>> }
  /**
   * A time (RFC 3339) up to a unit, as text: `2026`, `2026-11`, `2026-11-02`, `2026-11-02T06`, `2026-11-02T06:10`; with
   * `parts`, as numbers for `group_level`: `[2026, 11, 2, 6, 10]`. In UTC, or at an `offset` such as `+01:00`: a zone
   * with summer time is none, because boxes know different ones. Null for what is no time.
   */
  | {
      readonly date: EventPath
      readonly unit: DateUnit
      readonly parts?: boolean
      readonly offset?: string
    }

/** `where`, `each`, `key`, `value`, `reduce`: no code. All but one of `key`, `value` and `each` may be absent. */
export interface DeclarativeDefinition extends DefinitionBase {
  /** Every member must hold. Those of `each` say which elements count, the others which events. */
  readonly where?: Readonly<Record<EventPath, Condition>>
  /** An array: a row for each element. Events where it is none make no rows. */
  readonly each?: EventPath
  /** Default null. */
  readonly key?: Expression
  /** Default null. */
  readonly value?: Expression
  readonly reduce?: BuiltInReduce
}

/**
 * JavaScript text of functions, run in a sandbox, in strict mode. A text is one function, `function (…) { … }` or
 * `(…) => …`, and nothing around it. It finds the language and what is frozen of it: no clock (`new Date(text)` is
 * there, in UTC), no chance, no `eval`, nothing of the node; and nothing that an earlier call left.
 */
export interface ScriptDefinition extends DefinitionBase {
  readonly language: 'javascript'
  /** `(event, emit) => …`. A definition has this or `fold`. */
  readonly map?: string
  /** A built-in reducer's name, or `(keys, values, rereduce) => …`, as CouchDB's. */
  readonly reduce?: string
  readonly fold?:
    | {
        /** `(event) => key`; default the event's subject. */
        readonly key?: string
        /**
         * `(event) => selection`: what `apply` gets of an event in its stead, as JSON; undefined for an event of which
         * nothing counts, which then belongs to no aggregate, as one for which it fails. At most as many bytes as an event
         * may have. The view keeps that instead of the event: it is smaller, and an event that comes late costs a fraction.
         */
        readonly select?: string
        /** JSON. */
        readonly initial: Json
        /** `(state, event) => state`; with `select`, `(state, selection) => state`. */
        readonly apply: string
        /** `(state) => result`. */
        readonly final?: string
      }
    | {
        /** The same in Emmett's words. */
        readonly key?: string
        readonly select?: string
        readonly initialState: Json
        readonly evolve: string
        readonly final?: string
      }
}

export type ViewDefinition = DeclarativeDefinition | ScriptDefinition
