"""Records end for a reason, and may be replaced.

Of those that were withdrawn before there is the one reason there was. No row is
written anew, so that no key is copied.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a reason, a moment, and an index of the records that expire."""
    op.add_column(
        "tombstone",
        sa.Column("reason", sa.Text, nullable=False, server_default="withdrawn"),
    )
    op.add_column("record", sa.Column("replaced_at", sa.BigInteger))
    expires = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "record_expiry",
        "record",
        ["expires_at", "number", "member"],
        sqlite_where=expires,
        postgresql_where=expires,
    )
