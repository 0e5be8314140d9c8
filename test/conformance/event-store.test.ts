/** The conformance suites on every EventStore there is. */

import { eventScanSuite } from './event-scan-suite.ts'
import { eventStoreSuite } from './event-store-suite.ts'
import { MEMORY, createLevelFactory, createReopenedFactory } from './stores.ts'

for (const factory of [MEMORY, createLevelFactory(), createReopenedFactory()]) {
  eventStoreSuite(factory)
  eventScanSuite(factory)
}
