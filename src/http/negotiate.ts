/** What a request's Accept and Content-Type headers say. Leaves out what is done about it. */

import type { FastifyRequest } from 'fastify'

import { RANGES_MAX } from './limits.ts'
import { HttpProblem } from './problem.ts'

export const JSON_TYPE = 'application/json'
export const NDJSON_TYPE = 'application/x-ndjson'
export const SSE_TYPE = 'text/event-stream'
export const CLOUD_EVENT_TYPE = 'application/cloudevents+json'
export const CLOUD_EVENTS_TYPE = 'application/cloudevents-batch+json'

/**
 * The first of `offered` that the Accept header likes best.
 *
 * @throws HttpProblem `not-acceptable`
 */
export function negotiate<Offer extends string>(
  accept: string | undefined,
  offered: readonly [Offer, ...Offer[]]
): Offer {
  if (accept === undefined || accept.trim() === '') return offered[0]
  const ranges = accept.split(',', RANGES_MAX).map(parseRange)
  let best: Offer | undefined
  let bestWeight = 0
  for (const offer of offered) {
    const weight = weightOf(offer, ranges)
    if (weight > bestWeight) [best, bestWeight] = [offer, weight]
  }
  if (best !== undefined) return best
  throw new HttpProblem('not-acceptable', `This can be had as ${offered.join(', ')}.`)
}

/**
 * The body's media type, lower case, without parameters; '' when there is none.
 *
 * @throws HttpProblem `media-type-unsupported` for a charset or coding other than plain UTF-8
 */
export function bodyType(request: FastifyRequest): string {
  const header = request.headers['content-type'] ?? ''
  const [type = '', ...parameters] = header.toLowerCase().split(';')
  const charset = parameters.map((each) => each.trim()).find((each) => each.startsWith('charset='))
  if (charset !== undefined && !UTF8.test(charset)) {
    throw new HttpProblem('media-type-unsupported', 'The charset must be UTF-8.')
  }
  const coding = request.headers['content-encoding']
  if (coding !== undefined && coding.toLowerCase() !== 'identity') {
    throw new HttpProblem('media-type-unsupported', 'The body must not be compressed.', {
      headers: { 'accept-encoding': 'identity' }
    })
  }
  return type.trim()
}

/** @throws HttpProblem `media-type-unsupported`, naming what is taken */
export function unsupported(accepted: readonly string[]): HttpProblem {
  return new HttpProblem('media-type-unsupported', `The body must be ${accepted.join(', ')}.`, {
    headers: { 'accept-post': accepted.join(', ') }
  })
}

const UTF8 = /^charset="?utf-?8"?$/

interface MediaRange {
  readonly type: string
  readonly weight: number
}

function parseRange(text: string): MediaRange {
  const [type = '', ...parameters] = text.toLowerCase().split(';')
  const quality = parameters.map((each) => each.trim()).find((each) => each.startsWith('q='))
  const weight = quality === undefined ? 1 : Number(quality.slice(2))
  return { type: type.trim(), weight: Number.isFinite(weight) ? weight : 1 }
}

/** The weight of the most specific range that covers `type`, as RFC 9110 §12.5.1 has it. */
function weightOf(type: string, ranges: readonly MediaRange[]): number {
  const group = `${type.slice(0, type.indexOf('/'))}/*`
  for (const candidate of [type, group, '*/*']) {
    const range = ranges.find((each) => each.type === candidate)
    if (range !== undefined) return range.weight
  }
  return 0
}
