/** `laterbase.config.{ts,mjs,js,json}`: found, read, checked to be an object. */

import { access, readFile } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

import { usageFailure } from './failure.ts'

export interface Config {
  readonly file: string
  readonly entries: Readonly<Record<string, unknown>>
}

/**
 * The named file, else the one in `folder`, if any.
 *
 * @throws CommandFailure for a file that cannot be read
 */
export async function loadConfig(
  named: string | undefined,
  folder: string
): Promise<Config | undefined> {
  const file = named === undefined ? await find(folder) : resolve(folder, named)
  if (file === undefined) return undefined
  const entries = await readEntries(file)
  if (typeof entries === 'object' && entries !== null && !Array.isArray(entries)) {
    return { file, entries: entries as Record<string, unknown> }
  }
  const form = extname(file) === '.json' ? 'hold an object' : 'have an object as default export'
  throw usageFailure(`${file} must ${form}, such as { "http": ":8081" }`)
}

const FILES = ['ts', 'mjs', 'js', 'json'].map((extension) => `laterbase.config.${extension}`)

async function find(folder: string): Promise<string | undefined> {
  for (const name of FILES) {
    const file = join(folder, name)
    if (await exists(file)) return file
  }
  return undefined
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file)
    return true
  } catch {
    return false
  }
}

async function readEntries(file: string): Promise<unknown> {
  if (!(await exists(file))) throw usageFailure(`there is no configuration file ${file}`)
  if (extname(file) === '.ts') expectTypeScript(file)
  try {
    if (extname(file) === '.json') return JSON.parse(await readFile(file, 'utf8')) as unknown
    const module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
    return module.default
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw usageFailure(`${file} cannot be read: ${reason}`, error)
  }
}

function expectTypeScript(file: string): void {
  const features = process.features as { readonly typescript?: string | false }
  if (typeof features.typescript === 'string') return
  throw usageFailure(
    `${file}: Node.js ${process.versions.node} does not read TypeScript; ` +
      'use Node.js 22.18 or later, or a laterbase.config.js'
  )
}
