/** Checks of our own invariants, on in production: a failure is a bug, never a peer's fault. */

export class AssertionError extends Error {
  constructor(message: string) {
    super(`invariant broken: ${message}`)
    this.name = 'AssertionError'
  }
}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/** The end of an exhaustive switch. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected ${JSON.stringify(value)}`)
}

/** `value`, which must be there. */
export function present<T>(value: T | undefined, message: string): T {
  if (value === undefined) throw new AssertionError(message)
  return value
}
