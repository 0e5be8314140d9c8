/** How this program was called, so that the commands that it suggests work when pasted. */

import { basename, relative } from 'node:path'

export function commandName(): string {
  if (process.env['npm_lifecycle_event'] !== undefined) return 'npm run --silent laterbase --'
  const script = process.argv[1] ?? 'laterbase'
  if (basename(script) === 'laterbase') return 'laterbase'
  const near = relative(process.cwd(), script)
  return `node ${near.startsWith('..') ? script : near}`
}
