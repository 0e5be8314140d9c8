/** What one simulated run consists of, and what is known of it. */

import type { Box } from './box.ts'
import type { SimNetwork } from './network.ts'
import type { Reader } from './reader.ts'
import type { World } from './world.ts'

export const DATABASE = 'stock'

export interface SimRun {
  readonly seed: number
  readonly world: World
  readonly network: SimNetwork
  readonly boxes: readonly Box[]
  readonly readers: readonly Reader[]
  /** The data of everything offered, as canonical JSON: nothing else may ever be stored. */
  readonly offered: Set<string>
  /** What was acknowledged and must be there at the end. */
  readonly acknowledged: Set<string>
  readonly trace: string[]
}
