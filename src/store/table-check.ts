/**
 * Checks LevelDB's table files against the checksums in them, which LevelDB's own reads here do not.
 *
 * A flipped byte can make a key vanish from a lookup (in an index, a filter, or the keys of a block),
 * and no check of our records shows that at the read. Tables never change once they are written, so
 * they can be read beside a store that is open. Format: LevelDB's doc/table_format.md; blocks are
 * plain or Snappy.
 */

import { ByteCursor } from './byte-cursor.ts'
import { maskedCrc32c } from './crc32c.ts'
import { SNAPPY_TRIED_BYTES_MAX } from './limits.ts'
import { readTable, readWhatCan } from './table-file.ts'

/** A record of a table: its own key, without LevelDB's sequence number. */
export type TableEntry = readonly [key: Buffer, value: Buffer]

/**
 * The records in those blocks of a table that are as they were written, block by block. A key may
 * come twice: the first is the newest.
 *
 * Damaged tables are never given to LevelDB: it was built with assertions, and ends the process on
 * what it cannot parse.
 */
export async function* intactBlocks(file: string): AsyncGenerator<readonly TableEntry[]> {
  const bytes = await readWhatCan(file)
  for (const handle of dataBlocks(bytes)) {
    const content = intactContent(bytes, handle)
    if (content !== undefined) yield readEntries(content)
  }
}

/** By the index, or, where that is damaged, by trying where blocks may begin. */
function dataBlocks(bytes: Buffer): BlockHandle[] {
  try {
    const cursor = new ByteCursor(bytes.subarray(bytes.length - FOOTER_BYTES))
    readHandle(cursor)
    return readBlock(bytes, readHandle(cursor))
  } catch {
    return foundBlocks(bytes)
  }
}

/** A Snappy block says how long it becomes, so its end, and the checksum there, can be tried. */
function foundBlocks(bytes: Buffer): BlockHandle[] {
  const found: BlockHandle[] = []
  for (let at = 0; at + TRAILER_BYTES < bytes.length;) {
    const end = snappyEnd(bytes, at)
    const handle = { at, length: end === undefined ? 0 : end - at }
    if (end !== undefined && intactContent(bytes, handle) !== undefined) {
      found.push(handle)
      at = end + TRAILER_BYTES
    } else {
      at += 1
    }
  }
  return found
}

function snappyEnd(bytes: Buffer, at: number): number | undefined {
  try {
    return unsnap(bytes, at, SNAPPY_TRIED_BYTES_MAX).end
  } catch {
    return undefined
  }
}

function intactContent(bytes: Buffer, handle: BlockHandle): Buffer | undefined {
  try {
    const { content, isSnappy } = checkBlock(bytes, handle)
    return isSnappy ? unsnap(content).content : content
  } catch {
    return undefined
  }
}

function readEntries(content: Buffer): TableEntry[] {
  const entries: TableEntry[] = []
  const end = content.length - 4 * (content.readUInt32LE(content.length - 4) + 1)
  const cursor = new ByteCursor(content)
  let key = Buffer.alloc(0)
  while (cursor.at < end) {
    const shared = cursor.varint()
    const ownBytes = cursor.varint()
    const valueBytes = cursor.varint()
    const own = content.subarray(cursor.at, cursor.at + ownBytes)
    key = Buffer.concat([key.subarray(0, shared), own])
    cursor.at += ownBytes
    const value = content.subarray(cursor.at, cursor.at + valueBytes)
    cursor.at += valueBytes
    entries.push([key.subarray(0, key.length - SEQUENCE_BYTES), value])
  }
  return entries
}

/**
 * What is wrong with a table, in words; undefined where every block is as it was written.
 *
 * @param size bytes that it is known to have, where that is known
 * @throws what the disk says that does not give it
 */
export async function tableFault(file: string, size?: number): Promise<string | undefined> {
  try {
    const bytes = await readTable(file)
    if (size !== undefined && bytes.length !== size)
      return `it has ${bytes.length} bytes in place of ${size}`
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
/** Bytes behind each key: LevelDB's own sequence number and a type. */
const SEQUENCE_BYTES = 8

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
  const content = block.isSnappy ? unsnap(block.content).content : block.content
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

/**
 * Undoes Snappy: https://github.com/google/snappy/blob/main/format_description.txt
 *
 * @returns the content, and where the compressed bytes end
 */
function unsnap(
  bytes: Buffer,
  from = 0,
  bytesMax = Infinity
): { readonly content: Buffer; readonly end: number } {
  const reader = new ByteCursor(bytes)
  reader.at = from
  const length = reader.varint()
  if (length > bytesMax) throw new TableFault('a block is too large')
  const content = Buffer.alloc(length)
  let to = 0
  while (to < length) {
    const tag = bytes.readUInt8(reader.at)
    reader.at += 1
    if ((tag & 3) === 0) {
      let literal = (tag >> 2) + 1
      if (literal > 60) {
        const lengthBytes = literal - 60
        literal = bytes.readUIntLE(reader.at, lengthBytes) + 1
        reader.at += lengthBytes
      }
      bytes.copy(content, to, reader.at, reader.at + literal)
      reader.at += literal
      to += literal
    } else {
      const copy = copyOf(bytes, reader, tag)
      if (copy.offset === 0 || copy.offset > to) throw new TableFault('a copy of nothing')
      // Byte by byte: a copy may overlap what it makes.
      const end = Math.min(length, to + copy.length)
      for (; to < end; to += 1) content[to] = content[to - copy.offset] ?? 0
    }
  }
  return { content, end: reader.at }
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
