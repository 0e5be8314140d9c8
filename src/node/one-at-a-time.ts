/**
 * Work of which one is under way for each name, and at the most one waits, however often it is asked
 * for: who asks meanwhile gets the one that has not begun yet, which sees all that was there then.
 */

interface UnderWay<T> {
  readonly done: Promise<T>
  next: Promise<T> | undefined
}

export class OneAtATime<T> {
  readonly #underWay = new Map<string, UnderWay<T>>()

  /** @throws what the work throws that it was given, or that one that waits already was given */
  do(name: string, work: () => Promise<T>): Promise<T> {
    const current = this.#underWay.get(name)
    if (current === undefined) return this.#begin(name, work)
    const begin = (): Promise<T> => this.#begin(name, work)
    current.next ??= current.done.then(begin, begin)
    return current.next
  }

  #begin(name: string, work: () => Promise<T>): Promise<T> {
    const underWay: UnderWay<T> = { done: work(), next: undefined }
    this.#underWay.set(name, underWay)
    const end = (): void => {
      if (underWay.next === undefined) this.#underWay.delete(name)
    }
    underWay.done.then(end, end)
    return underWay.done
  }
}
