"""The log: its leaves with their sealed entries, its tiles, and the keys of entries.

It begins empty: of what was answered before there is none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make empty tables, and a head of no leaf."""
    head = op.create_table(
        "log_head",
        sa.Column("log_head_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("life", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sequences", sa.Text, nullable=False),
        sa.Column("members", sa.Text, nullable=False),
        sa.CheckConstraint("log_head_id = 1", name="log_head_is_one_row"),
    )
    op.bulk_insert(
        head,
        [{"log_head_id": 1, "life": 1, "size": 0, "sequences": "", "members": ""}],
    )
    op.create_table(
        "log_leaf",
        sa.Column("leaf_index", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_tile",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_key",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("key_id", sa.LargeBinary, nullable=False),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("handed", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("key_id", name="log_key_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("log_key_of_member", "log_key", ["member", "number"])
