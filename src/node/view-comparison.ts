/**
 * Compares what views contain with peers that hold the same set (delta spec, section 8): where two nodes have the
 * same functions and other contents, one of them has computed what does not follow from the events, and a person
 * has to look. Left out: who of the two is right, which nobody can tell.
 */

import { VIEW_DOMAIN } from '../../protocols/delta/codec.ts'
import type {
  DatabaseDigest,
  DeltaAnswer,
  DeltaRequest,
  WireView
} from '../../protocols/delta/codec.ts'
import { VIEWS_MAX } from '../../protocols/limits.ts'
import { equalBytes, toHex } from '../core/bytes.ts'
import type { Hasher } from '../core/clock.ts'
import { peerIdOf } from '../p2p/transport.ts'
import type { NodeDatabase } from './database.ts'
import { VIEWS_UNEQUAL_MAX } from './limits.ts'
import type { Log } from './options.ts'

export interface ViewComparisonInit {
  readonly database: (name: string) => NodeDatabase | undefined
  /** Undefined for a peer that gives no answer. */
  readonly ask: (peer: string, request: DeltaRequest) => Promise<DeltaAnswer | undefined>
  readonly hasher: Hasher
  readonly log: Log
}

/** What one peer is asked; gone with its connection. */
interface AskedPeer {
  /** Databases that it is to be asked of. */
  readonly due: Set<string>
  /** By database, in a word, what we had when it was asked last and had all of it, too. */
  readonly asked: Map<string, string>
  isBeingAsked: boolean
  /** It does not know the question. */
  isOlder: boolean
}

interface OwnView extends WireView {
  readonly name: string
}

/** What we have of a database at one moment. */
interface OwnViews {
  readonly digest: Uint8Array
  readonly views: readonly OwnView[]
  /** Equal for equal sets with equal views of them. */
  readonly word: string
}

interface Difference {
  readonly database: string
  readonly view: string
  readonly definition: Uint8Array
  readonly peer: string
}

export class ViewComparison {
  readonly #init: ViewComparisonInit
  readonly #peers = new Map<string, AskedPeer>()
  /** By database, view and peer. */
  readonly #differences = new Map<string, Difference>()

  constructor(init: ViewComparisonInit) {
    this.#init = init
  }

  /** The peer holds the same sets as we do of these databases, or did a moment ago. */
  async compare(peer: string, databases: readonly string[]): Promise<void> {
    const asked = this.#peers.get(peer) ?? newPeer()
    if (asked.isOlder || databases.length === 0) return
    this.#peers.set(peer, asked)
    for (const database of databases) asked.due.add(database)
    if (asked.isBeingAsked) return
    asked.isBeingAsked = true
    try {
      // One question at a time: there is room for few requests, and others need it more.
      for (const database of asked.due) {
        asked.due.delete(database)
        const isWanted = this.#peers.get(peer) === asked && !asked.isOlder
        if (isWanted) await this.#compareOne(peer, asked, database)
      }
    } finally {
      asked.isBeingAsked = false
    }
  }

  /** The peer has gone. */
  forget(peer: string): void {
    this.#peers.delete(peer)
  }

  /** Of exactly this set; none where another one is held. */
  viewsOf({ database, digest }: DatabaseDigest): readonly WireView[] {
    const held = this.#ownViews(database)
    return held !== undefined && equalBytes(held.digest, digest) ? held.views : []
  }

  /** Peer ids of those that have other contents of a view. */
  differing(database: string, view: string): readonly string[] {
    if (this.#differences.size === 0) return []
    const those = this.#standing().filter(
      (each) => each.database === database && each.view === view
    )
    return those.map(({ peer }) => peer)
  }

  /** In words for a person. */
  warnings(): readonly string[] {
    const byView = new Map<string, string[]>()
    for (const { database, view, peer } of this.#standing()) {
      const name = `${database}: view ${view}`
      byView.set(name, [...(byView.get(name) ?? []), peer])
    }
    return [...byView].map(
      ([name, peers]) =>
        `${name} differs from that of ${peers.join(', ')}, for the same events and by the same functions. ` +
        'The functions use what is not in an event (a clock, chance, a variable, other libraries), or what is ' +
        'stored of one of the two is damaged: mend them under another version, or remove the view and define it again'
    )
  }

