/**
 * Limits of the libp2p transport, each with its unit and reason. Those of the wire are in
 * `protocols/limits.ts`. Figures were chosen for tens of nodes on a LAN, many of them possibly
 * behind one address.
 */

import { assert } from '../core/assert.ts'
import {
  ANNOUNCED_KEYS_MAX,
  DATABASES_MAX,
  FRAME_BYTES_MAX,
  NAME_BYTES_MAX,
  REQUEST_BYTES_MAX
} from '../../protocols/limits.ts'

// Connections. libp2p's default of 300 connections with 1,000 streams of 4 MiB each is no limit.

/** Connections at once, both directions. A further peer is refused before the handshake. */
export const CONNECTIONS_MAX = 64
/** Beyond this many connections we dial nobody but static peers, so that there is room to be dialed. */
export const CONNECTIONS_DIALED_MAX = 48
/** New connections per second from one address; the default of 5 refuses a site behind one NAT. */
export const INBOUND_PER_SECOND_MAX = 64
/** Connections that are still in their handshake; the default of 10 refuses a site that powers up. */
export const INBOUND_PENDING_MAX = 128
/** Connections to one peer that are tried for a delta stream before the peer is given up. */
export const CONNECTIONS_TRIED_MAX = 3
/** How long a handshake may take, ms: 30 nodes that share one slow box need some seconds. */
export const HANDSHAKE_MS_MAX = 10_000
/** How long identification may take, ms; gossip with a peer begins only after it. */
export const IDENTIFY_MS_MAX = 10_000
/** Processes of one identity that are each heard: a copied disk, or two, not a flood of one member. */
export const INSTANCES_PER_PEER_MAX = 4
/** Boxes that are named as having this box's own identity, and for how long after they were heard, ms. */
export const TWINS_MAX = 8
export const TWIN_SHOWN_MS = 120_000
/** How long a connection may take to close in good order, ms; then it is aborted. */
export const CLOSE_MS_MAX = 1_000

// Streams.

/** Streams of one connection that the other side opened: identify, gossip, delta, and some slack. */
export const INBOUND_STREAMS_MAX = 24
/** Streams of one connection that we opened. */
export const OUTBOUND_STREAMS_MAX = 24
/** Delta streams of one connection that the other side opened. It needs one; a reset may linger. */
export const DELTA_INBOUND_STREAMS_MAX = 8
/** Gossip streams of one connection in each direction. It needs one; a replaced one may linger. */
export const GOSSIP_STREAMS_MAX = 4
/**
 * Receive window of one stream, bytes: 4 MiB carries 77 MB/s at a round trip of 20 ms. A frame beyond it
 * ends the connection.
 */
export const STREAM_WINDOW_BYTES_MAX = 4_194_304
/** Bytes that come on a stream before its window is opened again: a sixteenth of what it is at first. */
export const WINDOW_UPDATE_BYTES = 16_384
/** Pieces in which one frame of yamux may come: noise cuts a full window into 65. Each costs an object. */
export const FRAME_PIECES_MAX = 1_024
/**
 * Unsent bytes of one connection, after which it is closed. Streams wait long before: this is for answers of
 * yamux itself, to pings and to streams beyond their number, that the other side does not read.
 */
export const CONNECTION_UNSENT_BYTES_MAX = 8_388_608
/** Unread bytes of one stream that nobody listens to yet; more resets it. */
export const STREAM_READ_BYTES_MAX = 5_242_880
/** Unsent bytes of one stream; more resets it. yamux has no limit of its own. */
export const STREAM_WRITE_BYTES_MAX = 1_048_576
/** Bytes handed to a stream at a time: the size at which noise and yamux cost least per byte. */
export const SEND_BYTES = 262_144
/** How long a peer may leave a sender without any progress, ms. It holds an answer in memory. */
export const SEND_STALL_MS_MAX = 30_000
/** How long the opening of a stream may take, ms. */
export const STREAM_OPEN_MS_MAX = 10_000

// Requests.

/** Requests to one peer that wait or are under way; a further one is refused at once. */
export const REQUESTS_QUEUED_MAX = 256
/**
 * Requests sent to one peer and not yet answered, with those given up meanwhile. Two hide the round
 * trip; more fill its buffers.
 */
