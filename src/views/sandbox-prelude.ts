/**
 * What runs inside of a sandbox before the text of a view, and calls its functions: in the sandbox's JavaScript.
 *
 * A view's text is functions, between whose calls nothing may be kept: all that they can reach is frozen, so
 * that an event's outcome is that of the event alone. What could tell one run from another is gone: the clock,
 * chance, weak references, whose end says when memory is cleaned; and the ways to make code of text, which
 * could make variables that stay. What runs later (promises) never runs.
 *
 * Texts go in and out as JSON. What a function returns is JSON as a function of the library's has it: not what
 * JSON leaves out (`function-value.ts`).
 */

import { JSON_DEPTH_MAX } from '../schema/limits.ts'
import { EMITS_MAX, FAULT_CHARS_MAX, SCRIPT_EMITTED_CHARS_MAX, VALUE_BYTES_MAX } from './limits.ts'

/** What the prelude makes, by place in the array that it returns. */
export const PRELUDE_CALLS = {
  adopt: 0,
  map: 1,
  keys: 2,
  select: 3,
  apply: 4,
  final: 5,
  reduce: 6
} as const

/** Of a text that is adopted: what it is for. */
export const SLOTS = { map: 0, key: 1, select: 2, apply: 3, final: 4, reduce: 5 } as const

/** In the place of an event that is being looked at: all of a batch are, before the first or after the last. */
export const ALL_EVENTS = -1

/**
 * Called once, with a buffer of one 32-bit number, in which stands the place of the event that is being
 * looked at; returns the calls.
 */
