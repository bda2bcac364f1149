"""Several front ends: who wrote last, who they are, and keys that they hand over."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; all empty."""
    op.create_table(
        "front_end",
        sa.Column("name", sa.LargeBinary, primary_key=True),
        sa.Column("shown", sa.LargeBinary, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("settled", sa.BigInteger, nullable=False),
    )
    op.create_table("turn", sa.Column("name", sa.LargeBinary, primary_key=True))
    op.create_table(
        "front_end_key",
        sa.Column(
            "name",
            sa.LargeBinary,
            sa.ForeignKey("front_end.name", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
