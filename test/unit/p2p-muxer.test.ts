/** The guard around yamux: what the other side of a connection does costs neither the process nor its memory. */

import { setImmediate as turn } from 'node:timers/promises'
import type { MessageStream } from '@libp2p/interface'
import { expect, test } from 'vitest'

import { Uint8ArrayList } from 'uint8arraylist'
import {
  CONNECTION_UNSENT_BYTES_MAX,
  FRAME_PIECES_MAX,
  STREAM_WINDOW_BYTES_MAX,
  WINDOW_UPDATE_BYTES
} from '../../src/p2p/limits.ts'
import { guardedYamux } from '../../src/p2p/muxer.ts'

class FakeConnection extends EventTarget {
  readonly direction = 'inbound'
  readonly log = Object.assign(() => undefined, {
    trace: () => undefined,
    error: () => undefined,
    newScope: () => this.log
  })
}

/** A connection that takes nothing any more, and has not told its muxer. */
class ClosedConnection extends FakeConnection {
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

/** A connection whose other side reads nothing. */
class UnreadConnection extends FakeConnection {
  writeBufferLength = 0
  ended: string | undefined

  send(bytes: { readonly byteLength: number }): boolean {
    this.writeBufferLength += bytes.byteLength
    return false
  }

  abort(error: Error): void {
    this.ended ??= error.message
  }

  come(...bytes: Uint8Array[]): void {
    this.dispatchEvent(Object.assign(new Event('message'), { data: new Uint8ArrayList(...bytes) }))
  }
}

function unread(): UnreadConnection {
  const connection = new UnreadConnection()
  const muxer = guardedYamux({ enableKeepAlive: false })()
  muxer
    .createStreamMuxer(connection as unknown as MessageStream)
    .addEventListener('stream', () => undefined)
  return connection
}

function frame(type: number, flag: number, [stream, length]: readonly number[]): Uint8Array {
  const header = new Uint8Array(12)
  const view = new DataView(header.buffer)
  view.setUint8(1, type)
  view.setUint16(2, flag)
  view.setUint32(4, stream ?? 0)
  view.setUint32(8, length ?? 0)
  return header
}

const [DATA, PING, SYN] = [0, 2, 1]

test('a side that pings without end and reads no answer loses its connection', () => {
  const connection = unread()
  const pings = Array.from({ length: 1_000 }, (_, id) => frame(PING, SYN, [0, id]))
  let most = 0
  while (connection.ended === undefined && most < 4 * CONNECTION_UNSENT_BYTES_MAX) {
    connection.come(...pings)
    most = connection.writeBufferLength
  }
  expect(connection.ended).toBe('the other side does not read')
  expect(most).toBeLessThan(CONNECTION_UNSENT_BYTES_MAX + 1_000 * 12 + 12)
})

test('a frame above the window of a stream ends the connection before it is gathered', () => {
  const connection = unread()
  connection.come(frame(DATA, SYN, [1, 0xffffffff]))
  const piece = new Uint8Array(65_536)
  let held = 0
  while (connection.ended === undefined && held < 4 * STREAM_WINDOW_BYTES_MAX) {
    connection.come(piece)
    held += piece.length
  }
  expect(connection.ended).toBe('a frame above the window')
  expect(held).toBeLessThan(STREAM_WINDOW_BYTES_MAX + 2 * piece.length)
})

test('a frame that comes in no end of pieces ends the connection', () => {
  const connection = unread()
  connection.come(frame(DATA, SYN, [1, 200_000]))
  let pieces = 0
  while (connection.ended === undefined && pieces < 200_000) {
    connection.come(new Uint8Array(1))
    pieces += 1
  }
  expect([connection.ended, pieces]).toEqual(['a frame in too many pieces', FRAME_PIECES_MAX])
})

test('frames that are small are answered with few, and the window never closes', () => {
  const connection = unread()
  connection.come(frame(DATA, SYN, [1, 0]))
  const opened = connection.writeBufferLength
  const bytes = 64
  // Beyond the first window of a stream: without updates this ends the connection.
  const frames = (4 * 262_144) / bytes
  for (let sent = 0; sent < frames; sent += 1) {
    connection.come(frame(DATA, 0, [1, bytes]), new Uint8Array(bytes))
  }
  const updates = (connection.writeBufferLength - opened) / 12
  expect(connection.ended).toBeUndefined()
  expect(updates).toBeGreaterThan(0)
  expect(updates).toBeLessThanOrEqual((frames * bytes) / WINDOW_UPDATE_BYTES)
})
