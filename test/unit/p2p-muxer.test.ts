/** The guard around yamux: a connection that has closed under it does not end the process. */

import { setImmediate as turn } from 'node:timers/promises'
import type { MessageStream } from '@libp2p/interface'
import { expect, test } from 'vitest'

import { guardedYamux } from '../../src/p2p/muxer.ts'

/** A connection that takes nothing any more, and has not told its muxer. */
class ClosedConnection extends EventTarget {
  readonly log = Object.assign(() => undefined, {
    trace: () => undefined,
    error: () => undefined,
    newScope: () => this.log
  })

  send(): boolean {
    const error = new Error('Cannot write to a stream that is closed')
    error.name = 'StreamStateError'
    throw error
  }
}

test('to open a stream on a connection that has just closed does not end the process', async () => {
  const uncaught: unknown[] = []
  const note = (error: unknown): void => void uncaught.push(error)
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', note)
  try {
    const connection = new ClosedConnection() as unknown as MessageStream
    const muxer = guardedYamux({})().createStreamMuxer(connection)
    const stream = await muxer.createStream()
    await turn()
    // Whoever has something to say does hear that it cannot.
    expect(() => stream.send(new Uint8Array(8))).toThrow('Cannot write')
    await turn()
  } finally {
    process.off('uncaughtException', note)
    for (const listener of before) process.on('uncaughtException', listener)
  }
  expect(uncaught).toEqual([])
})
