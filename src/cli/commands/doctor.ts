/** `laterbase doctor`: what is wrong with a stopped node's data, in plain words, and its repair. */

import { resolve } from 'node:path'

import { Option, type Command } from 'commander'

import { examineDirectory } from '../../node/directory-doctor.ts'
import type { DirectoryFinding } from '../../node/directory-doctor.ts'
import { addDirOption, createCommand, type OpenSession } from '../command.ts'
import { CommandFailure } from '../failure.ts'
import { counted, type Terminal } from '../terminal.ts'
import { requireNode } from './verify.ts'

export function doctorCommand(openSession: OpenSession): Command {
  const command = createCommand({
    name: 'doctor',
    summary: "say what is wrong with a stopped node's data directory, and repair it",
    example: 'laterbase doctor\nlaterbase doctor --dir ./laterbase-data --repair'
  })
  return addDirOption(command)
    .addOption(new Option('--repair', 'do what it says').default(false))
    .addOption(new Option('--new-identity', 'with --repair: go on as a new node').default(false))
    .action(async () => {
      const { terminal, log } = openSession(command)
      const { repair, newIdentity, ...given } = command.opts<DoctorOptions>()
      const dir = resolve(given.dir)
      await requireNode(dir)
      const progress = (text: string): void => terminal.progress(`looking at ${text}`)
      const options = { dir, signatures: true, repair, newIdentity, log, progress }
      const findings = await examineDirectory(options)
      terminal.clearProgress()
      report(findings, { dir, repair, terminal })
    })
}

interface DoctorOptions {
  readonly dir: string
  readonly repair: boolean
  readonly newIdentity: boolean
}

/** @throws CommandFailure where something is left to be repaired */
function report(
  findings: readonly DirectoryFinding[],
  { dir, repair, terminal }: { dir: string; repair: boolean; terminal: Terminal }
): void {
  for (const finding of findings) {
    const { part, detail, remedy, repaired } = finding
    const colour = repaired ? 'green' : 'yellow'
    terminal.result(finding, `${terminal.style(colour, part)}: ${detail}`)
    terminal.line(`  ${repaired ? 'done' : 'repair'}: ${remedy}`)
  }
  const open = findings.filter(({ repaired }) => !repaired).length
  if (findings.length === 0) {
    terminal.result({ dir, findings: 0 }, `nothing is wrong with ${dir}`)
  } else if (open === 0) {
    terminal.line('repaired: start the node, and peers give what could not be read')
  } else {
    const hint = repair ? 'see what helps above' : 'run it again with --repair'
    throw new CommandFailure('damaged', `${counted(open, 'fault')} in ${dir}: ${hint}`)
  }
}
