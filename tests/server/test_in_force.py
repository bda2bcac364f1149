"""What comes into force, what is refused, and what stays, on a real store."""

from __future__ import annotations

import datetime as dt
import os
from typing import TYPE_CHECKING

import pytest
from signing.signed import (
    FIRST,
    LIST,
    PERMIT,
    SECOND,
    SIGNERS,
    STRANGER,
    THIRD,
    XAA,
    XBB,
    note,
    toml,
)

from biometrics import limits
from biometrics.clock import ManualClock
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    ExhaustedError,
    StorageError,
)
from biometrics.members import Member
from biometrics.server.in_force import InForce
from biometrics.signing import parse_signers
from biometrics.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from biometrics.server.told import Told
    from biometrics.signing import Signers, SigningKey
    from biometrics.store import Store

XWW = Member("XWW")
START = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
BOTH = (FIRST, SECOND)


class Desk:
    """A folder of agreements, and an exchange's view of it that can start anew."""

    def __init__(self, root: Path) -> None:
        """Make an empty folder and a new store."""
        self.folder = root / "agreements"
        self.folder.mkdir()
        self.path = root / "exchange.sqlite"
        self.clock = ManualClock(START)
        self.toml = self.folder / "XAA.toml"
        self.note = self.folder / "XAA.note"
        self.store: Store = open_store(self.path, self.clock)
        self.view = self._view(SIGNERS)
        self.told: list[str] = []

    def _view(self, signers: Signers) -> InForce:
        return InForce(
            self.folder,
            members=[XAA, XBB],
            signers=signers,
            keep=self.keep,
            clock=self.clock,
        )

    def keep(self, row: object) -> None:
        """Keep a row; a test may put a failure in its place."""
        self.store.agreements.keep(row)  # type: ignore[arg-type]

    def write(
        self,
        revision: int = 1,
        *,
        keys: Sequence[SigningKey] = BOTH,
        more: str = PERMIT,
        dated: str = "2026-01-01T00:00:00Z",
    ) -> None:
        """Write a file of XAA's and its note."""
        data = toml(revision, dated=dated, more=more)
        self.toml.write_bytes(data)
        self.note.write_bytes(note(data, revision, keys))

    def look(self) -> list[str]:
        """Look, and return what is told."""
        return [each.text for each in self.view.look()]

    def restart(self, signers: Signers = SIGNERS) -> list[str]:
        """Start anew on the same database; return what that tells."""
        self.store.close()
        self.store = open_store(self.path, self.clock)
        self.view = self._view(signers)
        told = self.view.restore(self.store.agreements.last())
        return [each.text for each in (*told, *self.view.look())]

    @property
    def in_force(self) -> int:
        """How many clauses are in force; every version of a test has its own number."""
        return len(self.view.agreements().clauses)

    @property
    def kept(self) -> list[int]:
        """The revisions that are kept."""
        return [row.revision for row in self.store.agreements.last()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk whose store is closed in the end."""
    made = Desk(tmp_path)
    yield made
    made.store.close()


def test_an_empty_folder_permits_nothing_and_tells_nothing(desk: Desk) -> None:
    """Members without a file are no news."""
    assert desk.look() == []
    assert desk.in_force == 0


def test_a_signed_version_comes_into_force_once(desk: Desk) -> None:
    """It is told with its signers, is durable, and is not told again."""
    desk.write(1)
    (told,) = desk.look()
    assert told.startswith("agreement of XAA: revision 1 of 2026-01-01T00:00:00+00:00")
    assert "is in force, signed by `Ministry` and `Parliament`; SHA-256 " in told
    assert (desk.in_force, desk.kept) == (1, [1])
    assert desk.look() == []


def test_a_clause_about_no_member_is_told(desk: Desk) -> None:
    """It comes into force with all others, and may be a mistyped prohibition."""
    desk.write(1, more='[[forbid]]\nrequester = "XYZ"\nreason = "test"\n')
    _, warning = desk.look()
    assert warning.startswith("`XAA.toml:5` names XYZ, which is no member")
    assert desk.in_force == 1


def test_a_later_version_takes_its_place(desk: Desk) -> None:
    """Whoever has the agreements of before still has them."""
    desk.write(1)
    desk.look()
    before = desk.view.agreements()
    desk.write(5, more=PERMIT * 2)
    (told,) = desk.look()
    assert "revision 5" in told
    assert (desk.in_force, desk.kept) == (2, [5])
    assert len(before.clauses) == 1


def test_what_another_front_end_has_put_in_force_is_taken_up(desk: Desk) -> None:
    """And nothing that is not later than what is in force here."""
    desk.write(1)
    desk.look()
    (first,) = desk.store.agreements.last()
    other = desk._view(SIGNERS)
    other.restore([first])
    desk.write(5, more=PERMIT * 2)
    desk.look()
    (last,) = desk.store.agreements.last()
    (told,) = other.take_up([last])
    assert "revision 5" in told.text
    assert len(other.agreements().clauses) == 2
    for row in (last, first):
        assert other.take_up([row]) == []
        assert len(other.agreements().clauses) == 2
    assert desk._view(SIGNERS).take_up([last])


BAD: dict[str, tuple[str, Callable[[Desk], object]]] = {
    "unsigned": ("UNSIGNED: ", lambda desk: (desk.write(4), desk.note.unlink())),
    "single": ("TOO_FEW_SIGNATURES: ", lambda desk: desk.write(4, keys=[FIRST])),
    "twice": ("different ones must", lambda desk: desk.write(4, keys=[FIRST, FIRST])),
    "unknown": ("different ones", lambda desk: desk.write(4, keys=[FIRST, STRANGER])),
    "old": ("ROLLED_BACK: revision 2 is older", lambda desk: desk.write(2)),
    "reused": ("REVISION_REUSED: ", lambda desk: desk.write(3, more=PERMIT * 4)),
    "future": (
        "DATED_IN_FUTURE: ",
        lambda desk: desk.write(4, dated="2026-06-01T00:05:01Z"),
    ),
    "field": ("no key of this table", lambda desk: desk.write(4, more="quota = 1\n")),
    "garbage": ("not valid TOML", lambda desk: desk.write(4, more="= 1\n")),
    "edited": ("not the file", lambda desk: desk.toml.write_text("version = 1\n")),
    "missing": ("cannot be found", lambda desk: desk.toml.unlink()),
    "pipe": ("cannot be found", lambda desk: (desk.toml.unlink(), pipe(desk.toml))),
    "folder": ("cannot be found", lambda desk: (desk.toml.unlink(), desk.toml.mkdir())),
    "note": ("no signed note", lambda desk: desk.note.write_text("note")),
    "long": ("no signed note", lambda desk: desk.note.write_bytes(b"x" * 99999)),
}


def pipe(path: Path) -> None:
    """Make a pipe, whose opening would wait for a writer."""
    os.mkfifo(path)


@pytest.mark.parametrize("how", BAD)
def test_what_is_refused_changes_nothing(desk: Desk, how: str) -> None:
    """Told once, whatever goes on; the last good one stays, after a restart too."""
    desk.write(3, more=PERMIT * 3)
    desk.look()
    told, spoil = BAD[how]
    spoil(desk)
    (text,) = desk.look()
    assert text.startswith("agreement of XAA: refused as ")
    assert told in text
    assert text.endswith("; revision 3 stays in force")
    assert desk.look() == []
    assert (desk.in_force, desk.kept) == (3, [3])
    back, again = desk.restart()
    assert "revision 3 of 2026-01-01T00:00:00+00:00 is in force" in back
    assert again == text
    assert (desk.in_force, desk.kept) == (3, [3])
    if how in {"pipe", "folder"}:
        return
    desk.write(9, more=PERMIT * 5)
    (text,) = desk.look()
    assert "revision 9" in text
    assert (desk.in_force, desk.kept) == (5, [9])


@pytest.mark.parametrize("how", ["unsigned", "single", "field", "future", "garbage"])
def test_the_first_version_is_no_exception(desk: Desk, how: str) -> None:
    """Where nothing was in force, nothing is."""
    _, spoil = BAD[how]
    spoil(desk)
    (text,) = desk.look()
    assert text.endswith("; XAA permits nothing")
    assert (desk.in_force, desk.kept) == (0, [])


def test_a_version_of_the_future_comes_when_its_moment_does(desk: Desk) -> None:
    """Without a touch of its file; a clock's small difference does not matter."""
    desk.write(1, dated="2026-06-01T01:00:00Z")
    desk.look()
    desk.clock.advance(dt.timedelta(minutes=54))
    assert desk.look() == []
    assert desk.in_force == 0
    desk.clock.advance(dt.timedelta(seconds=60))
    assert len(desk.look()) == 1
    assert desk.in_force == 1
    assert limits.DATED_AHEAD_SECONDS == 300


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("keep", StorageError("STORAGE_FULL", "the disk is full")),
        ("keep", ExhaustedError("WRITE_QUEUE_FULL", "writes wait already")),
        ("read", ConfigurationError("UNREADABLE_FILE", "input/output error")),
    ],
)
def test_what_cannot_be_done_now_is_done_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str, error: ExchangeError
) -> None:
    """It is told once, and the version comes as soon as there is room."""

    def fail(_: object) -> bytes:
        raise error

    with monkeypatch.context() as patch:
        if place == "keep":
            patch.setattr(desk.view, "_keep", fail)
        else:
            patch.setattr("biometrics.server.in_force.read_bytes", fail)
        desk.write(1)
        (text,) = desk.look()
        assert error.message in text
        assert desk.look() == []
        assert desk.in_force == 0
    assert len(desk.look()) == 1
    assert (desk.in_force, desk.kept) == (1, [1])


