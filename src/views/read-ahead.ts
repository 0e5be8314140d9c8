/** Reading and working at one time. */

/** The same, each asked for while whoever asks works on the one before. */
export async function* readAhead<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  let next = ask(iterator)
  try {
    for (;;) {
      const { done, value } = await next
      if (done === true) return
      next = ask(iterator)
      yield value
    }
  } finally {
    // What was asked for ends first: a generator is not ended in the middle.
    await next.catch(() => undefined)
    await iterator.return?.()
  }
}

function ask<T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> {
  const next = iterator.next()
  // It is looked at later: until then nobody would hear of a failure.
  next.catch(() => undefined)
  return next
}
