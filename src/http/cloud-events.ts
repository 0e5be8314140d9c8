/**
 * CloudEvents 1.0, structured mode, as Laterbase's envelope. The envelope has CloudEvents' own
 * members but for `specversion`, which is checked and dropped, and `dataschema`, which is `schema`.
 *
 * It is done on the text, member by member: a parse and a new serialisation would round the
 * numbers in `data` before the node could refuse them. Members that Laterbase does not know
 * (CloudEvents' extensions) are passed on, for the node to judge.
 */

import { HttpProblem } from './problem.ts'

/** @throws HttpProblem `malformed-json`, `event-invalid` */
export function fromCloudEvent(text: string): string {
  const event = parse(text)
  checkCloudEvent(event, '')
  return rewriteMembers(text.trim())
}

/** @throws HttpProblem `malformed-json`, `event-invalid` */
export function fromCloudEvents(text: string): string {
  const events = parse(text)
  if (!Array.isArray(events)) throw invalid('', 'an array of CloudEvents is expected')
  for (const [index, event] of events.entries()) checkCloudEvent(event, `/${index}`)
  const body = text.trim()
  const rewritten = splitTopLevel(body.slice(1, -1)).map((each) => rewriteMembers(each.trim()))
  return `[${rewritten.join(',')}]`
}

/** Required by CloudEvents 1.0 §3.1, each a string that is not empty. */
const REQUIRED = ['id', 'source', 'type'] as const

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new HttpProblem('malformed-json', 'The body is not JSON.', { cause: error })
  }
}

function checkCloudEvent(event: unknown, pointer: string): void {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) {
    throw invalid(pointer, 'a CloudEvent is an object')
  }
  const members = event as Readonly<Record<string, unknown>>
  if (members.specversion !== '1.0') {
    throw invalid(`${pointer}/specversion`, 'the version of CloudEvents must be "1.0"')
  }
  for (const name of REQUIRED) {
    const value = members[name]
    if (typeof value !== 'string' || value === '') {
      throw invalid(`${pointer}/${name}`, 'CloudEvents requires a string that is not empty')
    }
  }
}

function invalid(pointer: string, detail: string): HttpProblem {
  return new HttpProblem('event-invalid', 'The body is not a CloudEvent.', {
    errors: [{ pointer, detail }]
  })
}

/** `object` is the text of a JSON object, without white space around it. */
function rewriteMembers(object: string): string {
  const kept: string[] = []
  for (const member of splitTopLevel(object.slice(1, -1))) {
    const colon = endOfString(member) + 1
    const name: unknown = JSON.parse(member.slice(0, colon))
    if (name === 'specversion') continue
    kept.push(name === 'dataschema' ? `"schema"${member.slice(colon)}` : member)
  }
  return `{${kept.join(',')}}`
}

/** Cuts valid JSON text at the commas outside of strings, arrays and objects. */
function splitTopLevel(text: string): string[] {
  const parts: string[] = []
  let depth = 0
  let start = 0
  let inString = false
  for (let at = 0; at < text.length; at++) {
    const char = text[at]
    if (inString) {
      if (char === '\\') at++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') depth--
    else if (char === ',' && depth === 0) {
      parts.push(text.slice(start, at))
      start = at + 1
    }
  }
  const last = text.slice(start)
  if (parts.length > 0 || last.trim() !== '') parts.push(last)
  return parts
}

/** Where the closing quote of the string that `text` starts with is. */
function endOfString(text: string): number {
  let at = text.indexOf('"') + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}
