/**
 * Which Host and Origin headers are answered. A page of any web site can make a browser send
 * requests to this box: by its own name that resolves to us (DNS rebinding; Host is then a
 * stranger's) or by a form (Origin is then a stranger's). Tokens are not decided here.
 */

import { hostname } from 'node:os'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'

import { HttpProblem } from './problem.ts'

export interface HostRule {
  readonly names: ReadonlySet<string>
  /** Any address in numbers: it cannot be rebound, because no name is looked up. */
  readonly addresses: boolean
}

/**
 * Loopback names, the bound host and the configured ones; on a server that is not bound to
 * loopback also this box's own name and any numeric address.
 */
export function hostRule(bound: string, configured: readonly string[]): HostRule {
  const names = new Set([...LOOPBACK, bareHost(bound), ...configured.map(bareHost)])
  const wide = !LOOPBACK.includes(bareHost(bound))
  if (wide) {
    names.add(bareHost(hostname()))
    names.add(`${bareHost(hostname())}.local`)
  }
  return { names, addresses: wide }
}

/** @throws HttpProblem `host-unknown`, or `malformed-request` without a Host header */
export function checkHost(rule: HostRule, headers: IncomingHttpHeaders): void {
  const { host } = headers
  if (host === undefined) {
    throw new HttpProblem('malformed-request', 'A Host header is required.')
  }
  const name = bareHost(host)
  if (rule.names.has(name) || (rule.addresses && isIP(name) !== 0)) return
  throw new HttpProblem('host-unknown', 'Name this host in the configuration to allow it.')
}

/**
 * Browsers name the origin of every request that is not a plain read. One that is not ours may not
 * write: some writes have no body, so their content type alone would not stop a form.
 *
 * @throws HttpProblem `cross-origin`
 */
export function checkOrigin(headers: IncomingHttpHeaders): void {
  const { origin, host } = headers
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    throw new HttpProblem('cross-origin', 'The Origin header names another origin.')
  }
  if (headers['sec-fetch-site'] === 'cross-site') {
    throw new HttpProblem('cross-origin', 'The browser says that the request is cross-site.')
  }
}

const LOOPBACK = ['localhost', '127.0.0.1', '::1']

/** Lower case, without port, brackets and the root's dot. */
function bareHost(host: string): string {
  const lower = host.toLowerCase()
  if (lower.startsWith('[')) return lower.slice(1, lower.indexOf(']'))
  const colon = lower.indexOf(':')
  // Two colons: an address of version 6 without brackets, as in a configuration.
  const name = colon === -1 || lower.includes(':', colon + 1) ? lower : lower.slice(0, colon)
  return name.endsWith('.') ? name.slice(0, -1) : name
}
