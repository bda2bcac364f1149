"""Freezes under review, and alerts: what auditors and requesters are shown of them.

No record and no moment is shown to anybody. A freeze is named by random bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.clock import to_microseconds
from biometrics.errors import NotFoundError
from biometrics.store.failures import translated
from biometrics.store.review_rows import AlertKind, AlertRow, FreezeRow, Side, Verdict
from biometrics.store.schema import ALERT, FROZEN_RECORD, NEAR_SEARCH
from biometrics.store.values import member_of, moment_or_none, word_of

if TYPE_CHECKING:
    from concurrent.futures import Future

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.writer import Writer

_LASTS: Final = FROZEN_RECORD.c.lapses_at.is_(None) | (
    FROZEN_RECORD.c.lapses_at > sa.bindparam("now")
)
_IS_CASE: Final = FROZEN_RECORD.c.case_id == sa.bindparam("of_case")
_OF_MEMBER: Final = (
    sa.select(FROZEN_RECORD)
    .where(
        _LASTS,
        (FROZEN_RECORD.c.holder == sa.bindparam("of_member"))
        | (FROZEN_RECORD.c.requester == sa.bindparam("of_member")),
    )
    .order_by(FROZEN_RECORD.c.case_id)
)
_CASE: Final = sa.select(FROZEN_RECORD).where(_LASTS, _IS_CASE)
_COLUMNS: Final = {
    Side.REQUESTER: FROZEN_RECORD.c.requester_says,
    Side.AUDITOR: FROZEN_RECORD.c.auditor_says,
}
_SAY: Final = {
    side: sa.update(FROZEN_RECORD)
    .where(_IS_CASE)
    .values({column: sa.bindparam("now_says")})
    for side, column in _COLUMNS.items()
}
_CONFIRM: Final = sa.update(FROZEN_RECORD).where(_IS_CASE).values(lapses_at=None)
_LIFT: Final = sa.delete(FROZEN_RECORD).where(_IS_CASE)
_FORGET: Final = sa.delete(NEAR_SEARCH).where(
    NEAR_SEARCH.c.record_id == sa.bindparam("of_record"),
    NEAR_SEARCH.c.requester == sa.bindparam("of_requester"),
)
_ALERTS: Final = (
    sa.select(ALERT)
    .where(
        (ALERT.c.holder == sa.bindparam("of_member"))
        | (ALERT.c.requester == sa.bindparam("of_member"))
    )
    .order_by(ALERT.c.kind, ALERT.c.holder, ALERT.c.requester)
)


class ReviewTable:
    """The freezes that have not lapsed, and the alerts."""

    def __init__(self, writer: Writer, engine: sa.Engine, clock: Clock) -> None:
        """Write by `writer`, read by `engine`; `clock` tells what has lapsed."""
        self._writer = writer
        self._engine = engine
        self._clock = clock

    def freezes(self, member: Member) -> list[FreezeRow]:
        """Return the freezes that a member is a side of; any thread.

        Raises:
            StorageError: they cannot be read now.
        """
        values = {"of_member": member.code, "now": self._now()}
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_OF_MEMBER, values).all()
        return [_freeze(row) for row in rows]

    def alerts(self, member: Member) -> list[AlertRow]:
        """Return the alerts about agreements that a member is a side of; any thread.

        Raises:
            StorageError: they cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_ALERTS, {"of_member": member.code}).all()
        return [
            AlertRow(
                kind=word_of(AlertKind, row.kind),
                holder=member_of(row.holder),
                requester=member_of(row.requester),
                count=row.times,
            )
            for row in rows
        ]

    def decide(
        self, case_id: bytes, member: Member, side: Side, verdict: Verdict
    ) -> Future[bool]:
        """Keep what one side says of a freeze; do it once both say so.

        Args:
            case_id: names the freeze.
            member: whose side it is; no other's freeze is found.
            side: of the freeze.
            verdict: what it says.

        Returns:
            Whether that is done now. A freeze that was lifted is found no more.
            Raises NotFoundError or StorageError.
        """

        def operation(connection: sa.Connection) -> bool:
            case = {"of_case": case_id}
            row = connection.execute(_CASE, case | {"now": self._now()}).first()
            own = row and (row.requester if side is Side.REQUESTER else row.holder)
            if row is None or own != member.code:
                raise NotFoundError(
                    "NO_SUCH_REVIEW",
                    "no freeze of yours has this name; it has lapsed, or was lifted",
                )
            connection.execute(_SAY[side], case | {"now_says": verdict.value})
            said = {**_freeze(row).said, side: verdict}
            if len(said) < len(Side) or set(said.values()) != {verdict}:
                return False
            if verdict is Verdict.CONFIRM:
                connection.execute(_CONFIRM, case)
                return True
            connection.execute(_LIFT, case)
            pair = {"of_record": row.record_id, "of_requester": row.requester}
            connection.execute(_FORGET, pair)
            return True

        return self._writer.submit(operation)

    def _now(self) -> int:
        """Return this moment, in microseconds."""
        return to_microseconds(self._clock.now())


def _freeze(row: sa.Row[tuple[object, ...]]) -> FreezeRow:
    """Return what a row says."""
    said = {
        side: word_of(Verdict, getattr(row, column.name))
        for side, column in _COLUMNS.items()
        if getattr(row, column.name) is not None
    }
    return FreezeRow(
        case_id=row.case_id,
        holder=member_of(row.holder),
        requester=member_of(row.requester),
        is_named=bool(row.is_named),
        searches=row.searches,
        lapses_at=moment_or_none(row.lapses_at),
        said=said,
    )
