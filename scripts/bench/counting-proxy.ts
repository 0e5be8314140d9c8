/**
 * A TCP proxy on loopback that counts what passes: the bytes that a network would carry, without
 * the headers of IP and TCP. Only in runs of its own, because it costs time.
 */

import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'

export interface CountingProxy {
  /** On 127.0.0.1. */
  readonly port: number
  /** From those who dialed to the target, and back. */
  counts(): { readonly upBytes: number; readonly downBytes: number; readonly connections: number }
  close(): Promise<void>
}

/** Bytes that wait for the slower side before the faster one is paused. */
const WAITING_BYTES_MAX = 1_048_576

export async function startCountingProxy(targetPort: number): Promise<CountingProxy> {
  let [upBytes, downBytes, connections] = [0, 0, 0]
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, highWaterMark: WAITING_BYTES_MAX }, (near) => {
    connections += 1
    const far = connect({ port: targetPort, host: '127.0.0.1', noDelay: true })
    near.on('data', (bytes) => (upBytes += bytes.length))
    far.on('data', (bytes) => (downBytes += bytes.length))
    for (const [socket, other] of [
      [near, far],
      [far, near]
    ] as const) {
      sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    counts: () => ({ upBytes, downBytes, connections }),
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    }
  }
}
