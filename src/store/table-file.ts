/**
 * Reads table files: whole, or as far as a disk gives them. A bad sector makes a file system refuse
 * the pages that it is in, and nothing else.
 */

import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

import { TABLE_READ_BYTES } from './limits.ts'

/** @throws what the disk says */
export function readTable(file: string): Promise<Buffer> {
  return readFile(file, async (handle, bytes, range) => {
    await readRange(handle, bytes, range)
  })
}

/** Zeros stand where nothing can be read; what was there has a checksum. */
export function readWhatCan(file: string): Promise<Buffer> {
  return readFile(file, async (handle, bytes, range) => {
    try {
      await readRange(handle, bytes, range)
    } catch {
      for (let at = range.from; at < range.to; at += PAGE_BYTES) {
        const page = { from: at, to: Math.min(range.to, at + PAGE_BYTES) }
        await readRange(handle, bytes, page).catch(() => bytes.fill(0, page.from, page.to))
      }
    }
  })
}

interface ByteRange {
  readonly from: number
  readonly to: number
}

async function readFile(
  file: string,
  read: (handle: FileHandle, bytes: Buffer, range: ByteRange) => Promise<void>
): Promise<Buffer> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    const bytes = Buffer.alloc(size)
    for (let at = 0; at < size; at += TABLE_READ_BYTES) {
      await read(handle, bytes, { from: at, to: Math.min(size, at + TABLE_READ_BYTES) })
    }
    return bytes
  } finally {
    await handle.close()
  }
}

async function readRange(
  handle: FileHandle,
  bytes: Buffer,
  { from, to }: ByteRange
): Promise<void> {
  for (let at = from; at < to;) {
    const { bytesRead } = await handle.read(bytes, at, to - at, at)
    // Nobody shortens a table: whoever compares its size and its checksums says what that is.
    if (bytesRead === 0) return
    at += bytesRead
  }
}

/** Of any file system: what is read of a file at the least. */
const PAGE_BYTES = 4_096
