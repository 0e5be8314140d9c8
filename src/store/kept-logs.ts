/**
 * LevelDB's write-ahead logs, kept beside it until it has read them.
 *
 * When a log cannot be opened or read while LevelDB starts (an I/O error, too many open files), LevelDB
 * notes that in its LOG, goes on without what is in the log, and deletes it: everything since the last
 * table would be gone without an error. (It has an option against that, which ClassicLevel does not
 * offer, and which would also refuse the torn end that a power cut leaves.) So each log gets a second
 * name before LevelDB starts. Where its LOG speaks of an I/O error, the logs are put back under numbers
 * that LevelDB reads at the next opening.
 *
 * A log must not come back over what is newer. So kept logs are released, and the directory synced,
 * before anybody writes; those that are put back keep their order; and a log that LevelDB had no use
 * for any more, because all of it is in tables, is not put back.
 */

import { copyFile, link, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Gives the logs of a store a second name. Only for who has the store to itself: a log that is kept
 * while another process writes would come back as a newer one than it is.
 *
 * @returns their numbers, as LevelDB prints them
 */
export async function keepLogs(location: string): Promise<readonly number[]> {
  await putBackLogs(location)
  const kept: number[] = []
  for (const name of await namesIn(location)) {
    const number = numberOf(name, LOG_NAME)
    if (number === undefined) continue
    const file = join(location, name)
    if ((await stat(file)).size === 0) continue
    await keep(file)
    kept.push(number)
  }
  return kept
}

/** Whether LevelDB, which was just opened, has read all that it wanted to read of these logs. */
export async function wereLogsRead(location: string, kept: readonly number[]): Promise<boolean> {
  if (kept.length === 0) return true
  const told = await readReport(location)
  // A torn end is a "Corruption": that is what was under way when the power went.
  return told !== '' && !told.includes('IO error')
}

export async function releaseLogs(location: string, kept: readonly number[]): Promise<void> {
  for (const number of kept) await rm(join(location, `${fileName(number)}${KEPT}`))
}

/** Logs that were kept, and that LevelDB has deleted, become its newest ones. */
async function putBackLogs(location: string): Promise<void> {
  const names = await namesIn(location)
  let highest = Math.max(0, ...names.map((name) => numberOf(name, ANY_NUMBER) ?? 0))
  const kept = names.flatMap((name) => numberOf(name, KEPT_NAME) ?? []).sort((a, b) => a - b)
  for (const number of kept) {
    if (names.includes(fileName(number))) continue
    const file = join(location, `${fileName(number)}${KEPT}`)
    if (isObsolete(number, await readReport(location))) {
      await rm(file)
    } else {
      highest += 1
      await rename(file, join(location, fileName(highest)))
    }
  }
}

/** Whether the opening that deleted a log passed it over on purpose, by its own report. */
function isObsolete(number: number, told: string): boolean {
  const isDeleted = told.includes(`Delete type=0 #${number}\n`)
  // Errors name the file.
  return (
    isDeleted && !told.includes(`Recovering log #${number}\n`) && !told.includes(fileName(number))
  )
}

/** What LevelDB says of its last opening; empty when that cannot be known. */
function readReport(location: string): Promise<string> {
  return readFile(join(location, 'LOG'), 'utf8').catch(() => '')
}

async function namesIn(location: string): Promise<readonly string[]> {
  try {
    return await readdir(location)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

function numberOf(name: string, pattern: RegExp): number | undefined {
  const digits = pattern.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

function fileName(number: number): string {
  return `${String(number).padStart(6, '0')}.log`
}

async function keep(file: string): Promise<void> {
  try {
    await link(file, `${file}${KEPT}`)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return
    // A file system without hard links: logs are small.
    await copyFile(file, `${file}${KEPT}.new`)
    await rename(`${file}${KEPT}.new`, `${file}${KEPT}`)
  }
}

const KEPT = '.kept'
const LOG_NAME = /^(\d+)\.log$/
const KEPT_NAME = /^(\d+)\.log\.kept$/
const ANY_NUMBER = /^(?:MANIFEST-)?(\d+)/
