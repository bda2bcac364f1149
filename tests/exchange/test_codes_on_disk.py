"""An exchange that starts from codes answers as one that opens every template."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, SPACE, SPACES, World, face, record, unit

from biometrics import limits
from biometrics.client import Chunk, Record, Template
from biometrics.custody import Vault
from biometrics.errors import ConfigurationError
from biometrics.members import Member
from biometrics.templates import Position
from matcher.galleries import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matcher.index import Index

FINGER = "tiny-finger"
ANEW = "are made anew from the database"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An exchange with two holders' faces, and fingers of one; stopped, codes kept."""
    monkeypatch.setattr("matcher.engine.engine.TAIL_ROWS", 32)
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for holder, people in (("XAA", range(50)), ("XRA", range(100, 120))):
            faces = tuple(record(f"face-{n}", unit(n)) for n in people)
            list(world.enroller(holder).enrol_many([Chunk(records=faces)]))
        world.enroller("XAA").enrol(
            Record(reference="finger", templates=(finger(200),))
        )
        world.enroller("XAA").withdraw("face-7")
        world.stop()
        yield world


def finger(number: int) -> Template:
    """Return a finger of somebody's."""
    return Template(space=FINGER, position="left-index", vector=unit(number))


def outcome(world: World, number: int, holder: str = "XAA") -> str:
    """Return what a search for a face answers at a holder."""
    probe = face(unit(number))
    answer = world.client("XCC").match(probe, purpose="border-check", holders=[holder])
    return answer.holders[0].outcome.value


def of_finger(world: World) -> str:
    """Return what a search for the finger answers at XAA."""
    answer = world.client("XCC").match(
        finger(200), purpose="border-check", holders=["XAA"]
    )
    return answer.holders[0].outcome.value


def is_right(world: World) -> bool:
    """Say whether everybody is found where she is enrolled, and nowhere else."""
    told = {
        holder: [outcome(world, n, holder) for n in (0, 7, 31, 32, 49, 100, 119)]
        for holder in ("XAA", "XRA")
    }
    yes, no = "match", "no-match"
    return of_finger(world) == yes and told == {
        "XAA": [yes, no, yes, yes, yes, no, no],
        "XRA": [no, no, no, no, no, yes, yes],
    }


def segments(world: World) -> Path:
    """Return the folder of codes."""
    return world.root / "data/segments"


def kept(world: World, under: str = "") -> dict[Path, bytes]:
    """Return every file of codes."""
    paths = [p for p in (segments(world) / under).rglob("*") if p.is_file()]
    return {path: path.read_bytes() for path in paths}


def database(world: World) -> Path:
    """Return the database."""
    (path,) = (world.root / "data").glob("*.sqlite")
    return path


