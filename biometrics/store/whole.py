"""Reads one record with all its sealed templates, for whoever seals it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.errors import DefectError
from biometrics.sealed import Sealed
from biometrics.store.failures import translated
from biometrics.store.journal import TEMPLATES, read_row
from biometrics.store.live import find_live, find_removed, no_longer_there
from biometrics.store.rows import ReferenceRow, WholeRecord
from biometrics.store.schema import RECORD, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.members import Member

_RECORD: Final = sa.select(
    RECORD.c.content_digest,
    RECORD.c.reference_key_id,
    RECORD.c.reference_wrapped_key,
    RECORD.c.reference_ciphertext,
    RECORD.c.legal_basis,
).where(RECORD.c.number == sa.bindparam("of_number"))
_REFERENCES: Final = (
    sa.select(
        RECORD.c.record_id,
        RECORD.c.generation,
        RECORD.c.reference_key_id,
        RECORD.c.reference_wrapped_key,
        RECORD.c.reference_ciphertext,
    )
    .join_from(TEMPLATE, RECORD)
    .where(TEMPLATE.c.template_id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(TEMPLATE.c.template_id)
)
_TEMPLATES: Final = TEMPLATES.where(
    RECORD.c.number == sa.bindparam("of_number")
).order_by(TEMPLATE.c.template_id)


class WholeReader:
    """Reads records whole; any thread."""

    def __init__(self, engine: sa.Engine) -> None:
        """Read by `engine`."""
        self._engine = engine

    def record(self, member: Member, lookup: bytes) -> WholeRecord | None:
        """Return a record; None if it was changed while it was read.

        Args:
            member: the holder.
            lookup: keyed hash of the holder's reference.

        Raises:
            NotFoundError: no such record was ever enrolled (`NOT_ENROLLED`), or it
                is no longer there (`RECORD_WITHDRAWN`).
            DefectError: some of its rows are none any more.
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            found = find_live(connection, member, lookup)
            if found is None:
                raise no_longer_there(
                    find_removed(connection, member, lookup),
                    "it has no template any more",
                )
            values = {"of_number": found.number}
            record = connection.execute(_RECORD, values).first()
            templates = [
                read_row(row) for row in connection.execute(_TEMPLATES, values)
            ]
        if record is None or not templates:
            return None
        whole = tuple(template for template in templates if template is not None)
        if len(whole) < len(templates):
            raise DefectError(
                "RECORD_DAMAGED",
                "a row of the record is none any more: restore the database from a"
                " backup",
            )
        return WholeRecord(
            row=found.row,
            content_digest=record.content_digest,
            sealed_reference=Sealed(
                key_id=record.reference_key_id,
                wrapped_key=record.reference_wrapped_key,
                ciphertext=record.reference_ciphertext,
            ),
            legal_basis=record.legal_basis,
            templates=whole,
        )

    def references(self, template_ids: Sequence[int]) -> list[ReferenceRow]:
        """Return the references of the records that have some templates.

        Records that are withdrawn meanwhile are not there.

        Args:
            template_ids: at most `limits.STORE_IDS_PER_QUERY`.

        Raises:
            StorageError: they cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(_REFERENCES, {"ids": list(template_ids)}).all()
        return [
            ReferenceRow(
                record_id,
                generation,
                Sealed(key_id=key_id, wrapped_key=wrapped_key, ciphertext=ciphertext),
            )
            for record_id, generation, key_id, wrapped_key, ciphertext in rows
        ]
