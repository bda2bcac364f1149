"""Every row with a sealed value, for whoever opens them all.

For a database that nobody writes to meanwhile: each page sees a moment of its own.
Nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.members import Member
from biometrics.sealed import Sealed
from biometrics.store.failures import translated
from biometrics.store.rows import StoredReference, StoredReply
from biometrics.store.schema import COUNTER, RECORD, REPLY, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_NUMBERS: Final = (
    sa.select(TEMPLATE.c.template_id)
    .where(TEMPLATE.c.template_id > sa.bindparam("after"))
    .order_by(TEMPLATE.c.template_id)
    .limit(sa.bindparam("most"))
)
_OF_GALLERY: Final = (
    sa.select(TEMPLATE.c.template_id)
    .join_from(TEMPLATE, RECORD)
    .where(
        RECORD.c.member == sa.bindparam("of_member"),
        TEMPLATE.c.space == sa.bindparam("of_space"),
        TEMPLATE.c.position == sa.bindparam("of_position"),
        RECORD.c.number <= sa.bindparam("up_to"),
        TEMPLATE.c.template_id > sa.bindparam("after"),
    )
    .order_by(TEMPLATE.c.template_id)
    .limit(sa.bindparam("most"))
)
_REFERENCES: Final = (
    sa.select(
        RECORD.c.number,
        RECORD.c.record_id,
        RECORD.c.member,
        RECORD.c.generation,
        RECORD.c.lookup,
        RECORD.c.reference_key_id,
        RECORD.c.reference_wrapped_key,
        RECORD.c.reference_ciphertext,
    )
    .where(RECORD.c.number > sa.bindparam("after"))
    .order_by(RECORD.c.number)
    .limit(sa.bindparam("most"))
)
_REPLIES: Final = (
    sa.select(REPLY.c.reply_id, REPLY.c.member, REPLY.c.request_id, REPLY.c.body)
    .where(REPLY.c.reply_id > sa.bindparam("after"))
    .order_by(REPLY.c.reply_id)
    .limit(sa.bindparam("most"))
)
_COUNTS: Final = sa.select(
    sa.select(sa.func.count(RECORD.c.number)).scalar_subquery().label("records"),
    sa.select(sa.func.count(TEMPLATE.c.template_id))
    .scalar_subquery()
    .label("templates"),
    sa.select(sa.func.count(REPLY.c.reply_id)).scalar_subquery().label("replies"),
    # Of the one row that is there, or of none or several in a damaged database.
    sa.select(sa.func.coalesce(sa.func.max(COUNTER.c.journal_position), 0))
    .scalar_subquery()
    .label("position"),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is to be opened, and up to which position of the journal."""

    records: int = 0
    templates: int = 0
    replies: int = 0
    position: int = 0


class SealedRows:
    """Reads them some at a time."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def counts(self) -> Counts:
        """Return how many rows there are that have sealed values.

        Raises:
            ExchangeError: they cannot be read.
        """
        with translated(), self._engine.connect() as connection:
            return Counts(*connection.execute(_COUNTS).one())

    def template_numbers(self) -> Iterator[list[int]]:
        """Yield the numbers of all templates, some at a time, in their order."""
        for rows in self._pages(_NUMBERS):
            yield [number for (number,) in rows]

    def numbers_of_gallery(
        self, member: Member, space: str, position: str, up_to: int
    ) -> Iterator[int]:
        """Yield the numbers of a gallery's templates at one position on the body.

        Args:
            member: the holder.
            space: name of the template space.
            position: where on the body.
            up_to: position of the journal; what was enrolled after is left out.
        """
        values = {"of_member": member.code, "of_space": space, "up_to": up_to}
        for rows in self._pages(_OF_GALLERY, **values, of_position=position):
            for (number,) in rows:
                yield number

    def references(self) -> Iterator[list[tuple[int, StoredReference | None]]]:
        """Yield numbers of records with their sealed references, some at a time.

        None for the reference of a row that is none.
        """
        for rows in self._pages(_REFERENCES):
            yield [(row.number, _reference(row)) for row in rows]

    def replies(self) -> Iterator[list[tuple[int, StoredReply | None]]]:
        """Yield numbers of stored answers with what they hold, some at a time."""
        for rows in self._pages(_REPLIES):
            yield [(row.reply_id, _reply(row)) for row in rows]

    def _pages(
        self, asked: sa.Select[*tuple[Any, ...]], **values: object
    ) -> Iterator[Sequence[sa.Row[*tuple[Any, ...]]]]:
        """Yield rows some at a time, in the order of their first column.

        Raises:
            ExchangeError: they cannot be read on.
        """
        after = -1
        most = limits.STORE_IDS_PER_QUERY
        while True:
            with translated(), self._engine.connect() as connection:
                rows = connection.execute(
                    asked, values | {"after": after, "most": most}
                ).all()
            if not rows:
                return
            yield rows
            after = rows[-1][0]


def _reference(row: sa.Row[*tuple[Any, ...]]) -> StoredReference | None:
    """Return a row of `_REFERENCES` as a value; None if it is none."""
    kinds = (bytes, str, int, bytes, int, bytes, bytes)
    if not all(map(isinstance, row[1:], kinds)) or row.generation < 0:
        return None
    try:
        member = Member(row.member)
    except InvalidRequestError:
        return None
    return StoredReference(
        record_id=row.record_id,
        member=member,
        generation=row.generation,
        lookup=row.lookup,
        sealed=Sealed(
            key_id=row.reference_key_id,
            wrapped_key=row.reference_wrapped_key,
            ciphertext=row.reference_ciphertext,
        ),
    )


def _reply(row: sa.Row[*tuple[Any, ...]]) -> StoredReply | None:
    """Return a row of `_REPLIES` as a value; None if it is none."""
    if not all(map(isinstance, row[1:], (str, bytes, bytes))):
        return None
    try:
        member = Member(row.member)
    except InvalidRequestError:
        return None
    return StoredReply(member=member, request_id=row.request_id, body=row.body)
