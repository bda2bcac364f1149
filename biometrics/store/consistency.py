"""What must be true of the tables together, beyond what the database itself enforces.

What one statement can ask is a rule of `biometrics.store.consistency_rules`. Here are
the values: their types and sizes, and what only this package can read. Nothing is
opened, and nothing is changed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.audit.leaf import LEAF_BYTES
from biometrics.audit.scribe import KEY_ID_BYTES
from biometrics.audit.tiles import WIDTH
from biometrics.audit.tree import HASH_BYTES
from biometrics.errors import (
    ConfigurationError,
    DefectError,
    Fault,
    InvalidRequestError,
)
from biometrics.members import Member
from biometrics.signing import is_note_of
from biometrics.store.consistency_rules import RESTORE, RULES, VALUES
from biometrics.store.failures import DATABASE_ERRORS, translate
from biometrics.store.log_check import log_faults
from biometrics.store.schema import METADATA
from biometrics.store.values import split_members

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from biometrics.store.consistency_rules import Rule
    from biometrics.store.databases import Database

# How long values are; and, in SQLite, which keeps whatever it is given, their types.
_BYTES: Final = {
    "gallery_key": {"commitment": 32},
    "record": {"record_id": 16, "lookup": 32, "content_digest": 32},
    "protection": {"record_tag": 32},
    "tombstone": {"lookup": 32},
    "change": {"record_id": 16},
    "reply": {"request_id": 16, "digest": 32},
    "reference": {"reference_digest": 32},
    "near_search": {"record_id": 16},
    "frozen_record": {"record_id": 16, "case_id": 8},
    "reference_record": {"reference_digest": 32, "record_id": 16, "lookup": 32},
    "follow_up": {
        "follow_up_id": limits.FOLLOW_UP_ID_BYTES,
        "payload": limits.FOLLOW_UP_SEALED_BYTES,
    },
    "follow_up_record": {"record_id": 16, "lookup": 32},
    "agreement": {"digest": 32},
    "log_leaf": {"leaf": LEAF_BYTES},
    "log_tile": {"root": HASH_BYTES, "hashes": WIDTH * HASH_BYTES},
    "log_key": {"key_id": KEY_ID_BYTES},
    "front_end": {"name": 16},
    "turn": {"name": 16},
}
_TYPES: Final = {sa.Integer: "integer", sa.LargeBinary: "blob", sa.Text: "text"}
# Where codes of members stand: alone, or with a space between.
_CODES: Final = {
    "gallery_key": "member",
    "index_key": "member",
    "record": "member",
    "protection": "excluded",
    "tombstone": "member",
    "gallery": "member",
    "change": "member",
    "reply": "member",
    "agreement": "holder",
    "custody": "member",
    "membership": "member",
    "erasure": "member",
    "log_key": "member",
    "cosignature": "member",
    "near_search": "requester",
    "frozen_record": "requester",
    "alert": "requester",
    "quota_use": "requester",
    "follow_up": "requester",
    "front_end_key": "member",
}


class Consistency:
    """Asks whether a database is what it was written as; changes nothing.

    For a database that nobody writes to meanwhile: each question sees a moment of its
    own.
    """

    def __init__(self, database: Database) -> None:
        """Ask `database`."""
        self._database = database

    def faults(self, show: Callable[[int, int], None]) -> Iterator[Fault]:
        """Yield everything that is wrong with the tables, without opening a value.

        Args:
            show: called with how many questions were asked, of how many.
        """
        questions: Sequence[Callable[[], Iterator[Fault]]] = (
            self._of_files,
            *(lambda t=table: self._of_values(t) for table in METADATA.sorted_tables),
            *(lambda r=rule: self._broken(r) for rule in RULES),
            *(lambda t=name: self._of_codes(t) for name in _CODES),
            self._of_agreements,
            self._of_follow_ups,
            lambda: log_faults(self._database.reading),
        )
        for done, ask in enumerate(questions):
            show(done, len(questions))
            try:
                yield from ask()
            except DATABASE_ERRORS as error:
                told = translate(error)
                yield Fault(field="database", reason=told.reason, message=told.message)
        show(len(questions), len(questions))

    def _of_files(self) -> Iterator[Fault]:
        """Yield what is missing at its end, and what it finds wrong with its files."""
        try:
            refuse_behind(self._database)
        except ConfigurationError as error:
            yield Fault(field="database", reason=error.reason, message=error.message)
        for told in self._database.damage(limits.MAX_FAULTS_A_QUESTION):
            message = f"the database says: {told}{RESTORE}"
            yield Fault(field="database", reason="STORAGE_DAMAGED", message=message)

    def _of_values(self, table: sa.Table) -> Iterator[Fault]:
        """Yield the rows of a table with a value that cannot be one."""
        # Rows are named by numbers and texts; bytes would say nothing to a person.
        keys = [
            key.name
            for key in table.primary_key
            if not isinstance(key.type, sa.LargeBinary)
        ]
        is_typeless = self._database.reading.dialect.name == "sqlite"
        conditions = list(_wrong_values(table, is_typeless=is_typeless))
        wrong = " OR ".join(conditions or ["1 = 0"])
        asked = (
            f"SELECT {', '.join([*keys, '0'])} FROM {table.name}"  # noqa: S608 - of our tables
            f" WHERE {wrong} LIMIT {limits.MAX_FAULTS_A_QUESTION}"
        )
        for *row, _ in self._rows(sa.text(asked)):
            yield Fault(
                field=", row ".join((f"table {table.name}", *map(str, row))),
                reason="WRONG_VALUE",
                message=f"a value has another type or size than it was given{RESTORE}",
            )

    def _broken(self, rule: Rule) -> Iterator[Fault]:
        """Yield what breaks a rule; the last one says that there is more."""
        most = limits.MAX_FAULTS_A_QUESTION
        rows = self._rows(sa.text(f"{rule.asked} LIMIT :most"), VALUES)
        for row in rows[:most]:
            named = rule.where.count("{}")
            yield Fault(
                field=rule.where.format(*row[:named]),
                reason=rule.reason,
                message=rule.told.format(*row[named:]),
            )
        if len(rows) > most:
            message = f"more than {most} are like the one before"
            yield Fault(field="database", reason=rule.reason, message=message)

    def _of_codes(self, name: str) -> Iterator[Fault]:
        """Yield codes in a table that are no member's."""
        column = METADATA.tables[name].c[_CODES[name]]
        for (text,) in self._rows(sa.select(column).distinct()):
            try:
                split_members(text) if name == "protection" else Member(text)
            except (DefectError, InvalidRequestError, AttributeError, TypeError):
                yield Fault(
                    field=f"table {name}, column {column.name}",
                    reason="UNKNOWN_MEMBER",
                    message=f"a row names no member{RESTORE}",
                )

    def _of_agreements(self) -> Iterator[Fault]:
        """Yield versions of agreements that are not what was kept."""
        table = METADATA.tables["agreement"]
        for row in self._rows(sa.select(table.c.holder, table.c.digest, table.c.data)):
            if hashlib.sha256(row.data).digest() != row.digest:
                yield Fault(
                    field=f"agreement of {row.holder}",
                    reason="AGREEMENT_DAMAGED",
                    message=f"its content is not what was kept{RESTORE}",
                )

    def _of_follow_ups(self) -> Iterator[Fault]:
        """Yield follow-ups whose request is not the one that was signed."""
        table = METADATA.tables["follow_up"]
        columns = (table.c.requester, table.c.holder, table.c.follow_up_id)
        for row in self._rows(sa.select(*columns, table.c.note)):
            if not is_note_of(row.note, row.follow_up_id):
                yield Fault(
                    field=f"a follow-up of {row.requester} with {row.holder}",
                    reason="FOLLOW_UP_DAMAGED",
                    message=f"its request is not what was signed{RESTORE}",
                )

    def _rows(
        self, asked: sa.Executable, values: Mapping[str, object] | None = None
    ) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        """Return the rows of one question."""
        with self._database.reading.connect() as connection:
            return connection.execute(asked, values).all()


def refuse_behind(database: Database) -> None:
    """Refuse a database that lacks commits which it has acknowledged.

    Raises:
        ConfigurationError: it does; not where nothing is known of them.
    """
    if database.is_behind():
        raise ConfigurationError(
            "DATABASE_BEHIND",
            f"`{database}` lacks its last changes, which were acknowledged: the end of"
            " its log is damaged or lost, or an old copy was put in its place; restore"
            " a backup with `biometrics restore`. To go on without them, withdrawals"
            f" and protections among them, delete `{database}.lock`",
        )


def _wrong_values(table: sa.Table, *, is_typeless: bool) -> Iterator[str]:
    """Yield conditions that no row of a table meets as it was written."""
    for column in table.c:
        if (size := _BYTES.get(table.name, {}).get(column.name)) is not None:
            yield f"length({column.name}) <> {size}"
        if isinstance(column.type, sa.Integer):
            yield f"{column.name} < 0"
        if is_typeless:
            kind = next(k for of, k in _TYPES.items() if isinstance(column.type, of))
            kinds = f"'{kind}', 'null'" if column.nullable else f"'{kind}'"
            yield f"typeof({column.name}) NOT IN ({kinds})"
