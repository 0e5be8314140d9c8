/** The simulator as it is, or with a bug planted in it. */

import type * as simulator from '../../scripts/simulate/deterministic/simulate.ts'

export async function loadSimulator(bug: string | undefined): Promise<typeof simulator> {
  const path = '../../scripts/simulate/deterministic/simulate.ts'
  return (await import(bug === undefined ? path : `${path}?bug=${bug}`)) as typeof simulator
}
