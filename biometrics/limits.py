"""Every bound of the exchange: its unit in the name, the reason beside it."""

from typing import Final

# -- messages -----------------------------------------------------------------
# gRPC's own default, so that clients of any language agree. 256 probes of 4096-d are
# some bytes more, 255 fit.
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
SEALING_BYTES: Final = 1280  # more that a request has that its client seals
# Parsed, a message of empty messages takes many times its bytes: no method reads more
# than it needs.
MAX_SEARCH_BYTES: Final = 32 * 1024  # one template of 4096-d has 16 KiB
MAX_RECORD_BYTES: Final = 640 * 1024  # 32 templates of 4096-d, and every text
MAX_DUPLICATES_BYTES: Final = 72 * 1024  # 128 references at their longest
MAX_QUESTION_BYTES: Final = 4 * 1024  # a reference, a page, a name
# May grow, never shrink: the journal's withdrawals are held to it for ever.
MAX_TEMPLATES_PER_RECORD: Final = 32  # ten fingers, two irises, a face; samples
MAX_DUPLICATES_ASKED: Final = 128  # records of a chunk, one search or more each
MAX_DUPLICATES_TOLD: Final = 16  # of one record; more are a broken gallery
MAX_RECORDS_PER_CHUNK: Final = 512  # one message, of a few hundred dimensions
MAX_PROBES_PER_BATCH: Final = 256  # one bus at a border
MAX_HOLDERS_PER_SEARCH: Final = 64  # 48 members, and room
MAX_FAULTS_TOLD: Final = 8  # of one record: a chunk of 512 fits in a message
MAX_EXCLUDED_REQUESTERS: Final = 64  # likewise
MAX_EXCLUDED_HOLDERS: Final = 64  # of one probe, likewise
MAX_REFERENCE_CHARACTERS: Final = 128  # an opaque identifier, not a text
MAX_LEGAL_BASIS_CHARACTERS: Final = 256
MAX_NAME_CHARACTERS: Final = 64  # template spaces, extractors, roles, services
MAX_PAGE_RECORDS: Final = 500  # at their largest they fit into a message
MONTHS_SUMMARISED: Final = 240  # of what is to come; later is one count
DEFAULT_PAGE_RECORDS: Final = 100
MAX_QUALITY: Final = 100  # ISO/IEC 29794-1 scale

# -- templates ----------------------------------------------------------------
MIN_DIMENSION: Final = 16
MAX_DIMENSION: Final = 4096
# Of a print: fewer lie alike in prints of many fingers; at most as a record of ISO/IEC
# 19794-2 has.
MIN_MINUTIAE: Final = 12
MAX_MINUTIAE: Final = 255
MINUTIAE_BYTES: Final = 1536  # always: 6 for each, and for their number
MAX_MINUTIA_PIXELS: Final = 4096  # at 500 an inch: eight inches, a palm
# A vector shorter than this after centring, or than this part of its length before,
# carries no direction in float32.
MIN_NORM: Final = 1e-6

