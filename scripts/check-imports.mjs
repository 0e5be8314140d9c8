/**
 * Checks who imports whom against the table below, which is the one printed in src/README.md: the
 * layout shows the architecture only as long as a script says so. Also: no cycles between folders,
 * only file names in kebab-case, no file above 400 lines (vectors and the lock file apart).
 *
 * Left out: what a library may do (the linter's), and dead code (knip's).
 */

import { readFileSync, readdirSync, existsSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'

/** folder → folders that it may import, besides itself. Longest folder wins. */
const FOLDERS = {
  protocols: [],
  'src/core': ['protocols'],
  'src/store': ['protocols', 'src/core', 'src/errors.ts'],
  'src/p2p': ['protocols', 'src/core', 'src/errors.ts'],
  'src/schema': ['protocols', 'src/core', 'src/errors.ts'],
  'src/views': ['protocols', 'src/core', 'src/store', 'src/schema', 'src/errors.ts'],
  'src/node': [
    'protocols',
    'src/core',
    'src/store',
    'src/p2p',
    'src/schema',
    'src/views',
    'src/errors.ts'
  ],
  'src/http': ['protocols', 'src/node', 'src/schema', 'src/errors.ts'],
  'src/cli': [
    'src/node',
    'src/http',
    'src/errors.ts',
    'scripts/simulate',
    'scripts/simulate/deterministic'
  ],
  'src/index.ts': ['src/node', 'src/views', 'src/errors.ts'],
  'src/errors.ts': [],
  'scripts/simulate': ['src/index.ts', 'src/node'],
  'scripts/simulate/deterministic': [
    'protocols',
    'src/core',
    'src/store',
    'src/p2p',
    'src/views',
    'src/schema',
    'src/node',
    'src/errors.ts',
    'scripts/simulate'
  ]
}

/** In these folders only these files of another folder may be imported: the rest is its inside. */
const FACES = {
  'src/http': {
    'src/node': [
      'src/node/laterbase.ts',
      'src/node/options.ts',
      'src/node/schemas.ts',
      'src/node/views.ts'
    ],
    'src/schema': ['src/schema/exact-numbers.ts']
  }
}

/** package → folders that may import it; a package that is not here may be imported nowhere. */
const PACKAGES = [
  {
    name: /^libp2p$|^@libp2p\/|^@chainsafe\/|^@multiformats\/|^it-|^uint8arraylist$|^core-js\//,
    in: ['src/p2p']
  },
  { name: /^classic-level$/, in: ['src/store'] },
  { name: /^ulid$/, in: ['src/core'] },
  { name: /^ajv$|^ajv\/dist\/2020\.js$/, in: ['src/schema'] },
  { name: /^fastify$/, in: ['src/http'] },
  { name: /^commander$|^pino$|^pino-pretty$/, in: ['src/cli'] }
]

/** Node's own modules, by folder; everything where nothing is said. */
const NODE_MODULES = { protocols: [], 'src/core': [] }

const root = process.cwd()
const faults = []
const graph = new Map()

for (const file of [...sources('protocols'), ...sources('src'), ...sources('scripts/simulate')]) {
  checkFile(file)
}
checkCycles()
if (faults.length > 0) {
  console.error(faults.join('\n'))
  console.error(`${faults.length} faults against the layout: src/README.md has the table`)
  process.exit(1)
}

function* sources(folder) {
  if (!existsSync(join(root, folder))) return
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true, recursive: true })) {
    if (entry.isFile() && /\.[jt]s$/.test(entry.name)) {
      yield normalize(join(entry.parentPath ?? entry.path, entry.name))
        .slice(root.length + 1)
        .split(sep)
        .join('/')
    }
  }
}

function checkFile(file) {
  const name = file.split('/').at(-1)
  if (!/^[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.[jt]s$/.test(name)) faults.push(`${file}: not kebab-case`)
  const text = readFileSync(join(root, file), 'utf8')
  if (!text.startsWith('/**') && !text.startsWith('#!')) {
    faults.push(`${file}: does not open with what it is`)
  }
  const from = folderOf(file)
  for (const specifier of imports(text)) {
    if (specifier.startsWith('.')) checkLocal(file, from, specifier)
    else checkPackage(file, from, specifier)
  }
}

/** Import and export declarations, dynamic imports; none of them stands in a comment here. */
function imports(text) {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3])
}

function checkLocal(file, from, specifier) {
  if (!specifier.endsWith('.ts')) faults.push(`${file}: ${specifier} must end in .ts`)
  const target = join(dirname(file), specifier).split(sep).join('/')
  const to = folderOf(target)
  if (to === from) return
  if (!graph.has(from)) graph.set(from, new Set())
  graph.get(from).add(to)
  if (!(FOLDERS[from] ?? []).includes(to)) faults.push(`${file}: ${from} may not import ${target}`)
  const faces = FACES[from]?.[to]
  if (faces !== undefined && !faces.includes(target)) {
    faults.push(`${file}: of ${to} only ${faces.join(', ')}, not ${target}`)
  }
}

function checkPackage(file, from, specifier) {
  if (specifier.startsWith('node:')) {
    const allowed = NODE_MODULES[from]
    if (allowed !== undefined && !allowed.includes(specifier)) {
      faults.push(`${file}: ${from} may not import ${specifier}`)
    }
    return
  }
  const rule = PACKAGES.find((candidate) => candidate.name.test(specifier))
  if (rule === undefined || !rule.in.includes(from)) {
    faults.push(`${file}: ${from} may not import ${specifier}`)
  }
}

function folderOf(file) {
  const folders = Object.keys(FOLDERS).filter(
    (name) => file === name || file.startsWith(`${name}/`)
  )
  return folders.sort((a, b) => b.length - a.length)[0] ?? dirname(file)
}

function checkCycles() {
  const state = new Map()
  const visit = (folder, path) => {
    if (state.get(folder) === 'done') return
    if (state.get(folder) === 'open') {
      faults.push(`cycle between folders: ${[...path, folder].join(' → ')}`)
      return
    }
    state.set(folder, 'open')
    for (const next of graph.get(folder) ?? []) visit(next, [...path, folder])
    state.set(folder, 'done')
  }
  for (const folder of graph.keys()) visit(folder, [])
}
