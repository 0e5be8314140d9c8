/**
 * Checks LevelDB's table files against the checksums in them, which LevelDB's own reads here do not.
 *
 * A flipped byte can make a key vanish from a lookup (in an index, a filter, or the keys of a block),
 * and no check of our records shows that at the read. Tables never change once they are written, so
 * they can be read beside a store that is open. Format: LevelDB's doc/table_format.md; blocks are
 * plain or Snappy.
 */

import { readFile } from 'node:fs/promises'

import { ByteCursor } from './byte-cursor.ts'
import { maskedCrc32c } from './crc32c.ts'

/**
 * What is wrong with a table, in words; undefined where every block is as it was written.
 *
 * @param size bytes that it is known to have
 */
export async function tableFault(file: string, size: number): Promise<string | undefined> {
  try {
    const bytes = await readFile(file)
    if (bytes.length !== size) return `it has ${bytes.length} bytes in place of ${size}`
    checkTable(bytes)
    return undefined
  } catch (error) {
    if (error instanceof TableFault || error instanceof RangeError) return error.message
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 'it is gone'
    throw error
  }
}

class TableFault extends Error {}

/** Where a block is in its file. */
interface BlockHandle {
  readonly at: number
  readonly length: number
}

const FOOTER_BYTES = 48
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
/** A byte of compression and a checksum behind each block. */
const TRAILER_BYTES = 5
const SNAPPY = 1

function checkTable(bytes: Buffer): void {
  const footer = bytes.subarray(Math.max(0, bytes.length - FOOTER_BYTES))
  if (footer.length < FOOTER_BYTES || !footer.subarray(40).equals(MAGIC)) {
    throw new TableFault('it has no end')
  }
  const reader = new ByteCursor(footer)
  for (const root of [readHandle(reader), readHandle(reader)]) {
    for (const block of readBlock(bytes, root)) checkBlock(bytes, block)
  }
}

/** The handles that an index or a metaindex holds. */
function readBlock(bytes: Buffer, handle: BlockHandle): BlockHandle[] {
  const block = checkBlock(bytes, handle)
  const content = block.isSnappy ? unsnap(block.content) : block.content
  const restarts = content.readUInt32LE(content.length - 4)
  const end = content.length - 4 * (restarts + 1)
  const reader = new ByteCursor(content)
  const handles: BlockHandle[] = []
  while (reader.at < end) {
    reader.varint()
    const keyBytes = reader.varint()
    const valueBytes = reader.varint()
    reader.at += keyBytes
    const next = reader.at + valueBytes
    handles.push(readHandle(reader))
    reader.at = next
  }
  return handles
}

function checkBlock(
  bytes: Buffer,
  { at, length }: BlockHandle
): { readonly content: Buffer; readonly isSnappy: boolean } {
  const end = at + length
  if (end + TRAILER_BYTES > bytes.length) throw new TableFault(`a block at ${at} is beyond the end`)
  if (bytes.readUInt32LE(end + 1) !== maskedCrc32c(bytes, at, end + 1)) {
    throw new TableFault(`the block at ${at} does not match its checksum`)
  }
  return { content: bytes.subarray(at, end), isSnappy: bytes[end] === SNAPPY }
}

function readHandle(cursor: ByteCursor): BlockHandle {
  return { at: cursor.varint(), length: cursor.varint() }
}

/** Undoes Snappy: https://github.com/google/snappy/blob/main/format_description.txt */
function unsnap(bytes: Buffer): Buffer {
  const reader = new ByteCursor(bytes)
  const content = Buffer.alloc(reader.varint())
  let to = 0
  while (reader.at < bytes.length) {
    const tag = bytes.readUInt8(reader.at)
    reader.at += 1
    if ((tag & 3) === 0) {
      let length = (tag >> 2) + 1
      if (length > 60) {
        const lengthBytes = length - 60
        length = bytes.readUIntLE(reader.at, lengthBytes) + 1
        reader.at += lengthBytes
      }
      bytes.copy(content, to, reader.at, reader.at + length)
      reader.at += length
      to += length
    } else {
      const { length, offset } = copyOf(bytes, reader, tag)
      // Byte by byte: a copy may overlap what it makes.
      for (const end = to + length; to < end; to += 1) content[to] = content[to - offset] ?? 0
    }
  }
  return content
}

function copyOf(
  bytes: Buffer,
  reader: ByteCursor,
  tag: number
): { readonly length: number; readonly offset: number } {
  if ((tag & 3) === 1) {
    const offset = ((tag >> 5) << 8) | bytes.readUInt8(reader.at)
    reader.at += 1
    return { length: ((tag >> 2) & 7) + 4, offset }
  }
  const offsetBytes = (tag & 3) === 2 ? 2 : 4
  const offset = bytes.readUIntLE(reader.at, offsetBytes)
  reader.at += offsetBytes
  return { length: (tag >> 2) + 1, offset }
}