# -- answers ------------------------------------------------------------------
# 64 holders of 31 bytes each, and a receipt.
MATCH_RESPONSE_BYTES: Final = 4096
RECEIPT_BYTES: Final = 1920  # with the longest words, and eight hashes of a batch
# Longer than a search takes in a gallery of a million. An answer takes two, which are
# not felt at a border.
DEFAULT_SLOT_MILLISECONDS: Final = 25
MAX_SLOT_MILLISECONDS: Final = 1000
# For which an answer may wait to be made durable together with others: the rest is for
# the flush.
GATHERED_SHARE_OF_SLOT: Final = 0.5
REFERENCE_BYTES: Final = 16
REFERENCE_LIFE_DAYS: Final = 30  # a follow-up is asked for within a month or not
REPLAY_WINDOW_SECONDS: Final = 600  # a client's retries end long before
# Opened at one holder in one search, 26 us each with reading. Where more pass the cuts,
# a gallery is broken, made to stop others, or searched at a threshold far below what
# its size allows: 0.3 at 512-d has 5,634 candidates in a million. It is UNAVAILABLE.
MAX_OPENINGS_PER_HOLDER: Final = 1024
# Of prints: each is described and compared in half a millisecond.
MAX_PRINTS_OPENED_PER_HOLDER: Final = 4096
TYPICAL_MINUTIAE: Final = 48  # of a print; the largest take thirty times as long
MAX_WAITING_PROBES: Final = 4096  # 16 batches, or every call that may run and more
MAX_WAITING_PROBES_PER_MEMBER: Final = 2304  # 8 batches, and every other call
RESERVED_PROBES_PER_MEMBER: Final = 64  # are let in, however many others have waiting
# In the scanner; the others wait for their members' turns. More share passes over the
# codes, and each keeps another member waiting: see benchmarks/README.md, Overload.
SCANNING_AT_ONCE: Final = 16
PACE_SHARE: Final = 0.05  # of the last one in how long one is reckoned to take
# Of probes, each of which is one or has one for each minutia: more gain little, and are
# confirmed all at once.
MAX_VECTORS_PER_SCAN: Final = 32
# A record that is protected or withdrawn while it is searched for makes the search be
# decided anew; one that this happens to so often in milliseconds is not steady.
MAX_DECISIONS_PER_SEARCH: Final = 8
MIN_PRESENCE_HOLDERS: Final = 5  # fewer, and the regional outcome names one

# -- the log ------------------------------------------------------------------
TILE_HASHES: Final = 256  # of a tile; C2SP, "tlog-tiles"
MAX_TILE_LEVEL: Final = 7  # 256 to the eighth leaves
MAX_PAGE_LEAVES: Final = 32_768  # some 1.3 MB
MAX_PAGE_ENTRIES: Final = 2048  # leaves looked below; at one entry each, 1.6 MB
MAX_EXPORT_BYTES: Final = 64 * 1024  # of one file of an export but its pages
# Witnesses look once a minute: those of one minute cosign one and the same checkpoint.
OFFER_SECONDS: Final = 60.0
COSIGNED_APART_SECONDS: Final = 300  # a witness's clock and the exchange's, at most
# Checkpoints kept, each with a cosignature that no later one has.
MAX_COSIGNED: Final = 64
COSIGNED_HOURS: Final = 24.0  # how old a quorum may be, where a verifier says nothing
MAX_POLICY_NAMES: Final = 256  # witnesses and groups of a verifier's policy

# -- follow-ups ---------------------------------------------------------------
FOLLOW_UP_ID_BYTES: Final = 32  # SHA-256 of what the requester signed
# In which it is answered, as under Pruem II, and read. One clock, whatever was done: a
# later end would tell that something was released, and then taken back.
FOLLOW_UP_HOURS: Final = 48
FOLLOW_UP_KEPT_DAYS: Final = 30  # what came of one is shown to the requester so long
FOLLOW_UP_LOOK_SECONDS: Final = 60.0  # between sweeps of what is over, which is hidden
# Of one requester, to one holder: each is a person's work there. Whatever comes of it
# counts, so that nobody goes on asking whether a reference is still good.
MAX_FOLLOW_UPS_PER_DAY: Final = 200
MAX_FOLLOW_UPS_LISTED: Final = 100  # at their largest they fit into a message
MAX_FOLLOW_UP_RECORDS_TOLD: Final = 32  # of one; more are a broken gallery
MAX_FOLLOW_UP_NOTE_BYTES: Final = 4 * 1024  # a key, a legal basis at its longest
MAX_FOLLOW_UP_REQUEST_BYTES: Final = 8 * 1024
MAX_FOLLOW_UP_BYTES: Final = 32 * 1024  # a letter, or a portrait
FOLLOW_UP_CLEAR_BYTES: Final = 36 * 1024  # always: with two notes, and filled up
FOLLOW_UP_SEALED_BYTES: Final = FOLLOW_UP_CLEAR_BYTES + 1136  # ML-KEM, X25519, tag
MAX_RELEASE_BYTES: Final = 40 * 1024

