/**
 * `/metrics`: what a node says of itself, in the text format of Prometheus (0.0.4).
 *
 * Written by hand rather than with a client library: every figure is read from the node's status at
 * the moment of the question, so there is nothing to register, to count along or to keep in step.
 */

import { readdirSync } from 'node:fs'

import type { FastifyReply, FastifyRequest } from 'fastify'

import type { NodeStatus } from '../node/laterbase.ts'
import type { HttpContext } from './context.ts'
import { negotiate } from './negotiate.ts'
import { expectNoParameters } from './query.ts'
import { asIs, type Route } from './route.ts'

export const METRICS_ROUTE: Route = {
  path: '/metrics',
  negotiates: true,
  handlers: { GET: getMetrics }
}

const TEXT_TYPE = 'text/plain'
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'
/** What Prometheus asks for besides; it takes the older text when that is what comes. */
const OPENMETRICS_TYPE = 'application/openmetrics-text'

async function getMetrics(
  { node }: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  expectNoParameters(request.url)
  negotiate(request.headers.accept, [TEXT_TYPE, OPENMETRICS_TYPE])
  const families = [...nodeFamilies(await node.status()), ...processFamilies()]
  return reply.type(METRICS_TYPE).serializer(asIs).send(families.map(familyText).join(''))
}

interface Sample {
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}

interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: readonly Sample[]
}

function nodeFamilies(status: NodeStatus): readonly Family[] {
  const { name, peerId, version, peers, warnings, offline } = status
  const info = [{ value: 1, labels: { name, peer: peerId, version } }]
  return [
    {
      name: 'laterbase_info',
      type: 'gauge',
      help: 'The node, its name and version.',
      samples: info
    },
    gauge('laterbase_offline', 'Whether the node was taken offline.', Number(offline)),
    gauge('laterbase_warnings', 'Warnings in the status.', warnings.length),
    gauge('laterbase_peers_connected', 'Peers with an open connection.', peers.length),
    ...databaseFamilies(status),
    ...trafficFamilies(status),
    ...clockFamilies(status)
  ]
}

function databaseFamilies({ databases, peers }: NodeStatus): readonly Family[] {
  const each = (value: (database: NodeStatus['databases'][number]) => number): Sample[] =>
    databases.map((database) => ({ value: value(database), labels: { database: database.name } }))
  const type = 'gauge'
  return [
    {
      name: 'laterbase_events',
      type,
      help: 'Events that are held.',
      samples: each(({ events }) => events)
    },
    {
      name: 'laterbase_commits',
      type,
      help: 'Commits that are held.',
      samples: each(({ commits }) => commits)
    },
    {
      name: 'laterbase_logs',
      type,
      help: 'Logs that are held.',
      samples: each(({ logs }) => logs.filter(({ held }) => held > 0).length)
    },
    {
      name: 'laterbase_events_missing',
      type,
      help: 'Events that peers are known to have and this node has not.',
      samples: each(({ logs }) => logs.reduce((sum, { known, held }) => sum + known - held, 0))
    },
    {
      name: 'laterbase_disk_bytes',
      type,
      help: 'Bytes of the store on disk.',
      samples: each(({ diskBytes }) => diskBytes)
    },
    {
      name: 'laterbase_write_unanswered_seconds',
      type,
      help: 'For how long the disk has not answered a write that was given up; 0 when it answers.',
      samples: each(({ writeUnansweredMs }) => writeUnansweredMs / 1_000)
    },
    {
      name: 'laterbase_peers_equal',
      type,
      help: 'Connected peers that held the same set when last compared.',
      samples: each(({ name }) => peers.filter(({ equal }) => equal.includes(name)).length)
    }
  ]
}

function trafficFamilies({ traffic }: NodeStatus): readonly Family[] {
  const directions = (sent: number, received: number): Sample[] => [
    { value: sent, labels: { direction: 'out' } },
    { value: received, labels: { direction: 'in' } }
  ]
  const type = 'counter'
  return [
    {
      name: 'laterbase_fetches_total',
      type,
      help: 'Fetches from peers, of any number of pages.',
      samples: [{ value: traffic.fetches }]
    },
    {
      name: 'laterbase_peer_requests_total',
      type,
      help: 'Requests asked of peers (out) and answered to them (in).',
      samples: directions(traffic.requestsAsked, traffic.requestsAnswered)
    },
    {
      name: 'laterbase_peer_requests_failed_total',
      type,
      help: 'Requests to peers that were not answered.',
      samples: [{ value: traffic.requestsFailed }]
    },
    {
      name: 'laterbase_announcements_total',
      type,
      help: 'Announcements of commits.',
      samples: directions(traffic.announcementsSent, traffic.announcementsHeard)
    },
    {
      name: 'laterbase_peer_bytes_total',
      type,
      help: 'Bytes of requests, answers and announcements, without what carries them.',
      samples: directions(traffic.bytesOut, traffic.bytesIn)
    }
  ]
}

function clockFamilies({ clock }: NodeStatus): readonly Family[] {
  return [
    gauge(
      'laterbase_clock_offset_seconds',
      'Newest recorded time that is believed, ahead of the clock of this box; below 0 when idle.',
      clock.recordedAheadMs / 1_000
    ),
    gauge(
      'laterbase_clock_wrong',
      'Whether the clock of this box is probably wrong.',
      Number(clock.own === 'unset' || clock.own === 'behind' || clock.own === 'set-back')
    ),
    {
      name: 'laterbase_clock_ahead_seconds',
      type: 'gauge',
      help: 'How far a box recorded in the future of this one: a clock that runs ahead, or did.',
      samples: clock.ahead.map(({ peer, aheadMs }) => ({
        value: aheadMs / 1_000,
        labels: { peer }
      }))
    }
  ]
}

/** Under the names that Prometheus' own libraries use. */
function processFamilies(): readonly Family[] {
  const { rss, heapUsed } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const resources = new Map<string, number>()
  for (const type of process.getActiveResourcesInfo()) {
    resources.set(type, (resources.get(type) ?? 0) + 1)
  }
  const files = openFiles()
  return [
    gauge('process_resident_memory_bytes', 'Memory of the process.', rss),
    gauge('nodejs_heap_size_used_bytes', 'Memory of JavaScript objects.', heapUsed),
    {
      name: 'process_cpu_seconds_total',
      type: 'counter',
      help: 'Processor time.',
      samples: [{ value: (user + system) / 1_000_000 }]
    },
    ...(files === undefined ? [] : [gauge('process_open_fds', 'Open files.', files.length)]),
    {
      name: 'nodejs_active_resources',
      type: 'gauge',
      help: 'What keeps the process busy: sockets, timers, requests.',
      samples: [...resources].map(([type, value]) => ({ value, labels: { type } }))
    }
  ]
}

/** Linux; elsewhere nothing is said. Asked at once: a disk that hangs can hold all who would wait. */
function openFiles(): readonly string[] | undefined {
  try {
    return readdirSync('/proc/self/fd')
  } catch {
    return undefined
  }
}

function gauge(name: string, help: string, value: number): Family {
  return { name, type: 'gauge', help, samples: [{ value }] }
}

function familyText({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ value, labels = {} }) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
    return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`
  })
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`
}

function escaped(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
