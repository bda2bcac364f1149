"""Shards have together what one machine has, and never say less than they know."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from archive import FACES, LEFT_FINGERS, OTHER_FACES, RIGHT_FINGERS, SURE, XAA, XRA
from world import unit

from biometrics.store import RequestKey
from matcher.asking import ShelfProbes, receive_found, send
from matcher.loading import Loading
from matcher.shard import Loan, Shard, ShardPlan
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from archive import Archive

    from biometrics.members import Member
    from matcher.asking import SentQuestion
    from matcher.galleries import Shelf

SHARING = Sharing(places=3, together=8)
SHELVES = (FACES, OTHER_FACES, LEFT_FINGERS, RIGHT_FINGERS)
NOBODY = b"another process."


class Shards:
    """Three shards of an archive, in this process, told what the front end tells."""

    def __init__(self, archive: Archive) -> None:
        """Begin none."""
        self.archive = archive
        self.all: list[Shard] = []

    def begin(self, *, is_trusted: bool = True, sharing: Sharing = SHARING) -> None:
        """Begin all of them, at the journal's end."""
        self.stop()
        self.all = [
            Shard(
                ShardPlan(
                    number=number,
                    sharing=sharing,
                    database=self.archive.database,
                    segments=self.archive.folder,
                    spaces=tuple(self.archive.spaces),
                    threads=2,
                )
            )
            for number in range(sharing.places)
        ]
        end = self.archive.store.journal.end()
        known = self.archive.galleries.known()
        for shard in self.all:
            loans = {member: self.loan(shard, member) for member in (XAA, XRA)}
            reached = shard.begin(
                *(self.named(shard), loans, known),
                beside={sharing},
                start=end,
                is_trusted=is_trusted,
            )
            assert reached is not None
            assert reached.position == end

    def stop(self) -> None:
        """Stop all of them."""
        for shard in self.all:
            assert shard.stop(self.named(shard))
        self.all = []

    def named(self, shard: Shard) -> bytes:
        """Return which process a shard is."""
        return shard.greet().incarnation

    def loan(self, shard: Shard, member: Member) -> Loan:
        """Lend a shard the keys of a member."""
        position = self.archive.store.journal.end()
        public = shard.greet().public
        return Loan(self.archive.vault.lend(member, public), position)

    def follow(self) -> None:
        """Have all go to the journal's end."""
        end = self.archive.store.journal.end()
        for shard in self.all:
            assert shard.follow(self.named(shard), end, {}) is not None

    def found(self, shelf: Shelf, *people: int) -> list[set[int]] | None:
        """Return the candidates of some people, of all shards; None if one has none."""
        end = self.archive.store.journal.end()
        together: list[set[int]] = [set() for _ in people]
        for shard in self.all:
            sent = shard.search(self.named(shard), end, asked(shelf, people))
            assert sent is not None
            begun, gone, found = sent
            assert begun == gone == end
            (told,) = receive_found(found)
            if told is None:
                return None
            for ids, all_ids in zip(told, together, strict=True):
                assert not all_ids & set(ids.tolist())  # in one place each
                all_ids.update(ids.tolist())
        return together


def asked(shelf: Shelf, people: Sequence[int]) -> SentQuestion:
    """Return what is asked of a shard: who of some people is at a shelf."""
    thresholds = np.full(len(people), SURE)
    numbers = np.arange(len(people))
    lows = np.full(len(people), np.inf)
    vectors = {shelf.space: np.stack([unit(person) for person in people])}
    return send(vectors, [ShelfProbes(shelf, numbers, thresholds, lows)])


@pytest.fixture
def shards(archive: Archive) -> Iterator[Shards]:
    """Three shards of the archive."""
    shards = Shards(archive)
    shards.begin()
    yield shards
    shards.stop()


def whole(archive: Archive, shelf: Shelf, *people: int) -> list[set[int]]:
    """Return what one machine finds."""
    vectors = np.stack([unit(person) for person in people])
    thresholds = np.full(len(people), SURE)
    found = archive.engine.search(shelf, vectors, thresholds)
    return [set(ids.tolist()) for ids in found]


def test_they_find_together_what_one_machine_finds(shards: Shards) -> None:
    """Whoever is enrolled or withdrawn, before and after they began."""
    archive = shards.archive
    for _ in range(2):
        for shelf in SHELVES:
            people = range(0, 320, 3)
            assert shards.found(shelf, *people) == whole(archive, shelf, *people)
        archive.enrol(FACES, *range(300, 320))
        archive.withdraw(FACES, *range(10, 30))
        archive.follow()
        shards.follow()
    assert whole(archive, FACES, 310) != [set()]
    assert all(shard._index.counts() for shard in shards.all)


