/** `laterbase start`: a node and its HTTP facade, until a signal. */

import { readFile } from 'node:fs/promises'

import { InvalidArgumentError, Option, type Command } from 'commander'

import type { HttpServer } from '../../http/server.ts'
import type { Laterbase } from '../../node/laterbase.ts'
import type { LaterbaseOptions, Log } from '../../node/options.ts'
import { type HttpAddress, parseHttpAddress } from '../addresses.ts'
import { addDirOption, createCommand, type OpenSession } from '../command.ts'
import { configuredSchemas, configuredUpcasters } from '../config-schemas.ts'
import { configuredViews } from '../config-views.ts'
import { CommandFailure, EXIT } from '../failure.ts'
import { commandName } from '../invocation.ts'
import { ABORT_MS, STOP_MS_MAX } from '../limits.ts'
import type { ConfigEntry } from '../settings.ts'
import type { Terminal } from '../terminal.ts'
import { welcome } from '../welcome.ts'

export function startCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'start',
    summary: 'run a node until SIGINT or SIGTERM; makes what is missing of its data directory',
    example: 'laterbase start --dir ./laterbase-data --http :8080',
    logLevel: 'info'
  })
  return addDirOption(command)
    .addOption(
      new Option('--http <host:port>', 'where the HTTP facade listens; :0 picks a port')
        .default('127.0.0.1:8080')
        .argParser(checkedAddress)
    )
    .addOption(new Option('--no-http', 'no HTTP facade'))
    .addOption(
      new Option('--http-name <host...>', 'more names by which clients may call the HTTP facade')
    )
    .addOption(
      new Option('--listen <multiaddr...>', 'where peers reach it').default(
        ['/ip4/0.0.0.0/tcp/0'],
        '/ip4/0.0.0.0/tcp/0'
      )
    )
    .addOption(new Option('--peer <multiaddr...>', 'nodes to keep a connection to'))
    .addOption(new Option('--no-mdns', 'do not look for neighbours on the LAN'))
    .addOption(
      new Option('--network-key-file <file>', 'file with the invitation of the network to join')
    )
    .addOption(
      new Option(
        '--trust <peer...>',
        'peer ids whose views and schemas are used here as this node’s own are; members: of all'
      )
    )
    .addOption(
      new Option(
        '--view-scripts',
        'run JavaScript of views that were defined over HTTP or by others, in a sandbox'
      ).default(false)
    )
    .addOption(new Option('--name <name>', "a name for people, default the host's"))
    .action(async () => {
      const { terminal, log } = openSession(command)
      await start(command.opts<StartOptions>(), terminal, log)
    })
}

interface StartOptions {
  readonly dir: string
  readonly http: string | false
  readonly httpName?: readonly string[]
  readonly listen: readonly string[]
  readonly peer?: readonly string[]
  readonly mdns: boolean
  readonly networkKeyFile?: string
  readonly trust?: readonly string[]
  readonly viewScripts: boolean
  readonly name?: string
  /** Of a configuration file only. */
  readonly views?: ConfigEntry
  readonly schemas?: ConfigEntry
  readonly upcasters?: ConfigEntry
}

function checkedAddress(text: string): string {
  try {
    parseHttpAddress(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : '')
  }
}

async function start(options: StartOptions, terminal: Terminal, log: Log): Promise<void> {
  const told = signalled()
  const address = options.http === false ? undefined : parseHttpAddress(options.http)
  // They load libp2p and Fastify: nearly a second that no other command should wait for.
  const [{ createLaterbase }, { createHttpServer }] = await Promise.all([
    import('../../node/create-node.ts'),
    import('../../http/server.ts')
  ])
  const node = await createLaterbase(await nodeOptions(options, log))
  let server: HttpServer | undefined
  try {
    server =
      address && (await createHttpServer(node, { ...address, hosts: options.httpName ?? [], log }))
  } catch (error) {
    await node.close()
    throw address === undefined ? error : listenFailure(error, address)
  }
  await announceReady({ node, server, address, terminal })
  const signal = await told
  log('info', 'stopping', { signal })
  setTimeout(() => {
    log('warn', 'cut short what did not stop in time')
    dieOf(signal)
  }, STOP_MS_MAX).unref()
  await server?.close()
  await node.close()
  // All is closed; timers that libraries forgot would keep the process for another second.
  process.exit(EXIT.done)
}

async function nodeOptions(options: StartOptions, log: Log): Promise<LaterbaseOptions> {
  const { dir, listen, peer = [], mdns, networkKeyFile, trust = [], name, views } = options
  const { schemas, upcasters } = options
  return {
    dir,
    listen,
    peers: peer,
    mdns,
    trust: trust.includes('members') ? 'members' : trust,
    viewScripts: options.viewScripts,
    ...(views && configuredViews(views.file, views.entry)),
    ...(schemas && { schemas: configuredSchemas(schemas.file, schemas.entry) }),
    ...(upcasters && { upcasters: configuredUpcasters(upcasters.file, upcasters.entry) }),
    log,
    ...(name !== undefined && { name }),
    ...(networkKeyFile !== undefined && { invitation: await readKeyFile(networkKeyFile) })
  }
}

async function readKeyFile(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CommandFailure('file-unreadable', `cannot read ${file}: ${reason}`, { cause: error })
  }
}

/** Resolves at the first signal; the second ends the process at once. */
function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isTold = false
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (isTold) dieOf(signal)
        isTold = true
        resolve(signal)
      })
    }
  })
}

/**
 * Ends the process as a signal does that nobody listens to. `process.exit` waits for threads that are
 * in a system call, and a disk that does not answer never ends one.
 */
function dieOf(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  // The first process of a container is not ended by its own signals.
  setTimeout(() => process.abort(), ABORT_MS)
}

function listenFailure(error: unknown, { host, port }: HttpAddress): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const reason = LISTEN_REASONS[code]
  if (reason === undefined) return error
  const message =
    `${host}:${port} ${reason}: choose another with --http, ` +
    `such as --http ${host.includes(':') ? `[${host}]` : host}:${port === 8080 ? 8081 : 0}`
  return new CommandFailure('http-address', message, { cause: error })
}

const LISTEN_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use by another program',
  EACCES: 'may not be listened on by this user',
  EADDRNOTAVAIL: 'is no address of this machine',
  ENOTFOUND: 'is not known as a host'
}

interface Started {
  readonly node: Laterbase
  readonly server: HttpServer | undefined
  readonly address: HttpAddress | undefined
  readonly terminal: Terminal
}

async function announceReady({ node, server, address, terminal }: Started): Promise<void> {
  const { peerId, dir } = node
  const addresses = node.addresses()
  terminal.value({ event: 'ready', peerId, http: server?.url, addresses, dir })
  if (terminal.json) return
  const status = await node.status()
  const host = address?.host ?? ''
  const place = { status, url: server?.url, host, command: commandName() }
  for (const line of welcome(place, terminal)) terminal.line(line)
}
