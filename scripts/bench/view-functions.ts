/** The views of the benchmarks: the same functions for the product and for the raw limit. */

import type { FoldView, Json, MapView, SelectFoldView } from '../../src/index.ts'

export interface Handled {
  readonly sku: string
  readonly qty: number
  readonly zone: string
}

/** Keys of the views. */
export const VIEW_KEYS = 500

export function viewKey({ sku }: Handled): number {
  return Number(sku.slice(SKU_PREFIX.length)) % VIEW_KEYS
}

const SKU_PREFIX = 'SKU-'

export function emitQuantity(
  { data }: { readonly data: Handled },
  emit: (key: Json, value: Json) => void
): void {
  emit(viewKey(data), data.qty)
}

export const quantities: MapView<Handled> = {
  name: 'quantities',
  map: emitQuantity,
  reduce: '_sum'
}

/** Never the same twice, so that no state is met again by chance. */
export interface Handling {
  readonly times: number
  readonly check: number
  readonly zone: string
}

type Looked = Pick<Handled, 'qty' | 'zone'>

function handled({ times, check }: Handling, { qty, zone }: Looked): Handling {
  return { times: times + 1, check: (check * 31 + qty) % 1_000_003, zone }
}

export function handlings(name: string, keys: number): FoldView<Handled, Handling> {
  return {
    name,
    version: keys,
    key: ({ data }) => viewKey(data) % keys,
    initial: () => ({ times: 0, check: 0, zone: '' }),
    apply: (state, { data }) => handled(state, data)
  }
}

/** The same, but that it says what it looks at. */
export function selectedHandlings(
  name: string,
  keys: number
): SelectFoldView<Handled, Handling, Handling, Looked> {
  return {
    ...handlings(name, keys),
    select: ({ data: { qty, zone } }) => ({ qty, zone }),
    apply: handled
  }
}

/** Where things are: an event that comes late changes what is between it and the next one. */
export function places(name: string, keys: number): FoldView<Handled, { readonly zone: string }> {
  return {
    name,
    version: keys,
    key: ({ data }) => viewKey(data) % keys,
    initial: () => ({ zone: '' }),
    apply: (_state, { data }) => ({ zone: data.zone })
  }
}