def test_they_begin_with_what_they_kept_and_open_nothing_again(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes on disk are sealed as those of a whole gallery, and trusted as they are."""
    archive = shards.archive
    shards.stop()

    def never(*_: object) -> None:
        raise AssertionError("a template is opened")

    with monkeypatch.context() as patch:
        patch.setattr("biometrics.custody.LentKeys.open_into", never)
        shards.begin()
    assert shards.found(FACES, *range(80)) == whole(archive, FACES, *range(80))
    shards.begin(is_trusted=False)
    assert shards.found(FACES, *range(80)) == whole(archive, FACES, *range(80))


def test_codes_of_another_sharing_are_deleted(shards: Shards) -> None:
    """Nobody would take the withdrawn out of them any more."""

    def folders() -> set[str]:
        return {path.name for path in (shards.archive.folder / "shards").iterdir()}

    shards.stop()
    assert folders() == {"3-8"}
    shards.begin(sharing=Sharing(places=2, together=8))
    people = range(80)
    assert shards.found(FACES, *people) == whole(shards.archive, FACES, *people)
    shards.stop()
    assert folders() == {"2-8"}


def test_a_shard_that_cannot_know_says_so(shards: Shards) -> None:
    """Never that there is nobody: another process, too early, or not told to begin."""
    shard, end = shards.all[0], shards.archive.store.journal.end()
    question = asked(FACES, [1])
    assert shard.search(NOBODY, end, question) is None
    assert shard.search(shards.named(shard), end + 1, question) is None
    assert shard.follow(NOBODY, end, {}) is None
    begin = {"beside": set(), "start": 0, "is_trusted": True}
    assert shard.begin(NOBODY, {}, frozenset(), **begin) is None
    assert shard.holds(NOBODY, FACES, np.array([1])) is None
    loan = shards.loan(shard, XAA)
    doing: list[Callable[[bytes], bool]] = [
        lambda to: shard.load(to, XAA, loan),
        lambda to: shard.remake(to, XAA, loan),
        lambda to: shard.forget(to, XAA),
        lambda to: shard.discard(to, XAA),
        lambda to: shard.keep(to, XAA),
        shard.leave,
        shard.stop,
    ]
    assert not any(do(NOBODY) for do in doing)
    new = Shard(shard._plan)
    assert new.search(shards.named(new), 0, question) is None


def close(archive: Archive, *, is_open: bool) -> None:
    """Store that XAA has closed or opened its galleries."""
    archive.store.custody.set_open(
        XAA,
        is_open=is_open,
        change_id=bytes(16),
        request=RequestKey(np.random.default_rng().bytes(16), bytes(32)),
        make_reply=lambda _: b"",
    ).result(30)


def test_who_unlocks_does_not_wait_for_what_is_made_of_others(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large gallery is coded anew for minutes, and a small one is there at once."""
    shards.begin()
    (shard, *_) = shards.all
    gate, began, make = threading.Event(), threading.Event(), Loading.remake

    def slowly(loading: Loading, holder: Member, **more: Any) -> bool:  # noqa: ANN401
        began.set()
        return gate.wait(30) and make(loading, holder, **more)

    monkeypatch.setattr(Loading, "remake", slowly)
    with ThreadPoolExecutor(1) as pool:
        loan = shards.loan(shard, XAA)
        remaking = pool.submit(shard.remake, shards.named(shard), XAA, loan)
        assert began.wait(30)
        assert shard.load(shards.named(shard), XRA, shards.loan(shard, XRA))
        assert not remaking.done()
        gate.set()
        assert remaking.result(30)


def test_a_lock_drops_keys_and_codes_and_no_older_loan_brings_them_back(
    shards: Shards,
) -> None:
    """A call that was on its way when the member locked comes too late."""
    before = [shards.loan(shard, XAA) for shard in shards.all]
    others = shards.found(OTHER_FACES, 110)
    close(shards.archive, is_open=False)
    shards.follow()
    assert shards.found(FACES, 1) is None
    assert shards.found(OTHER_FACES, 110) == others
    for shard, loan in zip(shards.all, before, strict=True):
        assert not shard._keys.is_unlocked(XAA)
        assert not any(shelf.holder == XAA for shelf in shard._engine.names())
        assert not shard.load(shards.named(shard), XAA, loan)
        assert not shard._keys.is_unlocked(XAA)
    assert shards.found(FACES, 1) is None
    close(shards.archive, is_open=True)
    shards.follow()
    for shard in shards.all:
        assert shard.load(shards.named(shard), XAA, shards.loan(shard, XAA))
    assert shards.found(FACES, 1) == whole(shards.archive, FACES, 1)


def test_what_is_under_a_key_that_was_not_lent_is_loaded_once_it_is(
    shards: Shards,
) -> None:
    """Until then the holder's galleries are closed here, and nothing is damaged."""
    archive = shards.archive
    keys = archive.store.keys
    rows = [keys.add_gallery_key(row) for row in archive.vault.successors(XAA)]
    archive.vault.adopt(XAA, rows)
    archive.enrol(FACES, *range(400, 430))
    archive.follow()
    shards.follow()
    end = archive.store.journal.end()
    assert shards.found(FACES, 410) is None
    for shard in shards.all:
        reached = shard.follow(shards.named(shard), end, {})
        assert reached is not None
        assert not reached.damaged
        if XAA not in reached.open:
            assert shard.load(shards.named(shard), XAA, shards.loan(shard, XAA))
    assert shards.found(FACES, 410) == whole(archive, FACES, 410)


def test_codes_on_disk_go_with_the_gallery(shards: Shards, tmp_path: Path) -> None:
    """A destroyed one leaves no file in any shard; others' stay."""
    for shard in shards.all:
        assert shard.keep(shards.named(shard), XAA)
        assert shard.keep(shards.named(shard), XRA)
        assert shard.discard(shards.named(shard), XAA)
    holders = {path.parts[-3] for path in tmp_path.rglob("manifest")}
    assert holders == {"XRA"}


def test_a_block_has_one_place_and_places_have_alike(archive: Archive) -> None:
    """Growth by one place moves its part, and nothing between the others."""
    three, four = Sharing(3, 1), Sharing(4, 1)
    stored = [
        template
        for change in archive.store.journal.changes(0, 500)
        for template in change.templates
    ]
    before = [three.place_of(each) for each in stored]
    after = [four.place_of(each) for each in stored]
    assert {a in {b, 3} for b, a in zip(before, after, strict=True)} == {True}
    assert min(np.bincount(before)) > len(stored) / 5
    assert min(np.bincount(after)) > len(stored) / 8
