"""What searches take from the leak budget and quotas, and what auditors are told."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make empty tables: nothing was counted before."""
    op.create_table(
        "near_search",
        sa.Column("record_id", sa.LargeBinary, primary_key=True),
        sa.Column("requester", sa.Text, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("searches", sa.Integer, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("near_search_of_day", "near_search", ["day"])
    op.create_table(
        "frozen_record",
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
        sqlite_with_rowid=False,
    )
    op.create_index("frozen_record_lapse", "frozen_record", ["lapses_at"])
    op.create_table(
        "alert",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("requester", sa.Text, primary_key=True),
        sa.Column("times", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quota_use",
        sa.Column("requester", sa.Text, primary_key=True),
        sa.Column("use", sa.LargeBinary, primary_key=True),
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("searches", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("quota_use_of_day", "quota_use", ["day"])
