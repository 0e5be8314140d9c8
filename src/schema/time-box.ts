/**
 * Code that others have had a say in, such as a pattern of a schema, is run for so long and no longer, on the
 * same thread: `node:vm` ends what runs too long, in the midst of a regular expression too. It is no sandbox,
 * and is not used as one.
 *
 * What is ended may have left anything half done, so it should keep what it works on to itself.
 */

import vm from 'node:vm'

/** It had to be ended. */
export class TimeBoxOverrun extends Error {
  constructor(limitMs: number) {
    super(`took longer than ${limitMs} ms`)
    this.name = 'TimeBoxOverrun'
  }
}

/**
 * Costs some 200 µs, of a thread that watches.
 *
 * @throws TimeBoxOverrun, and what `run` throws
 */
export function runWithin<T>(limitMs: number, run: () => T): T {
  box ??= { script: new vm.Script('run()'), context: vm.createContext({}) }
  const { script, context } = box
  const results: T[] = []
  context['run'] = (): void => {
    results.push(run())
  }
  try {
    script.runInContext(context, { timeout: limitMs })
    return results[0] as T
  } catch (error) {
    if (isTimeout(error)) throw new TimeBoxOverrun(limitMs)
    throw error
  } finally {
    context['run'] = undefined
  }
}

/** Made when it is first needed: it weighs half a megabyte. */
let box: { readonly script: vm.Script; readonly context: vm.Context } | undefined

/** It is an error of the other context, and so an instance of another class. */
function isTimeout(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  return 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}
