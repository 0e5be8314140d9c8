/** Addresses as people type them: where to listen, and where a node answers. */

import { usageFailure } from './failure.ts'

const DEFAULT_PORT = 8080
const LOOPBACK = '127.0.0.1'

export interface HttpAddress {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
}

/**
 * `HOST:PORT`, `:PORT`, `PORT`, `[IPV6]:PORT` or `HOST`.
 *
 * @throws CommandFailure for a usage error
 */
export function parseHttpAddress(text: string): HttpAddress {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s[\]]*))(?::(\d{1,5}))?$/.exec(text.trim())
  const bare = /^\d{1,5}$/.test(text.trim())
  const host = parts?.[1] ?? parts?.[2] ?? ''
  const port = Number(bare ? text.trim() : (parts?.[3] ?? DEFAULT_PORT))
  if (parts === null || text.trim() === '' || port > PORT_MAX) {
    throw usageFailure(`'${text}' is no address to listen on: give HOST:PORT, such as :8081`)
  }
  return { host: bare || host === '' ? LOOPBACK : host, port }
}

/**
 * The URL of a node's HTTP facade without a slash at the end; `HOST:PORT` is enough.
 *
 * @throws CommandFailure for a usage error
 */
export function parseNodeUrl(text: string): string {
  const spelled = /^[a-z]+:\/\//i.test(text) ? text : urlOf(parseHttpAddress(text))
  const url = URL.canParse(spelled) ? new URL(spelled) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.pathname !== '/') {
    throw usageFailure(`'${text}' is no URL of a node: give one such as http://127.0.0.1:8080`)
  }
  return url.origin
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

const PORT_MAX = 65_535

function urlOf({ host, port }: HttpAddress): string {
  const reachable = host === '0.0.0.0' || host === '::' ? LOOPBACK : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}
