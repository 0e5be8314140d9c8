/**
 * Every limit is in the limits file of its layer, and is reached by a test that is named in
 * `limits-reached.ts`, or is a pace of our own.
 */

import { readFile, readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'

import * as wire from '../../protocols/limits.ts'
import * as cli from '../../src/cli/limits.ts'
import * as core from '../../src/core/limits.ts'
import * as http from '../../src/http/limits.ts'
import * as node from '../../src/node/limits.ts'
import * as p2p from '../../src/p2p/limits.ts'
import * as schema from '../../src/schema/limits.ts'
import * as store from '../../src/store/limits.ts'
import * as views from '../../src/views/limits.ts'
import { FORMAT_BOUNDS, PACES } from './limit-paces.ts'
import { REACHED } from './limits-reached.ts'

const { HTTP_LIMITS, ...httpConstants } = http
const LAYERS: Readonly<Record<string, object>> = {
  'protocols/limits.ts': wire,
  'src/core/limits.ts': core,
  'src/store/limits.ts': store,
  'src/p2p/limits.ts': p2p,
  'src/schema/limits.ts': schema,
  'src/views/limits.ts': views,
  'src/node/limits.ts': node,
  'src/http/limits.ts': { ...HTTP_LIMITS, ...httpConstants },
  'src/cli/limits.ts': cli
}

describe.each(Object.entries(LAYERS))('%s', (file, limits) => {
  test('has each of its limits in the list of what is reached, once, and no other', () => {
    const listed = [...Object.keys(REACHED[file] ?? {}), ...(PACES[file] ?? [])]
    expect(listed.toSorted()).toEqual(Object.keys(limits).toSorted())
  })

  test('has tests that are there', async () => {
    for (const [limit, reached] of Object.entries(REACHED[file] ?? {})) {
      const [, path = '', title = ''] = /^(.+?): (.+)$/.exec(reached) ?? []
      const source = await readFile(new URL(`../${path}`, import.meta.url), 'utf8')
      const named = /(?:test\(|describe\(|"name":)\s*['"]([^'"]+)['"]/g
      const titles = [...source.matchAll(named)].map(([, name = '']) => name)
      expect(titles.filter((name) => name.includes(title)).length, reached).toBeGreaterThan(0)
      expect(title.length, limit).toBeGreaterThan(10)
    }
  })
})

const ROOT = new URL('../../', import.meta.url)

/** Seen from the root. */
async function sourceFiles(): Promise<string[]> {
  const found = ['src', 'protocols'].map(async (folder) => {
    const paths = await readdir(new URL(folder, ROOT), { recursive: true })
    return paths.filter((path) => path.endsWith('.ts')).map((path) => `${folder}/${path}`)
  })
  return (await Promise.all(found)).flat()
}

test('each layer has one file of limits', async () => {
  const files = (await sourceFiles()).filter((path) => path.endsWith('limits.ts'))
  expect(files.toSorted()).toEqual(Object.keys(LAYERS).toSorted())
})

test('no limit is declared elsewhere: what looks like one is the bound of a format, with its reason', async () => {
  const files = (await sourceFiles()).filter((path) => !(path in LAYERS))
  expect(files.length).toBeGreaterThan(100)
  const declared = files.map(async (path) => {
    const source = await readFile(new URL(path, ROOT), 'utf8')
    const names = [...source.matchAll(/\bconst ([A-Z][A-Z\d_]*)\b/g)].map(([, name = '']) => name)
    return names
      .filter((name) => /_MAX(_|$)|_(AT_ONCE|ATTEMPTS)$/.test(name))
      .map((name) => `${path} ${name}`)
  })
  const found = (await Promise.all(declared)).flat()
  expect(found.toSorted()).toEqual(Object.keys(FORMAT_BOUNDS).toSorted())
})
