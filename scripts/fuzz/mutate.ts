/** What an unfriendly network makes of a message: seeded, so that a seed replays a run. */

import type { Prng } from '../simulate/prng.ts'

/** One to four changes of `bytes`, which are left alone. `other` is what pieces are taken of. */
export function mutate(bytes: Uint8Array, other: Uint8Array, prng: Prng): Uint8Array {
  let mutant: Uint8Array = bytes.slice()
  for (let change = prng.integer(1, 4); change > 0; change -= 1) {
    const place = prng.integer(0, mutant.length)
    switch (prng.integer(0, 8)) {
      case 0:
      case 1:
        flipBit(mutant, prng)
        break
      case 2:
        setByte(mutant, prng)
        break
      case 3:
        mutant = mutant.subarray(0, place)
        break
      case 4:
        mutant = replace(mutant, { place, removed: 0, added: randomBytes(prng, 16) })
        break
      case 5:
        mutant = replace(mutant, { place, removed: prng.integer(1, 64), added: NOTHING })
        break
      case 6:
        mutant = replace(mutant, { place, removed: prng.integer(0, 64), added: piece(other, prng) })
        break
      case 7:
        mutant = replace(mutant, { place, removed: 0, added: piece(mutant, prng) })
        break
      default:
        mutant = replace(mutant, { place, removed: prng.integer(0, 2), added: largeVarint(prng) })
    }
  }
  return mutant
}

export function randomBytes(prng: Prng, lengthMax: number): Uint8Array {
  return Uint8Array.from({ length: prng.integer(0, lengthMax) }, () => prng.integer(0, 255))
}

/** What every integer of the wire has an edge at: counts, lengths and 2^53. */
function largeVarint(prng: Prng): Uint8Array {
  return prng.pick(LARGE_VARINTS) ?? NOTHING
}

function flipBit(bytes: Uint8Array, prng: Prng): void {
  const at = prng.integer(0, Math.max(0, bytes.length - 1))
  if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << prng.integer(0, 7))
}

function setByte(bytes: Uint8Array, prng: Prng): void {
  const at = prng.integer(0, Math.max(0, bytes.length - 1))
  if (at < bytes.length) bytes[at] = prng.pick(EDGES) ?? 0
}

function piece(bytes: Uint8Array, prng: Prng): Uint8Array {
  const from = prng.integer(0, bytes.length)
  return bytes.slice(from, from + prng.integer(0, 128))
}

function replace(
  bytes: Uint8Array,
  { place, removed, added }: { place: number; removed: number; added: Uint8Array }
): Uint8Array {
  const rest = bytes.subarray(Math.min(bytes.length, place + removed))
  const result = new Uint8Array(place + added.length + rest.length)
  result.set(bytes.subarray(0, place))
  result.set(added, place)
  result.set(rest, place + added.length)
  return result
}

const NOTHING = new Uint8Array()
const EDGES = [0, 1, 2, 3, 0x7f, 0x80, 0x81, 0xfe, 0xff]
const LARGE_VARINTS = [
  '00',
  '8000',
  '7f',
  'ff7f',
  '9075',
  '9875',
  'a08d06',
  '808040',
  'ffffff07',
  'ffffffff0f',
  'ffffffffffffff0f',
  'ffffffffffffff10',
  'ffffffffffffff7f',
  'ffffffffffffffffff01'
].map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
