"""The most templates that there ever were, by template space.

Of before, only what there is now is known.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin with what there is."""
    op.create_table(
        "comparison",
        sa.Column("space", sa.Text, primary_key=True),
        sa.Column("most", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO comparison SELECT space, sum(templates) FROM gallery"
        " GROUP BY space"
    )
