"""Who takes part, as the settings last said.

Members of before have no row until the next start, which finds them as they are in the
settings: that is no change of theirs.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make an empty table."""
    op.create_table(
        "membership",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("membership", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