# -- leak budget --------------------------------------------------------------
# Set by the attack and by honest travellers together: benchmarks/README.md, "What yes
# and no add up to". Wider or fewer spares templates, and freezes honest travellers.
NEAR_DECADES: Final = 1.2  # of the false match rate to either side, where measured
NEAR_DEVIATIONS: Final = 0.8  # of random directions' cosine, at least: 0.035 at 512-d
# At most, whatever was measured: look-alikes and failed captures make a tail so flat
# that all who match themselves would be near.
NEAR_DEVIATIONS_AT_MOST: Final = 1.6
NEAR_DAYS: Final = 30
NEAR_SEARCHES_TOLD: Final = 20  # of one requester about one record, in those days
NEAR_SEARCHES_TOLD_TO_ALL: Final = 50  # of all requesters about one record
FREEZE_HOURS: Final = 72  # unless a review has confirmed it
# Of matches with strangers nearly all are near the threshold, of those with mates few:
# whoever is told so many of the first kind, and more of them, goes through a gallery.
NEAR_MATCHES_ALERTED: Final = 20
# And so may whoever has so many in one day: captures that failed match one another
# clearly. A busy member's auditor gets used to one alert a day.
MATCHES_A_DAY_ALERTED: Final = 40
# Probes of one requester that resemble one another, as variations of one picture do: by
# estimated cosine, from a share of the threshold on, since a probe that is varied at
# random until it only just matches is as far from the next. Of honest requesters' last
# probes hardly ten are so alike.
PROBES_REMEMBERED: Final = 1000  # of each requester, space and position, in memory
SKETCH_DIRECTIONS: Final = 64  # errs by 0.12: 256 bytes a probe, and 15 us a search
ALIKE_SHARE: Final = 0.8  # of the threshold
# Of outlines of prints. A print whose minutiae are all moved by a pixel is seen to be
# varied, by two pixels in three of four cases; one of a thousand other fingers is taken
# for that, and one of thirteen other impressions of the finger.
ALIKE_PRINTS: Final = 0.4
OUTLINED_AT_ONCE: Final = 2  # people: each takes a worker for up to 0.1 s
ALIKE_SECONDS: Final = 24 * 3600
ALIKE_ALERTED: Final = 50  # auditors are told from so many on
ALIKE_TOLD: Final = 100  # and no more are answered
# Canary probes: a search for nobody in each space, some 1,400 a day. At four times what
# is promised a drift is found in half a day, at ten times in two hours.
CANARY_PROBE_SECONDS: Final = 60
CANARY_YIELD_SECONDS: Final = 600  # behind others' searches; then it is one of many
DRIFT_TIMES: Final = 4
DRIFT_SEARCHES: Final = 1_000_000  # between two false alarms: some two years
MAX_CANARIES_PLANTED: Final = 100  # by one request; a gallery may have any number
CASE_BYTES: Final = 8  # names a freeze to those who review it

# -- quotas -------------------------------------------------------------------
# Of an agreement that states none: a large airport's day, and a gallery of a million
# cannot be gone through with a tenth of its faces.
DEFAULT_QUOTA_PER_DAY: Final = 20_000
MAX_QUOTA_PER_DAY: Final = 10_000_000  # more is a mistyped number
# Of one requester, whatever its agreements: a search at all holders counts once.
MAX_SEARCHES_PER_DAY: Final = 1_000_000
ALL_AGREEMENTS: Final = b""  # under which these are counted

