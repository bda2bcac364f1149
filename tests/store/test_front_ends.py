"""Several front ends on one database: each decides by what all of them have written."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from store.places import PostgresPlace, SqlitePlace
from store.shelf import START, XAA, XBB, Shelf, digest, request

from biometrics import limits
from biometrics.audit import Kind, Mention
from biometrics.clock import ManualClock
from biometrics.errors import ConfigurationError, StorageError
from biometrics.store import (
    AgreementRow,
    Disclosed,
    QuotaUse,
    RequestKey,
    Taken,
    open_store,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

A, B = b"a" * 16, b"b" * 16
KEY = b"public"
MOST = 3
# The session that writes has the locks: those of one front end, by its own.
END_WRITER = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
    WHERE locktype = 'advisory' AND (classid::bigint << 32 | objid::bigint) = {own}
"""


@pytest.fixture
def pair(postgres_place: PostgresPlace) -> Iterator[tuple[Shelf, Shelf]]:
    """Return two front ends on one database."""
    both = Shelf(postgres_place, front_end=A), Shelf(postgres_place, front_end=B)
    yield both
    for each in both:
        each.store.close()


def answer(shelf: Shelf, taken: Taken = Taken(), **more: object) -> bytes | None:  # noqa: B008
    """Store an answer to XBB; say what is durable, or None if it cannot be."""
    request_id = more.pop("request_id", None) or shelf.fresh()
    return shelf.store.answers.commit(
        XBB,
        request_id,  # type: ignore[arg-type]
        digest("asked"),
        lambda appended: f"leaf {appended.index}".encode(),
        Disclosed(taken=taken, **more),  # type: ignore[arg-type]
    ).result(30)


def set_open(shelf: Shelf, *, is_open: bool) -> int:
    """Open or close XAA's galleries; return where the journal says so."""
    return (
        shelf.store.custody.set_open(
            XAA,
            is_open=is_open,
            change_id=os.urandom(16),
            request=RequestKey(shelf.fresh(), digest("custody")),
            make_reply=lambda _: b"done",
        )
        .result(30)
        .position
    )


def test_what_one_writes_the_other_reads_and_goes_on_from(
    pair: tuple[Shelf, Shelf],
) -> None:
    """Journal and log are one, without a gap, whoever's turn it is."""
    one, other = pair
    for number in range(6):
        pair[number % 2].enrol(f"R{number}")
    assert one.store.journal.look() == other.store.journal.look() == 6
    changes = one.store.journal.changes(0, 10)
    assert [c.position for c in changes] == [1, 2, 3, 4, 5, 6]
    assert one.store.log.head() == other.store.log.head()
    assert answer(one) == b"leaf 6"
    assert answer(other) == b"leaf 7"
    assert answer(one) == b"leaf 8"


