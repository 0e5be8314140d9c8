/**
 * Sends what a node dials on loopback through the link router. Loaded ahead of a node's own process
 * (`node --import`), it takes the router's port and the node's name from the environment; in a
 * process with several nodes each of them runs in a context of its own (`runAs`).
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import net from 'node:net'
import type { Socket } from 'node:net'

const name = new AsyncLocalStorage<{ readonly name: string; readonly routerPort: number }>()
let patched = false

/** Whatever is dialed from within `run`, now or later, goes through the router under this name. */
export function runAs<Result>(nodeName: string, routerPort: number, run: () => Result): Result {
  patch()
  return name.run({ name: nodeName, routerPort }, run)
}

const own = {
  name: process.env['LINK_NAME'] ?? '',
  routerPort: Number(process.env['LINK_ROUTER_PORT'] ?? 0)
}
if (own.routerPort > 0) patch()

function patch(): void {
  if (patched) return
  patched = true
  const direct = net.connect as (...args: readonly unknown[]) => Socket
  const routed = (...args: readonly unknown[]): Socket => {
    const [options] = args
    const link = name.getStore() ?? own
    if (link.routerPort === 0 || !isLoopback(options)) return direct(...args)
    const socket = direct({ ...options, port: link.routerPort })
    socket.write(`${link.name} ${options.port}\n`)
    return socket
  }
  Object.assign(net, { connect: routed })
}

function isLoopback(options: unknown): options is { readonly port: number } {
  if (typeof options !== 'object' || options === null) return false
  const { host, port } = options as { readonly host?: unknown; readonly port?: unknown }
  return typeof port === 'number' && host === '127.0.0.1'
}
