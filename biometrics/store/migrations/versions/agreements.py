"""The last version in force of each holder's agreement."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make an empty table; what was in force before had no revision to keep."""
    op.create_table(
        "agreement",
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("length(digest) = 32", name="agreement_digest_is_32_bytes"),
    )
