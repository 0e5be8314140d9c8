#!/usr/bin/env node
/** The `laterbase` binary. What it does is in `program.ts` and in one file a command. */

import { run } from './program.ts'

// A reader that has seen enough (`laterbase feed depot | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

process.exitCode = await run(process.argv.slice(2))