  async #compareOne(peer: string, asked: AskedPeer, database: string): Promise<void> {
    const own = this.#ownViews(database)
    if (own === undefined || own.views.length === 0) return
    if (asked.asked.get(database) === own.word) return
    const theirs = await this.#ask(peer, asked, { database, digest: own.digest })
    if (theirs === undefined) return
    // What the peer does not have, or has not built, it may have when it is asked again.
    const isWhole = own.views.every((view) => sameDefinition(view, theirs).length > 0)
    if (isWhole) asked.asked.set(database, own.word)
    const differing = own.views.filter((view) => isUnequal(view, theirs))
    for (const view of own.views) {
      if (isEqual(view, theirs)) this.#differences.delete(nameOf(database, view.name, peer))
    }
    if (differing.length === 0) return
    // What was being written when it was looked at is told otherwise a moment later.
    const again = await this.#ask(peer, asked, { database, digest: own.digest })
    if (again === undefined || this.#ownViews(database)?.word !== own.word) return
    for (const { name, definition } of differing.filter((view) => isUnequal(view, again))) {
      this.#note({ database, view: name, definition, peer: peerIdOf(peer) })
    }
  }

  async #ask(
    peer: string,
    asked: AskedPeer,
    set: DatabaseDigest
  ): Promise<readonly WireView[] | undefined> {
    const answer = await this.#init.ask(peer, { type: 'views', ...set })
    if (answer?.type === 'refused' && answer.reason === 'request-invalid') asked.isOlder = true
    return answer?.type === 'views' ? answer.views : undefined
  }

  #ownViews(name: string): OwnViews | undefined {
    const { database: find, hasher } = this.#init
    const database = find(name)
    if (database === undefined) return undefined
    const digest = database.digestBytes()
    const contents = database.views.contents().slice(0, VIEWS_MAX)
    const views = contents.map((view) => ({
      name: view.name,
      definition: definitionOf(view.hash, hasher),
      contents: Buffer.from(view.digest, 'hex')
    }))
    const all = views.flatMap(({ definition, contents }) => [definition, contents])
    return { digest, views, word: toHex(hasher.sha256(Buffer.concat([digest, ...all]))) }
  }

  #note(difference: Difference): void {
    const { database, view, peer } = difference
    const key = nameOf(database, view, peer)
    if (this.#differences.has(key) || this.#differences.size >= VIEWS_UNEQUAL_MAX) return
    this.#differences.set(key, difference)
    this.#init.log('warn', 'a view differs from that of a peer that holds the same events', {
      database,
      view,
      peer
    })
  }

  #standing(): readonly Difference[] {
    for (const [key, difference] of this.#differences) {
      if (!this.#isStanding(difference)) this.#differences.delete(key)
    }
    return [...this.#differences.values()]
  }

  /** The view has the functions that it was compared with. */
  #isStanding({ database, view, definition }: Difference): boolean {
    const hash = this.#init.database(database)?.views.hashOf(view)
    return hash !== undefined && equalBytes(definitionOf(hash, this.#init.hasher), definition)
  }
}

/**
 * What names a definition among nodes.
 *
 * @param hash of its functions, 64 hex digits
 */
export function definitionOf(hash: string, hasher: Hasher): Uint8Array {
  return hasher.sha256(Buffer.concat([Buffer.from(VIEW_DOMAIN), Buffer.from(hash, 'hex')]))
}

function newPeer(): AskedPeer {
  return { due: new Set(), asked: new Map(), isBeingAsked: false, isOlder: false }
}

function isUnequal(own: WireView, theirs: readonly WireView[]): boolean {
  return sameDefinition(own, theirs).some(({ contents }) => !equalBytes(contents, own.contents))
}

function isEqual(own: WireView, theirs: readonly WireView[]): boolean {
  return sameDefinition(own, theirs).length > 0 && !isUnequal(own, theirs)
}

function sameDefinition(own: WireView, theirs: readonly WireView[]): readonly WireView[] {
  return theirs.filter(({ definition }) => equalBytes(definition, own.definition))
}

function nameOf(database: string, view: string, peer: string): string {
  return `${database} ${view} ${peerIdOf(peer)}`
}
