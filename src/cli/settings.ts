/**
 * Where the value of an option comes from: the command line, else the environment
 * (`LATERBASE_NO_MDNS=1` is `--no-mdns`), else the configuration file, else the default.
 */

import type { Command, Option } from 'commander'

import { loadConfig, type Config } from './config-file.ts'
import { usageFailure } from './failure.ts'

/**
 * Fills in what the command line left open.
 *
 * @param known every option of every command: one file configures them all
 * @throws CommandFailure for a usage error
 */
export async function applySettings(
  command: Command,
  known: ReadonlySet<string>,
  env: NodeJS.ProcessEnv = process.env
): Promise<void> {
  const named = (command.opts()['config'] as string | undefined) ?? env['LATERBASE_CONFIG']
  const config = await loadConfig(named === '' ? undefined : named, process.cwd())
  for (const name of Object.keys(config?.entries ?? {})) {
    if (!known.has(name) && !Object.hasOwn(ENTRIES, name)) {
      const names = [...known, ...Object.keys(ENTRIES)].sort().join(', ')
      throw usageFailure(`${config?.file}: there is no option '${name}'; there are: ${names}`)
    }
  }
  for (const name of new Set(command.options.map((option) => option.attributeName()))) {
    if (name === 'config' || command.getOptionValueSource(name) === 'cli') continue
    const options = command.options.filter((option) => option.attributeName() === name)
    const value = fromEnvironment(options, env) ?? fromConfig(options, config)
    if (value !== undefined) command.setOptionValueWithSource(name, value, 'config')
  }
  for (const [name, reader] of Object.entries(ENTRIES)) {
    const entry = config?.entries[name]
    if (config === undefined || entry === undefined || command.name() !== reader) continue
    command.setOptionValueWithSource(name, { file: config.file, entry }, 'config')
  }
  applyHttpAsUrl(command, config, env)
}

/** What stands in a configuration file besides options, which a command line has no words for. */
export interface ConfigEntry {
  readonly file: string
  readonly entry: unknown
}

/** Each with the command that reads it, as a ConfigEntry among its options. */
const ENTRIES: Readonly<Record<string, string>> = {
  views: 'start',
  schemas: 'start',
  upcasters: 'start'
}

/** A client command of a configuration that moves the facade finds it there. */
function applyHttpAsUrl(
  command: Command,
  config: Config | undefined,
  env: NodeJS.ProcessEnv
): void {
  const http = env['LATERBASE_HTTP'] ?? config?.entries['http']
  if (typeof http !== 'string' || http === '' || FALSE_WORDS.has(http)) return
  if (/(^|:)0$/.test(http)) return
  if (command.getOptionValueSource('url') === 'default') {
    command.setOptionValueWithSource('url', http, 'config')
  }
}

const TRUE_WORDS: ReadonlySet<string> = new Set(['true', '1', 'yes', 'on'])
const FALSE_WORDS: ReadonlySet<string> = new Set(['false', '0', 'no', 'off'])

/** @param options a positive one, its `--no-` form, or both */
function fromEnvironment(options: readonly Option[], env: NodeJS.ProcessEnv): unknown {
  const negative = options.find((option) => option.negate)
  const positive = options.find((option) => !option.negate)
  const name = negative === undefined ? undefined : variableOf(negative)
  if (name !== undefined && isOn(name, env)) return false
  const value = env[variableOf(positive ?? negative)] ?? ''
  const plain = env[variableOf(positive ?? negative).replace('_NO_', '_')] ?? ''
  if (positive === undefined) return FALSE_WORDS.has(plain) ? false : undefined
  if (value === '') return undefined
  if (negative !== undefined && FALSE_WORDS.has(value)) return false
  if (positive.isBoolean()) return isOn(variableOf(positive), env)
  return parseValue(positive, positive.variadic ? value.split(',') : [value], variableOf(positive))
}

function isOn(name: string, env: NodeJS.ProcessEnv): boolean {
  const word = (env[name] ?? '').toLowerCase()
  if (word === '' || FALSE_WORDS.has(word)) return false
  if (TRUE_WORDS.has(word)) return true
  throw usageFailure(`${name}: '${word}' is neither true nor false`)
}

function variableOf(option: Option | undefined): string {
  return `LATERBASE_${(option?.long ?? '').slice(2).replaceAll('-', '_').toUpperCase()}`
}

function fromConfig(options: readonly Option[], config: Config | undefined): unknown {
  const name = options[0]?.attributeName() ?? ''
  const value = config?.entries[name]
  if (config === undefined || value === undefined) return undefined
  const positive = options.find((option) => !option.negate)
  const origin = `${config.file}: ${name}`
  if (typeof value === 'boolean') {
    const isSwitch = positive === undefined || positive.isBoolean()
    if (isSwitch || (!value && options.some((option) => option.negate))) return value
    throw usageFailure(`${origin}: a value is expected, not ${String(value)}`)
  }
  if (positive === undefined || positive.isBoolean()) {
    throw usageFailure(`${origin}: true or false is expected`)
  }
  const values: readonly unknown[] = Array.isArray(value) ? value : [value]
  const isText = values.every((each) => typeof each === 'string' || typeof each === 'number')
  if (!isText || (Array.isArray(value) && !positive.variadic)) {
    throw usageFailure(`${origin}: ${positive.variadic ? 'texts are' : 'a text is'} expected`)
  }
  return parseValue(positive, values.map(String), origin)
}

function parseValue(option: Option, texts: readonly string[], origin: string): unknown {
  const { parseArg } = option
  try {
    if (option.variadic) return texts.map((text) => text.trim()).filter((text) => text !== '')
    const text = texts[0] ?? ''
    return parseArg === undefined ? text : parseArg<unknown>(text, undefined)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw usageFailure(`${origin}: ${reason}`, error)
  }
}