# -- time and load ------------------------------------------------------------
MAX_DEADLINE_SECONDS: Final = 300  # a caller that waits longer has gone away
MIN_DEADLINE_SECONDS: Final = 0.005  # less cannot be answered; refuse, do not start
MAX_RUNNING_CALLS: Final = 512  # calls being worked on, all members together
MAX_RUNNING_CALLS_PER_MEMBER: Final = 128  # one member cannot take all of them
# Single searches at once: few keep every core busy, and more only wait for one another.
LEAST_SEARCHES_AT_ONCE: Final = 8
MAX_SEARCHES_AT_ONCE: Final = 128
# One more than the least for so many rows that each is compared with, 2 MB of codes at
# 512-d: those are read once for all who share a pass. Of a million templates eight at
# once cost half as much again as thirty-two.
ROWS_FOR_ONE_MORE_AT_ONCE: Final = 1 << 15
MOST_MORE_AT_ONCE: Final = 24
# An answer takes two slots, and a little more of the call. One that takes three and a
# little more says that too many are searched for at once. At 3.5 an exchange carries a
# fifth more, and whoever floods it has others wait 2.2 times as long, at the p99, where
# they wait 1.7 times: see benchmarks/README.md, Overload.
SLOTS_OF_A_SEARCH: Final = 3.1
RESERVED_CALLS_PER_MEMBER: Final = 8  # are let in, however many others have running
# Each has messages of 4 MiB under way, and more would only wait for one another.
MAX_BULK_STREAMS_PER_MEMBER: Final = 4
MAX_BATCHES_PER_MEMBER: Final = 8
# What one connection asks for beyond its member's bound waits in the client, which
# costs the exchange nothing; to refuse it in words, call by call, would be half the
# work of a search. Over several connections it is refused in words.
MAX_STREAMS_PER_CONNECTION: Final = 64
# Of our own clients: gRPC counts a call for a while after its end, and refuses more.
CALLS_AT_ONCE_OF_A_CLIENT: Final = 48
# Beyond, gRPC refuses by itself, without saying why or when to try again; so this
# leaves room for calls that are on their way to be refused in words.
MAX_OPEN_CALLS: Final = 8192
OBJECTS_BETWEEN_COLLECTIONS: Final = 50_000  # some megabytes, should all be cycles
WORKER_THREADS: Final = 8  # for blocking work; more only trade places for the lock
STREAM_CHUNKS_AHEAD: Final = 2  # chunks of one bulk stream being worked on at once
# Of a bulk load, while anybody searches: some 2 ms of work. All loads together have
# RECORDS_BETWEEN_SEARCHES / GIVE_WAY_SECONDS records a second where searches never end.
RECORDS_BETWEEN_SEARCHES: Final = 4
GIVE_WAY_SECONDS: Final = 0.01
SEARCHES_LAST_SECONDS: Final = 0.1  # then nobody searches, and loads run freely
WRITE_QUEUE_OPERATIONS: Final = 4096  # waiting for one commit
WRITE_GROUP_OPERATIONS: Final = 256  # made durable by one flush
DUPLICATES_AT_ONCE: Final = 4  # of one call: searches share their scans
ROWS_CONFIRMED_AT_ONCE: Final = 1024  # of several probes together; 2 MB at 512-d
STORE_VARIABLES: Final = 32_766  # of one statement, where SQLite was built for no more
STORE_IDS_PER_QUERY: Final = 500  # a page of candidates; SQLite takes 32,766
STORE_BUSY_SECONDS: Final = 5.0  # another process holds the write lock
SEARCHABLE_WAIT_SECONDS: Final = 30.0  # a write becomes searchable, or is reported
SETTLE_SECONDS: Final = 5.0  # searches that have begun end, when a gallery is locked
CATCH_UP_SECONDS: Final = 2.0  # a worker waits; the follower is milliseconds behind
FIRST_MESSAGE_SECONDS: Final = 10.0  # of a call without a deadline, such as a watch
JOURNAL_POLL_SECONDS: Final = 0.25  # should a wake-up be missed; a write wakes at once
CHANGES_GATHER_SECONDS: Final = 0.02  # a bulk load is searchable 50 ms later at most
# Of sealed templates that were enrolled and are not searchable yet, so that they need
# not be read again: many times what gathers in that time.
FOLLOWED_BYTES: Final = 16 * 1024 * 1024
JOURNAL_PAGE_CHANGES: Final = 2048  # read and opened at once by the follower
# Of one gallery and position. The largest prints are 1.5 KB sealed, and 128 KB as the
# vectors that are coded: a page of them would be gigabytes.
TEMPLATES_CODED_AT_ONCE: Final = 512
# A gallery that is loaded beside searches: some 5 ms of work, and then others' turn.
LOADING_PAGE_CHANGES: Final = 128
LOADING_THREADS: Final = 2  # galleries that are loaded at once
LOADING_PAUSE_SECONDS: Final = 0.001
# Then the keys of what was withdrawn meanwhile are retired: in all within a day.
WITHDRAWAL_EPOCH_SECONDS: Final = 20 * 3600
WITHDRAWAL_LOOK_SECONDS: Final = 3600
TEND_RETRY_SECONDS: Final = 1.0  # a rotation or destruction that storage stops
DELETED_AT_ONCE: Final = 64  # records of a gallery that is destroyed
REWRAPPED_AT_ONCE: Final = 64  # values whose keys a rotation replaces: 2 ms of work
ERASE_SECONDS: Final = 3600  # what was withdrawn leaves the write-ahead log
ERASE_RETRY_SECONDS: Final = 10  # while a reader still needs the log
# A time of day that runs further ahead of the machine's own seconds was set wrongly, or
# the machine slept: nothing is disposed of by it.
MAX_CLOCK_AHEAD_SECONDS: Final = 3600.0
DISPOSE_SECONDS: Final = 60.0  # between sweeps of what has expired, which is hidden
DISPOSED_AT_ONCE: Final = 128  # read and withdrawn, a flush's worth
COMPACT_SECONDS: Final = 1.0  # between looks at what can be joined
KEPT_EVERY_CHANGES: Final = 16_384  # to be opened again after a crash: half a second
KEEP_RETRY_SECONDS: Final = 10  # a disk that is full is not filled every second
DRAIN_SECONDS: Final = 20.0  # calls that are running when SIGTERM comes
# A rotated certificate gets used, and a stream of a revoked one ends: a stream is asked
# who it is only once.
MAX_CONNECTION_AGE_SECONDS: Final = 600
# 48 members with 8 systems each. A connection that says nothing takes 82 KiB, which is
# 32 MB for all of them. Whoever has no certificate can take places too, for as long as
# a handshake may last: the network in front has to keep strangers away.
DEFAULT_CONNECTIONS: Final = 384
MIN_CONNECTIONS: Final = 8
MAX_CONNECTIONS: Final = 16_384
# For files, the database, and what is on its way to be refused.
SPARE_DESCRIPTORS: Final = 512
HANDSHAKE_SECONDS: Final = 10
MAX_IDLE_CONNECTION_SECONDS: Final = 300  # without a call; a client connects anew
CONNECTION_GRACE_SECONDS: Final = 300  # streams that run when a connection ages out

