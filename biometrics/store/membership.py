"""How it is about each member: the settings say it, and it counts once it is here.

A suspension is checked in the transaction that stores an answer or a record, as a lock
is: nothing that a suspended member asked, or that compared with its galleries, becomes
durable after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from biometrics.audit import Kind, Mention
from biometrics.clock import to_microseconds
from biometrics.errors import DefectError, UnavailableError
from biometrics.members import Membership, suspended
from biometrics.store.custody_rows import CustodyState
from biometrics.store.failures import translated
from biometrics.store.schema import AGREEMENT, CUSTODY, MEMBERSHIP
from biometrics.store.values import member_of, word_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.log import Log
    from biometrics.store.writer import Writer

_ALL: Final = sa.select(MEMBERSHIP.c.member, MEMBERSHIP.c.membership)
_IS_MEMBER: Final = MEMBERSHIP.c.member == sa.bindparam("of_member")
_OF_MEMBER: Final = sa.select(MEMBERSHIP.c.membership).where(_IS_MEMBER)
_FORGET: Final = sa.delete(MEMBERSHIP).where(_IS_MEMBER)
_ADD: Final = sa.insert(MEMBERSHIP)
_IS_APART: Final = MEMBERSHIP.c.membership != Membership.ACTIVE.value
_APART: Final = _OF_MEMBER.where(_IS_APART)
_VERSIONS: Final = sa.select(AGREEMENT.c.holder, AGREEMENT.c.digest)
# Of all members, few if any, and at once: every search asks this.
_SHUT: Final = sa.union_all(
    sa.select(CUSTODY.c.member, sa.literal_column("0").label("is_apart")).where(
        CUSTODY.c.state != CustodyState.OPEN.value
    ),
    sa.select(MEMBERSHIP.c.member, sa.literal_column("1")).where(_IS_APART),
)
_TABLES: Final = (AGREEMENT.name, CUSTODY.name, MEMBERSHIP.name)
_KINDS: Final = {
    Membership.ACTIVE: Kind.RESUMPTION,
    Membership.SUSPENDED: Kind.SUSPENSION,
    Membership.LEFT: Kind.DEPARTURE,
}


class Shut(NamedTuple):
    """Who has no part in an answer.

    Attributes:
        members: those suspended or gone, who are told nothing.
        holders: these, and those whose galleries are closed: nothing is told of them.
        versions: digest of each holder's agreement, where another front end may have
            put one in force; else None, since what is in force here is the last.
    """

    members: frozenset[Member]
    holders: frozenset[Member]
    versions: Mapping[Member, bytes] | None

    def is_last(self, mention: Mention) -> bool:
        """Say whether what a holder is told of was permitted by its last agreement."""
        return (
            self.versions is None
            or mention.kind is not Kind.SEARCHED
            or self.versions.get(mention.member) == mention.agreement
        )


class ShutOut:
    """Remembers who has no part in answers; of the writer's thread.

    Nobody but the writer changes it, or `renew` is called. So it is read anew after any
    statement of the writer's that names one of its tables and is no query, whoever's
    that is; and time and again until the transaction with it is over, for a part of
    that may be undone.
    """

    def __init__(self, writing: sa.Engine, *, is_alone: bool) -> None:
        """Watch what is written by `writing`; where others write, it is not alone."""
        self._is_alone = is_alone
        self._known: Shut | None = None
        self._is_changing = False
        sa.event.listen(writing, "before_cursor_execute", self._note)

    def read(self, connection: sa.Connection) -> Shut:
        """Return who has no part in an answer.

        Within the writer's transaction nothing can change this before the commit.
        """
        if self._known is not None:
            return self._known
        rows = connection.execute(_SHUT).all()
        found = Shut(
            frozenset(member_of(row.member) for row in rows if row.is_apart),
            frozenset(member_of(row.member) for row in rows),
            None if self._is_alone else _versions(connection),
        )
        if not self._is_changing:
            self._known = found
        return found

    def renew(self) -> None:
        """Read anew who has none."""
        self._known = None

    def mark(self) -> int:
        """Return nothing to undo to; see `writer.Memory`."""
        return 0

    def undo(self, mark: int) -> None:
        """Go on reading anew, as while it changes."""

    def forget(self, *, is_durable: bool = False) -> None:  # noqa: ARG002 - either way
        """Remember again from now on: the transaction is over."""
        self._is_changing = False

    def _note(self, _: object, __: object, statement: str, *___: object) -> None:
        """Forget what a statement may change."""
        if not statement.startswith("SELECT") and any(
            name in statement for name in _TABLES
        ):
            self._known = None
            self._is_changing = True


def _versions(connection: sa.Connection) -> dict[Member, bytes]:
    """Return the digest of each holder's agreement that was last in force."""
    rows = connection.execute(_VERSIONS).all()
    return {member_of(row.holder): row.digest for row in rows}


def refuse_overtaken(
    connection: sa.Connection, holder: Member, agreement: bytes
) -> None:
    """Refuse what was permitted by an agreement that is not the holder's last.

    Another front end may have put one in force that this one has not taken up yet.

    Raises:
        UnavailableError: it is not.
    """
    if _versions(connection).get(holder, b"") != agreement:
        raise UnavailableError(
            "AGREEMENT_CHANGED",
            f"another version of the agreement of `{holder}` is about to be in force;"
            " nothing was done, send the request again",
        )


def refuse_apart(connection: sa.Connection, member: Member) -> None:
    """Refuse what a member asked before it was suspended.

    Raises:
        RefusedError: it is.
    """
    if connection.execute(_APART, {"of_member": member.code}).first():
        raise suspended(member)


def refuse_absent(connection: sa.Connection, member: Member) -> None:
    """Refuse what another asks of a suspended member, or would tell it.

    Raises:
        UnavailableError: it is.
    """
    if connection.execute(_APART, {"of_member": member.code}).first():
        raise UnavailableError(
            "MEMBER_UNAVAILABLE",
            f"`{member}` takes no part at the moment; nothing was used up, ask again"
            " once it does",
        )


class MembershipReader:
    """Reads how it was about each member; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def last(self) -> dict[Member, Membership]:
        """Return how it is about every member that has ever been one here."""
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_ALL).all()
        return {
            member_of(row.member): word_of(Membership, row.membership) for row in rows
        }


class MembershipTable(MembershipReader):
    """Keeps how it is about each member."""

    def __init__(
        self, writer: Writer, engine: sa.Engine, log: Log, clock: Clock
    ) -> None:
        """Write by `writer`, read by `engine`, tell `log`."""
        super().__init__(engine)
        self._writer = writer
        self._log = log
        self._clock = clock

    def keep(self, member: Member, membership: Membership) -> None:
        """Keep how it is about a member, with its leaf; on return it is durable.

        That a member is one is told to all by `LogWriter.note_members`.

        Raises:
            DefectError: it has left; nothing was changed.
            StorageError: it could not be made durable.
        """
        of_member = {"of_member": member.code}

        def operation(connection: sa.Connection) -> None:
            before = connection.execute(_OF_MEMBER, of_member).scalar_one_or_none()
            if before == membership:
                return
            if before == Membership.LEFT:
                raise DefectError("MEMBER_LEFT", f"{member} has left for good")
            connection.execute(_FORGET, of_member)
            connection.execute(
                _ADD,
                {
                    "member": member.code,
                    "membership": membership.value,
                    "changed_at": to_microseconds(self._clock.now()),
                },
            )
            if before is not None or membership is not Membership.ACTIVE:
                kind = _KINDS[membership]
                self._log.append(connection, Mention(member=member, kind=kind))

        self._writer.run(operation)
