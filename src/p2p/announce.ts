/**
 * Announcements: one gossipsub topic per database. A message is forwarded only after the node has
 * judged it, so that whoever hears of a commit from us can also fetch it from us.
 *
 * gossipsub judges messages concurrently and without bound, and remembers a message as seen before
 * it is judged. So the number that waits is bounded here; what is over it, or takes too long, is
 * ignored: a hint is lost, and anti-entropy makes up for it.
 */

import { TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { Clock, Millis } from '../core/clock.ts'
import { NAME_BYTES_MAX } from '../../protocols/limits.ts'
import {
  ANNOUNCEMENT_BYTES_MAX,
  REJECTED_HALF_LIFE_MS,
  REJECTED_PEERS_MAX,
  REJECTED_SCORE,
  VERDICTS_MAX,
  VERDICTS_PER_PEER_MAX,
  VERDICT_MS_MAX
} from './limits.ts'
import type { Log } from './log.ts'
import { reasonOf } from './log.ts'
import type { AnnouncementVerdict } from './transport.ts'

const TOPIC_PREFIX = '/laterbase/announce/1.0.0/'

const VALIDATOR_RESULTS: Readonly<Record<AnnouncementVerdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject
}

export interface AnnouncerInit {
  readonly clock: Clock
  readonly log: Log
  /** The names of a connected peer: gossipsub knows identities, of which two boxes may have one. */
  readonly names: (peer: string) => readonly string[]
  readonly announced: (
    name: string,
    database: string,
    message: Uint8Array
  ) => Promise<AnnouncementVerdict>
  readonly subscribed: (name: string, database: string) => void
}

interface DataTransform {
  inboundTransform(topic: string, data: Uint8Array): Uint8Array
  outboundTransform(topic: string, data: Uint8Array): Uint8Array
}

export class Announcer {
  readonly #init: AnnouncerInit
  readonly #databases = new Set<string>()
  readonly #waiting = new Map<string, number>()
  #waitingAll = 0
  readonly #rejected = new Map<string, { weight: number; atMs: Millis }>()
  #gossip: GossipSub | undefined

  constructor(init: AnnouncerInit) {
    this.#init = init
  }

