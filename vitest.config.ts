import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two cores are the reference machine: real nodes in parallel files starve each other's timers.
    maxWorkers: 2
  }
})
