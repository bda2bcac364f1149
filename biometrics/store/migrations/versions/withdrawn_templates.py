"""A withdrawal says which templates went.

Withdrawals of before stay without, and need none: of what they took nothing is left
anywhere but in the memory of a process that has ended, because no version that kept
an index on disk has run on schema 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns, NULL in every row there is; no row is written anew."""
    op.add_column("change", sa.Column("first_template", sa.BigInteger))
    op.add_column("change", sa.Column("templates", sa.Integer))
