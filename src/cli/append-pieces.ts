/**
 * Events gathered into pieces, each of which becomes one request: large where the input is fast,
 * small and soon where it is slow, so that `tail -f … | laterbase append` is acknowledged.
 */

import type { EventText } from './json-splitter.ts'
import { PIECE_BYTES_MAX, PIECE_EVENTS_MAX, PIECE_LINGER_MS } from './limits.ts'

export type Piece = readonly EventText[]

export async function* inPieces(
  groups: AsyncGenerator<readonly EventText[]>
): AsyncGenerator<Piece> {
  let piece: EventText[] = []
  let bytes = 0
  let next = groups.next()
  for (;;) {
    const arrived = piece.length === 0 ? await next : await Promise.race([next, linger()])
    if (arrived === 'waited') {
      yield piece
      piece = []
      bytes = 0
      continue
    }
    if (arrived.done === true) break
    for (const event of arrived.value) {
      piece.push(event)
      bytes += event.bytes.length
      if (piece.length < PIECE_EVENTS_MAX && bytes < PIECE_BYTES_MAX) continue
      yield piece
      piece = []
      bytes = 0
    }
    next = groups.next()
    // What is wrong further on must not keep what came before from being written.
    next.catch(() => undefined)
  }
  if (piece.length > 0) yield piece
}

function linger(): Promise<'waited'> {
  return new Promise((resolve) => {
    setTimeout(() => {
      resolve('waited')
    }, PIECE_LINGER_MS).unref()
  })
}