def test_both_at_once_leave_one_log(pair: tuple[Shelf, Shelf]) -> None:
    """Under load from several threads each leaf is written once, and each answered."""
    told: list[bytes | None] = []

    def ask(shelf: Shelf) -> None:
        told.extend(answer(shelf) for _ in range(50))

    threads = [threading.Thread(target=ask, args=(s,)) for s in pair for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == sorted(f"leaf {n}".encode() for n in range(400))
    assert pair[0].store.log.head().size == 400
    assert len(pair[1].store.log.leaves(0, 500)) == 400


def test_a_quota_is_one_whoever_is_asked(pair: tuple[Shelf, Shelf]) -> None:
    """What the other has given counts, also where it was remembered otherwise."""
    taken = Taken(quotas=(QuotaUse(use=b"q" * 16, searches=1, most=MOST),))
    one, other = pair
    assert answer(one, taken)
    assert answer(other, taken)
    assert answer(one, taken)
    assert answer(other, taken) is None
    assert answer(one, taken) is None


def test_a_replay_is_the_same_at_the_other(pair: tuple[Shelf, Shelf]) -> None:
    """An answer is given once, whoever is asked again."""
    one, other = pair
    first = answer(one, request_id=request("again"))
    assert answer(other, request_id=request("again")) == first == b"leaf 0"
    assert other.store.log.head().size == 1


def test_a_lock_by_one_counts_for_an_answer_of_the_other(
    pair: tuple[Shelf, Shelf],
) -> None:
    """Also where the other has remembered that nobody is closed."""
    one, other = pair
    searched = frozenset({XAA})
    assert answer(one, searched=searched)
    set_open(other, is_open=False)
    assert answer(one, searched=searched) is None
    set_open(other, is_open=True)
    assert answer(one, searched=searched)


def test_an_answer_by_an_agreement_that_is_not_the_last_is_decided_anew(
    pair: tuple[Shelf, Shelf],
) -> None:
    """As soon as the other front end has put a newer one in force."""
    one, other = pair
    for revision in (1, 2):
        row = AgreementRow(
            holder=XAA,
            revision=revision,
            digest=digest(f"{revision}"),
            data=b"toml",
            note=b"note",
        )
        pair[revision - 1].store.agreements.keep(row)
        told = answer(one, mentions=searched_by(digest("1")))
        assert (told is None) is (revision == 2)
    assert answer(one, mentions=searched_by(digest("2")))
    assert answer(other, mentions=searched_by(digest("2")))


def searched_by(agreement: bytes) -> tuple[Mention, ...]:
    """Return what a holder is told of a search that its agreement permitted."""
    return (Mention(member=XAA, kind=Kind.SEARCHED, agreement=agreement),)


def test_nobody_has_it_alone_beside_front_ends(pair: tuple[Shelf, Shelf]) -> None:
    """And no front end comes to one that somebody has alone."""
    where = pair[0].place.where
    with pytest.raises(ConfigurationError) as caught:
        open_store(where, ManualClock(START))
    assert caught.value.reason == "DATABASE_IN_USE"
    for each in pair:
        each.store.close()
    with (
        open_store(where, ManualClock(START)),
        pytest.raises(ConfigurationError) as caught,
    ):
        open_store(where, ManualClock(START), front_end=A)
    assert caught.value.reason == "DATABASE_IN_USE"


def test_a_schema_is_not_changed_under_another(
    postgres_place: PostgresPlace,
) -> None:
    """A front end of a later version waits until those before it are gone."""
    with open_store(postgres_place.where, ManualClock(START), front_end=A):
        postgres_place.run("UPDATE alembic_version SET version_num = '0014'")
        with pytest.raises(ConfigurationError) as caught:
            open_store(postgres_place.where, ManualClock(START), front_end=B)
    assert caught.value.reason == "DATABASE_IN_USE"


def test_a_file_has_one_exchange(sqlite_place: SqlitePlace) -> None:
    """A second one would read what the first one's memory has."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(sqlite_place.where, ManualClock(START), front_end=A)
    assert caught.value.reason == "NOT_SHARED"


def test_whoever_stands_still_in_its_turn_loses_it(
    postgres_place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other goes on; of the one nothing is written, and it can write again."""
    monkeypatch.setattr(limits, "FRONT_END_STALL_SECONDS", 1)
    one, other = (Shelf(postgres_place, front_end=name) for name in (A, B))
    with pytest.raises(StorageError), one.held():
        assert answer(other) == b"leaf 0"
    assert answer(one) == b"leaf 1"
    for each in (one, other):
        each.store.close()


def test_one_that_lives_is_waited_for_and_one_that_is_gone_is_not(
    pair: tuple[Shelf, Shelf],
) -> None:
    """Where its session was only lost it is there again once it tells."""
    one, other = (shelf.store.front_ends for shelf in pair)
    assert one
    assert other
    one.reach(KEY, 0, 0)
    other.reach(KEY, 0, 0)
    position = set_open(pair[0], is_open=False)
    assert one.behind(position) == (1, 0)
    other.reach(KEY, position, position - 1)
    assert one.behind(position) == (0, 0)
    assert one.behind(position, is_settled=True) == (1, 0)
    assert one.behind(position + 1) == (1, 0)
    own = int.from_bytes(B[:8], signed=True)
    place = pair[0].place
    assert isinstance(place, PostgresPlace)
    place.run(END_WRITER.format(own=own))
    assert one.behind(position + 1) == (0, 1)
    assert one.others() == []
    with pytest.raises(StorageError):
        other.reach(KEY, position, position)  # finds out that its session is lost
    other.reach(KEY, position, position)
    assert one.behind(position + 1) == (1, 0)
    assert not one.is_alone()
    other.leave()
    assert one.behind(position + 1) == (0, 0)
    assert one.is_alone()


def test_a_key_is_handed_on_only_while_its_member_is_open(
    pair: tuple[Shelf, Shelf],
) -> None:
    """A lock takes back what was on its way."""
    one, other = (shelf.store.front_ends for shelf in pair)
    assert one
    assert other
    one.lend(B, XAA, b"sealed")  # nobody of that name has told that it is there
    other.reach(KEY, 0, 0)
    assert other.lent() == {}
    one.lend(B, XAA, b"sealed")
    one.lend(B, XAA, b"sealed anew")
    assert other.lent() == {"XAA": b"sealed anew"}
    assert [(o.name, o.shown, o.lent) for o in one.others()] == [(B, KEY, {"XAA"})]
    set_open(pair[1], is_open=False)
    assert other.lent() == {}
    one.lend(B, XAA, b"sealed")
    assert other.lent() == {}
    set_open(pair[1], is_open=True)
    one.lend(B, XAA, b"sealed")
    other.leave()
    assert one.others() == []
