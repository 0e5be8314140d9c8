/** `laterbase verify`: is everything stored as it was written? Of a stopped node, or a running one. */

import { resolve } from 'node:path'

import { Option, type Command } from 'commander'

import { hasNode } from '../../node/data-directory.ts'
import { examineDirectory } from '../../node/directory-doctor.ts'
import type { VerifyStatus } from '../../node/laterbase.ts'
import { addUrlOption, createCommand, type OpenSession, type Session } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { VERIFY_POLL_MS } from '../limits.ts'
import { databasePath, NodeClient } from '../node-client.ts'
import { count, counted, type Terminal } from '../terminal.ts'

export function verifyCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'verify',
    summary: 'go through all stored events, of a stopped node or of one that runs',
    example:
      'laterbase verify                           # the node that runs here\n' +
      'laterbase verify --dir ./laterbase-data    # a node that is stopped'
  })
  return addUrlOption(command)
    .addOption(new Option('--dir <dir>', 'data directory of a stopped node, in place of --url'))
    .addOption(new Option('--signatures', 'check every signature too').default(false))
    .action(async () => {
      const session = openSession(command)
      const { url, dir, signatures } = command.opts<VerifyOptions>()
      if (dir === undefined) await verifyRunning(session, url, signatures)
      else await verifyStopped(session, resolve(dir), signatures)
    })
}

interface VerifyOptions {
  readonly url: string
  readonly dir?: string
  readonly signatures: boolean
}

/** @throws CommandFailure where no node is in the directory */
export async function requireNode(dir: string): Promise<void> {
  if (await hasNode(dir)) return
  throw new CommandFailure('no-node', `there is no node in ${dir}: name its data directory`)
}

async function verifyStopped(session: Session, dir: string, signatures: boolean): Promise<void> {
  const { terminal, log } = session
  await requireNode(dir)
  const progress = (text: string): void => terminal.progress(`verifying ${text}`)
  const mode = { repair: false, newIdentity: false }
  const findings = await examineDirectory({ dir, signatures, ...mode, log, progress })
  terminal.clearProgress()
  for (const finding of findings) {
    const { part, detail } = finding
    terminal.result({ part, detail }, `${terminal.style('yellow', part)}: ${detail}`)
  }
  if (findings.length > 0) {
    const message = `${counted(findings.length, 'fault')} in ${dir}: laterbase doctor says what helps`
    throw new CommandFailure('damaged', message)
  }
  terminal.result({ dir, findings: 0 }, `everything in ${dir} is as it was written`)
}

async function verifyRunning(session: Session, url: string, signatures: boolean): Promise<void> {
  const { terminal, log } = session
  const node = new NodeClient(url, log)
  const { databases } = await node.json<{ databases: readonly string[] }>('/db')
  let open = 0
  for (const name of databases) {
    const path = databasePath(name, '/_verify')
    const before = await node.json<VerifyStatus>(path)
    await node.json(signatures ? `${path}?signatures=true` : path, { method: 'POST' })
    const after = await untilDone(node, path, { name, terminal })
    const found = after.found - before.found
    open += after.open
    const healed = after.healed - before.healed
    const { findings, done } = after
    const said = found === 0 ? 'as it was written' : `${found} damaged, ${healed} healed`
    const value = { db: name, commits: done, found, healed, open: after.open }
    terminal.result(value, `${name}: ${counted(done, 'commit')}, ${said}`)
    for (const finding of findings.slice(-found || findings.length)) terminal.line(`  ${finding}`)
  }
  if (open === 0) return
  const message = `${counted(open, 'damage')} wait for a peer that can give what is damaged`
  throw new CommandFailure('damaged', message)
}

async function untilDone(
  node: NodeClient,
  path: string,
  { name, terminal }: { readonly name: string; readonly terminal: Terminal }
): Promise<VerifyStatus> {
  for (;;) {
    const status = await node.json<VerifyStatus>(path)
    if (!status.running) {
      terminal.clearProgress()
      return status
    }
    terminal.progress(`verifying ${name}: ${count(status.done)} of ${count(status.total)} commits`)
    await new Promise((resolve) => {
      setTimeout(resolve, VERIFY_POLL_MS)
    })
  }
}
