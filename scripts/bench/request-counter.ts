/**
 * Counts the requests that this process sends to its peers, by kind: what they ask is encrypted on
 * the wire, so it is seen where a frame is handed to the stream. Wraps one method of the asking
 * side; nothing of the product knows of it.
 */

import { decodeDeltaRequest } from '../../protocols/delta/codec.ts'
import { isRejected } from '../../protocols/rejected.ts'
import { DeltaClient } from '../../src/p2p/delta-client.ts'

export interface RequestCounts {
  readonly pages: number
  /** Of sets, and of views. */
  readonly compares: number
  readonly requestBytes: number
  readonly answerBytes: number
}

let counted = { pages: 0, compares: 0, requestBytes: 0, answerBytes: 0 }
let started = false

export const countRequests = {
  start: (): void => {
    counted = { pages: 0, compares: 0, requestBytes: 0, answerBytes: 0 }
    if (started) return
    started = true
    // oxlint-disable-next-line typescript/unbound-method -- it is called with its own `this` below
    const send = DeltaClient.prototype.request
    DeltaClient.prototype.request = async function (frame, signal) {
      const request = decodeDeltaRequest(frame)
      if (!isRejected(request)) counted[request.type === 'page' ? 'pages' : 'compares'] += 1
      counted.requestBytes += frame.length
      const answer = await send.call(this, frame, signal)
      counted.answerBytes += answer.length
      return answer
    }
  },
  counts: (): RequestCounts => counted
}
