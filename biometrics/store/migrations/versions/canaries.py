"""Which records are canaries: none of those there are."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column, 0 in every row there is; no row is written anew."""
    column = sa.Column("is_canary", sa.Integer, nullable=False, server_default="0")
    op.add_column("protection", column)
    op.create_index(
        "protection_canary",
        "protection",
        ["record_number"],
        sqlite_where=sa.text("is_canary = 1"),
        postgresql_where=sa.text("is_canary = 1"),
    )
