/** What `laterbase start` says to a person: what this is, how to write, read, and add a box. */

import type { NodeStatus } from '../node/laterbase.ts'
import { isLoopback } from './addresses.ts'
import { counted, type Terminal } from './terminal.ts'

export interface Welcome {
  readonly status: NodeStatus
  /** Of the HTTP facade; undefined without one. */
  readonly url: string | undefined
  /** The host that the facade was told to listen on. */
  readonly host: string
  /** How this program is called here. */
  readonly command: string
}

export function welcome(place: Welcome, terminal: Terminal): readonly string[] {
  const { status, url, host, command } = place
  const { name, peerId, version, dir, addresses, databases } = status
  const bold = (text: string): string => terminal.style('bold', text)
  return [
    `${bold(`Laterbase ${version}`)}  node ${bold(name)}`,
    '',
    `  peer id    ${peerId}`,
    `  data       ${dir}`,
    `  http       ${url ?? 'none (--no-http)'}${WILDCARDS.has(host) ? ', and every other address of this box' : ''}`,
    ...addresses.map((address, at) => `  ${at === 0 ? 'peers at ' : '         '}  ${address}`),
    ...databases.map(({ name, events }, at) => {
      return `  ${at === 0 ? 'databases' : '         '}  ${name}, ${counted(events, 'event')}`
    }),
    ...(url === undefined ? [] : usage(url, databases[0]?.name ?? 'depot', place, bold)),
    '',
    bold('Add a second box'),
    `  here:       ${command} invite --dir ${dir}`,
    `  over there: ${command} join INVITATION && ${command} start`,
    '  They find each other on the same LAN; elsewhere add --peer with an address from above.',
    ...warnings(place).flatMap((warning) => ['', terminal.style('yellow', `Warning: ${warning}`)]),
    '',
    terminal.style('dim', 'Ctrl-C stops it; that is always safe.')
  ]
}

function usage(
  url: string,
  database: string,
  { status, command }: Welcome,
  bold: (text: string) => string
): readonly string[] {
  const events = `${url}/db/${database}/e`
  const isNew = !status.databases.some(({ name }) => name === database)
  const create = isNew ? `curl -sS -o /dev/null -X PUT ${url}/db/${database} && ` : ''
  const at = url === 'http://127.0.0.1:8080' ? '' : ` --url ${url}`
  return [
    '',
    bold(isNew ? `Write the first event (and make the database ${database})` : 'Write an event'),
    `  ${create}curl -sS ${events} -H 'content-type: application/json' -d '${EVENT}'`,
    '',
    bold('Read it back'),
    `  curl -sS '${events}?lc=0'`,
    `  ${command} feed ${database}${at}`
  ]
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::'])

/** In the past, because that is the point. */
const EVENT =
  '{"type":"pallet.received","time":"2026-01-05T06:10:00Z",' +
  '"data":{"sscc":"340123450000000017","zone":"A1","qty":48}}'

function warnings({ status, url, host }: Welcome): readonly string[] {
  if (url === undefined || isLoopback(host)) return status.warnings
  return [
    'whoever reaches the HTTP address can read and write everything: there are no tokens yet. ' +
      'Listen on 127.0.0.1 unless the network is yours',
    ...status.warnings
  ]
}
