/**
 * For each limit the test that goes beyond it and sees what happens: a file, seen from the folder of all
 * tests, and a part of the test's name. What has no beyond is in
 * `limit-paces.ts`.
 */

type Reached = Readonly<Record<string, string>>

const CROWDS = 'integration/hostile-crowds.test.ts'
const STREAMS = 'integration/hostile-streams.test.ts'
const P2P = 'unit/p2p-caps.test.ts'
const NODE = 'unit/node-caps.test.ts'
const SMALL = 'unit/node-small-caps.test.ts'
const ATTACKS = 'integration/hostile-scripts.test.ts'
const SCRIPT_VALUES = 'integration/script-values.test.ts'
const SCRIPTS = 'property/script-views.test.ts'
const SLOW_SCRIPTS = 'integration/slow-scripts.test.ts'
const DECLARATIVE = 'property/declarative-views.test.ts'
const DEFINITION_BOUNDS =
  'unit/read-definition.test.ts: a definition is bounded in bytes, names, conditions, parts and depth'
const TURNS = 'unit/page-turns.test.ts'
const ROOM = 'unit/page-room.test.ts'
const REPEATED = 'unit/repeated-pages.test.ts'
const MUXER = 'unit/p2p-muxer.test.ts'
const CLIENT = 'unit/p2p-delta-client.test.ts'
const REQUESTS = 'integration/p2p-requests.test.ts'
const CONNECTIONS = 'integration/p2p-connection-caps.test.ts'
const STREAM_CAPS = 'integration/p2p-stream-caps.test.ts'
const LINKS = 'unit/p2p-links.test.ts'
const HOSTILE = 'integration/p2p-hostile.test.ts'
const SESSION = 'property/session.test.ts'
const DOOR = 'integration/http-door.test.ts'
const READS = 'integration/http-reads.test.ts'
const WRITES = 'integration/http-writes.test.ts'
const NDJSON = 'integration/http-ndjson.test.ts'
const LIVE = 'integration/http-live-feed.test.ts'
const FEED = 'integration/http-feed.test.ts'
const HTTP = 'integration/http-caps.test.ts'
const JSON_SCHEMA = 'property/json-schema.test.ts'
const VIEWS = 'integration/http-view-refusals.test.ts'
const WAITS = 'integration/http-view-waits.test.ts'
const DEFINITIONS = 'property/definitions.test.ts'
const HEALER = 'unit/healer.test.ts'
const VIEW_CAPS = 'unit/view-caps.test.ts'
const VIEW_PEERS = 'unit/view-comparison.test.ts'
const TRIAL = 'unit/view-trial.test.ts'
const TABLES = 'conformance/table-check.test.ts'

const FLOOD = `${HOSTILE}: floods requests has its stream reset`
const EIGHT = `${HOSTILE}: no more than eight request streams and two answers`
const CROWD = `${CROWDS}: of a crowd of logs no more are taken`
const BOOK = `${P2P}: the address book keeps the members met last`
const BODY = `${WRITES}: a body above the limit is 413`
const BOUNDS = `${READS}: misspelt, repeated or out of bounds`
const SILENT = `${REQUESTS}: answers nothing twice in a row loses its connection`

