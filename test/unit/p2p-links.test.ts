/** Links on connections that do as the test says, and a clock that it moves by hand. */

import type { Connection, Stream } from '@libp2p/interface'
import { expect, test } from 'vitest'

import { CLOSE_MS_MAX, CONNECTIONS_TRIED_MAX } from '../../src/p2p/limits.ts'
import { Links } from '../../src/p2p/links.ts'
import { StreamBytes } from '../../src/p2p/stream-bytes.ts'
import { FakeStream } from '../fixtures/fake-stream.ts'
import { ManualClock, settled } from '../fixtures/manual-clock.ts'

/** A connection on which a stream opens; or which closes when one is to be opened. */
class FakeConnection extends EventTarget {
  readonly remotePeer = { toString: () => 'peer' }
  readonly remoteAddr = { toString: () => '/ip4/10.0.0.1/tcp/1' }
  readonly direction = 'inbound'
  readonly #opens: boolean
  status = 'open'
  tried = 0

  constructor(opens: boolean) {
    super()
    this.#opens = opens
  }

  asConnection(): Connection {
    return this as unknown as Connection
  }

  async newStream(): Promise<Stream> {
    this.tried += 1
    if (this.#opens) return new FakeStream().asStream()
    this.#end('closed')
    throw new Error('closed')
  }

  /** In good order it never ends. */
  close({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    return new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('not in time')))
    })
  }

  abort(): void {
    this.#end('aborted')
  }

  #end(status: string): void {
    if (this.status !== 'open') return
    this.status = status
    this.dispatchEvent(new Event('close'))
  }
}

function linksOn(clock: ManualClock): { readonly links: Links; readonly ended: boolean[] } {
  const ended: boolean[] = []
  const links = new Links({
    self: 'self',
    clock,
    log: () => undefined,
    up: () => undefined,
    down: (_name, wasUp) => void ended.push(wasUp),
    probe: () => Promise.resolve(),
    incoming: new StreamBytes(1_000_000, 'full')
  })
  return { links, ended }
}

test('of a peer whose connections close when they are used so many are tried, and the rest are closed', async () => {
  const clock = new ManualClock()
  const { links, ended } = linksOn(clock)
  const connections = Array.from({ length: 2 * CONNECTIONS_TRIED_MAX }, () => {
    return new FakeConnection(false)
  })
  for (const connection of connections) links.add(connection.asConnection())
  await settled()
  await clock.pass(1)
  const tried = connections.filter((connection) => connection.tried > 0)
  expect(tried).toHaveLength(CONNECTIONS_TRIED_MAX)
  expect(new Set(connections.map(({ status }) => status))).toEqual(new Set(['closed', 'aborted']))
  expect([ended, links.size()]).toEqual([[false], 0])
})

test('a connection that does not close in good order in time is cut', async () => {
  const clock = new ManualClock()
  const { links, ended } = linksOn(clock)
  const connection = new FakeConnection(true)
  links.add(connection.asConnection())
  await settled()
  const closed = links.closeAll(new Error('the test is over'))
  await clock.pass(CLOSE_MS_MAX - 1)
  expect(connection.status).toBe('open')
  await clock.pass(1)
  await closed
  expect(connection.status).toBe('aborted')
  expect([ended, links.size()]).toEqual([[true], 0])
})
