/**
 * Which process of an identity this is: a random word in the agent string that peers exchange when
 * they identify themselves. It proves nothing; a member that lies in it harms its own links only.
 */

import { toHex } from '../core/bytes.ts'
import type { Rng } from '../core/clock.ts'

const INSTANCE_BYTES = 8

export function userAgent(rng: Rng): string {
  return `laterbase/1 instance/${toHex(rng.bytes(INSTANCE_BYTES))}`
}

/** '' for an agent that does not say. */
export function instanceOf(agentVersion: string | undefined): string {
  return /^laterbase\/1 instance\/([0-9a-f]{16})$/.exec(agentVersion ?? '')?.[1] ?? ''
}