# -- the console ---------------------------------------------------------------
LOAD_MINUTES: Final = 60  # that are told of
SHOWN_CERTIFICATE: Final = "client-certificate-bin"  # of whom the console asks for
CONSOLE_CONNECTIONS: Final = 64  # a few people's browsers; others wait unaccepted
CONSOLE_BACKLOG: Final = 128  # connections that wait so; the system refuses more
CONSOLE_HANDSHAKE_SECONDS: Final = 5.0
# A page is a few dozen kilobytes and a log's proof a few tiles: whoever takes longer
# has gone away, or means to stay.
CONSOLE_CONNECTION_SECONDS: Final = 60.0
CONSOLE_IDLE_SECONDS: Final = 10.0
CONSOLE_HEADER_BYTES: Final = 8190  # of one line; aiohttp's own
CONSOLE_DEADLINE_SECONDS: Final = 5.0  # of each question to the exchange
CONSOLE_SOCKET_BYTES: Final = 100  # of a path: Linux takes 107 bytes

# -- files of the operator's and of signers -----------------------------------
MAX_SETTINGS_BYTES: Final = 4 * 1024 * 1024  # ten spaces with centres of 4096 numbers
MAX_TEMPLATE_SPACES: Final = 64
MAX_MEMBERS: Final = 64  # 48 in the region, and room for samples
# 47 requesters x 6 purposes x 3 modalities is 846; years of clauses kept fit too.
MAX_CLAUSES_PER_HOLDER: Final = 4096
# A revision once in force bars all below it: one too many digits must not be the end.
MAX_REVISION: Final = 1_000_000
SIGNATURES_REQUIRED: Final = 2  # of an agreement: no one person opens a gallery
MAX_SIGNERS_PER_HOLDER: Final = 16  # persons and offices, and those to come
MAX_SIGNER_CHARACTERS: Final = 128  # name of a person or an office; of a key likewise
MAX_NOTE_BYTES: Final = 20 * 1024  # a short text, and so many signatures:
MAX_NOTE_SIGNATURES: Final = 65  # of the log and of a witness of every member
DATED_AHEAD_SECONDS: Final = 300  # two machines' clocks differ a little
# What a conformance run asks of a member's system.
CERTIFICATE_LIFE_DAYS: Final = 31  # what is stolen is good as long, at worst
CERTIFICATE_LEFT_HOURS: Final = 12  # whoever renews by hand is late one day
CLOCK_OFF_SECONDS: Final = 10.0  # half of what any time server keeps by far
SHORT_DEADLINE_SECONDS: Final = 0.002  # nothing is answered in so short a time
TAKEN_UP_SECONDS: Final = 15.0  # for a served exchange to go by edited settings
AGREEMENTS_LOOK_SECONDS: Final = 1.0  # between looks for versions signed anew
MAX_QUESTION_LINE_BYTES: Final = 16 * 1024  # of a log that is replayed: 64 holders