def test_a_version_without_clauses_ends_an_agreement(desk: Desk) -> None:
    """It is signed as any other is."""
    desk.write(1)
    desk.look()
    desk.write(2, more="")
    desk.look()
    assert (desk.in_force, desk.kept) == (0, [2])


def test_files_that_did_not_change_are_not_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the good nor the refused."""
    desk.write(1)
    (desk.folder / "XBB.toml").write_text("bad")
    desk.look()

    def unread(_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr("biometrics.server.in_force.read_bytes", unread)
    assert desk.look() == []


def test_one_holders_bad_file_stops_no_other(desk: Desk) -> None:
    """Each stands for itself."""
    (desk.folder / "XBB.toml").write_text("bad")
    desk.write(1)
    good, bad = desk.look()
    assert good.startswith("agreement of XAA: revision 1")
    assert bad.startswith("agreement of XBB: refused as UNSIGNED: ")
    assert desk.in_force == 1


def test_a_defect_at_one_holder_stops_no_other(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told once; what was signed after it, by the alphabet or in time, counts."""
    desk.write(1)
    taken = InForce._take

    def broken(self: InForce, holder: Member, path: Path) -> list[Told]:
        if holder == XWW:
            raise ZeroDivisionError
        return taken(self, holder, path)

    desk.view._members = (XWW, XAA, XBB)
    with monkeypatch.context() as patch:
        patch.setattr(InForce, "_take", broken)
        defect, good = desk.look()
        assert "refused as LOOK_FAILED: the look at it ended in `ZeroDiv" in defect
        assert "revision 1" in good
        assert desk.look() == []
    assert desk.in_force == 1
    assert desk.look() == []