export const REACHED: Readonly<Record<string, Reached>> = {
  'protocols/limits.ts': {
    EVENT_BYTES_MAX: `${WRITES}: an event above 256 KiB is 413`,
    COMMIT_EVENTS_MAX: 'property/group-commit.test.ts: beyond one commit is refused',
    COMMIT_BYTES_MAX: 'property/group-commit.test.ts: beyond one commit is refused',
    FRAME_BYTES_MAX: `${REQUESTS}: an answer above the frame limit is refused`,
    REQUEST_BYTES_MAX: `${HOSTILE}: a request above its limit resets the stream`,
    VERSION_HEADS_MAX: '../protocols/delta/vectors/invalid.json: page: 15,001 heads',
    DATABASES_MAX: `${NODE}: no more databases than it may have`,
    NAME_BYTES_MAX: 'integration/http-databases.test.ts: a name of 63 characters is taken',
    VIEWS_MAX: `${VIEW_PEERS}: no more views are told of than one answer may have`,
    PAGE_COMMITS_MAX: `${NODE}: a page ends at its number of commits`
  },
  'src/core/limits.ts': {
    PAGE_BYTES: `${NODE}: a page ends at its number of commits, and at its bytes`,
    FETCH_PAGES_MAX: `${SMALL}: a fetch that finds no end gives the others their turn`,
    LOGS_MAX: CROWD,
    REMOTE_AHEAD_MS_MAX:
      'property/hybrid-logical-clock.test.ts: are believed up to the tolerance, and not beyond',
    CUT_OFF_MS: `${SESSION}: sent something invalid is cut off`,
    REQUEST_PACE: 'property/pace.test.ts: drips a byte a second is given up',
    COMPARE_MS_MAX: `${SESSION}: never answers a comparison is asked again`,
    RETRY_MS_MAX: `${SESSION}: that fails is tried again, after waits`,
    FRUITLESS_MAX: 'property/session-quiet.test.ts: are as many as there are claims at first',
    FRUITLESS_MS_MAX: 'property/session-quiet.test.ts: one a wait that grows',
    VIEW_KEY_BYTES_MAX: 'property/view-collation.test.ts: of more bytes than a key may have',
    VIEW_KEY_DEPTH_MAX: 'property/view-collation.test.ts: deeper than a key may be nested'
  },
  'src/store/limits.ts': {
    READ_PIECE_BYTES: 'property/event-record.test.ts: keeps a small piece of what was read with it',
    QUEUED_WRITES_MAX: `${NODE}: writes that wait beyond their number`,
    DISK_RESERVE_BYTES: 'property/disk-reserve.test.ts: refuses writes while less is free',
    DISK_RESERVE_SHARE: 'property/disk-reserve.test.ts: of a small disk is small',
    WRITE_MS_MAX: 'property/reopening-store.test.ts: the disk does not answer is given up in time',
    REOPEN_READ_MS_MAX: 'property/reopening-store.test.ts: say so when that takes too long',
    OPEN_ATTEMPTS_MAX:
      'conformance/kept-logs.test.ts: a log that cannot be read is tried so many times, and kept',
    SALVAGE_COMBINATIONS_MAX:
      'conformance/salvage.test.ts: among so many combinations of contents, and given up',
    SNAPPY_TRIED_BYTES_MAX: `${TABLES}: a block that says it becomes too large is not tried`
  },
  'src/p2p/limits.ts': {
    CONNECTIONS_MAX: `${CONNECTIONS}: of a crowd that connects at one moment`,
    INBOUND_PER_SECOND_MAX: `${CONNECTIONS}: that one address opens in a second`,
    INBOUND_PENDING_MAX: `${CONNECTIONS}: that are in their handshake so many wait`,
    HANDSHAKE_MS_MAX: `${CONNECTIONS}: a handshake in which nothing comes`,
    IDENTIFY_MS_MAX:
      'integration/p2p-twins.test.ts: its old connection, which looks alive, is given up',
    CONNECTIONS_TRIED_MAX: `${LINKS}: whose connections close when they are used so many are tried`,
    CLOSE_MS_MAX: `${LINKS}: that does not close in good order in time is cut`,
    TWINS_MAX: `${P2P}: of very many places at which our own identity is heard`,
    INBOUND_STREAMS_MAX: `${STREAM_CAPS}: a connection has so many streams of the other side`,
    STREAM_READ_BYTES_MAX: `${STREAM_CAPS}: a stream to which nobody listens is reset`,
    STREAM_WRITE_BYTES_MAX: `${STREAM_CAPS}: a stream whose other side reads nothing is reset`,
    GOSSIP_STREAMS_MAX: `${STREAM_CAPS}: a connection has so many gossip streams`,
    DELTA_INBOUND_STREAMS_MAX: EIGHT,
    STREAM_WINDOW_BYTES_MAX: `${MUXER}: a frame above the window of a stream ends`,
    WINDOW_UPDATE_BYTES: `${MUXER}: frames that are small are answered with few`,
    FRAME_PIECES_MAX: `${MUXER}: a frame that comes in no end of pieces`,
    CONNECTION_UNSENT_BYTES_MAX: `${MUXER}: a side that pings without end`,
    INSTANCES_PER_PEER_MAX: 'integration/p2p-twins.test.ts: five boxes of one identity',
    REQUESTS_UNREAD_BYTES_MAX: FLOOD,
    REQUESTS_UNREAD_PIECES_MAX: `unit/p2p-delta-responder.test.ts: very many small requests`,
    ANSWERS_UNREAD_BYTES_MAX: `${CLIENT}: answers that come faster than they are taken off`,
    ANSWERS_AT_ONCE_MAX: EIGHT,
    ANSWERS_BYTES_MAX: 'unit/p2p-delta-responder.test.ts: beyond the bytes of all answers',
    INCOMING_BYTES_MAX: 'unit/p2p-incoming.test.ts: beyond the bytes of all answers that come in',
    SEND_STALL_MS_MAX: `${STREAMS}: never reads its answers has its streams reset`,
    STREAM_OPEN_MS_MAX: `${CLIENT}: opens no stream twice in a row is found silent`,
    REQUESTS_QUEUED_MAX: `${REQUESTS}: beyond the queue, is refused`,
    REQUESTS_IN_FLIGHT_MAX: `${CLIENT}: no more requests than four are on a stream`,
    DEADLINES_MISSED_MAX: SILENT,
    STREAM_SILENT_MS_MAX: `${CLIENT}: the answer of a given-up request stays away`,
    LINK_BYTES_PER_SECOND_MIN: `${CLIENT}: silence counts for nothing while a large answer`,
    ANNOUNCEMENT_BYTES_MAX: `${P2P}: an announcement above its limit`,
    GOSSIP_BYTES_MAX: `${STREAM_CAPS}: a gossip message above its limit is not gathered`,
    GOSSIP_UNSENT_BYTES_MAX: `${STREAM_CAPS}: gossip for a member that does not read is dropped`,
    TOPICS_BYTES_MAX: `${STREAM_CAPS}: a member follows topics of so many bytes`,
    GOSSIP_SEEN_MS: `${STREAM_CAPS}: a gossip message is remembered for so long`,
    VERDICT_MS_MAX: `${P2P}: an announcement without a verdict is ignored in time`,
    VERDICTS_PER_PEER_MAX: `${P2P}: so many of one peer are judged`,
    VERDICTS_MAX: `${P2P}: so many of one peer are judged, and so many of all`,
    REJECTED_PEERS_MAX: `${P2P}: whose announcements were rejected the first are forgotten`,
    MEMBERS_MAX: BOOK,
    FOUND_MAX: `${P2P}: of strangers beyond the room for them nothing`,
    PEERS_SWEPT_MS: 'integration/p2p-forgotten.test.ts: of peers that left nothing is kept',
    ADDRESSES_PER_PEER_MAX: BOOK,
    BOOK_ADDRESSES_MAX: BOOK,
    ADDRESS_CHARACTERS_MAX: 'unit/p2p-dial-policy.test.ts: none that is endless',
    DIALS_AT_ONCE_MAX: `${P2P}: no more members are dialed at once`,
    DIALS_OF_FOUND_MAX: `${P2P}: no more strangers are dialed at once`,
    DIAL_MS_MAX: `${P2P}: a dial that does not end is given up`,
    DIAL_ADDRESS_MS_MAX: `${CONNECTIONS}: an address at which nobody speaks`,
    CONNECTIONS_DIALED_MAX: `${P2P}: who has many connections dials static peers only`,
    REFUSED_TRIES_MAX:
      'integration/p2p-membership.test.ts: that refuses a dial is dialed again for a moment',
    REDIAL_MS_MAX: 'unit/p2p-dial-policy.test.ts: waits grow to a cap',
    DIAL_RACE_MS: 'unit/p2p-dial-policy.test.ts: opened long after the other replaces it',
    CUT_OFFS_MAX: `${P2P}: of very many peers that are cut off`,
    REFUSED_ADDRESSES_MAX: `${P2P}: of very many hosts whose handshakes failed`,
    REFUSED_MIN: `${HOSTILE}: without the network key is refused in the handshake`
  },
  'src/node/limits.ts': {
    HEAD_LOOKUPS_MAX: `${SMALL}: many heads of a forked log costs so many reads`,
    BRANCHES_MAX: `${CROWDS}: of a crowd of branches of one log`,
    LOCATED_LOGS_MAX: `${NODE}: places of no more logs than it may`,
    PASSED_OVER_MAX: `${SMALL}: a request names so many heads of logs`,
    ANNOUNCED_WAIT_MS: `${NODE}: an announcement of what does not come is ignored`,
    ANNOUNCED_WAITING_MAX: `${NODE}: beyond the announcements that wait`,
    CLOSE_MS_MAX: 'unit/closing.test.ts: what does not close is named',
    CLOSE_LATE_MS_MAX: 'unit/closing.test.ts: what does not close is named',
    STORES_OPENED_AT_ONCE: `${NODE}: stores are opened several at a time`,
    PASSED_ON_MAX: 'unit/announcements.test.ts: of very many logs the one that was announced',
    PREPARED_MAX: `${NODE}: pages are held ready for so many peers`,
    PREPARED_BYTES_MAX: `${SMALL}: pages held ready weigh so much together`,
    PREPARED_MS_MAX: `${NODE}: a page that nobody comes for is not held`,
    PAGES_MADE_MAX: `${TURNS}: so many pages are made at one time`,
    PAGES_WAITING_MAX: `${TURNS}: who waits too long for a page, or behind too many`,
    PAGE_WAIT_MS_MAX: `${TURNS}: who waits too long for a page`,
    FETCHED_BYTES_WAIT: `${ROOM}: no page is asked for while pages of so many bytes`,
    FETCHED_BYTES_MAX: `${ROOM}: pages that all come at one time are dropped beyond their bytes`,
    REPEATED_BYTES_MAX: `${REPEATED}: again and again waits longer and longer`,
    REPEATED_WAIT_MS_MAX: `${REPEATED}: again and again waits longer and longer, up to a second`,
    REPEATED_BYTES_PER_SECOND: `${REPEATED}: what was sent again is forgiven with time`,
    REPEATED_ASK_BYTES: `${REPEATED}: repeats that bring nothing count for something`,
    REPEATED_PEERS_MAX: `${REPEATED}: of very many peers the one that asked longest ago`,
    KNOWN_LOGS_MAX: `${NODE}: logs that others invent do not keep real ones`,
    FEED_PAGE_BYTES: `${SMALL}: a page of a feed reads so many events, and so many bytes`,
    FEED_PAGE_READS: `${SMALL}: a page of a feed reads so many events`,
    DEFINITION_BYTES_MAX: `${DEFINITIONS}: that are too large are ordinary events`,
    DEFINITIONS_MAX: `${DEFINITIONS}: beyond their number count for the lowest names`,
    DEFINITION_SCAN_MAX: `${DEFINITIONS}: are looked for among so many events of 1970`,
    VIEWS_UNEQUAL_MAX: `${VIEW_PEERS}: so many views that differ are named`,
    WARNINGS_MAX: `${NODE}: no more warnings are kept`,
    CLOCKS_AHEAD_MAX: `${NODE}: so many boxes with fast clocks`,
    FORKS_NAMED_MAX: `${NODE}: so many boxes with fast clocks, and so many forks`,
    OWN_LOGS_CLOSED_MAX: `${NODE}: of so many databases is said that another box wrote`,
    PUBLIC_KEYS_MAX: `${SMALL}: so many public keys are kept`,
    UNOPENED_REST_FACTOR:
      'conformance/unreadable-table.test.ts: that takes long to open in vain is not opened all the time',
    CHECK_RETRY_MS: `${HEALER}: a check that a disk cuts off is named and made again`,
    CHECK_SUSPECT_MS: `${HEALER}: damage that is met again and again does not have everything`,
    FINDINGS_MAX: `${HEALER}: of very many findings the last are shown`,
    DAMAGED_PLACES_MAX: `${HEALER}: of very many damaged places so many are remembered`,
    HEAL_RETRY_MS: `${HEALER}: damage which nobody can give looks for it once in a while only`,
    HEAL_RETRY_MS_MAX: `${HEALER}: what nobody can give is asked for less and less often`,
    HEAL_BYTES_MAX: `${HEALER}: commits of so many bytes are healed at a time`,
    HEALED_READ_ATTEMPTS_MAX:
      'property/healed-read.test.ts: meets more damage after each healing is tried so many times',
    REFETCH_PAGES_MAX: `${SMALL}: a damaged stretch is asked for in so many pages`,
    CHANGE_CAUSES_MAX: `${VIEW_CAPS}: a change of a row names the last of its causes`,
    EXPLAINED_EVENTS_MAX: `${VIEWS}: an answer explains so many events`,
    EXPLAIN_EVENTS_MAX: `${VIEW_CAPS}: a row that more events made than are named`,
    VIEW_CHANGES_BYTES_MAX: `${VIEW_CAPS}: a reader of large changes that stops reading`,
    VIEW_CHANGES_MAX: `${VIEW_CAPS}: a reader of changes that stops reading`,
    VIEW_FAULTS_SHOWN: `${VIEW_CAPS}: faults are counted, and so many of them shown`,
    VIEWS_NAMED_MAX:
      'integration/http-view-definitions.test.ts: are named in the status, up to a number',
    VIEW_SCRATCH_EVENTS_MAX: `${VIEW_CAPS}: what only all events can tell`
  },
  'src/schema/limits.ts': {
    JSON_DEPTH_MAX: 'property/canonical-json.test.ts: of nesting up to the limit is a text',
    MEMBER_CHARACTERS_MAX:
      'property/envelope.test.ts: has texts beside its data that are at the limit of characters',
    SCHEMA_DEPTH_MAX: `${JSON_SCHEMA}: is what is nested deeper than a schema may be`,
    COMPILE_MS_MAX: `${JSON_SCHEMA}: is what takes too long to make a checker of`,
    TAME_SCHEMA_CHARACTERS_MAX: `${JSON_SCHEMA}: of small words is not watched, and one that is large`,
    CHECK_MS_MAX: `${JSON_SCHEMA}: a hostile schema is ended, and set aside`,
    CHECK_OVERRUNS_MAX: `${JSON_SCHEMA}: a hostile schema is ended, and set aside`,
    EVENT_PROBLEMS_MAX: `${JSON_SCHEMA}: tells no more of what is wrong than has room`
  },
  'src/views/limits.ts': {
    ANSWER_BYTES_MAX: `${VIEWS}: what an answer holds of values, events and explanations`,
    FAULT_BYTES_MAX: `${VIEW_CAPS}: faults are counted, and so many of them shown`,
    ROW_VALUE_BYTES_MAX: 'property/view-map-index.test.ts: an index on disk answers as all rows do',
    UPPER_RUNS_MAX: `${VIEW_CAPS}: a view with more runs than are kept in memory`,
    GATHERED_BYTES_MAX: `${VIEW_CAPS}: a view with more keys than are held side by side`,
    SORT_BYTES_MAX: `${VIEW_CAPS}: a view with more rows than are sorted in memory`,
    STRETCHES_MAX: `${VIEW_CAPS}: a change to more stretches of runs than are kept`,
    EMITS_MAX: `${DECLARATIVE}: that would make more rows, or more bytes of them`,
    EMITTED_BYTES_MAX: `${DECLARATIVE}: that would make more rows, or more bytes of them`,
    VALUE_BYTES_MAX: `${SCRIPT_VALUES}: what a text throws or emits`,
    SELECTION_BYTES_MAX: 'property/view-selection.test.ts: more than an event may have cannot be',
    FAULT_CHARS_MAX: `${SCRIPT_VALUES}: what a text throws or emits`,
    DEFINITION_BYTES_MAX: DEFINITION_BOUNDS,
    PATH_STEPS_MAX: DEFINITION_BOUNDS,
    EXPRESSION_PARTS_MAX: DEFINITION_BOUNDS,
    EXPRESSION_DEPTH_MAX: DEFINITION_BOUNDS,
    CONDITIONS_MAX: DEFINITION_BOUNDS,
    CALL_FUEL: `${ATTACKS}: a text that takes too much`,
    CALL_FUEL_PER_CHAR: `${SCRIPTS}: may take more for an event that is large`,
    CALL_FUEL_MAX: `${SCRIPTS}: may take more for an event that is large`,
    SANDBOX_BYTES_MAX: `${ATTACKS}: a text that takes too much`,
    CALL_DEPTH_BYTES_MAX: `${ATTACKS}: a text that takes too much`,
    ENGINE_STACK_BYTES: `${ATTACKS}: a text that takes too much`,
    SCRIPT_EMITTED_CHARS_MAX: `${SCRIPT_VALUES}: what a text throws or emits`,
    FUEL_DEBT_MAX: `${ATTACKS}: takes too long again and again is not called for a while`,
    CAREFUL_EVENTS: `${SLOW_SCRIPTS}: takes too long for many events is counted for each`,
    TRIAL_EVENTS_FEW: `${SLOW_SCRIPTS}: takes much for each event is tried`,
    MEAN_FUEL: `${ATTACKS}: takes too long for an event in a thousand is not given up`,
    MEAN_FUEL_PER_CHAR: `${SCRIPTS}: may take more for an event that is large`,
    BUILD_BYTES_MAX:
      'property/view-fold-index.test.ts: a build that writes out what it cannot hold',
    TRIAL_EVENTS_MAX: `${TRIAL}: of a large sample so many events are tried`,
    TRIAL_ROW_CHARS_MAX: `${TRIAL}: and a long row is shown in part`
  },
  'src/http/limits.ts': {
    connectionsMax: `${HTTP}: a connection above their number is closed`,
    connectionIdleMsMax: `${HTTP}: an answer that nobody reads is cut off`,
    keepAliveMsMax: `${HTTP}: that is kept for a next request is closed`,
    headerBytesMax: `${DOOR}: what is not HTTP, or too much of it`,
    headersMsMax: `${DOOR}: headers and bodies that come too slowly`,
    urlBytesMax: `${DOOR}: an address that is too long is 414`,
    bodyBytesMax: BODY,
    bodyMsMax: `${DOOR}: headers and bodies that come too slowly`,
    bodiesBytesMax: `${WRITES}: when all bodies together are too much`,
    discardMsMax: `${HTTP}: what goes on to be sent after its refusal`,
    streamIdleMsMax: `${NDJSON}: a stream on which nothing comes is ended`,
    streamsMax: `${NDJSON}: beyond the number of streams`,
    lineBytesMax: `${NDJSON}: a line above the limit is refused`,
    groupLinesMax: `${NDJSON}: in commits of at most a thousand`,
    groupBytesMax: `${HTTP}: a commit of a stream ends at its bytes`,
    briefAnswerBytes: `${NDJSON}: does not read meanwhile is told counts`,
    answerBytesMax: `${HTTP}: that sends and never reads has so many bytes`,
    keysMax: `${READS}: too many keys, no keys`,
    keysBodyMax: `${READS}: too many keys, no keys`,
    pageEventsMax: BOUNDS,
    pageBytesMax: `${READS}: a page of large events ends early`,
    pagesBytesMax: `${HTTP}: that are being sent may weigh so much together`,
    viewRowsMax: `${VIEWS}: of more rows or bytes than one may have`,
    viewsAskedMax: `${WAITS}: questions beyond their number`,
    viewMsMin: `${VIEWS}: that is misspelt or contradicts itself`,
    viewMsMax: `${VIEWS}: that is misspelt or contradicts itself`,
    conflictsMax: `${HTTP}: conflicting keys are listed up to their number`,
    feedsMax: `${FEED}: beyond the number of feeds`,
    feedTimeoutMsMax: BOUNDS,
    heartbeatMsMin: BOUNDS,
    heartbeatMsMax: BOUNDS,
    stallMsMax: `${LIVE}: a reader that stops reading is cut off`,
    rangeScanMax: `${HTTP}: a page of a range ends after so many events`,
    syncMsMax: `${HTTP}: a sync that takes too long is answered`,
    NAME_CHARS_MAX: `${HTTP}: what a problem repeats of a request`,
    INSTANCE_CHARS_MAX: `${HTTP}: what a problem repeats of a request`,
    RANGES_MAX: `${HTTP}: of an Accept header without end`
  },
  'src/cli/limits.ts': {
    EVENT_TEXT_BYTES_MAX:
      'integration/cli-input.test.ts: an event without end is refused by its line',
    REFUSALS_SHOWN_MAX: 'integration/cli-events.test.ts: of very many refused events the first'
  }
}
