"""The tables. Migrations make exactly these; a test compares the two.

Rows of `record` and `template` are only ever appended and deleted, in the order of
their numbers, so that SQLite does not copy cells between pages and a deleted key
leaves no second copy behind. A rotation alone changes them in place, each wrapped key
for another of the same size; a copy that it left behind would be of a wrap by the key
that the next rotation retires. Numbers come from `counter` and are never used twice.

Sources: SQLite, "Rowid Tables" and "The WITHOUT ROWID Optimization".
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()

# SQLite's row number is an alias of a column only where that is INTEGER.
NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

GALLERY_KEY: Final = sa.Table(
    "gallery_key",
    METADATA,
    sa.Column("key_id", NUMBER, primary_key=True),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("gallery", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.Column("commitment", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("member", "gallery", "epoch", name="gallery_key_epoch"),
    sqlite_autoincrement=True,  # the number is part of what seals are bound to
)

INDEX_KEY: Final = sa.Table(
    "index_key",
    METADATA,
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)

# One row. Whoever adds to it holds its lock to the commit, so that numbers become
# visible in their order; that is what makes the journal free of gaps.
COUNTER: Final = sa.Table(
    "counter",
    METADATA,
    sa.Column("counter_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("journal_position", sa.BigInteger, nullable=False),
    sa.Column("template_id", sa.BigInteger, nullable=False),
    sa.CheckConstraint("counter_id = 1", name="counter_is_one_row"),
)

# `number` is the journal position of the enrolment, or of the last replacement.
RECORD: Final = sa.Table(
    "record",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("record_id", sa.LargeBinary, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("lookup", sa.LargeBinary, nullable=False),
    sa.Column("content_digest", sa.LargeBinary, nullable=False),
    sa.Column(
        "reference_key_id", NUMBER, sa.ForeignKey("gallery_key.key_id"), nullable=False
    ),
    sa.Column("reference_wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("reference_ciphertext", sa.LargeBinary, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("legal_basis", sa.Text, nullable=False),
    sa.Column("enrolled_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("replaced_at", sa.BigInteger),
    sa.CheckConstraint("length(record_id) = 16", name="record_id_is_16_bytes"),
    sa.CheckConstraint("length(lookup) = 32", name="record_lookup_is_32_bytes"),
    sa.UniqueConstraint("member", "lookup", name="record_lookup"),
    sa.Index("record_of_member", "member", "number"),
    sa.Index("record_of_key", "reference_key_id", "number"),
    sa.Index(
        "record_expiry",
        "expires_at",
        "number",
        "member",  # so that they are counted without a look at the rows
        sqlite_where=sa.text("expires_at IS NOT NULL"),
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    ),
)

# One row for every record, so that there is no weaker one to fall back on where a row
# is lost: without it the record cannot be read. It has no key, so it may be updated.
# `set_at` is NULL while it stands as it was enrolled. A canary is protected from all.
PROTECTION: Final = sa.Table(
    "protection",
    METADATA,
    sa.Column(
        "record_number",
        NUMBER,
        sa.ForeignKey("record.number", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("excluded", sa.Text, nullable=False),
    sa.Column("record_tag", sa.LargeBinary, nullable=False),
    sa.Column("set_at", sa.BigInteger),
    sa.Column("is_canary", sa.Integer, nullable=False, server_default="0"),
    sa.Index(
        "protection_canary",
        "record_number",
        sqlite_where=sa.text("is_canary = 1"),
        postgresql_where=sa.text("is_canary = 1"),
    ),
)

# The templates of one record have consecutive numbers, in the order of `sample`.
TEMPLATE: Final = sa.Table(
    "template",
    METADATA,
    sa.Column("template_id", NUMBER, primary_key=True, autoincrement=False),
    sa.Column(
        "record_number",
        NUMBER,
        sa.ForeignKey("record.number", ondelete="CASCADE"),
        nullable=False,
    ),
    sa.Column("space", sa.Text, nullable=False),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("sample", sa.Integer, nullable=False),
    sa.Column("quality", sa.Integer),
    sa.Column("key_id", NUMBER, sa.ForeignKey("gallery_key.key_id"), nullable=False),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    sa.Index("template_of_record", "record_number"),
    sa.Index("template_of_key", "key_id", "template_id"),
)

TOMBSTONE: Final = sa.Table(
    "tombstone",
    METADATA,
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("lookup", sa.LargeBinary, primary_key=True),
    sa.Column("withdrawn_at", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default="withdrawn"),
    sqlite_with_rowid=False,
)

# Counted with every write: counting the rows would read every template.
GALLERY: Final = sa.Table(
    "gallery",
    METADATA,
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("space", sa.Text, primary_key=True),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("templates", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The most templates that all members ever had together. Thresholds follow it, so it is
# never less: whoever enrols and withdraws one record could move them to and fro.
COMPARISON: Final = sa.Table(
    "comparison",
    METADATA,
    sa.Column("space", sa.Text, primary_key=True),
    sa.Column("most", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A withdrawal says which templates went: `templates` numbers from `first_template`
# on. NULL at enrolments, and at withdrawals from before these columns were there.
CHANGE: Final = sa.Table(
    "change",
    METADATA,
    sa.Column("position", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("record_id", sa.LargeBinary, nullable=False),
    sa.Column("first_template", sa.BigInteger),
    sa.Column("templates", sa.Integer),
)

REPLY: Final = sa.Table(
    "reply",
    METADATA,
    sa.Column("reply_id", NUMBER, primary_key=True),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("request_id", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("stored_at", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("member", "request_id", name="reply_request"),
)

REFERENCE: Final = sa.Table(
    "reference",
    METADATA,
    sa.Column("reference_digest", sa.LargeBinary, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("requester", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("reference_expiry", "expires_at"),
    sqlite_with_rowid=False,
)

# No foreign key to `record`: a reference outlives the record, and is refused then as
# one that was never given. `lookup` finds the record, replaced or not.
REFERENCE_RECORD: Final = sa.Table(
    "reference_record",
    METADATA,
    sa.Column(
        "reference_digest",
        sa.LargeBinary,
        sa.ForeignKey("reference.reference_digest", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("record_id", sa.LargeBinary, primary_key=True),
    sa.Column("lookup", sa.LargeBinary, nullable=False),
    sa.Index("reference_of_record", "record_id"),
    sqlite_with_rowid=False,
)

# A reference becomes one follow-up and is gone. `note` is what the requester signed;
# `payload` is sealed to the key in it, and nobody here opens it. `ends_at` is the end
# of the clock, and of one that is over, when its row goes.
FOLLOW_UP: Final = sa.Table(
    "follow_up",
    METADATA,
    sa.Column("follow_up_id", sa.LargeBinary, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("requester", sa.Text, nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("modality", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("refusal", sa.Text),
    sa.Column("note", sa.LargeBinary, nullable=False),
    sa.Column("confirmation", sa.LargeBinary),
    sa.Column("payload", sa.LargeBinary),
    sa.Column("requested_at", sa.BigInteger, nullable=False),
    sa.Column("ends_at", sa.BigInteger, nullable=False),
    sa.Index("follow_up_of_holder", "holder", "requested_at"),
    sa.Index("follow_up_of_requester", "requester", "requested_at"),
    sa.Index("follow_up_end", "ends_at"),
)

# Deleted once it is over: what is kept of it names no record.
FOLLOW_UP_RECORD: Final = sa.Table(
    "follow_up_record",
    METADATA,
    sa.Column(
        "follow_up_id",
        sa.LargeBinary,
        sa.ForeignKey("follow_up.follow_up_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("record_id", sa.LargeBinary, primary_key=True),
    sa.Column("lookup", sa.LargeBinary, nullable=False),
    sa.Index("follow_up_of_record", "record_id"),
    sqlite_with_rowid=False,
)

# One row a holder: the version last in force, as it was signed. A revision never goes
# down, so that an old version that is put back is known for one.
AGREEMENT: Final = sa.Table(
    "agreement",
    METADATA,
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
    sa.CheckConstraint("length(digest) = 32", name="agreement_digest_is_32_bytes"),
)

# A member without a row is open and has always been.
CUSTODY: Final = sa.Table(
    "custody",
    METADATA,
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
)

# How it was about each member when the settings were last taken up.
MEMBERSHIP: Final = sa.Table(
    "membership",
    METADATA,
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("membership", sa.Text, nullable=False),
    sa.Column("changed_at", sa.BigInteger, nullable=False),
)

# What keys were deleted for good. `note` is NULL until their bytes have left the files
# and that was signed.
ERASURE: Final = sa.Table(
    "erasure",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key_list", sa.Text, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False),
    sa.Column("begun_at", sa.BigInteger, nullable=False),
    sa.Column("deleted_at", sa.BigInteger, nullable=False),
    sa.Column("note", sa.LargeBinary),
    sa.Index("erasure_of_member", "member", "number"),
    sqlite_autoincrement=True,
)

# The exchange's own key, by which it signs what it has erased.
SIGNING_KEY: Final = sa.Table(
    "signing_key",
    METADATA,
    sa.Column("signing_key_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
    sa.CheckConstraint("signing_key_id = 1", name="signing_key_is_one_row"),
)

# One row: how long the log is, which one it is, and how many entries each member has.
# What is below it is only ever appended.
LOG_HEAD: Final = sa.Table(
    "log_head",
    METADATA,
    sa.Column("log_head_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("life", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sequences", sa.Text, nullable=False),
    sa.Column("members", sa.Text, nullable=False),
    sa.CheckConstraint("log_head_id = 1", name="log_head_is_one_row"),
)

# `record` has the sealed entries below a leaf, all in one value: a search adds one row.
LOG_LEAF: Final = sa.Table(
    "log_leaf",
    METADATA,
    sa.Column("leaf_index", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
)

# Full tiles only, of 256 hashes each; what they follow from never changes.
LOG_TILE: Final = sa.Table(
    "log_tile",
    METADATA,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)

# `handed` is the key, sealed to the member's auditor; nobody else ever opens it.
LOG_KEY: Final = sa.Table(
    "log_key",
    METADATA,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("key_id", sa.LargeBinary, nullable=False),
    sa.Column("member", sa.Text, nullable=False),
    sa.Column("hour", sa.BigInteger, nullable=False),
    sa.Column("handed", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("key_id", name="log_key_id"),
    sa.Index("log_key_of_member", "member", "number"),
    sqlite_autoincrement=True,
)

# Of which checkpoint: itself, as the log has signed it. `line` stands below that.
COSIGNATURE: Final = sa.Table(
    "cosignature",
    METADATA,
    sa.Column("size", NUMBER, primary_key=True, autoincrement=False),
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("cosigned_at", sa.BigInteger, nullable=False),
    sa.Column("checkpoint", sa.LargeBinary, nullable=False),
    sa.Column("line", sa.Text, nullable=False),
)

# How often a requester has felt for a record, day by day: no row for a single search.
NEAR_SEARCH: Final = sa.Table(
    "near_search",
    METADATA,
    sa.Column("record_id", sa.LargeBinary, primary_key=True),
    sa.Column("requester", sa.Text, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("searches", sa.Integer, nullable=False),
    sa.Index("near_search_of_day", "day"),
    sqlite_with_rowid=False,
)

# Records that are as if they were not there, each for one requester. `lapses_at` is
# NULL once a review has confirmed it.
FROZEN_RECORD: Final = sa.Table(
    "frozen_record",
    METADATA,
    sa.Column("record_id", sa.LargeBinary, primary_key=True),
    sa.Column("requester", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("case_id", sa.LargeBinary, nullable=False),
    sa.Column("is_named", sa.Integer, nullable=False),
    sa.Column("searches", sa.Integer, nullable=False),
    sa.Column("lapses_at", sa.BigInteger),
    sa.Column("requester_says", sa.Text),
    sa.Column("auditor_says", sa.Text),
    sa.UniqueConstraint("case_id", name="frozen_record_case"),
    sa.Index("frozen_record_lapse", "lapses_at"),
    sqlite_with_rowid=False,
)

# What auditors are told: an agreement and a count, neither a record nor a moment.
ALERT: Final = sa.Table(
    "alert",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, primary_key=True),
    sa.Column("requester", sa.Text, primary_key=True),
    sa.Column("times", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# How often an agreement was used on a day; `use` names what is counted.
QUOTA_USE: Final = sa.Table(
    "quota_use",
    METADATA,
    sa.Column("requester", sa.Text, primary_key=True),
    sa.Column("use", sa.LargeBinary, primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("searches", sa.BigInteger, nullable=False),
    sa.Index("quota_use_of_day", "day"),
    sqlite_with_rowid=False,
)

# Processes that serve the exchange side by side. `shown` is what is sealed to for one;
# up to `position` it has obeyed the journal: it has no key that was closed; up to
# `settled` it has no codes of such a key either, in memory or on disk. A row outlives
# its process, and goes once another one finds out.
FRONT_END: Final = sa.Table(
    "front_end",
    METADATA,
    sa.Column("name", sa.LargeBinary, primary_key=True),
    sa.Column("shown", sa.LargeBinary, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False),
    sa.Column("settled", sa.BigInteger, nullable=False),
)

# At most one row: whose transaction was the last, where there are several front ends.
TURN: Final = sa.Table(
    "turn",
    METADATA,
    sa.Column("name", sa.LargeBinary, primary_key=True),
)

# Key-encryption keys that members have handed to one front end, each sealed to another.
FRONT_END_KEY: Final = sa.Table(
    "front_end_key",
    METADATA,
    sa.Column(
        "name",
        sa.LargeBinary,
        sa.ForeignKey("front_end.name", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("member", sa.Text, primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
