"""What a disk, or whoever has it, puts in another's place opens nowhere.

A write that went to the wrong block, and a row that somebody edited, are whole and
were sealed by the exchange itself: nothing but what they are bound to tells them from
what belongs there. Each way changes one field of that and nothing else, in the database
of an exchange that runs, and reads by the exchange's own readers. Afterwards it is
undone.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from world import SPACES

from biometrics.custody.keyring import open_keys
from biometrics.errors import SealError
from biometrics.members import Member
from biometrics.sealed import (
    FILE_NAME_BYTES,
    FileKind,
    SealedFile,
    reference_binding,
)
from biometrics.spaces import parse_spaces
from matcher.index import binding_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from simulation.exchange import Node
    from simulation.life import Place

    from biometrics.templates import TemplateSpaces

HOLDER: Final = Member("XAA")
SAME: Final = parse_spaces(SPACES, "spaces.toml")
OTHER: Final = parse_spaces(
    SPACES.replace('extractor_version = "1"', 'extractor_version = "2"'), "spaces.toml"
)
# Two templates of one gallery, position, sample and generation, of two records.
TWO_RECORDS: Final = """
    SELECT a.template_id, b.template_id FROM template a JOIN template b
    USING (space, position, sample, key_id) JOIN record r ON r.number = a.record_number
    JOIN record s ON s.number = b.record_number AND s.generation = r.generation
    WHERE a.template_id <> b.template_id AND r.member = 'XAA' ORDER BY 1, 2
"""
# Two faces of one record.
TWO_SAMPLES: Final = """
    SELECT a.template_id, b.template_id FROM template a JOIN template b
    USING (record_number, position) JOIN record r ON r.number = a.record_number
    WHERE a.sample < b.sample AND r.member = 'XAA' ORDER BY 1, 2
"""
ONE: Final = """
    SELECT template_id, record_number FROM template t JOIN record r
    ON r.number = t.record_number WHERE r.member = 'XAA' ORDER BY 1
"""
PUT_OVER: Final = """
    UPDATE template SET (wrapped_key, ciphertext) = (
        SELECT wrapped_key, ciphertext FROM template WHERE template_id = :b)
    WHERE template_id = :a
"""


@dataclass(frozen=True)
class Desk:
    """The database of an exchange that runs, and what reads it."""

    node: Node
    place: Place
    random: Generator

    def rows(self, query: str) -> list[Any]:
        """Return rows."""
        with self._database() as database:
            return database.execute(query).fetchall()

    def one_of(self, query: str) -> Any | None:
        """Return one of some rows, or None where there is none."""
        rows = self.rows(query)
        return rows[int(self.random.integers(len(rows)))] if rows else None

    @contextmanager
    def edited(self, statement: str, **values: Any) -> Iterator[None]:
        """Change rows, and have them as they were afterwards."""
        with self._database() as database:
            kept = sqlite3.connect(":memory:")
            database.backup(kept)
            database.execute(statement, values)
            database.commit()
            yield
            kept.backup(database)
            kept.close()

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        path = self.place.root / "data/exchange.sqlite"
        database = sqlite3.connect(path, timeout=5)
        try:
            yield database
        finally:
            database.close()

    def opens(self, number: int, spaces: TemplateSpaces = SAME) -> bool:
        """Say whether a template opens as what its row says."""
        row = self.node.parts.store.journal.templates([number]).get(number)
        if row is None:
            return False
        try:
            self.vault.open(binding_of(row, spaces), row.sealed)
        except SealError:
            return False
        return True

    @property
    def vault(self) -> Any:
        """The exchange's keys."""
        return self.node.parts.custodian._vault


def misplaced(node: Node, place: Place, random: Generator, count: int) -> list[str]:
    """Return which of some ways were not noticed."""
    desk = Desk(node, place, random)
    names = random.choice(sorted(WAYS), count, replace=False)
    return [f"not bound to its {name}" for name in names if WAYS[str(name)](desk)]


def _put_over(query: str) -> Callable[[Desk], bool]:
    def way(desk: Desk) -> bool:
        found = desk.one_of(query)
        if found is None:
            return False
        with desk.edited(PUT_OVER, a=found[0], b=found[1]):
            return desk.opens(found[0])

    return way


def _relabelled(statement: str, query: str = ONE) -> Callable[[Desk], bool]:
    def way(desk: Desk) -> bool:
        found = desk.one_of(query)
        if found is None:
            return False
        with desk.edited(statement, a=found[0]):
            return desk.opens(found[0])

    return way


