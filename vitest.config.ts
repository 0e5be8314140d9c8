/** Test runner: every suite under test/, real processes and sockets included. */

import { defineConfig } from 'vitest/config'

import { plantBugs } from './test/sim/plant-bug.ts'

const resultsFile = process.env['TEST_RESULTS']

export default defineConfig({
  plugins: [plantBugs()],
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores are the reference machine: real nodes in many files at once starve each other.
    maxWorkers: 2,
    reporters: resultsFile === undefined ? ['default'] : ['default', 'json'],
    ...(resultsFile === undefined ? {} : { outputFile: { json: resultsFile } })
  }
})
