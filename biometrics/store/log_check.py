"""Whether the log in a database is what was appended, leaf by leaf.

What it finds damaged here, members would find in what they are served. It opens no
entry: nobody but their auditors can.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from biometrics import limits
from biometrics.audit.leaf import Leaf
from biometrics.audit.scribe import read_record, slot_tree
from biometrics.audit.tiles import WIDTH, tile_root
from biometrics.audit.tree import leaf_hash
from biometrics.errors import DefectError, Fault, InvalidRequestError
from biometrics.store.log import read_sequences
from biometrics.store.schema import LOG_HEAD, LOG_KEY, LOG_LEAF, LOG_TILE

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESTORE: Final = "the database is damaged or was edited, restore it from a backup"
_HEAD: Final = sa.select(LOG_HEAD)
_LEAVES: Final = (
    sa.select(LOG_LEAF)
    .where(LOG_LEAF.c.leaf_index > sa.bindparam("after"))
    .order_by(LOG_LEAF.c.leaf_index)
    .limit(sa.bindparam("most"))
)
_TILES: Final = (
    sa.select(LOG_TILE)
    .where(LOG_TILE.c.level == sa.bindparam("of_level"))
    .order_by(LOG_TILE.c.number)
)
_KEYS: Final = sa.select(LOG_KEY.c.key_id)


@dataclass(slots=True)
class _Walked:
    """What the leaves were found to have, in their order."""

    hashes: list[bytes] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    keys: set[bytes] = field(default_factory=set)


def log_faults(engine: sa.Engine) -> Iterator[Fault]:
    """Yield what is wrong with the log; memory holds the hashes of its leaves."""
    walked = _Walked()
    yield from _of_leaves(engine, walked)
    yield from _of_head(engine, walked)
    yield from _of_tiles(engine, walked.hashes)
    with engine.connect() as connection:
        lost = walked.keys - set(connection.execute(_KEYS).scalars())
    if lost:
        yield _fault("log", f"{len(lost)} keys of entries are missing")


def _of_leaves(engine: sa.Engine, walked: _Walked) -> Iterator[Fault]:
    """Yield leaves that are not of their entries, and the first that is missing."""
    for row in _leaves(engine):
        if row.leaf_index != len(walked.hashes):
            yield _fault(f"log, leaf {len(walked.hashes)}", "it is missing")
            return
        where = f"log, leaf {row.leaf_index}"
        try:
            _, parts = read_record(row.record)
            if slot_tree(row.record).root != Leaf.parse(row.leaf).root:
                yield _fault(where, "it is not of its entries")
        except (DefectError, InvalidRequestError) as error:
            yield _fault(where, error.message)
        else:
            walked.counts.update(part.member.code for part in parts)
            walked.keys.update(part.key_id for part in parts)
        walked.hashes.append(leaf_hash(row.leaf))


def _of_head(engine: sa.Engine, walked: _Walked) -> Iterator[Fault]:
    """Yield what of the log's head is not as its leaves are."""
    with engine.connect() as connection:
        heads = connection.execute(_HEAD).all()
    if len(heads) != 1:
        yield _fault("log", f"it has {len(heads)} heads, and must have one")
        return
    (head,) = heads
    if len(walked.hashes) != head.size:
        there = len(walked.hashes)
        yield _fault("log", f"{head.size} leaves were counted, and {there} are there")
    try:
        are_counted = read_sequences(head.sequences) == walked.counts
    except ValueError:
        are_counted = False
    if not are_counted:
        yield _fault("log", "members have other entries than were counted")


def _of_tiles(engine: sa.Engine, hashes: list[bytes]) -> Iterator[Fault]:
    """Yield tiles that do not follow from the leaves."""
    level = 0
    while True:
        full = len(hashes) // WIDTH
        with engine.connect() as connection:
            rows = connection.execute(_TILES, {"of_level": level}).all()
        found = {row.number: (row.hashes, row.root) for row in rows}
        roots = []
        for number in range(full):
            some = hashes[number * WIDTH : (number + 1) * WIDTH]
            roots.append(tile_root(some))
            if found.pop(number, None) != (b"".join(some), roots[-1]):
                where = f"log, tile {number} of level {level}"
                yield _fault(where, "it is missing or damaged")
        for number in found:
            where = f"log, tile {number} of level {level}"
            yield _fault(where, "the log has no leaves for it")
        if not full:
            return
        hashes, level = roots, level + 1


def _leaves(engine: sa.Engine) -> Iterator[sa.Row[tuple[int, bytes, bytes]]]:
    """Yield the rows of leaves, some at a time."""
    after = -1
    while True:
        values = {"after": after, "most": limits.STORE_IDS_PER_QUERY}
        with engine.connect() as connection:
            rows = connection.execute(_LEAVES, values).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].leaf_index


def _fault(where: str, told: str) -> Fault:
    """Return what is wrong with the log."""
    return Fault(field=where, reason="LOG_DAMAGED", message=f"{told}; {_RESTORE}")
