"""What is stored is whole, or the check says what is not, where, and what to do."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, SPACE, SPACES, World, record, unit

from biometrics.client import Chunk, Record, Template
from biometrics.errors import ConfigurationError
from biometrics.server.examination import Examined, examine

if TYPE_CHECKING:
    from pathlib import Path

OF_XAA = "WHERE record_number IN (SELECT number FROM record WHERE member = 'XAA')"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exchange with some of everything, stopped and whole."""
    with World(tmp_path_factory.mktemp("whole"), agreements=AGREEMENTS) as world:
        for holder, people in (("XAA", range(40)), ("XRA", range(100, 120))):
            faces = tuple(record(f"face-{n}", unit(n)) for n in people)
            list(world.enroller(holder).enrol_many([Chunk(records=faces)]))
        fingers = Template(space="tiny-finger", position="left-index", vector=unit(200))
        world.enroller("XAA").enrol(Record(reference="two", templates=(fingers,) * 2))
        world.enroller("XAA").withdraw("face-7")
        world.enroller("XAA").protect("face-8", excluded=["XCC"])
        probe = record("probe", unit(9)).templates[0]
        world.client("XCC").match(probe, purpose="border-check")
    return world.root


@pytest.fixture
def root(stopped: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(stopped, tmp_path / "exchange")


def examined(root: Path, *, is_quick: bool = False) -> Examined:
    """Examine an exchange."""
    return examine(
        root / "exchange.toml", is_quick=is_quick, show=lambda _step, _done, _of: None
    )


def change(root: Path, *statements: str) -> None:
    """Change the database behind the exchange's back."""
    connection = sqlite3.connect(root / "data/exchange.sqlite")
    for statement in statements:
        assert connection.execute(statement).rowcount > 0
    connection.commit()
    connection.close()


def test_what_is_whole_is_found_whole_and_left_as_it_was(root: Path) -> None:
    """Every value opens, and no byte of the database and the codes changes."""
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    found = examined(root)
    assert found.faults == []
    assert found.is_whole
    assert (found.records, found.templates, found.position) == (60, 61, 62)
    assert found.opened["templates"] == 61
    assert found.opened["references"] == 60
    assert found.opened["answers"] == 6
    assert not found.locked
    assert not found.not_opened
    assert {p: p.read_bytes() for p in before} == before
    quick = examined(root, is_quick=True)
    assert quick.is_whole
    assert set(quick.opened) == {"keys"}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DELETE FROM change WHERE position = 5", "JOURNAL_GAP"),
        ("DELETE FROM change WHERE position = 62", "JOURNAL_GAP"),
        ("DELETE FROM counter", "COUNTER_DAMAGED"),
        ("UPDATE change SET kind = 'moved' WHERE position = 5", "JOURNAL_DAMAGED"),
        (
            "UPDATE change SET templates = 40 WHERE kind = 'withdrawn'",
            "JOURNAL_DAMAGED",
        ),
        (
            (
                "UPDATE change SET record_id = (SELECT record_id FROM change WHERE"
                " position = 4) WHERE position = 5"
            ),
            "REPEATED_CHANGE",
        ),
        (
            "UPDATE change SET first_template = 3 WHERE kind = 'withdrawn'",
            "TEMPLATE_LEFT_BEHIND",
        ),
        (
            (
                "UPDATE change SET record_id = (SELECT record_id FROM record WHERE"
                " number = 5) WHERE kind = 'withdrawn'"
            ),
            "WITHDRAWN_RECORD",
        ),
        (
            "INSERT INTO tombstone SELECT member, lookup, 1, 'expired' FROM record",
            "WITHDRAWN_REFERENCE",
        ),
        ("DELETE FROM tombstone", "TOMBSTONE_MISSING"),
        ("UPDATE change SET member = 'XRA' WHERE position = 5", "ENROLMENT_MISSING"),
        ("DELETE FROM record WHERE number = 5", "RECORD_MISSING"),
        (
            "UPDATE change SET record_id = zeroblob(16) WHERE kind = 'withdrawn'",
            "WITHDRAWAL_OF_NOBODY",
        ),
        ("DELETE FROM template WHERE template_id = 5", "TEMPLATES_MISSING"),
        (
            "UPDATE template SET sample = 4 WHERE template_id = 5",
            "TEMPLATES_MISSING",
        ),
        ("UPDATE counter SET template_id = 70", "TEMPLATES_MISSING"),
        (
            "UPDATE template SET record_number = 999 WHERE template_id = 5",
            "TEMPLATE_ORPHANED",
        ),
        ("DELETE FROM protection WHERE record_number = 5", "PROTECTION_MISSING"),
        ("UPDATE template SET key_id = 1 WHERE key_id <> 1", "WRONG_KEY"),
        ("UPDATE record SET reference_key_id = 99 WHERE number = 5", "WRONG_KEY"),
        ("UPDATE gallery SET templates = templates + 1", "WRONG_COUNT"),
        ("DELETE FROM gallery", "WRONG_COUNT"),
        ("UPDATE template SET ciphertext = 7 WHERE template_id = 5", "WRONG_VALUE"),
        ("UPDATE record SET expires_at = -1 WHERE number = 5", "WRONG_VALUE"),
        ("UPDATE reply SET digest = x'00'", "WRONG_VALUE"),
        ("UPDATE record SET member = 'nobody' WHERE number = 5", "UNKNOWN_MEMBER"),
        ("UPDATE protection SET excluded = 'nobody'", "UNKNOWN_MEMBER"),
        ("UPDATE agreement SET data = x'00' WHERE holder = 'XAA'", "AGREEMENT_DAMAGED"),
    ],
)
def test_rows_that_do_not_go_together_are_found_without_opening_any(
    root: Path, statement: str, reason: str
) -> None:
    """By the quick check too; each is told with its place and what to do."""
    change(root, statement)
    found = examined(root, is_quick=True)
    assert reason in found.faults_by_reason
    assert not found.is_whole
    assert all(fault.field and ";" in fault.message for fault in found.faults)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            (
                "UPDATE template SET ciphertext = randomblob(length(ciphertext))"
                " WHERE template_id = 5"
            ),
            "DOES_NOT_OPEN",
        ),
        (
            "UPDATE template SET quality = 7, position = 'nose' WHERE template_id = 5",
            "DOES_NOT_OPEN",
        ),
        ("UPDATE template SET space = 'none' WHERE template_id = 5", "UNKNOWN_SPACE"),
        ("UPDATE protection SET excluded = 'XBB'", "RECORD_CHANGED"),
        ("UPDATE record SET expires_at = 5 WHERE number = 5", "RECORD_CHANGED"),
        (
            "UPDATE record SET reference_wrapped_key = zeroblob(72) WHERE number = 5",
            "DOES_NOT_OPEN",
        ),
        ("UPDATE record SET lookup = zeroblob(32) WHERE number = 5", "REFERENCE_MOVED"),
        ("UPDATE reply SET body = zeroblob(100)", "DOES_NOT_OPEN"),
        ("UPDATE template SET sample = 'x' WHERE template_id = 5", "ROW_DAMAGED"),
        ("UPDATE gallery_key SET commitment = zeroblob(32)", "DOES_NOT_OPEN"),
        ("UPDATE index_key SET wrapped = zeroblob(72)", "DOES_NOT_OPEN"),
        ("DELETE FROM index_key", "KEY_MISSING"),
    ],
)
def test_values_that_are_not_what_their_rows_say_are_found(
    root: Path, statement: str, reason: str
) -> None:
    """A value that was moved, damaged or given other neighbours does not open."""
    change(root, statement)
    assert reason in examined(root).faults_by_reason


