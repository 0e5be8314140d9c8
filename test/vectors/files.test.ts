/** The vector files are what the script makes, and the invalid ones cover the contract's codes. */

import { readFileSync } from 'node:fs'

import { describe, expect, test } from 'vitest'

import { makeVectors } from '../../scripts/make-vectors.ts'

describe('vector files', () => {
  for (const { path, text } of makeVectors()) {
    test(`${path} is what the script makes`, async () => {
      await expect(text).toMatchFileSnapshot(new URL(`../../${path}`, import.meta.url).pathname)
    })
  }

  test('names within a section are unique', () => {
    for (const { path, text } of makeVectors()) {
      for (const section of Object.values(JSON.parse(text) as Record<string, unknown>)) {
        if (!Array.isArray(section)) continue
        const names = section.flatMap((vector: { name?: string }) => vector.name ?? [])
        expect(new Set(names).size, path).toBe(names.length)
      }
    }
  })

  test('every rejection code of the contract has an invalid vector', () => {
    const source = readFileSync(new URL('../../protocols/rejected.ts', import.meta.url), 'utf8')
    const codes = [...source.matchAll(/^ {2}\| '([a-z-]+)'/gm)].map(([, code]) => code)
    const shown = new Set(
      makeVectors()
        .filter(({ path }) => path.endsWith('/invalid.json'))
        .flatMap(({ text }) => [...text.matchAll(/"code": "([a-z-]+)"/g)])
        .map(([, code]) => code)
    )
    expect(new Set(codes)).toEqual(shown)
  })
})
