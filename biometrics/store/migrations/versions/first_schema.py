"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table; the counters begin before 1."""
    _make_keys()
    _make_records()
    _make_journal()
    _make_answers()


def _make_keys() -> None:
    op.create_table(
        "gallery_key",
        sa.Column("key_id", _NUMBER, primary_key=True),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("gallery", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("commitment", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("member", "gallery", "epoch", name="gallery_key_epoch"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "index_key",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
    )


def _make_records() -> None:
    op.create_table(
        "record",
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("record_id", sa.LargeBinary, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("lookup", sa.LargeBinary, nullable=False),
        sa.Column("content_digest", sa.LargeBinary, nullable=False),
        sa.Column(
            "reference_key_id",
            _NUMBER,
            sa.ForeignKey("gallery_key.key_id"),
            nullable=False,
        ),
        sa.Column("reference_wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("reference_ciphertext", sa.LargeBinary, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("excluded", sa.Text, nullable=False),
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("enrolled_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("record_tag", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("length(record_id) = 16", name="record_id_is_16_bytes"),
        sa.CheckConstraint("length(lookup) = 32", name="record_lookup_is_32_bytes"),
        sa.UniqueConstraint("member", "lookup", name="record_lookup"),
    )
    op.create_index("record_of_member", "record", ["member", "number"])
    op.create_table(
        "template",
        sa.Column("template_id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column(
            "record_number",
            _NUMBER,
            sa.ForeignKey("record.number", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("space", sa.Text, nullable=False),
        sa.Column("position", sa.Text, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("sample", sa.Integer, nullable=False),
        sa.Column("quality", sa.Integer),
        sa.Column(
            "key_id", _NUMBER, sa.ForeignKey("gallery_key.key_id"), nullable=False
        ),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("ciphertext", sa.LargeBinary, nullable=False),
    )
    op.create_index("template_of_record", "template", ["record_number"])
    op.create_table(
        "tombstone",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("lookup", sa.LargeBinary, primary_key=True),
        sa.Column("withdrawn_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "gallery",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("space", sa.Text, primary_key=True),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("templates", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


def _make_journal() -> None:
    op.create_table(
        "change",
        sa.Column("position", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("record_id", sa.LargeBinary, nullable=False),
    )
    counter = op.create_table(
        "counter",
        sa.Column("counter_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("journal_position", sa.BigInteger, nullable=False),
        sa.Column("template_id", sa.BigInteger, nullable=False),
        sa.CheckConstraint("counter_id = 1", name="counter_is_one_row"),
    )
    op.bulk_insert(
        counter, [{"counter_id": 1, "journal_position": 0, "template_id": 0}]
    )


def _make_answers() -> None:
    op.create_table(
        "reply",
        sa.Column("reply_id", _NUMBER, primary_key=True),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("request_id", sa.LargeBinary, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("member", "request_id", name="reply_request"),
    )
    op.create_table(
        "reference",
        sa.Column("reference_digest", sa.LargeBinary, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("reference_expiry", "reference", ["expires_at"])
    op.create_table(
        "reference_record",
        sa.Column(
            "reference_digest",
            sa.LargeBinary,
            sa.ForeignKey("reference.reference_digest", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("record_id", sa.LargeBinary, primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("reference_of_record", "reference_record", ["record_id"])
