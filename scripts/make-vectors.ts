/**
 * Makes the test vectors of `protocols/`: one JSON text a file, the same on every run. Tests
 * compare them with the files; `npx vitest run test/vectors -u` writes the files anew.
 */

import { invalidAnnouncements, validAnnouncements } from './vectors/announce-vectors.ts'
import { invalidCommits, validCommits } from './vectors/commit-vectors.ts'
import { invalidDeltas, validDeltas } from './vectors/delta-vectors.ts'
import { invalidEvents, validEvents } from './vectors/event-vectors.ts'

export interface VectorFile {
  /** From the root of the project. */
  readonly path: string
  readonly text: string
}

export function makeVectors(): VectorFile[] {
  return [
    vectorFile('event', 'valid', validEvents()),
    vectorFile('event', 'invalid', invalidEvents()),
    vectorFile('commit', 'valid', validCommits()),
    vectorFile('commit', 'invalid', invalidCommits()),
    vectorFile('delta', 'valid', validDeltas()),
    vectorFile('delta', 'invalid', invalidDeltas()),
    vectorFile('announce', 'valid', validAnnouncements()),
    vectorFile('announce', 'invalid', invalidAnnouncements())
  ]
}

function vectorFile(protocol: string, kind: 'valid' | 'invalid', vectors: object): VectorFile {
  return {
    path: `protocols/${protocol}/vectors/${kind}.json`,
    text: `${JSON.stringify({ protocol, version: 1, kind, ...vectors }, undefined, 2)}\n`
  }
}