def test_a_page_that_was_damaged_is_found(root: Path) -> None:
    """Zeros over a page in the middle of the file."""
    path = root / "data/exchange.sqlite"
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 8192 * 8192
    content[middle : middle + 8192] = bytes(8192)
    path.write_bytes(content)
    assert "STORAGE_DAMAGED" in examined(root).faults_by_reason


def test_a_locked_gallery_is_not_opened_and_no_fault(root: Path) -> None:
    """Whoever takes its key away is told apart from whoever's key is wrong."""
    key = root / "keys/XAA.key"
    other = key.read_text()
    key.unlink()
    found = examined(root)
    assert found.is_whole
    assert set(found.locked) == {"XAA"}
    assert found.not_opened["templates"] == 41
    assert found.opened["templates"] == 20
    key.write_text((root / "keys/XBB.key").read_text())
    key.chmod(0o600)
    found = examined(root)
    assert "DOES_NOT_OPEN" in found.faults_by_reason
    assert found.not_opened["templates"] == 41
    key.write_text(other)
    key.chmod(0o644)
    assert "KEY_FILE_EXPOSED" in examined(root).faults_by_reason


def test_codes_that_differ_from_the_database_are_found(root: Path) -> None:
    """A file that is damaged, and files of another time; they can be deleted."""
    folder = root / f"data/segments/XAA/{SPACE}"
    (segment,) = folder.glob("*.segment")
    content = segment.read_bytes()
    segment.write_bytes(content[:-1])
    found = examined(root)
    assert set(found.faults_by_reason) == {"CODES_DIFFER"}
    assert f"delete the folder `{folder}`" in found.faults[0].message
    segment.write_bytes(content)
    change(
        root,
        "UPDATE template SET template_id = 900 WHERE template_id = 5",
    )
    told = [f.message for f in examined(root).faults if f.reason == "CODES_DIFFER"]
    assert len(told) == 2
    assert told[0].startswith("1 codes at face are of templates that are not there")
    (folder / "manifest").unlink()  # as a kill before the first one leaves them
    assert "CODES_DIFFER" not in examined(root).faults_by_reason
    shutil.rmtree(root / "data/segments")
    assert "CODES_DIFFER" not in examined(root).faults_by_reason


