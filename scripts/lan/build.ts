/**
 * Built scripts for child processes: Node.js 20 cannot run TypeScript. Type errors are not told
 * here, `npm run check:types` does that; what is not emitted is.
 */

import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Builds what has changed; returns the JavaScript of `script`, a path from the project's root. */
export async function buildScript(script: string): Promise<string> {
  const compiler = path.join(ROOT, 'node_modules/typescript/bin/tsc')
  const project = path.join(ROOT, 'tsconfig.build.json')
  let complaint = ''
  try {
    await promisify(execFile)(process.execPath, [compiler, '-p', project])
  } catch (error) {
    complaint = error instanceof Error && 'stdout' in error ? String(error.stdout) : String(error)
  }
  const built = path.join(ROOT, 'dist', script.replace(/\.ts$/, '.js'))
  try {
    await stat(built)
  } catch (cause) {
    throw new Error(`${script} was not built: ${complaint}`, { cause })
  }
  return built
}
