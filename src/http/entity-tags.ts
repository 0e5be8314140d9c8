/** Entity tags (RFC 9110 §8.8.3), and the conditions of requests that name them. */

import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

import { HttpProblem } from './problem.ts'

const TAG_DIGITS = 32

/** Of exactly this body. */
export function strongTag(body: string): string {
  return `"${createHash('sha256').update(body).digest('hex').slice(0, TAG_DIGITS)}"`
}

/** Of an answer that others may say in other words: equal where `meaning` is. */
export function weakTag(meaning: string): string {
  return `W/${strongTag(meaning)}`
}

/** If-None-Match of a read, RFC 9110 §13.1.2: a list, compared weakly. */
export function isNotModified(headers: IncomingHttpHeaders, etag: string): boolean {
  return matches(headers['if-none-match'], etag)
}

/**
 * If-Match and If-None-Match of a write.
 *
 * @param etag of what is there; undefined when nothing is
 * @throws HttpProblem `precondition-failed`
 */
export function checkPreconditions(headers: IncomingHttpHeaders, etag: string | undefined): void {
  const { 'if-match': wanted, 'if-none-match': unwanted } = headers
  if (wanted !== undefined && !(etag !== undefined && matches(wanted, etag))) {
    throw new HttpProblem('precondition-failed', 'If-Match names another state than it has.')
  }
  if (etag !== undefined && matches(unwanted, etag)) {
    throw new HttpProblem('precondition-failed', 'If-None-Match names the state that it has.')
  }
}

function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  const opaque = etag.replace(WEAK, '')
  return header.split(',').some((each) => each.trim().replace(WEAK, '') === opaque)
}

const WEAK = /^W\//
