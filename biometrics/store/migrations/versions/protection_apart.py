"""What protects a record has a row of its own, which can be set anew.

On SQLite `record` is made anew without it, in the order of the rows: rows that were
changed in place could leave a second copy of their wrapped keys behind.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KEPT = (
    "number, record_id, member, lookup, content_digest, reference_key_id,"
    " reference_wrapped_key, reference_ciphertext, generation, legal_basis,"
    " enrolled_at, expires_at"
)


def upgrade() -> None:
    """Move protections into a table, and records into one without."""
    op.create_table(
        "protection",
        sa.Column(
            "record_number",
            _NUMBER,
            sa.ForeignKey("record.number", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("excluded", sa.Text, nullable=False),
        sa.Column("record_tag", sa.LargeBinary, nullable=False),
        sa.Column("set_at", sa.BigInteger),
    )
    op.execute(
        "INSERT INTO protection (record_number, excluded, record_tag)"
        " SELECT number, excluded, record_tag FROM record ORDER BY number"
    )
    if op.get_bind().dialect.name == "sqlite":
        _move_records()
    else:
        op.drop_column("record", "excluded")
        op.drop_column("record", "record_tag")


def _move_records() -> None:
    op.drop_index("record_of_member", "record")
    # What refers to `record` is to refer to the new one, which has its name.
    op.execute("PRAGMA legacy_alter_table = ON")
    op.rename_table("record", "record_before")
    op.execute("PRAGMA legacy_alter_table = OFF")
    _make_record()
    op.execute(
        f"INSERT INTO record ({_KEPT})"  # noqa: S608 - our own text
        f" SELECT {_KEPT} FROM record_before ORDER BY number"
    )
    op.drop_table("record_before")


def _make_record() -> None:
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
        sa.Column("legal_basis", sa.Text, nullable=False),
        sa.Column("enrolled_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.CheckConstraint("length(record_id) = 16", name="record_id_is_16_bytes"),
        sa.CheckConstraint("length(lookup) = 32", name="record_lookup_is_32_bytes"),
        sa.UniqueConstraint("member", "lookup", name="record_lookup"),
    )
    op.create_index("record_of_member", "record", ["member", "number"])