export const REQUESTS_IN_FLIGHT_MAX = 4
/** Bytes of requests that wait on one stream while one is being answered; more resets the stream. */
export const REQUESTS_UNREAD_BYTES_MAX = REQUESTS_IN_FLIGHT_MAX * (REQUEST_BYTES_MAX + 4)
/**
 * Pieces in which these may come; more resets the stream. Requests in flight of full size are some hundred, and
 * each piece costs its own decryption, so ninety thousand tiny requests are not taken for their few bytes.
 */
export const REQUESTS_UNREAD_PIECES_MAX = 4_096
/** Bytes of answers that wait on one stream while a frame is taken off; one frame and one window. */
export const ANSWERS_UNREAD_BYTES_MAX = FRAME_BYTES_MAX + STREAM_WINDOW_BYTES_MAX
/**
 * Bytes of all frames that come in, from all peers, until each is whole or has its turn. Beyond it the
 * stream is reset that has been longest without a whole one; what was asked on it is asked again.
 */
export const INCOMING_BYTES_MAX = 134_217_728
/** Requests of one peer that are answered at once, over all its streams: each may hold a frame. */
export const ANSWERS_AT_ONCE_MAX = 2
/**
 * Bytes of all answers that are being sent, to all peers. Beyond it the one longest under way is given
 * up, whose peer asks again: many that read slowly, or not at all, must not fill memory between them.
 */
export const ANSWERS_BYTES_MAX = 134_217_728
/** Streams in a row that must stay silent, or unopened, to drop the connection. */
export const DEADLINES_MISSED_MAX = 2
/**
 * How long nothing may come on a stream, ms, before a request that was given up has it reset: longer
 * than a slow link pauses within an answer, and shorter than the deadlines of those who ask.
 */
export const STREAM_SILENT_MS_MAX = 3_000
/** What the slowest link carries, bytes/s: how long an answer of ours may hold up our requests. */
export const LINK_BYTES_PER_SECOND_MIN = 65_536
/** Round trips of which the shortest is shown: long enough to meet one that had an idle peer. */
export const ROUND_TRIPS_KEPT = 8

// Announcements.

/** Bytes of one announcement: its keys and some 100 bytes around them. */
export const ANNOUNCEMENT_BYTES_MAX = 65_536
/** Bytes of one gossip message with several announcements or subscriptions. */
export const GOSSIP_BYTES_MAX = 131_072
/** Unsent gossip for one peer, bytes; more resets the stream, which is opened again. */
export const GOSSIP_UNSENT_BYTES_MAX = 1_048_576
/** How long an announcement may wait for its verdict, ms; then it is not forwarded by us. */
export const VERDICT_MS_MAX = 3_000
/** Announcements that wait for their verdict: of one peer, and of all. Further ones are ignored. */
export const VERDICTS_PER_PEER_MAX = 64
export const VERDICTS_MAX = 512
/** Bytes that gossipsub counts for one subscribed topic of a peer beside its name. */
const TOPIC_BYTES_OVERHEAD = 1_024
/** Bytes of topics of one peer: all the databases that a network may have. */
export const TOPICS_BYTES_MAX = DATABASES_MAX * (TOPIC_BYTES_OVERHEAD + NAME_BYTES_MAX + 64)
/**
 * How long gossipsub remembers that it has seen a message, ms; its default of 120 s lets a flood fill memory. It
 * offers messages to others for 3 s, sends them for 5 s, and a verdict takes 3 s at the most, so that a
 * message goes round for longer only if each of many hops is as slow as that. One that does come
 * again is known by the commit that it names, and is not passed on.
 */
export const GOSSIP_SEEN_MS = 30_000
/** How often it is checked that each peer still has its gossip stream, ms. */
export const GOSSIP_CHECK_MS = 5_000
/** What one rejected announcement takes off a peer's score; at -80 gossipsub ignores the peer. */
export const REJECTED_SCORE = 20
/** A peer's rejected announcements are half forgotten after this, ms. */
export const REJECTED_HALF_LIFE_MS = 60_000
/** How long gossipsub's penalties of a peer that left are kept, ms: not to be shed by a reconnect. */
export const SCORE_KEPT_MS = 60_000
/** Peers whose rejected announcements are remembered. */
export const REJECTED_PEERS_MAX = 256

// Finding and keeping peers.

