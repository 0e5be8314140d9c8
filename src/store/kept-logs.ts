/**
 * LevelDB's write-ahead logs, kept beside it until it has read them.
 *
 * When a log cannot be opened or read while LevelDB starts (an I/O error, too many open files), LevelDB
 * notes that in its LOG, goes on without what is in the log, and deletes it: everything since the last
 * table would be gone without an error. (It has an option against that, which ClassicLevel does not
 * offer, and which would also refuse the torn end that a power cut leaves.) So each log gets a second
 * name before LevelDB starts. Where its LOG does not say that it has read the log, the log is put back
 * under a number that LevelDB reads at the next opening.
 *
 * A kept log that is replayed a second time does no harm as long as nothing was written after it: so
 * they are released, and the directory synced, before anybody writes.
 */

import { link, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
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
    await link(file, `${file}${KEPT}`).catch(ignoreExisting)
    kept.push(number)
  }
  return kept
}

/** Whether LevelDB, which was just opened, says that it has read these logs. */
export async function wereLogsRead(location: string, kept: readonly number[]): Promise<boolean> {
  if (kept.length === 0) return true
  const told = await readFile(join(location, 'LOG'), 'utf8').catch(() => '')
  // A torn end is a "Corruption": that is what was under way when the power went.
  return (
    !told.includes('IO error') && kept.every((one) => told.includes(`Recovering log #${one}\n`))
  )
}

export async function releaseLogs(location: string, kept: readonly number[]): Promise<void> {
  for (const number of kept) await rm(join(location, `${fileName(number)}${KEPT}`))
}

/** Logs that were kept, and that LevelDB has deleted, become its newest ones. */
async function putBackLogs(location: string): Promise<void> {
  const names = await namesIn(location)
  let highest = Math.max(0, ...names.map((name) => numberOf(name, ANY_NUMBER) ?? 0))
  for (const name of names.filter((one) => one.endsWith(KEPT)).sort()) {
    if (names.includes(name.slice(0, -KEPT.length))) continue
    highest += 1
    await rename(join(location, name), join(location, fileName(highest)))
  }
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

function ignoreExisting(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
}

const KEPT = '.kept'
const LOG_NAME = /^(\d+)\.log$/
const ANY_NUMBER = /^(?:MANIFEST-)?(\d+)/
