/** Placeholder. */
import type { Hasher } from '../core/clock.ts'
import { builtInReducer, userReducer } from '../core/views/reducers.ts'
import type { NativeView } from './define-view.ts'
import type { Emitted, ViewProgram } from './program.ts'

export function nativeProgram<A, B, C>(view: NativeView<A, B, C>, hasher: Hasher): ViewProgram {
  if (!('map' in view)) throw new Error('not yet')
  const { map, reduce } = view
  return {
    type: 'map',
    hash: Buffer.from(hasher.sha256(Buffer.from(String(map) + String(reduce)))).toString('hex'),
    events: view.events ?? 'recorded',
    refusal: () => undefined,
    reducer:
      reduce === undefined
        ? undefined
        : typeof reduce === 'string'
          ? builtInReducer(reduce)
          : userReducer(reduce),
    map: (events) =>
      events.map((event) => {
        const rows: Emitted[] = []
        try {
          map(event as never, (key, value) => rows.push({ key, value: value ?? null }))
          return { rows }
        } catch (error) {
          return { fault: String(error) }
        }
      })
  }
}
