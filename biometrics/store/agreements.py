"""The version of each holder's agreement that was last in force, with its signatures.

Files come and go; this is what a start goes back to where a file is missing or not
good, and what tells an old version that was put back from a new one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.audit import Kind, Mention
from biometrics.errors import DefectError
from biometrics.store.failures import translated
from biometrics.store.rows import AgreementRow
from biometrics.store.schema import AGREEMENT
from biometrics.store.values import member_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biometrics.store.log import Log
    from biometrics.store.writer import Writer

_ALL: Final = sa.select(AGREEMENT).order_by(AGREEMENT.c.holder)
_TYPES: Final = (str, int, bytes, bytes, bytes)  # of the columns
_IS_HOLDER: Final = AGREEMENT.c.holder == sa.bindparam("of_holder")
_REVISION: Final = sa.select(AGREEMENT.c.revision, AGREEMENT.c.digest).where(_IS_HOLDER)
_FORGET: Final = sa.delete(AGREEMENT).where(_IS_HOLDER)
_ADD: Final = sa.insert(AGREEMENT)


class AgreementReader:
    """Reads the versions that were last in force; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def last(self) -> list[AgreementRow]:
        """Return the last version of each holder, by code.

        Raises:
            DefectError: a row is none any more.
        """
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_ALL).all()
        if not all(all(map(isinstance, row, _TYPES)) for row in rows):
            raise DefectError(
                "STORAGE_DAMAGED",
                "a version of an agreement is damaged; restore the database",
            )
        return [
            AgreementRow(
                holder=member_of(row.holder),
                revision=row.revision,
                digest=row.digest,
                data=row.data,
                note=row.note,
            )
            for row in rows
        ]


class AgreementTable(AgreementReader):
    """Keeps the versions that were last in force."""

    def __init__(self, writer: Writer, engine: sa.Engine, log: Log) -> None:
        """Write by `writer`, read by `engine`, tell `log`."""
        super().__init__(engine)
        self._writer = writer
        self._log = log

    def keep(self, row: AgreementRow) -> None:
        """Keep a version in place of its holder's last; on return it is durable.

        The same version may be kept again, with another note.

        Raises:
            DefectError: it is no later version than the last; nothing was changed.
            StorageError: it could not be made durable.
        """
        values = {
            "holder": row.holder.code,
            "revision": row.revision,
            "digest": row.digest,
            "data": row.data,
            "note": row.note,
        }
        of_holder = {"of_holder": row.holder.code}

        def operation(connection: sa.Connection) -> None:
            last = connection.execute(_REVISION, of_holder).first()
            if last is not None and not (
                row.revision > last.revision
                or (row.revision, row.digest) == (last.revision, last.digest)
            ):
                raise DefectError(
                    "AGREEMENT_ROLLED_BACK",
                    f"revision {row.revision} of {row.holder} is no later version",
                )
            connection.execute(_FORGET, of_holder)
            connection.execute(_ADD, values)
            if last is None or row.revision > last.revision:
                self._log.append(
                    connection,
                    Mention(
                        member=row.holder,
                        kind=Kind.AGREEMENT,
                        agreement=row.digest,
                        items=(row.digest,),
                    ),
                )

        self._writer.run(operation)


def supersede(connection: sa.Connection, values: Mapping[str, object]) -> bool:
    """Keep a version if it is later than its holder's last; say whether it was.

    Args:
        connection: in a transaction.
        values: by column.
    """
    of_holder = {"of_holder": values["holder"]}
    last = connection.execute(_REVISION, of_holder).first()
    if last is not None and last.revision >= values["revision"]:
        return False
    connection.execute(_FORGET, of_holder)
    connection.execute(_ADD, values)
    return True
