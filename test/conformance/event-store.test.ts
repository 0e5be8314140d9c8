/** The conformance suite on every EventStore there is. */

import { eventStoreSuite } from './event-store-suite.ts'
import { MEMORY, createLevelFactory, createReopenedFactory } from './stores.ts'

eventStoreSuite(MEMORY)
eventStoreSuite(createLevelFactory())
eventStoreSuite(createReopenedFactory())
