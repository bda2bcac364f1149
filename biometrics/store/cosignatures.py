"""Cosignatures of the log by members' witnesses, each with the checkpoint it is of.

Kept is what some verifier may need: a checkpoint with cosignatures that no later one
has all of. Whoever asks for some of the witnesses finds the newest checkpoint that
these have cosigned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.errors import PreconditionError
from biometrics.store.failures import translated
from biometrics.store.schema import COSIGNATURE

if TYPE_CHECKING:
    from biometrics.members import Member
    from biometrics.store.writer import Writer

_ALL: Final = sa.select(COSIGNATURE).order_by(
    COSIGNATURE.c.size.desc(), COSIGNATURE.c.member
)
_OF: Final = sa.and_(
    COSIGNATURE.c.size == sa.bindparam("of_size"),
    COSIGNATURE.c.member == sa.bindparam("of_member"),
)
_TAKE_BACK: Final = sa.delete(COSIGNATURE).where(_OF)
_DROP: Final = sa.delete(COSIGNATURE).where(
    COSIGNATURE.c.size == sa.bindparam("of_size")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """That a member's witness has cosigned a checkpoint.

    Attributes:
        size: how many leaves it has.
        member: whose witness.
        time: when, in seconds since 1970.
        checkpoint: signed by the log, and by nobody else.
        line: the cosignature.
    """

    size: int
    member: Member
    time: int
    checkpoint: bytes
    line: str


class CosignatureTable:
    """Keeps cosignatures; any thread."""

    def __init__(self, writer: Writer, engine: sa.Engine) -> None:
        """Write by `writer`, read by `engine`."""
        self._writer = writer
        self._engine = engine

    def add(self, cosigned: Cosigned) -> None:
        """Make a cosignature durable; the same once more changes nothing.

        Raises:
            PreconditionError: the witness has cosigned more, or the same later.
            StorageError: it could not be made durable.
        """
        self._writer.run(lambda connection: _add(connection, cosigned))

    def notes(self) -> list[bytes]:
        """Return the checkpoints that are kept, with cosignatures, the largest first.

        Raises:
            StorageError: they cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_ALL).all()
        found: dict[int, bytes] = {}
        for row in rows:
            found[row.size] = found.get(row.size, row.checkpoint) + row.line.encode()
        return list(found.values())


def forget_cosignatures(connection: sa.Connection) -> None:
    """Drop all of them, in a transaction: they are of another log."""
    connection.execute(sa.delete(COSIGNATURE))


def _add(connection: sa.Connection, cosigned: Cosigned) -> None:
    """Add a cosignature, and drop what nobody needs any more."""
    by_size: dict[int, set[str]] = {}
    for row in connection.execute(_ALL):
        by_size.setdefault(row.size, set()).add(row.member)
        if row.member == cosigned.member.code and (row.size, row.cosigned_at) > (
            cosigned.size,
            cosigned.time,
        ):
            raise PreconditionError(
                "WITNESS_BEHIND",
                f"the witness of {cosigned.member} has cosigned {row.size} leaves, and"
                f" this is of {cosigned.size}, or older: it has gone back, look at its"
                " memory",
            )
    of = {"of_size": cosigned.size, "of_member": cosigned.member.code}
    connection.execute(_TAKE_BACK, of)
    connection.execute(
        sa.insert(COSIGNATURE).values(
            size=cosigned.size,
            member=cosigned.member.code,
            cosigned_at=cosigned.time,
            checkpoint=cosigned.checkpoint,
            line=cosigned.line,
        )
    )
    by_size.setdefault(cosigned.size, set()).add(cosigned.member.code)
    for size in superseded(by_size):
        connection.execute(_DROP, {"of_size": size})


def superseded(by_size: dict[int, set[str]]) -> list[int]:
    """Return the sizes of checkpoints that no verifier needs.

    Of more than are kept those with the fewest cosignatures go, the smallest first:
    a few witnesses could sign many checkpoints by turns, and have what a quorum has
    signed dropped.

    Args:
        by_size: who has cosigned which.
    """
    sizes = sorted(by_size, reverse=True)
    needed = [
        size
        for place, size in enumerate(sizes)
        if not any(by_size[size] <= by_size[later] for later in sizes[:place])
    ]
    needed.sort(key=lambda size: (len(by_size[size]), size), reverse=True)
    kept = set(needed[: limits.MAX_COSIGNED])
    return [size for size in sizes if size not in kept]
