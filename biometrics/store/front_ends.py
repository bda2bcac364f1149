"""Front ends that serve one database side by side, as they know of one another.

What each of them answers is decided in the transactions of `Writer`, one after another
whoever's they are. Here is what is in their memories: how far each has obeyed the
journal, so that a lock is answered when no key is left anywhere; and the key-encryption
keys that a member has handed to one of them, sealed to each other one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from biometrics.store.custody import are_open
from biometrics.store.failures import translated
from biometrics.store.schema import (
    AGREEMENT,
    COUNTER,
    FRONT_END,
    FRONT_END_KEY,
    MEMBERSHIP,
)

if TYPE_CHECKING:
    from biometrics.members import Member
    from biometrics.store.databases import Database
    from biometrics.store.journal import JournalHead
    from biometrics.store.writer import Writer

NAME_BYTES: Final = 16
_BEYOND: Final = (1 << 63) - 1  # every position

_SEEN: Final = sa.select(
    COUNTER.c.journal_position,
    sa.select(sa.func.coalesce(sa.func.sum(AGREEMENT.c.revision), 0)).scalar_subquery(),
    sa.select(
        sa.func.coalesce(sa.func.sum(MEMBERSHIP.c.changed_at), 0)
    ).scalar_subquery(),
)
_IS_NAMED: Final = FRONT_END.c.name == sa.bindparam("of_name")
_OTHERS: Final = sa.select(FRONT_END).where(FRONT_END.c.name != sa.bindparam("of_name"))
_BEHIND: Final = {
    is_settled: sa.select(FRONT_END.c.name).where(
        FRONT_END.c.name != sa.bindparam("of_name"),
        column < sa.bindparam("of_position"),
    )
    for is_settled, column in (
        (False, FRONT_END.c.position),
        (True, FRONT_END.c.settled),
    )
}
_REACH: Final = (
    sa.update(FRONT_END)
    .where(_IS_NAMED)
    .values(
        shown=sa.bindparam("now_shown"),
        position=sa.bindparam("now_position"),
        settled=sa.bindparam("now_settled"),
    )
)
_ADD: Final = sa.insert(FRONT_END)
_FORGET: Final = sa.delete(FRONT_END).where(_IS_NAMED)
_IS_THERE: Final = sa.select(FRONT_END.c.name).where(_IS_NAMED)
_LENT: Final = sa.select(FRONT_END_KEY.c.member, FRONT_END_KEY.c.sealed).where(
    FRONT_END_KEY.c.name == sa.bindparam("of_name")
)
_HAVE: Final = sa.select(FRONT_END_KEY.c.name, FRONT_END_KEY.c.member)
_LEND: Final = sa.insert(FRONT_END_KEY)
_TAKE_BACK: Final = sa.delete(FRONT_END_KEY).where(
    FRONT_END_KEY.c.name == sa.bindparam("of_name"),
    FRONT_END_KEY.c.member == sa.bindparam("of_member"),
)


class Seen(NamedTuple):
    """How far the database is.

    Attributes:
        end: position of the journal's last change.
        revisions: of all agreements, summed: another number where one is newer.
        memberships: another number where it is otherwise about a member.
    """

    end: int
    revisions: int
    memberships: int


class Behind(NamedTuple):
    """Who has not obeyed the journal.

    Attributes:
        late: how many can still write.
        gone: how many could not any more, and are forgotten now.
    """

    late: int
    gone: int


class FrontEnd(NamedTuple):
    """One of the others.

    Attributes:
        name: 16 bytes.
        shown: what is sealed to for it, with what shows that it is one.
        lent: members whose keys were handed to it.
    """

    name: bytes
    shown: bytes
    lent: frozenset[str]


class FrontEndTable:
    """What a front end tells the others, and is told; any thread."""

    def __init__(
        self, writer: Writer, database: Database, name: bytes, head: JournalHead
    ) -> None:
        """Be the one of that name; `head` is advanced with what is seen of others."""
        self._writer = writer
        self._database = database
        self._head = head
        self.name = name

    def look(self) -> Seen:
        """Return how far the database is, whoever has written; wake who follows.

        Raises:
            StorageError: it cannot be read now.
        """
        with translated(), self._database.reading.connect() as connection:
            seen = Seen(*map(int, connection.execute(_SEEN).one()))
        self._head.advance(seen.end)
        return seen

    def reach(self, shown: bytes, position: int, settled: int) -> None:
        """Tell that everything up to a position of the journal is obeyed here.

        Args:
            shown: what is sealed to for this one; see `Vault.shown`.
            position: up to where no key is at hand that was closed before.
            settled: up to where there are no codes of such a key either, anywhere.

        Raises:
            StorageError: it could not be made durable.
        """
        row = {"name": self.name, "shown": shown, "position": position}
        row["settled"] = settled
        values = {f"now_{name}": value for name, value in row.items()}
        values = {"of_name": self.name, **values}

        def operation(connection: sa.Connection) -> None:
            # Others may have forgotten it, while its session was lost.
            if connection.execute(_REACH, values).rowcount == 0:
                connection.execute(_ADD, row)

        self._writer.run(operation)

    def behind(self, position: int, *, is_settled: bool = False) -> Behind:
        """Say whether front ends that can still write have not obeyed up to there.

        Those that are gone are forgotten.

        Args:
            position: of the journal.
            is_settled: whether they have to be settled up to there.

        Raises:
            StorageError: it cannot be read or written now.
        """
        asked = _BEHIND[is_settled]
        values = {"of_name": self.name, "of_position": position}
        with translated(), self._database.reading.connect() as connection:
            if connection.execute(asked, values).first() is None:
                return Behind(late=0, gone=0)

        def operation(connection: sa.Connection) -> Behind:
            late = list(connection.execute(asked, values).scalars())
            gone = [n for n in late if self._database.is_gone(connection, n)]
            for name in gone:
                connection.execute(_FORGET, {"of_name": name})
            return Behind(late=len(late) - len(gone), gone=len(gone))

        return self._writer.run(operation)

    def is_alone(self) -> bool:
        """Say whether no other front end can write now.

        Raises:
            StorageError: as `behind`.
        """
        return not self.behind(_BEYOND).late

    def others(self) -> list[FrontEnd]:
        """Return the others, some of which may be gone.

        Raises:
            StorageError: it cannot be read now.
        """
        with translated(), self._database.reading.connect() as connection:
            rows = connection.execute(_OTHERS, {"of_name": self.name}).all()
            lent = connection.execute(_HAVE).all()
        return [
            FrontEnd(
                row.name,
                row.shown,
                frozenset(each.member for each in lent if each.name == row.name),
            )
            for row in rows
        ]

    def lend(self, name: bytes, member: Member, sealed: bytes) -> None:
        """Have another one get a member's key, unless its galleries are closed by now.

        Raises:
            StorageError: it could not be made durable.
        """
        row = {"name": name, "member": member.code, "sealed": sealed}
        mine = {"of_name": name, "of_member": member.code}

        def operation(connection: sa.Connection) -> None:
            is_there = connection.execute(_IS_THERE, {"of_name": name}).first()
            if is_there and are_open(connection, [member]):
                connection.execute(_TAKE_BACK, mine)
                connection.execute(_LEND, row)

        self._writer.run(operation)

    def lent(self) -> dict[str, bytes]:
        """Return the keys that were handed to this one, sealed, by code of the member.

        Raises:
            StorageError: it cannot be read now.
        """
        with translated(), self._database.reading.connect() as connection:
            rows = connection.execute(_LENT, {"of_name": self.name}).all()
        return {row.member: row.sealed for row in rows}

    def refuse(self, member: Member) -> None:
        """Drop a key that was handed to this one and does not open: it is sealed anew.

        Raises:
            StorageError: it could not be made durable.
        """
        mine = {"of_name": self.name, "of_member": member.code}

        def operation(connection: sa.Connection) -> None:
            connection.execute(_TAKE_BACK, mine)

        self._writer.run(operation)

    def leave(self) -> None:
        """Be none of them any more.

        Raises:
            StorageError: it could not be made durable.
        """

        def operation(connection: sa.Connection) -> None:
            connection.execute(_FORGET, {"of_name": self.name})

        self._writer.run(operation)