def test_columns_of_the_database_are_not_believed(desk: Desk) -> None:
    """What bars older versions is the revision that was signed."""
    desk.write(3)
    desk.look()
    with desk.store._database.writing.begin() as connection:
        connection.exec_driver_sql("UPDATE agreement SET revision = 1")
    desk.write(2)
    assert "ROLLED_BACK: revision 2 is older than revision 3" in desk.restart()[1]
    assert desk.in_force == 1


def test_files_of_nobody_are_told_once(desk: Desk) -> None:
    """A mistyped code would protect nobody."""
    (desk.folder / "XXA.toml").write_text("")
    (desk.folder / "notes.txt").write_text("")
    (text,) = desk.look()
    assert text.startswith("`XXA.toml` is no agreement of a member")
    assert desk.look() == []


def test_a_signer_who_is_not_listed_any_more_takes_the_version_along(
    desk: Desk,
) -> None:
    """It lapses at the start, bars what is older, and can be signed again by others."""
    desk.write(3)
    desk.look()
    left = parse_signers(
        LIST.replace(SECOND.verifier.text, STRANGER.verifier.text).encode(), "s"
    )
    lapse, refusal = desk.restart(left)
    assert lapse.startswith("agreement of XAA: revision 3 was in force and lapses: ")
    assert refusal.endswith("; XAA permits nothing")
    assert (desk.in_force, desk.kept) == (0, [3])
    desk.write(2, keys=[FIRST, THIRD])
    (text,) = desk.look()
    assert "older than revision 3" in text
    desk.write(3, keys=[FIRST, THIRD])
    (text,) = desk.look()
    assert "revision 3" in text
    assert desk.in_force == 1
    assert desk.restart(left)[0] == text


def test_signers_of_a_version_can_be_added(desk: Desk) -> None:
    """The same file with one signature more is told, and kept with all of them."""
    desk.write(3)
    desk.look()
    desk.write(3, keys=[FIRST, SECOND, THIRD])
    (text,) = desk.look()
    assert "`Ministry` and `Parliament` and `Court`" in text
    assert desk.restart() == [text]


def test_a_database_edited_by_somebody_is_not_believed(desk: Desk) -> None:
    """What is kept counts by its signatures alone."""
    desk.write(3)
    desk.look()
    (row,) = desk.store.agreements.last()
    desk.toml.unlink()
    forged = row.data.replace(b'level = "holder"', b'level = "reference"')
    with desk.store._database.writing.begin() as connection:
        connection.exec_driver_sql("UPDATE agreement SET data = ?", (forged,))
    told = desk.restart()
    assert "revision 3 was in force and lapses: `XAA.toml`: is not the file" in told[0]
    assert desk.in_force == 0


def test_who_left_the_exchange_has_nothing_in_force(desk: Desk) -> None:
    """A row of no member's is passed over."""
    desk.write(1)
    desk.look()
    others = InForce(
        desk.folder,
        members=[XBB],
        signers=SIGNERS,
        keep=desk.keep,
        clock=desk.clock,
    )
    assert others.restore(desk.store.agreements.last()) == []
    assert others.agreements().clauses == ()
