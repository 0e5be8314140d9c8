/** The frame decoder against every way to cut a stream into pieces, and against bad prefixes. */

import * as fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { expect, test } from 'vitest'
import { decodeFrames } from '../../src/p2p/frames.ts'

const FRAME_BYTES_MAX = 1_000

async function* pieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8ArrayList> {
  let from = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    yield new Uint8ArrayList(bytes.subarray(from, Math.max(from, cut)))
    from = Math.max(from, cut)
  }
  yield new Uint8ArrayList(bytes.subarray(from))
}

/** Frames and the error they ended in, if any. */
async function decodeAll(
  source: AsyncIterable<Uint8ArrayList>
): Promise<{ frames: Uint8Array[]; error: string | undefined }> {
  const frames: Uint8Array[] = []
  try {
    for await (const frame of decodeFrames(source, FRAME_BYTES_MAX)) frames.push(frame)
  } catch (error) {
    return { frames, error: error instanceof Error ? error.name : String(error) }
  }
  return { frames, error: undefined }
}

function encode(frames: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    frames.map((frame) => {
      const prefix =
        frame.length < 128 ? [frame.length] : [(frame.length & 127) | 128, frame.length >> 7]
      return Buffer.concat([Uint8Array.from(prefix), frame])
    })
  )
}

const frames = fc.array(fc.uint8Array({ maxLength: FRAME_BYTES_MAX }), { maxLength: 6 })

test('frames come out as they went in, however the stream is cut', async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.nat(4_000), { maxLength: 8 }), async (sent, cuts) => {
      const { frames: got, error } = await decodeAll(pieces(encode(sent), cuts))
      expect(error).toBeUndefined()
      expect(got.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(
        sent.map((frame) => Buffer.from(frame).toString('hex'))
      )
    })
  )
})

test('a stream that ends anywhere but between frames is an error, never a shorter frame', async () => {
  await fc.assert(
    fc.asyncProperty(frames, fc.nat(4_000), async (sent, at) => {
      const bytes = encode(sent)
      const end = Math.min(at, bytes.length)
      const { frames: got, error } = await decodeAll(pieces(bytes.subarray(0, end), []))
      const whole = encode(got)
      expect(Buffer.compare(whole, bytes.subarray(0, whole.length))).toBe(0)
      expect(error).toBe(whole.length === end ? undefined : 'FrameError')
    })
  )
})

test('a frame above the limit, an endless prefix and a padded one are refused at the prefix', async () => {
  for (const prefix of [
    [0xe9, 0x07],
    [0x80, 0x80, 0x80, 0x80],
    [0x81, 0x00]
  ]) {
    const { frames: got, error } = await decodeAll(pieces(Uint8Array.from(prefix), []))
    expect([got, error]).toEqual([[], 'FrameError'])
  }
})

test('any bytes at all either decode or are refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const { error } = await decodeAll(pieces(bytes, [100, 200]))
      expect([undefined, 'FrameError']).toContain(error)
    })
  )
})