/** Members that are remembered and redialed; the ones not met for longest go first. */
export const MEMBERS_MAX = 256
/** Peers heard of by mDNS and never met. mDNS proves nothing: a flood must not fill memory. */
export const FOUND_MAX = 256
/** How often libp2p's records of peers that are not connected are deleted, ms. */
export const PEERS_SWEPT_MS = 30_000
/** Addresses kept of one peer, the latest first. */
export const ADDRESSES_PER_PEER_MAX = 8
/** Addresses in the saved address book. */
export const BOOK_ADDRESSES_MAX = 1_024
/** Characters of one multiaddr that is kept. */
export const ADDRESS_CHARACTERS_MAX = 256
/** Wait before a changed address book is saved, ms: connections come in bursts. */
export const BOOK_SAVE_MS = 1_000
/** Dials at once. */
export const DIALS_AT_ONCE_MAX = 16
/** Dials at once when all but members count: claims of strangers must not delay members. */
export const DIALS_OF_FOUND_MAX = 8
/** How long a dial may take over all addresses of a peer, and over one of them, ms. */
export const DIAL_MS_MAX = 15_000
export const DIAL_ADDRESS_MS_MAX = 6_000
/** Dials of a peer that refuses, and the wait after the first of them, ms: each later one waits longer. */
export const REFUSED_TRIES_MAX = 4
export const REFUSED_RETRY_MS = 400
/** First and last wait before a peer is dialed again, ms; there is no last try. */
export const REDIAL_MS = 500
export const REDIAL_MS_MAX = 20_000
/** How long the peer with the larger id leaves the dialing to the other, ms. */
export const DIAL_GRACE_MS = 3_000
/** A peer that mDNS hears again is dialed at most this often, ms. */
export const FOUND_REDIAL_MS = 3_000
/** Two connections that were opened within this of each other are a race of two dials, ms. */
export const DIAL_RACE_MS = 10_000
/** A dial of ours that is younger than this makes us refuse the peer's own, ms. */
export const DIAL_YOUNG_MS = 1_000
/** How long a superfluous connection lingers after its handshake, ms, so that the handshake ends. */
export const LINGER_MS = 200
/** How long a superfluous connection stays open for what is under way on it, ms. */
export const DUPLICATE_MS = 2_000
/** Peers cut off at once; beyond it the one whose time is over first is let in again. */
export const CUT_OFFS_MAX = 1_024

// mDNS. Every query is answered by every node to every node: n² packets.

/** Mean wait between two queries while all is quiet, ms. */
export const MDNS_QUIET_MS = 20_000
/** Mean wait before the first further query after the start or a loss, ms; it doubles each time. */
export const MDNS_EAGER_MS = 2_000
/** Mean wait between two queries at the most while nobody is connected, ms. */
export const MDNS_ALONE_MS = 4_000
/** Queries are at least this far apart, ms: many peers may be lost at once. */
export const MDNS_ASK_MS_MIN = 1_000
/** How long multicast may be silent before that is worth a warning, ms; we hear our own queries. */
export const MDNS_SILENT_MS = 10_000

/** Handshakes that a host must break off, with none that succeeds, to be taken for a stranger. */
export const REFUSED_MIN = 5
/** How long a refused handshake is shown in the warnings, ms. */
export const REFUSED_SHOWN_MS = 600_000
/** Addresses of refused handshakes that are remembered. */
export const REFUSED_ADDRESSES_MAX = 32

assert(STREAM_READ_BYTES_MAX > REQUESTS_UNREAD_BYTES_MAX, 'a stream holds the requests in flight')
assert(FRAME_BYTES_MAX < ANSWERS_BYTES_MAX, 'several answers can be sent at once')
assert(
  STREAM_WRITE_BYTES_MAX < CONNECTION_UNSENT_BYTES_MAX,
  'streams wait before a connection ends'
)
assert(ANSWERS_UNREAD_BYTES_MAX * 2 < INCOMING_BYTES_MAX, 'several answers can come in at once')
assert(SEND_BYTES < STREAM_WRITE_BYTES_MAX, 'a slice fits the write buffer')
assert(ANNOUNCED_KEYS_MAX * 16 + 256 < ANNOUNCEMENT_BYTES_MAX, 'the keys fit an announcement')
assert(ANNOUNCEMENT_BYTES_MAX + 256 < GOSSIP_BYTES_MAX, 'an announcement fits a gossip message')
assert(DATABASES_MAX * (NAME_BYTES_MAX + 40) < GOSSIP_BYTES_MAX, 'all subscriptions fit a message')
assert(CONNECTIONS_DIALED_MAX < CONNECTIONS_MAX, 'there is room to be dialed')
assert(
  1 + GOSSIP_STREAMS_MAX + DELTA_INBOUND_STREAMS_MAX < INBOUND_STREAMS_MAX,
  'a connection holds all our protocols'
)
