"""Which moment of which database's life a copy is of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa
from alembic.migration import MigrationContext

from biometrics.errors import ConfigurationError
from biometrics.store.schema import CHANGE, COUNTER

_POSITION: Final = sa.select(COUNTER.c.journal_position)
_LAST: Final = sa.select(CHANGE.c.record_id).where(
    CHANGE.c.position == sa.bindparam("at")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment between two commits.

    Attributes:
        schema: revision of the tables.
        position: of the journal's last change.
        change: record id of that change; empty if there is none.
    """

    schema: str = field(compare=False)  # another one after an upgrade
    position: int
    change: bytes


def moment_of(connection: sa.Connection) -> Moment:
    """Return which moment a connection sees.

    Raises:
        ConfigurationError: there is nothing in the database (`NOTHING_STORED`).
    """
    schema = MigrationContext.configure(connection).get_current_revision()
    if schema is None:
        raise nothing_stored()
    position = int(connection.execute(_POSITION).scalar_one())
    change = connection.execute(_LAST, {"at": position}).scalar()
    return Moment(schema=schema, position=position, change=change or b"")


def nothing_stored() -> ConfigurationError:
    """Return the error of a database that no exchange was started with."""
    return ConfigurationError(
        "NOTHING_STORED",
        "there is nothing in the database yet; start the exchange once",
    )