export const PRELUDE = String.raw`(buffer) => {
  'use strict'
  const { parse, stringify } = JSON
  const { getPrototypeOf, defineProperty, freeze, keys } = Object
  const { isArray } = Array
  const { ownKeys, getOwnPropertyDescriptor, construct } = Reflect
  const plain = Object.prototype
  const functionPrototype = Function.prototype
  const sourceOf = Function.prototype.call.bind(Function.prototype.toString)
  const tagOf = Function.prototype.call.bind(Object.prototype.toString)
  const Promised = Promise
  const at = new Int32Array(buffer)
  const functions = []
  let rows = []
  let emitted = 0
  let room = 0
  let problem = ''

  const tooLarge = () => {
    throw new TypeError('larger than it may be')
  }

  /** As JSON has it, and nobody else's. One function, because an event may be nested as deep as calls may, nearly. */
  const copy = (value, depth) => {
    switch (typeof value) {
      case 'string':
        room -= value.length + 2
        if (room < 0) tooLarge()
        return value
      case 'number':
        if (value - value !== 0) throw new TypeError(value + ' is not JSON')
        room -= 1
        // A sum with 0 makes 0 of -0, which JSON does not have.
        return value + 0
      case 'boolean':
        room -= 4
        return value
      case 'undefined':
        room -= 4
        return null
      case 'object': {
        room -= 2
        if (room < 0) tooLarge()
        if (value === null) return null
        if (depth >= ${JSON_DEPTH_MAX}) throw new TypeError('nested more than ${JSON_DEPTH_MAX} deep')
        if (isArray(value)) {
          const elements = []
          for (let index = 0; index < value.length; index += 1) {
            const element = value[index]
            if (typeof element === 'string') {
              room -= element.length + 2
              elements[index] = element
            } else {
              elements[index] = copy(element, depth + 1)
            }
            if (room < 0) tooLarge()
          }
          return elements
        }
        const prototype = getPrototypeOf(value)
        if (prototype !== plain && prototype !== null) {
          if (typeof value.toJSON === 'function') return copy(value.toJSON(), depth + 1)
          const name = tagOf(value).slice(8, -1)
          const what = name === 'Object' ? 'an instance of a class' : 'a ' + name
          throw new TypeError(what + ' is not JSON: give a plain object or a text')
        }
        const members = {}
        const names = keys(value)
        for (let index = 0; index < names.length; index += 1) {
          const name = names[index]
          const member = value[name]
          if (member === undefined) continue
          room -= name.length + 3
          const copied = copy(member, depth + 1)
          if (name === '__proto__') define(members, name, copied)
          else members[name] = copied
        }
        if (room < 0) tooLarge()
        return members
      }
      default:
        throw new TypeError('a ' + typeof value + ' is not JSON')
    }
  }

  const define = (object, name, value) => {
    defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true })
  }

  const synchronous = (value) => {
    if (value instanceof Promised) {
      throw new TypeError('returned a promise: functions of views must be synchronous')
    }
    return value
  }

  const copyOf = (value) => {
    room = ${VALUE_BYTES_MAX}
    return copy(synchronous(value), 0)
  }

  /** In a line; what is thrown may be anything. */
  const describe = (error) => {
    try {
      const text =
        error instanceof Error ? error.name + ': ' + error.message : 'threw ' + String(error)
      return text
        .slice(0, ${2 * FAULT_CHARS_MAX})
        .replace(/[\s\p{Cc}]+/gu, ' ')
        .trim()
        .slice(0, ${FAULT_CHARS_MAX})
    } catch {
      return 'threw something that is not an error'
    }
  }

  const emit = (key, value) => {
    try {
      emitted += 1
      if (emitted > ${EMITS_MAX}) throw new TypeError('emits more than ${EMITS_MAX} rows')
      const at = rows.length
      rows[at] = copy(key, 0)
      rows[at + 1] = copy(value, 0)
    } catch (error) {
      // A function that catches what is thrown here has failed all the same.
      if (problem === '') problem = describe(error)
      throw error
    }
  }

  const map = (text) => {
    at[0] = ${ALL_EVENTS}
    const events = parse(text)
    const call = functions[${SLOTS.map}]
    for (let index = 0; index < events.length; index += 1) {
      at[0] = index
      rows = []
      emitted = 0
      room = ${SCRIPT_EMITTED_CHARS_MAX}
      problem = ''
      try {
        synchronous(call(events[index], emit))
      } catch (error) {
        if (problem === '') problem = describe(error)
      }
      events[index] = problem === '' ? rows : problem
    }
    at[0] = ${ALL_EVENTS}
    return stringify(events)
  }

  /** Of each event what is answered for it in an array, 0 for nothing, or a text: what failed. */
  const answersOf = (slot) => (text) => {
    at[0] = ${ALL_EVENTS}
    const events = parse(text)
    const call = functions[slot]
    for (let index = 0; index < events.length; index += 1) {
      at[0] = index
      try {
        const answer = call(events[index])
        events[index] = answer === undefined ? 0 : [copyOf(answer)]
      } catch (error) {
        events[index] = describe(error)
      }
    }
    at[0] = ${ALL_EVENTS}
    return stringify(events)
  }

  /** States go from event to event as JSON, so that it does not matter where a batch ends. */
  const apply = (text) => {
    at[0] = ${ALL_EVENTS}
    const given = parse(text)
    const call = functions[${SLOTS.apply}]
    let state = parse(given[0])
    const faults = []
    for (let index = 1; index < given.length; index += 1) {
      at[0] = index - 1
      try {
        const next = call(copyOf(state), given[index])
        if (next === undefined) throw new TypeError('returned nothing: it must return the state')
        state = copyOf(next)
      } catch (error) {
        faults.push([index - 1, describe(error)])
      }
      given[index] = undefined
    }
    at[0] = ${ALL_EVENTS}
    return stringify([stringify(state), faults])
  }

  const once = (call) => {
    try {
      return stringify([copyOf(call())])
    } catch (error) {
      return stringify(describe(error))
    }
  }

  const final = (text) => {
    at[0] = ${ALL_EVENTS}
    const state = parse(text)
    return once(() => functions[${SLOTS.final}](state))
  }

  const reduce = (text) => {
    at[0] = ${ALL_EVENTS}
    const [rowKeys, values, rereduce] = parse(text)
    return once(() => functions[${SLOTS.reduce}](rowKeys, values, rereduce))
  }

  const lonely = 'must be one function, and nothing around it: what it keeps would stay between events'

  /** Answers what is wrong with a function and its text, or nothing. */
  const adopt = (slot, call, text) => {
    if (typeof call !== 'function') return 'must be a function'
    // What a function's text begins and ends with is where it begins and ends.
    if (sourceOf(call) !== text) return lonely
    if (getPrototypeOf(call) !== functionPrototype) return 'must be neither async nor a generator'
    if (text.startsWith('class')) return 'must be a function'
    if (call.prototype !== undefined) freeze(call.prototype)
    functions[slot] = freeze(call)
    return ''
  }

  const noClock = () => {
    throw new TypeError('a view has no clock: an event has a time')
  }
  const RealDate = Date
  const { UTC, parse: parseDate } = RealDate
  const PureDate = function Date(...given) {
    if (new.target === undefined || given.length === 0) noClock()
    return construct(RealDate, given, new.target)
  }
  PureDate.prototype = RealDate.prototype
  defineProperty(PureDate, 'name', { value: 'Date' })
  const hidden = { enumerable: false, writable: true, configurable: true }
  for (const [name, value] of [['UTC', UTC], ['parse', parseDate], ['now', noClock]]) {
    defineProperty(PureDate, name, { value, ...hidden })
  }
  defineProperty(RealDate.prototype, 'constructor', { value: PureDate, ...hidden })
  globalThis.Date = PureDate
  Math.random = () => {
    throw new TypeError('a view has no chance: its events alone say what is in it')
  }
  const noCode = function () {
    throw new TypeError('a view makes no code of text')
  }
  const syntax = [function () {}, function* () {}, async function () {}, async function* () {}]
  for (const made of syntax) {
    defineProperty(getPrototypeOf(made), 'constructor', { value: noCode, ...hidden })
  }

  const kept = new Set(
    ('AggregateError Array BigInt Boolean Date Error EvalError Infinity InternalError Iterator JSON Map Math NaN ' +
      'Number Object Proxy RangeError ReferenceError Reflect RegExp Set String Symbol SyntaxError TypeError URIError ' +
      'WeakMap WeakSet decodeURI decodeURIComponent encodeURI encodeURIComponent escape globalThis isFinite isNaN ' +
      'parseFloat parseInt undefined unescape').split(' ')
  )
  for (const name of ownKeys(globalThis)) {
    if (typeof name === 'symbol' || !kept.has(name)) {
      if (!delete globalThis[name]) throw new Error('a global stays: ' + String(name))
    }
  }

  /** What is frozen must not keep objects that have it for a prototype from having members of their own. */
  const makeShadowable = (object) => {
    for (const name of ownKeys(object)) {
      const property = getOwnPropertyDescriptor(object, name)
      if (!('value' in property) || !property.configurable) continue
      const { value } = property
      const set = function (own) {
        if (this === object) throw new TypeError('a view changes nothing that stays')
        defineProperty(this, name, { value: own, enumerable: true, writable: true, configurable: true })
      }
      defineProperty(object, name, { get: () => value, set, enumerable: false, configurable: false })
    }
  }
  const errors = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, InternalError, AggregateError]
  for (const object of [plain, ...errors.map((error) => error.prototype)]) makeShadowable(object)

  const met = new Set()
  const todo = [
    globalThis,
    ...syntax,
    ...syntax.slice(1).map((made) => made.prototype),
    [][Symbol.iterator](),
    ''[Symbol.iterator](),
    'a'.matchAll(/a/g),
    new Map().entries(),
    new Set().values(),
    [].values().map((value) => value),
    Iterator.from({ next: () => ({ done: true }) }),
    Iterator.from([]),
    Promised.prototype,
    getOwnPropertyDescriptor((function () { return arguments })(), 'callee').get,
    emit
  ]
  while (todo.length > 0) {
    const object = todo.pop()
    const isObject = typeof object === 'function' || (typeof object === 'object' && object !== null)
    if (!isObject || met.has(object)) continue
    met.add(object)
    todo.push(getPrototypeOf(object))
    for (const name of ownKeys(object)) {
      const { value, get, set } = getOwnPropertyDescriptor(object, name)
      todo.push(value, get, set)
    }
    freeze(object)
  }
  return [adopt, map, answersOf(${SLOTS.key}), answersOf(${SLOTS.select}), apply, final, reduce]
}`
