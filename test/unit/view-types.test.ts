/** What the compiler says of views: types flow from the data to the state and to the answer, and what does not fit is told. */

import { expect, expectTypeOf, test } from 'vitest'

import type { TypedEvent, View, Views } from '../../src/index.ts'

interface Received {
  readonly sscc: string
  readonly qty: number
}

const key = ({ data }: TypedEvent<Received>): string => data.sscc
const initial = (): { n: number } => ({ n: 0 })

test('what a fold answers has the type of its state, or of what is made of it in the end', () => {
  const folds = (views: Views) => ({
    state: views.define({ name: 'a', key, initial, apply: (s, e) => ({ n: s.n + e.data.qty }) }),
    final: views.define({
      name: 'a',
      initial: () => 0,
      apply: (s: number, { data }: TypedEvent<Received>) => s + data.qty,
      final: (s) => [`${s}`]
    }),
    evolve: views.define({
      name: 'a',
      key,
      initialState: initial,
      evolve: (s, e) => ({ n: s.n + e.data.qty })
    }),
    bySubject: views.define({
      name: 'a',
      key: ({ subject }: TypedEvent<Received>) => subject,
      initial: () => 0,
      apply: (s, e) => s + e.data.qty
    })
  })
  expectTypeOf(folds).returns.toEqualTypeOf<{
    state: Promise<View<{ n: number }>>
    final: Promise<View<string[]>>
    evolve: Promise<View<{ n: number }>>
    bySubject: Promise<View<number>>
  }>()
  expect(folds).toBeTypeOf('function')
})

const selecting = {
  name: 'a',
  select: ({ data }: TypedEvent<Received>): number => data.qty,
  initialState: initial
}

test('functions of a fold that do not go together are an error where it is defined', () => {
  const wrong = (views: Views): unknown => [
    // @ts-expect-error: a text is no number
    views.define({ name: 'a', key, initial, apply: (s, e) => ({ n: `${s.n}${e.data.qty}` }) }),
    // @ts-expect-error: another state than the first
    views.define({ name: 'a', key, initial, apply: (s, e) => ({ m: s.n + e.data.qty }) }),
    // @ts-expect-error: the first state is a number
    views.define({ name: 'a', key, initial: () => 0, apply: (s: { n: number }) => s }),
    views.define({
      name: 'a',
      key,
      initial: () => 0,
      // @ts-expect-error: other events than those of the key
      apply: (s: number, { data }: TypedEvent<{ other: string }>) => s + data.other.length
    }),
    // @ts-expect-error: of another state
    views.define({ name: 'a', key, initial, apply: (s) => s, final: (s: { m: string }) => s.m }),
    // @ts-expect-error: a number is selected, and not what evolve gets
    views.define({ ...selecting, evolve: (_, given: string) => ({ n: given.length }) }),
    // @ts-expect-error: it must answer at once
    views.define({ name: 'a', key, initial, apply: async (s, e) => ({ n: s.n + e.data.qty }) }),
    // @ts-expect-error: it must return the state
    views.define({ name: 'a', key, initial, apply: (s, e) => void (s.n += e.data.qty) })
  ]
  expect(wrong).toBeTypeOf('function')
})
