/**
 * Collects garbage every two seconds. Loaded ahead of a node's own process (`node --import`), where a
 * test measures what memory is in use: else it measures when the collector last ran.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const PERIOD_MS = 2_000

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
setInterval(collect, PERIOD_MS).unref()