def change(world: World, *statements: str) -> None:
    """Change the stopped database behind the exchange's back."""
    with sqlite3.connect(database(world)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount > 0
    connection.close()


def index(world: World) -> Index:
    """Return what searches read."""
    assert world.exchange is not None
    return world.exchange._follower._index


@contextmanager
def counted_openings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """Count the templates that are opened."""
    opened: list[None] = []
    open_into = Vault.open_into

    def counting(*arguments: object) -> None:
        opened.append(None)
        open_into(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as watched:
        watched.setattr(Vault, "open_into", counting)
        yield opened


def test_a_start_from_codes_opens_no_template_and_finds_everybody(
    small: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is opened before somebody is searched for; without codes all are."""
    with counted_openings(monkeypatch) as opened:
        small.start()
    assert opened == []
    assert is_right(small)
    small.stop()
    small.forget_codes()
    with counted_openings(monkeypatch) as opened:
        small.start()
    assert len(opened) == 49 + 20 + 1
    assert is_right(small)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_writes_after_a_start_from_codes_are_kept_in_their_turn(small: World) -> None:
    """Restart after restart, what was enrolled and withdrawn meanwhile counts."""
    for turn in range(3):
        small.start()
        small.enroller("XAA").enrol(record(f"turn-{turn}", unit(60 + turn)))
        small.enroller("XAA").withdraw(f"face-{10 + turn}")
        small.stop()
    small.start()
    assert is_right(small)
    assert [outcome(small, 60 + turn) for turn in range(3)] == ["match"] * 3
    assert [outcome(small, 10 + turn) for turn in range(3)] == ["no-match"] * 3


def test_a_withdrawal_counts_at_once_while_segments_are_joined(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its acknowledgement no scan finds it, whatever is moved at that moment."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 0.0)
    monkeypatch.setattr(limits, "ERASE_SECONDS", 0.0)
    small.start()
    shelf = Shelf(Member("XAA"), SPACE, Position.FACE)
    engine = index(small)._engine
    for number in range(8, 48):
        left = engine.count(shelf)
        small.enroller("XAA").withdraw(f"face-{number}")
        assert engine.count(shelf) == left - 1
        assert outcome(small, number) == "no-match"
    assert outcome(small, 48) == "match"


def test_codes_of_a_member_whose_key_was_taken_away_stay(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are neither read nor deleted; with the key nothing is to be opened."""
    before = kept(small, "XAA")
    key = small.root / "keys/XAA.key"
    away = key.rename(key.with_suffix(".away"))
    small.start()
    assert [outcome(small, n) for n in (0, 99)] == ["unavailable"] * 2
    assert outcome(small, 100, "XRA") == "match"
    small.enroller("XRA").enrol(record("more", unit(130)))
    small.stop()
    assert kept(small, "XAA") == before
    away.rename(key)
    with counted_openings(monkeypatch) as opened:
        small.start()
    assert opened == []
    assert is_right(small)


def test_codes_of_a_space_that_was_removed_go(small: World) -> None:
    """Other spaces are served; when it is defined again its codes are made anew."""
    assert kept(small, f"XAA/{FINGER}")
    spaces = small.root / "spaces.toml"
    without, _, _ = SPACES.rpartition("[[space]]")
    spaces.write_text(without)
    small.start()
    assert outcome(small, 0) == "match"
    small.stop()
    assert not kept(small, f"XAA/{FINGER}")
    spaces.write_text(SPACES)
    small.start()
    assert is_right(small)


def test_codes_of_another_definition_of_their_space_are_no_use(
    small: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Templates of another extractor are UNAVAILABLE, until their own is back."""
    spaces = small.root / "spaces.toml"
    text = SPACES.replace('extractor_version = "1"', 'extractor_version = "2"', 1)
    spaces.write_text(text)
    small.start()
    assert [outcome(small, n) for n in (0, 99)] == ["unavailable"] * 2
    assert of_finger(small) == "match"
    assert f"codes of XAA in {SPACE} {ANEW}: they are of another version" in caplog.text
    small.stop()
    spaces.write_text(SPACES)
    small.start()
    assert is_right(small)


def test_a_database_from_a_backup_does_not_go_with_newer_codes(
    small: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Who was enrolled since is not found, who was withdrawn since is."""
    backup = database(small).read_bytes()
    small.start()
    small.enroller("XAA").enrol(record("later", unit(60)))
    small.enroller("XAA").withdraw("face-0")
    small.stop()
    database(small).write_bytes(backup)
    with pytest.raises(ConfigurationError) as caught:
        small.start()
    assert caught.value.reason == "DATABASE_BEHIND"
    database(small).with_name(f"{database(small).name}.lock").unlink()  # on purpose
    small.start()
    assert is_right(small)
    assert outcome(small, 60) == "no-match"
    assert caplog.text.count(ANEW) == 3
    caplog.clear()
    small.restart()
    assert is_right(small)
    assert ANEW not in caplog.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"XAA/{SPACE}", f"XRA/{SPACE}"),
        (f"XAA/{SPACE}", f"XAA/{FINGER}"),
        ("XAA", "XRA"),
    ],
)
def test_codes_in_the_place_of_others_are_made_anew(
    small: World, caplog: pytest.LogCaptureFixture, one: str, other: str
) -> None:
    """Swapped galleries are told of, and no answer is wrong."""
    aside = small.root / "aside"
    (segments(small) / one).rename(aside)
    (segments(small) / other).rename(segments(small) / one)
    aside.rename(segments(small) / other)
    small.start()
    assert is_right(small)
    assert f"codes of XAA in {SPACE} {ANEW}: " in caplog.text
    assert f"codes of XAA in {SPACE} {ANEW}: the manifest is damaged" in caplog.text


def test_every_damaged_file_at_once_is_no_outage(
    small: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a single file in order the exchange starts, and answers."""
    for path, content in kept(small).items():
        path.write_bytes(content[:-1])
    small.start()
    assert is_right(small)
    assert caplog.text.count(ANEW) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM gallery",
        "DELETE FROM gallery WHERE member = 'XAA'",
        f"DELETE FROM gallery WHERE space = '{SPACE}'",  # noqa: S608 - our own text
        "UPDATE gallery SET templates = templates - 1",
    ],
)
@pytest.mark.parametrize("without", ["", "XAA", "XRA"])
def test_whoever_is_enrolled_is_no_no_match_in_a_gallery_that_is_not_counted(
    small: World, statement: str, without: str
) -> None:
    """A count that was taken away hides nobody, with any codes or without."""
    change(small, statement)
    if without:
        shutil.rmtree(segments(small) / without)
    for _ in range(2):
        small.start()
        assert outcome(small, 0) == "unavailable"
        small.stop()


def test_codes_on_disk_say_nothing_in_the_clear(small: World) -> None:
    """No vector, code, seed or number of a template is in any byte of the files."""
    small.start()
    secrets: dict[str, bytes] = {}
    for holder, person in (("XAA", 3), ("XRA", 103)):
        shelf = Shelf(Member(holder), SPACE, Position.FACE)
        key = index(small)._vault.codes(shelf.holder, SPACE)
        secrets[f"seed of {holder}"] = key.seed(Position.FACE)[:16]
        secrets[f"vector of {holder}"] = unit(person).tobytes()[:16]
        for number, part in enumerate(index(small)._engine.parts(shelf)):
            for name, array in zip(
                ("ids", "codes", "signs"), part.arrays(), strict=True
            ):
                values = array.tobytes()
                secrets[f"{name} {number} of {holder}"] = values[16:40]
    small.stop()
    files = kept(small)
    assert len(files) == 3 + 2 + 1 + 1
    assert len(secrets) == 4 + 3 * 3
    assert [
        f"{name} in {path}"
        for name, secret in secrets.items()
        for path, content in files.items()
        if secret in content
    ] == []