def _of_other_definition(desk: Desk) -> bool:
    found = desk.one_of(ONE)
    return found is not None and desk.opens(found[0], OTHER)


def _of_other_key(statement: str) -> Callable[[Desk], bool]:
    """Of two members with one key-encryption key, as on a token that they share."""

    def way(desk: Desk) -> bool:
        found = desk.one_of("SELECT key_id FROM gallery_key WHERE member = 'XAA'")
        provider = desk.vault._rings[HOLDER]._provider
        if found is None:
            return False
        with desk.edited(statement, a=found[0]):
            rows = [
                row
                for member in (HOLDER, Member("XDD"))
                for row in desk.node.parts.store.keys.gallery_keys(member)
                if row.key_id == found[0]
            ]
            try:
                open_keys(rows, provider)
            except SealError:
                return False
            return True

    return way


def _reply(desk: Desk) -> bool:
    replies = desk.rows(
        "SELECT request_id, body FROM reply WHERE member = 'XAA' ORDER BY reply_id"
    )
    if len(replies) < 2:
        return False
    first, second = desk.random.choice(len(replies), 2, replace=False)
    try:
        desk.vault.index(HOLDER).open_reply(replies[first][0], replies[second][1])
    except SealError:
        return False
    return True


def _tag(statement: str) -> Callable[[Desk], bool]:
    """Of what a record's tag attests; its templates open all the same."""

    def way(desk: Desk) -> bool:
        found = desk.one_of(ONE)
        if found is None:
            return False
        with desk.edited(statement, a=found[1]):
            number = int(found[0])
            row = desk.node.parts.store.journal.templates([number]).get(number)
            if row is None:
                return False
            try:
                desk.vault.index(HOLDER).check_record(row.attested, row.record_tag)
            except SealError:
                return False
            return True

    return way


def _reference(desk: Desk) -> bool:
    """Of two records, each other's reference."""
    found = desk.rows(
        "SELECT record_id, generation, lookup FROM record WHERE member = 'XAA'"
        " ORDER BY number"
    )
    if len(found) < 2:
        return False
    first, second = (found[n] for n in desk.random.choice(len(found), 2, replace=False))
    whole = desk.node.parts.store.whole.record(HOLDER, second[2])
    binding = reference_binding(HOLDER, first[0], second[1])
    try:
        desk.vault.open(binding, whole.sealed_reference)
    except SealError:
        return False
    return True


def _codes(desk: Desk) -> bool:
    """Of a file of codes that has another's name."""
    folder = desk.place.root / "data/segments/XAA/tiny-face"
    files = sorted(folder.glob("*.segment"))
    if not files or desk.vault.is_rotating(HOLDER):
        return False
    moved = files[int(desk.random.integers(len(files)))]
    key = desk.vault.codes(HOLDER, "tiny-face")
    name = desk.random.bytes(FILE_NAME_BYTES)
    try:
        key.open(
            SealedFile(kind=FileKind.SEGMENT, position="face", name=name),
            moved.read_bytes(),
        )
    except SealError:
        return False
    return True


# What nothing may open without, by name: each says whether it does.
WAYS: Final[dict[str, Callable[[Desk], bool]]] = {
    "record": _put_over(TWO_RECORDS),
    "sample": _put_over(TWO_SAMPLES),
    "position": _relabelled(
        "UPDATE template SET position = CASE position WHEN 'right-index' THEN"
        " 'left-index' ELSE 'right-index' END WHERE template_id = :a",
    ),
    "modality": _relabelled(
        "UPDATE template SET modality = 'iris' WHERE template_id = :a"
    ),
    "generation": _relabelled(
        "UPDATE record SET generation = generation + 1 WHERE number ="
        " (SELECT record_number FROM template WHERE template_id = :a)"
    ),
    "space": _of_other_definition,
    "key's member": _of_other_key(
        "UPDATE gallery_key SET member = 'XDD' WHERE key_id = :a"
    ),
    "key's gallery": _of_other_key(
        "UPDATE gallery_key SET gallery = 'other' WHERE key_id = :a"
    ),
    "key's epoch": _of_other_key(
        "UPDATE gallery_key SET epoch = epoch + 9 WHERE key_id = :a"
    ),
    "request": _reply,
    "tag's exclusions": _tag(
        "UPDATE protection SET excluded = 'XBB' WHERE record_number = :a"
    ),
    "tag's expiry": _tag(
        "UPDATE record SET expires_at = 9999999999999999 WHERE number = :a"
    ),
    "tag's lookup": _tag("UPDATE record SET lookup = zeroblob(32) WHERE number = :a"),
    "reference's record": _reference,
    "file's name": _codes,
}
