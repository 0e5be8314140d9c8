/** What the documents say is what the code has. */

import { access, readFile, readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'

import { ERROR_CODES } from '../../src/errors.ts'
import { PROBLEMS } from '../../src/http/problem.ts'
import { VERSION } from '../../src/node/version.ts'

test('the README explains every error code, and no other', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const explained = [...readme.matchAll(/^\| `(LATERBASE_[A-Z_]+)`/gm)].map(
    (match) => match[1] ?? ''
  )
  expect(explained.sort()).toEqual([...ERROR_CODES].sort())
})

test('the README of the HTTP facade has every problem code with its status, and no other', async () => {
  const readme = await readFile(new URL('../../src/http/README.md', import.meta.url), 'utf8')
  const listed = [...readme.matchAll(/^\| `([a-z-]+)` *\| (\d{3}) /gm)]
  const table = Object.entries(PROBLEMS).map(([code, [status]]) => `${code} ${status}`)
  expect(listed.map(([, code, status]) => `${code} ${status}`)).toEqual(table)
})

test('the README of the HTTP facade has every parameter, and no other', async () => {
  const folder = new URL('src/http/', ROOT)
  const files = (await readdir(folder)).filter((name) => name.endsWith('.ts'))
  const sources = await Promise.all(files.map((name) => readFile(new URL(name, folder), 'utf8')))
  const read = [...sources.join().matchAll(/query\.[a-z]+\('([a-z_]+)'/g)].map(([, name]) => name)
  const readme = await readFile(new URL('README.md', folder), 'utf8')
  const [, table = ''] = /## Parameters\n([^]*?)\n## /.exec(readme) ?? []
  const cells = [...table.matchAll(/^\| (`[^|]*)\|/gm)].map(([, cell = '']) => cell)
  const listed = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name))
  expect(new Set(listed)).toEqual(new Set(read))
  expect(new Set(listed).size).toBe(listed.length)
})

test('the version in the code is the one of the package', async () => {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  expect(VERSION).toBe(JSON.parse(text).version)
})

test('every promise of the README has suites, and every suite that is named is there', async () => {
  const [readme, tests] = await Promise.all(
    ['README.md', 'test/README.md'].map((path) => readFile(new URL(path, ROOT), 'utf8'))
  )
  const [, promises = ''] = /## What is promised\n([^]*?)\n## /.exec(readme ?? '') ?? []
  const numbers = [...promises.matchAll(/^(\d+)\. /gm)].map(([, number]) => number)
  const rows = [...(tests ?? '').matchAll(/^\| (\d+) [^|]*\| ([^|]*)\|$/gm)]
  expect([...new Set(rows.map(([, number]) => number))]).toEqual(numbers)
  expect(numbers.length).toBeGreaterThan(10)
  for (const [, number = '', suites = ''] of rows) {
    const named = [...suites.matchAll(/`([^`]+)`/g)].map(([, suite = '']) => suite)
    expect(named.length, number).toBeGreaterThan(0)
    for (const suite of named) {
      const paths = [`test/${suite}.test.ts`, `test/${suite}/`, suite]
      const isThere = paths.map((path) => access(new URL(path, ROOT)).then(() => true))
      await expect(Promise.any(isThere), `promise ${number}: ${suite}`).resolves.toBe(true)
    }
  }
})

const ROOT = new URL('../../', import.meta.url)