# -- clients ------------------------------------------------------------------
DEFAULT_DEADLINE_SECONDS: Final = 10.0  # of a profile that names none
# A renewed certificate is in use after at most so long.
CERTIFICATE_LOOK_SECONDS: Final = 10.0
CLIENT_TRIES: Final = 5  # of one call; gRPC itself takes no more
CLIENT_FIRST_WAIT_SECONDS: Final = 0.2  # between tries, doubled each time
CLIENT_RECONNECT_SECONDS: Final = 1.0  # at most, until a server that is back is seen
CLIENT_MOST_WAIT_SECONDS: Final = 5.0  # between tries; longer is the caller's to plan
CHUNKS_IN_FLIGHT: Final = 4  # keeps the server busy; more is only resent on a break
BULK_STREAM_SECONDS: Final = 60.0  # then a bulk load goes on in a new stream
MAX_PROFILE_BYTES: Final = 1024 * 1024  # a profile, a certificate or a key

# -- store --------------------------------------------------------------------
WRITE_GROUP_RECORDS: Final = 128  # in one transaction: searches wait for its flush
READ_CONNECTIONS: Final = 16  # a worker thread holds one; as many to spare
PURGED_ROWS_PER_OPERATION: Final = 2  # more than comes in, little in any one commit
# Free on the disk before more is enrolled: withdrawals, protections and the answers of
# searches must still fit when it fills up, with the log at its largest.
STORE_RESERVE_BYTES: Final = 64 * 1024 * 1024
# Of several front ends: whoever stands still so long in its turn to write loses it,
# before the others, who wait for it, give up.
FRONT_END_STALL_SECONDS: Final = 3
FRONT_END_LOOK_SECONDS: Final = 1.0  # who the others are, and how far
FRONT_END_GRACE_SECONDS: Final = 1.5  # one whose session is lost alone finds out
FRONT_END_WAIT_SECONDS: Final = 0.02  # between two looks whether they have dropped keys
RECOVERY_SECONDS: Final = 1.0  # between looks whether a disk can be flushed again
STORE_CACHE_BYTES: Final = 64 * 1024 * 1024  # the writer's; indexes are hit at random
STORE_CONNECT_SECONDS: Final = 5  # a database server on the same network
# A connection whose other end is silent that long is lost, seen from either end: then
# the lock on the database is free again.
STORE_LOST_SECONDS: Final = 20
MAX_FAULTS_A_QUESTION: Final = 100  # of a check; a database that is lost breaks all
MAX_FAULTS_SHOWN: Final = 50  # of a check, on a terminal
MAX_FAULTS_KEPT: Final = 1000  # of a check; all are counted
STORE_LOG_BYTES: Final = 32 * 1024 * 1024  # written ahead, before it is copied back

# -- sealed files of codes ----------------------------------------------------
# AES-GCM holds the interpreter's lock for a piece: some 0.2 ms. Part of the format:
# files in pieces of another size are refused, and made anew from the store.
SEALED_PIECE_BYTES: Final = 1024 * 1024

