/** What the documents say is what the code has. */

import { readFile } from 'node:fs/promises'
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

test('the version in the code is the one of the package', async () => {
  const text = await readFile(new URL('../../package.json', import.meta.url), 'utf8')
  expect(VERSION).toBe(JSON.parse(text).version)
})