def test_codes_of_an_earlier_position_are_compared_as_of_then(root: Path) -> None:
    """As a kill leaves them: what was withdrawn since is no difference."""
    change(
        root,
        "UPDATE counter SET journal_position = 63",
        "INSERT INTO change SELECT 63, 'withdrawn', member, record_id, 5, 1"
        " FROM change WHERE position = 5",
        "DELETE FROM template WHERE record_number = 5",
        "DELETE FROM record WHERE number = 5",
    )
    assert "CODES_DIFFER" not in examined(root).faults_by_reason


def test_an_agreement_that_nobody_listed_has_signed_is_found(root: Path) -> None:
    """The stored version is verified as a start does."""
    change(root, "UPDATE agreement SET note = data WHERE holder = 'XAA'")
    (fault,) = examined(root, is_quick=True).faults
    assert fault.field.startswith("agreement of XAA, revision ")


def test_a_database_that_is_served_or_is_not_there_is_not_examined(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One exchange holds it; and none is made."""
    with World(tmp_path_factory.mktemp("served"), agreements=AGREEMENTS) as world:
        with pytest.raises(ConfigurationError) as caught:
            examined(world.root)
        assert caught.value.reason == "DATABASE_IN_USE"
    (root / "data/exchange.sqlite").unlink()
    with pytest.raises(ConfigurationError) as caught:
        examined(root)
    assert caught.value.reason == "NOTHING_STORED"
    assert not (root / "data/exchange.sqlite").exists()


def test_a_space_that_is_not_defined_any_more_is_told(root: Path) -> None:
    """Its templates are there, and nobody can say what they are."""
    (root / "spaces.toml").write_text(SPACES.rpartition("[[space]]")[0])
    assert dict(examined(root).faults_by_reason) == {"UNKNOWN_SPACE": 2}
