/** The child process with one hostile member of the network in it. */

import { KINDS } from '../hostile/kinds.ts' // First: polyfill.
import { parseInvitation } from '../../src/node/invitation.ts'
import { serve } from './serve.ts'

const api = {
  kinds: (): string[] => Object.keys(KINDS),
  /** Begins, and goes on until the process ends. */
  begin: async ({ kind, invitation, addresses, database }: BeginArgument): Promise<void> => {
    const networkKey = parseInvitation(invitation)
    await KINDS[kind]?.({ networkKey, addresses, database })
  }
}

export type RogueApi = typeof api

interface BeginArgument {
  readonly kind: string
  readonly invitation: string
  readonly addresses: readonly string[]
  readonly database: string
}

// What it does to itself in the course is nobody's concern.
process.on('unhandledRejection', () => undefined)
process.on('uncaughtException', () => undefined)

serve(api, async () => undefined)
