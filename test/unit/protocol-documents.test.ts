/** What the wire's documents say is what the code has. */

import { readFile } from 'node:fs/promises'

import { describe, expect, test } from 'vitest'

import { COMMIT_DOMAIN, GENESIS_DOMAIN } from '../../protocols/commit/codec.ts'
import {
  DELTA_PROTOCOL,
  REFUSAL_REASONS,
  VIEW_DOMAIN,
  decodeDeltaAnswer,
  decodeDeltaRequest
} from '../../protocols/delta/codec.ts'
import { decodeEvents } from '../../protocols/event/codec.ts'
import * as limits from '../../protocols/limits.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { STORE_FORMAT } from '../../src/store/key-layout.ts'
import { KIND } from '../../src/store/record-name.ts'

const FOLDERS = ['event', 'commit', 'delta', 'announce']

describe('the README of the protocols', () => {
  test('has the limits of the code, and no others', async () => {
    const rows = await tableRows('protocols/README.md', /^\| `([A-Z_]+_MAX)` +\| ([0-9,]+) /gm)
    const listed = rows.map(([name, value]) => [name, Number(value?.replaceAll(',', ''))])
    expect(Object.fromEntries(listed)).toEqual({ ...limits })
  })

  test('has every rejection code with the words of the code, in its order', async () => {
    const source = await read('protocols/rejected.ts')
    const inCode = [...source.matchAll(/\/\*\* ([^*]+) \*\/\n {2}\| '([a-z-]+)'/g)]
    const rows = await tableRows('protocols/README.md', /^\| `([a-z-]+)` +\| ([^|]+?) +\|/gm)
    const codes = new Set(inCode.map(([, , code]) => code))
    const listed = rows.filter(([code]) => codes.has(code))
    expect(listed).toEqual(inCode.map(([, words, code]) => [code, words]))
  })

  test('has every hash with the domain that the code uses', async () => {
    const readme = await read('protocols/README.md')
    const perimeter = await read('src/p2p/perimeter.ts')
    const version = await read('src/core/version.ts')
    const inCodecs = [COMMIT_DOMAIN, GENESIS_DOMAIN, VIEW_DOMAIN]
    const domains = [...inCodecs, ...domainsIn(perimeter), ...domainsIn(version)]
    expect(domains.length).toBe(6)
    for (const domain of domains) expect(readme).toContain(`\`${domain.replace('\n', '\\n')}\``)
  })

  test('has each protocol with its spec, its schema and its vectors', async () => {
    const readme = await read('protocols/README.md')
    for (const folder of FOLDERS) {
      for (const file of ['spec.md', 'schema.tls', 'vectors/valid.json', 'vectors/invalid.json']) {
        expect(readme).toContain(`(${folder}/${file})`)
        expect((await read(`protocols/${folder}/${file}`)).length).toBeGreaterThan(100)
      }
    }
    expect(readme).toContain(DELTA_PROTOCOL)
  })

  test('has links that lead somewhere', async () => {
    for (const file of ['README.md', ...FOLDERS.map((folder) => `${folder}/spec.md`)]) {
      const from = new URL(`../../protocols/${file}`, import.meta.url)
      for (const [, link = ''] of (await read(`protocols/${file}`)).matchAll(/\]\(([^)]+)\)/g)) {
        const target = new URL(link, from)
        const text = await readFile(new URL(target.pathname, 'file:'), 'utf8')
        if (target.hash === '') continue
        const anchors = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => anchorOf(title))
        expect(anchors, `${file}: ${link}`).toContain(target.hash.slice(1))
      }
    }
  })
})

test('the schema of delta names every refusal reason, in its order', async () => {
  const schema = await read('protocols/delta/schema.tls')
  const reasons = REFUSAL_REASONS.map((reason, at) => `${reason.replace('-', '_')}(${at + 1})`)
  expect(schema).toContain(`enum { ${reasons.join(', ')}, (255) } RefusalReason`)
})

test('the README of the store has the format and every kind of record of the code', async () => {
  const readme = await read('src/store/README.md')
  expect(readme).toContain(`on-disk **format ${STORE_FORMAT}**`)
  const kinds = new Set([...readme.matchAll(/^\| `(0[0-9])` /gm)].map(([, kind]) => Number(kind)))
  expect(kinds).toEqual(new Set([...Object.values(KIND), 5]))
})

test('a count or a length without bytes behind it reserves no memory', () => {
  const request = Buffer.from([2, 0, 0, 0x98, 0x75])
  const answer = Buffer.from([2, 1, 0x98, 0x75])
  const region = Buffer.concat([Buffer.alloc(16), Buffer.from([0x80, 0x80, 0x10])])
  const before = process.memoryUsage().arrayBuffers
  for (let round = 0; round < 2_000; round += 1) {
    expect(isRejected(decodeDeltaRequest(request))).toBe(true)
    expect(isRejected(decodeDeltaAnswer(answer))).toBe(true)
    expect(isRejected(decodeEvents(region, 10_000))).toBe(true)
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000)
})

async function tableRows(file: string, row: RegExp): Promise<(readonly [string, string])[]> {
  const matches = [...(await read(file)).matchAll(row)]
  return matches.map(([, first = '', second = '']) => [first, second] as const)
}

function read(file: string): Promise<string> {
  return readFile(new URL(`../../${file}`, import.meta.url), 'utf8')
}

/** The domain strings that a source file defines. */
function domainsIn(source: string): string[] {
  return [...source.matchAll(/_DOMAIN = '([^']+)'/g)].map(([, literal = '']) =>
    literal.replace(String.raw`\n`, '\n')
  )
}

/** As GitHub makes them. */
function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-')
}