# -- errors on the wire -------------------------------------------------------
# Trailers above 8 KiB are dropped by gRPC. The message is sent twice, once
# percent-encoded (up to threefold), once in the details (base64, four thirds).
MAX_STATUS_MESSAGE_BYTES: Final = 1024
MAX_STATUS_BYTES: Final = 3072
BUSY_RETRY_SECONDS: Final = 0.5  # after a call was refused for too many running
BUSY_RETRY_SPREAD: Final = 0.5  # of a wait, added at random
MAX_BUSY_RETRY_SECONDS: Final = 10.0  # longer than a backlog of one caller lasts
MAX_WATCHES_PER_MEMBER: Final = 8  # health watchers, which wait for ever
CACHED_CERTIFICATES: Final = 1024  # clients' as they were read; 20 a member
MAX_CERTIFICATE_BYTES: Final = 8 * 1024  # PEM; one with RSA-4096 and names has 3 KiB
MIN_RSA_BITS: Final = 2048  # 112 bits of strength, NIST SP 800-57
CERTIFICATES_LOOK_SECONDS: Final = 1.0  # between looks for files that were replaced
COARSE_GALLERY: Final = 256  # templates: figures tell no less of a gallery
TRACED_SHARE: Final = (
    0.01  # of searches, where traces are sent and nothing else is said
)
TRACES_SENT_SECONDS: Final = 2  # or they are dropped; a stop waits no longer
INCIDENT_BYTES: Final = 8  # names one defect in the log; random, so never repeated

# -- bulk loads ---------------------------------------------------------------
# Small enough that what is sent again after a break is little. Searches beside a load
# do not notice its size: benchmarks/beside_load.py. They fit into a message.
BULK_RECORDS_PER_CHUNK: Final = 512
MAX_REFUSALS_LISTED: Final = 1000  # by one load; a file takes all of them
MAX_REFUSALS_SHOWN: Final = 20  # on a terminal
MAX_FAILURES_COUNTED: Final = 1000  # by file and reason; what is beyond, by reason
# Text and vectors of a chunk, as they are estimated: a message has as much again to
# spare for what frames them.
BULK_BYTES_PER_CHUNK: Final = 3 * 1024 * 1024

# -- array files --------------------------------------------------------------
MAX_ARRAY_ROWS: Final = 20_000_000  # of a nation; the references are held in memory
MAX_ARRAY_MEMBERS: Final = 64  # arrays in one file; three or four are read
# Wider columns of references are a mistake; over-long ones are refused by record.
MAX_REFERENCE_COLUMN_CHARACTERS: Final = 1024
# Only an array in C order can be read row by row; another is held in memory whole.
MAX_COLUMN_ORDER_BYTES: Final = 1024 * 1024 * 1024
ARRAY_PIECE_BYTES: Final = 1024 * 1024  # read at once

# -- manifests and tables -----------------------------------------------------
MAX_MANIFEST_LINE_BYTES: Final = 64 * 1024  # 32 templates with long names
MAX_PATH_CHARACTERS: Final = 1024  # of a file that a manifest names
MANIFEST_RECORDS_PER_BLOCK: Final = 16  # at their widest they are 16 MiB
MANIFEST_BYTES_PER_BLOCK: Final = 16 * 1024 * 1024  # of images, and one record more
TABLE_ROWS_PER_BATCH: Final = 1024  # held at once; 16 MiB of 4096-d
FOOTER_SECONDS: Final = 10.0  # of one file, with the start of who looks at it
MAX_LIST_VALUES: Final = 2**28  # 1 GiB, should one row of a row group have them all

# -- synthetic galleries ------------------------------------------------------
MAX_SYNTHETIC_COMPONENTS: Final = 2**29  # 2 GiB, and as much again on the way

# -- finger minutiae ----------------------------------------------------------
MAX_MINUTIAE_BYTES: Final = 1024 * 1024  # 176 views with extended data

# -- pictures -----------------------------------------------------------------
MAX_PICTURE_BYTES: Final = 32 * 1024 * 1024
MAX_PICTURE_PIXELS: Final = 2**26  # 192 MiB once decoded, in each process
MIN_PICTURE_SIDE: Final = 32  # pixels; less shows nothing
MAX_PIXELS_PER_INCH: Final = 4000
EXTRACTOR_START_SECONDS: Final = 120.0  # of a process, its model included
EXTRACTION_SECONDS: Final = 60.0  # of one picture; then its process is ended
MAX_EXTRACTION_PROCESSES: Final = 256
MAX_SHEET_PICTURES: Final = 24  # the first ones, on a contact sheet

