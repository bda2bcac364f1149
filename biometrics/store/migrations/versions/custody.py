"""Whether a member's galleries are open, and what was erased of them.

Rows of templates and records are found by the key that wraps theirs, so that a rotation
sees what is left without reading everything.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make empty tables and two indexes; every member's galleries are open."""
    op.create_table(
        "custody",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "erasure",
        sa.Column("number", _NUMBER, primary_key=True),
        sa.Column("member", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key_list", sa.Text, nullable=False),
        sa.Column("records", sa.BigInteger, nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("deleted_at", sa.BigInteger, nullable=False),
        sa.Column("note", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("erasure_of_member", "erasure", ["member", "number"])
    op.create_table(
        "signing_key",
        sa.Column("signing_key_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("signing_key_id = 1", name="signing_key_is_one_row"),
    )
    op.create_index("template_of_key", "template", ["key_id", "template_id"])
    op.create_index("record_of_key", "record", ["reference_key_id", "number"])
