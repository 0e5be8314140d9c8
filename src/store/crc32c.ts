/** CRC-32C as LevelDB's files carry it, eight bytes a step. Its speed: `TABLES_CHECKED_BYTES_MAX`. */

import { wordAt } from '../core/bytes.ts'

const POLYNOMIAL = 0x82f63b78

/** Eight tables of 256: `TABLES[256 n + b]` is byte b moved on by n bytes of zeros. */
const TABLES = makeTables()

/** @returns the checksum as LevelDB stores it, masked, so that it is no checksum of itself */
export function maskedCrc32c(bytes: Uint8Array, from: number, to: number): number {
  const crc = crc32c(bytes, from, to)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

function crc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1
  let at = from
  for (; at + 8 <= to; at += 8) {
    const low = crc ^ wordAt(bytes, at)
    const high = wordAt(bytes, at + 4)
    crc =
      entry(7, low) ^
      entry(6, low >>> 8) ^
      entry(5, low >>> 16) ^
      entry(4, low >>> 24) ^
      entry(3, high) ^
      entry(2, high >>> 8) ^
      entry(1, high >>> 16) ^
      entry(0, high >>> 24)
  }
  for (; at < to; at += 1) crc = entry(0, crc ^ (bytes[at] ?? 0)) ^ (crc >>> 8)
  return ~crc
}

function entry(table: number, byte: number): number {
  return TABLES[256 * table + (byte & 255)] ?? 0
}

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL : 0)
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at += 1) {
    const before = tables[at - 256] ?? 0
    tables[at] = (tables[before & 255] ?? 0) ^ (before >>> 8)
  }
  return tables
}
