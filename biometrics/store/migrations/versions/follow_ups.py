"""References are followed up: what each is good for, and what becomes of it.

Those that were given before say neither why nor by what was searched, so they are
dropped: nobody could use one, and the same search gives another.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of references anew, and those of follow-ups; all empty."""
    op.drop_table("reference_record")
    op.drop_table("reference")
    op.create_table(
        "reference",
        sa.Column("reference_digest", sa.LargeBinary, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("reference_expiry", "reference", ["expires_at"])
    _create_records("reference_record", "reference", "reference_digest")
    op.create_index("reference_of_record", "reference_record", ["record_id"])
    op.create_table(
        "follow_up",
        sa.Column("follow_up_id", sa.LargeBinary, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("requester", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("confirmation", sa.LargeBinary),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("ends_at", sa.BigInteger, nullable=False),
    )
    for side in ("holder", "requester"):
        op.create_index(f"follow_up_of_{side}", "follow_up", [side, "requested_at"])
    op.create_index("follow_up_end", "follow_up", ["ends_at"])
    _create_records("follow_up_record", "follow_up", "follow_up_id")
    op.create_index("follow_up_of_record", "follow_up_record", ["record_id"])


def _create_records(name: str, of: str, key: str) -> None:
    """Make the table of the records behind a reference or a follow-up."""
    op.create_table(
        name,
        sa.Column(
            key,
            sa.LargeBinary,
            sa.ForeignKey(f"{of}.{key}", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("record_id", sa.LargeBinary, primary_key=True),
        sa.Column("lookup", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
