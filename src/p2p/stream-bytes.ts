/**
 * Bytes that the streams of all peers make us hold together, and a bound on them: answers that go out,
 * frames that come in. Each stream has a bound of its own, but their number makes it a large one.
 */

import type { Stream } from '@libp2p/interface'
import { FrameError } from './frames.ts'

export class StreamBytes {
  readonly #bytesMax: number
  /** Why a stream is given up, for its log line. */
  readonly #reason: string
  /** By stream; the one that has held something for longest comes first. */
  readonly #held = new Map<Stream, number>()
  #bytes = 0

  constructor(bytesMax: number, reason: string) {
    this.#bytesMax = bytesMax
    this.#reason = reason
  }

  /**
   * A stream holds so many bytes from now on; with 0 it begins anew at its next ones. Beyond the bound
   * the one longest under way is reset: many that are slow must not fill memory between them.
   */
  set(stream: Stream, bytes: number): void {
    this.#bytes += bytes - (this.#held.get(stream) ?? 0)
    if (bytes === 0) this.#held.delete(stream)
    else this.#held.set(stream, bytes)
    for (const slowest of this.#held.keys()) {
      if (this.#bytes <= this.#bytesMax || slowest === stream) return
      this.set(slowest, 0)
      slowest.abort(new FrameError(this.#reason))
    }
  }
}
