/**
 * Loads the simulator with a bug in it: a module that is imported with `?bug=name` takes all that it
 * imports along as copies of their own, and the one file that the bug is in has it. Modules that are
 * imported without stay as they are.
 */

import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Plugin } from 'vitest/config'

import { PLANTED_BUGS } from './planted-bugs.ts'

/** @throws where a bug is unknown, or its text does not stand in its file exactly once */
export function plantBugs(): Plugin {
  return {
    name: 'plant-bugs',
    enforce: 'pre',
    resolveId: (source, importer) => {
      const [path = '', name] = importer?.split('?bug=') ?? []
      if (name === undefined || !source.startsWith('.')) return undefined
      return `${resolve(dirname(path), source)}?bug=${name}`
    },
    load: (id) => {
      const [path = '', name] = id.split('?bug=')
      return name === undefined ? undefined : withBug(name, path)
    }
  }
}

function withBug(name: string, path: string): string {
  const bug = PLANTED_BUGS.find((each) => each.name === name)
  if (bug === undefined) throw new Error(`no bug is called ${name}`)
  const code = readFileSync(path, 'utf8')
  if (!path.endsWith(`/${bug.file}`)) return code
  const [before, after, ...more] = code.split(bug.find)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${bug.file} does not have the text of ${name} exactly once`)
  }
  return before + bug.replace + after
}
