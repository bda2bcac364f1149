"""Cosignatures of the log; and its life is a name, which no two restores have both.

The life of a log that was restored before stays the number that it was.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make an empty table, and the head of the log anew."""
    before = op.get_bind().exec_driver_sql("SELECT * FROM log_head").mappings().one()
    op.drop_table("log_head")
    head = op.create_table(
        "log_head",
        sa.Column("log_head_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("life", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sequences", sa.Text, nullable=False),
        sa.Column("members", sa.Text, nullable=False),
        sa.CheckConstraint("log_head_id = 1", name="log_head_is_one_row"),
    )
    op.bulk_insert(head, [dict(before) | {"life": str(before["life"])}])
    op.create_table(
        "cosignature",
        sa.Column("size", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("cosigned_at", sa.BigInteger, nullable=False),
        sa.Column("checkpoint", sa.LargeBinary, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
