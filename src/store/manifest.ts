/**
 * Which tables a store consists of, as LevelDB's MANIFEST says. Others may lie beside them: what a
 * compaction was writing when the process ended.
 *
 * Believes what it reads: LevelDB itself checks the file when it opens the store. Formats: LevelDB's
 * doc/log_format.md and db/version_edit.cc.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { ByteCursor } from './byte-cursor.ts'

/** Bytes of each live table by its number; undefined where the MANIFEST cannot be read. */
export async function liveTables(folder: string): Promise<Map<number, number> | undefined> {
  try {
    const current = await readFile(join(folder, 'CURRENT'), 'utf8')
    const manifest = await readFile(join(folder, current.trim()))
    const live = new Map<number, number>()
    for (const edit of logRecords(manifest)) applyEdit(live, new ByteCursor(edit))
    return live
  } catch {
    return undefined
  }
}

const LOG_BLOCK_BYTES = 32_768
const LOG_HEADER_BYTES = 7
const FULL = 1
const FIRST = 2
const LAST = 4

function* logRecords(file: Buffer): Generator<Buffer> {
  let fragments: Buffer[] = []
  for (let at = 0; at + LOG_HEADER_BYTES <= file.length;) {
    const left = LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES)
    if (left < LOG_HEADER_BYTES) {
      at += left
      continue
    }
    const length = file.readUInt16LE(at + 4)
    const type = file.readUInt8(at + 6)
    const end = at + LOG_HEADER_BYTES + length
    if (type === 0 || end > file.length) return
    if (type === FULL || type === FIRST) fragments = []
    fragments.push(file.subarray(at + LOG_HEADER_BYTES, end))
    if (type === FULL || type === LAST) yield Buffer.concat(fragments)
    at = end
  }
}

const TAG = {
  comparator: 1,
  compactPointer: 5,
  deletedFile: 6,
  newFile: 7
} as const

function applyEdit(live: Map<number, number>, cursor: ByteCursor): void {
  while (!cursor.isAtEnd) {
    const tag = cursor.varint()
    switch (tag) {
      case TAG.comparator:
        cursor.skipPrefixed()
        break
      case TAG.compactPointer:
        cursor.varint()
        cursor.skipPrefixed()
        break
      case TAG.deletedFile:
        cursor.varint()
        live.delete(cursor.varint())
        break
      case TAG.newFile: {
        cursor.varint()
        const number = cursor.varint()
        live.set(number, cursor.varint())
        cursor.skipPrefixed()
        cursor.skipPrefixed()
        break
      }
      default:
        // Log numbers, the next file's number, the last sequence number.
        cursor.varint()
    }
  }
}
