"""References that requesters hold for a follow-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.clock import to_microseconds
from biometrics.store.databases import insert_rows
from biometrics.store.schema import REFERENCE, REFERENCE_RECORD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.clock import Clock
    from biometrics.store.answer_rows import NewReference

_PURGE_EVERY: Final = limits.REPLAY_WINDOW_SECONDS * 1_000_000

_EXPIRED: Final = (
    sa.select(REFERENCE.c.reference_digest)
    .where(REFERENCE.c.expires_at <= sa.bindparam("now"))
    .order_by(REFERENCE.c.expires_at)
    .limit(sa.bindparam("most"))
)
_DELETE: Final = sa.delete(REFERENCE).where(
    REFERENCE.c.reference_digest.in_(sa.bindparam("digests", expanding=True))
)


class References:
    """The references of every pair of members."""

    def __init__(self, clock: Clock) -> None:
        """Judge by `clock` what has expired."""
        self._clock = clock
        self._purge_due = 0  # microseconds

    def add(
        self, connection: sa.Connection, references: Sequence[NewReference]
    ) -> None:
        """Add references and the records that each stands for."""
        insert_rows(
            connection,
            REFERENCE,
            [
                {
                    "reference_digest": reference.reference_digest,
                    "holder": reference.holder.code,
                    "requester": reference.requester.code,
                    "purpose": reference.purpose,
                    "modality": reference.modality,
                    "expires_at": to_microseconds(reference.expires_at),
                }
                for reference in references
            ],
        )
        insert_rows(
            connection,
            REFERENCE_RECORD,
            [
                {
                    "reference_digest": reference.reference_digest,
                    "record_id": record_id,
                    "lookup": lookup,
                }
                for reference in references
                for record_id, lookup in reference.records.items()
            ],
        )

    def is_due(self) -> bool:
        """Say whether it is time to look for what can be deleted."""
        now = to_microseconds(self._clock.now())
        # Or the clock was set back.
        return not now < self._purge_due <= now + _PURGE_EVERY

    def purge(self, connection: sa.Connection, most: int) -> None:
        """Delete at most `most` references that have expired."""
        now = to_microseconds(self._clock.now())
        expired = connection.execute(_EXPIRED, {"now": now, "most": most}).scalars()
        digests = list(expired)
        if digests:
            connection.execute(_DELETE, {"digests": digests})
        if len(digests) < most:
            self._purge_due = now + _PURGE_EVERY