# -- transactions and wrappers, each of one person ------------------------------
MAX_TRANSACTION_BYTES: Final = 32 * 1024 * 1024  # fourteen images without compression
MAX_TRANSACTION_RECORDS: Final = 999  # the standard's own bound
MAX_RECORD_FIELDS: Final = 1000  # of one record
MAX_FIELD_ITEMS: Final = 16_384  # 255 minutiae with their ridge counts, and room
MAX_BIR_BYTES: Final = 4 * 1024 * 1024  # ten fingers, two irises, a face, in base64
BIR_PIECE_BYTES: Final = 64 * 1024  # read at once; no tag is longer
MAX_BIR_EVENTS: Final = 256 * 1024  # base64 in lines of 76 characters has half
MAX_BIR_ELEMENTS: Final = 4096  # some thirty for each sample
MAX_BIR_DEPTH: Final = 16  # elements; the format has six

# -- error rates --------------------------------------------------------------
RULE_OF_THREE: Final = 3  # none in n trials bounds a rate by 3 / n, at 95 %
# A calibration speaks for galleries that have grown a little since, which rounding up
# to a power of two takes. People who resemble one another lie in a part of the tail
# that it has not seen: see benchmarks/README.md, Calibration.
MAX_CALIBRATED_GROWTH: Final = 2
LEAST_CALIBRATION_SUBJECTS: Final = 20  # below, a tenth of the maxima is no tail
MAX_COMPARISONS: Final = 1 << 40  # of one search, far beyond any; fits a signed number
MAX_THRESHOLDS: Final = 128  # three classes, every power of two up to that
MAX_WEIGHTS: Final = 128  # steps of a quarter of a decade, down to any rate
AIMS_KNOWN: Final = 256  # combinations of spaces that probes have, as sizes are now
PLANS_KNOWN: Final = 256  # questions that are asked alike today
MAX_METHOD_CHARACTERS: Final = 512  # how a calibration was made, in words

# -- shards on a cluster --------------------------------------------------------
MAX_SHARDS: Final = 128  # one call to each for one probe: beyond, those cost the most
MAX_SHARD_COPIES: Final = 2  # one stays when one is lost; each costs all its memory
MIN_SHARD_MEGABYTES: Final = 256  # Python, FAISS and Ray themselves
DEFAULT_SHARD_MEGABYTES: Final = 4096
MAX_SHARD_CORES: Final = 256
# Consecutive templates of one gallery in one shard: a small gallery is in one, and is
# searched by one call; of a large one every shard has as many as any other.
DEFAULT_TEMPLATES_TOGETHER: Final = 1 << 15
# Over all shards: while one is on its way, or is being confirmed, another is worked at.
SHARD_PASSES_AT_ONCE: Final = 4
SHARD_CALLS_AT_ONCE: Final = 2  # that one shard works at
# Of the same probes, each overtaken by a replacement; then they are UNAVAILABLE.
MAX_SHARD_PASSES: Final = 16
SHARD_CALL_BYTES: Final = 128 * 1024 * 1024  # 4,096 probes of 4,096 dimensions, twice
MAX_TURNS_PER_CALL: Final = 4096  # 16 probes, 64 holders, four positions
SHARD_SEARCH_SECONDS: Final = 5.0  # a pass takes milliseconds; then it is lost
SHARD_FOLLOW_SECONDS: Final = 10.0  # a page of changes, likewise
SHARD_GREET_SECONDS: Final = 10.0  # asked again until Ray has started it
SHARD_LOAD_SECONDS: Final = 3600.0  # all that it has, without what it kept on disk
SHARD_STOP_SECONDS: Final = 30.0  # it saves codes
SHARD_END_SECONDS: Final = 10.0  # Ray kills one that hangs after 5
SHARD_PULSE_SECONDS: Final = 10.0  # of each of several front ends
SHARD_SILENT_SECONDS: Final = 60.0  # then one that several may ask ends by itself
SHARD_RETRY_SECONDS: Final = 0.25
MAX_TRIAL_NODES: Final = 8  # on one machine: 400 MB each, before any shard
TRIAL_OBJECTS_BYTES: Final = 80 * 1024 * 1024  # the least that Ray takes
