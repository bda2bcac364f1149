"""The counts of galleries, kept with every write."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics.store.schema import COMPARISON, GALLERY, PROTECTION, TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.members import Member
    from biometrics.store.rows import NewRecord

_ADJUST: Final = (
    sa.update(GALLERY)
    .where(
        GALLERY.c.member == sa.bindparam("of_member"),
        GALLERY.c.space == sa.bindparam("of_space"),
    )
    .values(
        records=GALLERY.c.records + sa.bindparam("more_records"),
        templates=GALLERY.c.templates + sa.bindparam("more_templates"),
    )
)
_ADD: Final = sa.insert(GALLERY)
# The few records that are canaries, as the index has them. In a join SQLite goes
# through all templates instead, and asks of each whether it is one.
CANARIES: Final = sa.select(PROTECTION.c.record_number).where(
    PROTECTION.c.is_canary == sa.literal_column("1")
)
_CANARIES: Final = (
    sa.select(sa.func.count())
    .where(
        TEMPLATE.c.record_number.in_(CANARIES),
        TEMPLATE.c.space == sa.bindparam("of_space"),
    )
    .scalar_subquery()
)
# Nobody is told of a match with a canary, so none is promised an error rate.
_TOTAL: Final = (
    sa.select(sa.func.sum(GALLERY.c.templates) - _CANARIES)
    .where(GALLERY.c.space == sa.bindparam("of_space"))
    .scalar_subquery()
)
_RAISE: Final = (
    sa.update(COMPARISON)
    .where(COMPARISON.c.space == sa.bindparam("of_space"), COMPARISON.c.most < _TOTAL)
    .values(most=_TOTAL)
)
_MOST: Final = sa.select(COMPARISON.c.most).where(
    COMPARISON.c.space == sa.bindparam("of_space")
)
_FIRST: Final = sa.insert(COMPARISON)
_OF_RECORD: Final = (
    sa.select(TEMPLATE.c.space, sa.func.count())
    .where(TEMPLATE.c.record_number == sa.bindparam("of_number"))
    .group_by(TEMPLATE.c.space)
)


def count_enrolled(
    connection: sa.Connection, member: Member, records: Sequence[NewRecord]
) -> None:
    """Add records that are being enrolled; the journal's lock is held."""
    templates: Counter[str] = Counter()
    holding: Counter[str] = Counter()
    compared: Counter[str] = Counter()
    # Of a load nearly all are alike.
    for (is_canary, spaces), count in Counter(
        (record.is_canary, tuple(one.space for one in record.templates))
        for record in records
    ).items():
        for space in spaces:
            templates[space] += count
            compared[space] += 0 if is_canary else count
        for space in set(spaces):
            holding[space] += count
    for space in sorted(templates):
        values = {
            "of_member": member.code,
            "of_space": space,
            "more_records": holding[space],
            "more_templates": templates[space],
        }
        if connection.execute(_ADJUST, values).rowcount == 0:
            connection.execute(
                _ADD,
                {
                    "member": member.code,
                    "space": space,
                    "records": holding[space],
                    "templates": templates[space],
                },
            )
    for space in sorted(+compared):
        _raise_most(connection, space, compared[space])


def _raise_most(connection: sa.Connection, space: str, first: int) -> None:
    """Note that there were never more templates in a space, if that is so."""
    values = {"of_space": space}
    if connection.execute(_RAISE, values).rowcount:
        return
    if connection.execute(_MOST, values).first() is None:
        connection.execute(_FIRST, {"space": space, "most": first})


def count_withdrawn(connection: sa.Connection, member: Member, number: int) -> None:
    """Take away a record that is about to be deleted; the journal's lock is held."""
    for space, templates in connection.execute(_OF_RECORD, {"of_number": number}).all():
        connection.execute(
            _ADJUST,
            {
                "of_member": member.code,
                "of_space": space,
                "more_records": -1,
                "more_templates": -templates,
            },
        )
