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
import {
  counter,
  counters,
  type Family,
  familyText,
  gauge,
  gauges,
  type Sample
} from './metric-families.ts'
import { negotiate } from './negotiate.ts'
import { expectNoParameters } from './query.ts'
import { asIs, type Route } from './route.ts'
import { viewFamilies } from './view-metrics.ts'

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
  const families = [
    ...nodeFamilies(await node.status()),
    ...(await viewFamilies(node)),
    ...processFamilies()
  ]
  return reply.type(METRICS_TYPE).serializer(asIs).send(families.map(familyText).join(''))
}

function nodeFamilies(status: NodeStatus): readonly Family[] {
  const { name, peerId, version, peers, warnings, offline } = status
  const info = [{ value: 1, labels: { name, peer: peerId, version } }]
  return [
    gauges('laterbase_info', 'The node, its name and version.', info),
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
  return [
    gauges(
      'laterbase_events',
      'Events that are held.',
      each(({ events }) => events)
    ),
    gauges(
      'laterbase_commits',
      'Commits that are held.',
      each(({ commits }) => commits)
    ),
    gauges(
      'laterbase_logs',
      'Logs that are held.',
      each(({ logs }) => logs.filter(({ held }) => held > 0).length)
    ),
    gauges(
      'laterbase_events_missing',
      'Events that peers are known to have and this node has not.',
      each(({ logs }) => logs.reduce((sum, { known, held }) => sum + known - held, 0))
    ),
    gauges(
      'laterbase_disk_bytes',
      'Bytes of the store on disk.',
      each(({ diskBytes }) => diskBytes)
    ),
    gauges(
      'laterbase_write_unanswered_seconds',
      'For how long the disk has not answered a write that was given up; 0 when it answers.',
      each(({ writeUnansweredMs }) => writeUnansweredMs / 1_000)
    ),
    gauges(
      'laterbase_peers_equal',
      'Connected peers that held the same set when last compared.',
      each(({ name }) => peers.filter(({ equal }) => equal.includes(name)).length)
    )
  ]
}

function trafficFamilies({ traffic }: NodeStatus): readonly Family[] {
  const directions = (sent: number, received: number): Sample[] => [
    { value: sent, labels: { direction: 'out' } },
    { value: received, labels: { direction: 'in' } }
  ]
  return [
    counter(
      'laterbase_fetches_total',
      'Fetches from peers, of any number of pages.',
      traffic.fetches
    ),
    counters(
      'laterbase_peer_requests_total',
      'Requests asked of peers (out) and answered to them (in).',
      directions(traffic.requestsAsked, traffic.requestsAnswered)
    ),
    counter(
      'laterbase_peer_requests_failed_total',
      'Requests to peers that were not answered.',
      traffic.requestsFailed
    ),
    counters(
      'laterbase_announcements_total',
      'Announcements of commits.',
      directions(traffic.announcementsSent, traffic.announcementsHeard)
    ),
    counters(
      'laterbase_peer_bytes_total',
      'Bytes of requests, answers and announcements, without what carries them.',
      directions(traffic.bytesOut, traffic.bytesIn)
    )
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
    gauges(
      'laterbase_clock_ahead_seconds',
      'How far a box recorded in the future of this one: a clock that runs ahead, or did.',
      clock.ahead.map(({ peer, aheadMs }) => ({
        value: aheadMs / 1_000,
        labels: { peer }
      }))
    )
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
    counter('process_cpu_seconds_total', 'Processor time.', (user + system) / 1_000_000),
    ...(files === undefined ? [] : [gauge('process_open_fds', 'Open files.', files.length)]),
    gauges(
      'nodejs_active_resources',
      'What keeps the process busy: sockets, timers, requests.',
      [...resources].map(([type, value]) => ({ value, labels: { type } }))
    )
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