  /** Follows all that was subscribed so far. To be called once gossipsub has started. */
  attach(gossip: GossipSub, signal: AbortSignal): void {
    this.#gossip = gossip
    gossip.addEventListener(
      'subscription-change',
      ({ detail }) => {
        for (const { topic, subscribe } of detail.subscriptions) {
          const database = databaseOf(topic)
          if (subscribe && database !== undefined && this.#databases.has(database)) {
            this.#subscribed(detail.peerId.toString(), database)
          }
        }
      },
      { signal }
    )
    for (const database of this.#databases) this.#follow(gossip, database)
  }

  subscribe(database: string): void {
    if (this.#databases.has(database)) return
    this.#databases.add(database)
    if (this.#gossip === undefined) return
    this.#follow(this.#gossip, database)
    // Who already follows it will not say so again.
    for (const peer of this.#gossip.getSubscribers(topicOf(database))) {
      this.#subscribed(peer.toString(), database)
    }
  }

  unsubscribe(database: string): void {
    if (!this.#databases.delete(database)) return
    this.#gossip?.unsubscribe(topicOf(database))
    this.#gossip?.topicValidators.delete(topicOf(database))
  }

  async announce(database: string, message: Uint8Array): Promise<void> {
    if (message.length > ANNOUNCEMENT_BYTES_MAX) {
      this.#init.log('warn', 'announcement too large', { database, bytes: message.length })
      return
    }
    try {
      await this.#gossip?.publish(topicOf(database), message)
    } catch (error) {
      this.#init.log('debug', 'announcement not sent', { database, reason: reasonOf(error) })
    }
  }

  /**
   * Throws for what must not get further: gossipsub counts that as invalid, before it remembers
   * the message. Its `allowedTopics` cannot do this, since databases come and go.
   */
  transform(): DataTransform {
    return {
      inboundTransform: (topic, data) => {
        const database = databaseOf(topic)
        if (database === undefined || !this.#databases.has(database)) {
          throw new Error('a topic that is not followed')
        }
        if (data.length > ANNOUNCEMENT_BYTES_MAX) throw new Error('too large an announcement')
        return data
      },
      outboundTransform: (_topic, data) => data
    }
  }

  /** What is taken off the score of a peer for the announcements of it that were rejected. */
  score(peer: string): number {
    const rejected = this.#rejected.get(peer)
    if (rejected === undefined) return 0
    const weight = this.#weightNow(rejected)
    if (weight < 0.1) this.#rejected.delete(peer)
    return -REJECTED_SCORE * weight
  }

  #follow(gossip: GossipSub, database: string): void {
    gossip.topicValidators.set(topicOf(database), async (source, message) => {
      const peer = source.toString()
      const verdict = await this.#judge(peer, database, message.data)
      if (verdict === 'reject') this.#reject(peer)
      return VALIDATOR_RESULTS[verdict]
    })
    gossip.subscribe(topicOf(database))
  }

  async #judge(peer: string, database: string, message: Uint8Array): Promise<AnnouncementVerdict> {
    const waiting = this.#waiting.get(peer) ?? 0
    if (waiting >= VERDICTS_PER_PEER_MAX || this.#waitingAll >= VERDICTS_MAX) return 'ignore'
    this.#waiting.set(peer, waiting + 1)
    this.#waitingAll += 1
    // The place is kept until the node is done, not until we stop waiting: it is its work we bound.
    const verdict = this.#judgeByAll(peer, database, message)
      .catch((error: unknown) => {
        this.#init.log('debug', 'announcement not judged', { peer, reason: reasonOf(error) })
        return 'ignore' as const
      })
      .finally(() => {
        this.#waitingAll -= 1
        const left = (this.#waiting.get(peer) ?? 1) - 1
        if (left === 0) this.#waiting.delete(peer)
        else this.#waiting.set(peer, left)
      })
    return await this.#inTime(verdict)
  }

  /** Any box of that identity may hold the commit. */
  async #judgeByAll(
    peer: string,
    database: string,
    message: Uint8Array
  ): Promise<AnnouncementVerdict> {
    const names = this.#init.names(peer)
    const asked = names.length === 0 ? [peer] : names
    const verdicts = await Promise.all(
      asked.map((name) => this.#init.announced(name, database, message))
    )
    return verdicts.includes('accept') ? 'accept' : (verdicts[0] ?? 'ignore')
  }

  #subscribed(peer: string, database: string): void {
    for (const name of this.#init.names(peer)) this.#init.subscribed(name, database)
  }

  #inTime(verdict: Promise<AnnouncementVerdict>): Promise<AnnouncementVerdict> {
    return new Promise((resolve) => {
      const timer = this.#init.clock.setTimer(VERDICT_MS_MAX, () => resolve('ignore'))
      void verdict.then((judged) => {
        timer.cancel()
        resolve(judged)
      })
    })
  }

  #reject(peer: string): void {
    const known = this.#rejected.get(peer)
    const weight = known === undefined ? 1 : this.#weightNow(known) + 1
    this.#rejected.delete(peer)
    const oldest = this.#rejected.keys().next()
    if (this.#rejected.size >= REJECTED_PEERS_MAX && !oldest.done) {
      this.#rejected.delete(oldest.value)
    }
    this.#rejected.set(peer, { weight, atMs: this.#init.clock.monotonicMs() })
  }

  #weightNow({ weight, atMs }: { weight: number; atMs: Millis }): number {
    return weight * 0.5 ** ((this.#init.clock.monotonicMs() - atMs) / REJECTED_HALF_LIFE_MS)
  }
}

function topicOf(database: string): string {
  return TOPIC_PREFIX + database
}

function databaseOf(topic: string): string | undefined {
  if (!topic.startsWith(TOPIC_PREFIX)) return undefined
  const database = topic.slice(TOPIC_PREFIX.length)
  return database.length > 0 && database.length <= NAME_BYTES_MAX ? database : undefined
}
