"""Galleries are closed, rotated and destroyed by the writer, in the journal's order."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from store.shelf import START, XAA, XBB, digest, request

from biometrics.errors import GalleryLockedError
from biometrics.sealed import REFERENCES, NewGalleryKey
from biometrics.store import CustodyState, Disclosed, ErasureKind, RequestKey, Rewrapped

if TYPE_CHECKING:
    from store.shelf import Shelf

    from biometrics.sealed import GalleryKeyRow
    from biometrics.store.rows import ChangeKind


def told(moment: dt.datetime) -> bytes:
    """Return a moment as a reply."""
    return moment.isoformat().encode()


def asked(shelf: Shelf) -> RequestKey:
    """Return a request of its own."""
    return RequestKey(shelf.fresh(), digest("asked"))


def set_open(shelf: Shelf, *, is_open: bool, word: str = "change") -> bytes:
    """Open or close XAA's galleries; return the reply."""
    return (
        shelf.store.custody.set_open(
            XAA,
            is_open=is_open,
            change_id=request(word),
            request=asked(shelf),
            make_reply=told,
        )
        .result(30)
        .reply
    )


def key(epoch: int, gallery: str = "face-a") -> NewGalleryKey:
    """Return a gallery key of XAA's."""
    return NewGalleryKey(
        member=XAA,
        gallery=gallery,
        epoch=epoch,
        wrapped=digest(f"wrapped {gallery} {epoch}") * 2,
        commitment=digest(f"commitment {gallery} {epoch}"),
        created_at=START + dt.timedelta(minutes=epoch),
    )


def begin(shelf: Shelf, *keys: NewGalleryKey) -> bytes:
    """Begin a rotation of XAA's keys; return the reply."""
    return (
        shelf.store.custody.begin(
            XAA, keys, change_id=shelf.fresh(), request=asked(shelf), make_reply=told
        )
        .result(30)
        .reply
    )


def newest(shelf: Shelf) -> GalleryKeyRow:
    """Return the key that came last."""
    return shelf.store.keys.gallery_keys(XAA)[-1]


def rewrap(shelf: Shelf, word: str = "anew", gallery: str = "face-a") -> int:
    """Put everything under an older key under the newest; return how much it was."""
    (old,) = (k for k in shelf.store.custody.old(XAA) if k.gallery == gallery)
    count, after = 0, 0
    while values := shelf.store.custody.under(old, after, 7):
        after = values[-1].number
        some = [
            Rewrapped(v.number, newest(shelf).key_id, b"key of " + digest(word) * 2)
            for v in values
        ]
        shelf.store.custody.rewrap(old, some).result(30)
        count += len(values)
    return count


def retire(shelf: Shelf) -> int | None:
    """Delete XAA's older keys, if nothing is under them."""
    return shelf.store.custody.retire(XAA, change_id=request("retired")).result(30)


def kinds(shelf: Shelf) -> list[ChangeKind]:
    """Return what the journal tells."""
    return [change.kind for change in shelf.store.journal.changes(0, 100)]


def test_what_was_sealed_before_a_lock_is_not_enrolled_after_it(shelf: Shelf) -> None:
    """The journal says when it was; others go on; unlocked, it goes on too."""
    record = shelf.record("A")
    assert set_open(shelf, is_open=False) == told(START)
    with pytest.raises(GalleryLockedError) as refused:
        shelf.begin_enrol(record).result(30)
    assert refused.value.reason == "GALLERY_LOCKED"
    shelf.enrol("B", member=XBB)
    shelf.clock.advance(dt.timedelta(hours=1))
    assert set_open(shelf, is_open=False) == told(START)
    assert shelf.store.custody.closed() == {XAA: CustodyState.LOCKED}
    set_open(shelf, is_open=True)
    assert shelf.store.custody.closed() == {}
    shelf.begin_enrol(record).result(30)
    assert kinds(shelf) == ["locked", "enrolled", "unlocked", "enrolled"]


def test_no_answer_that_compared_with_it_is_stored_after_a_lock(shelf: Shelf) -> None:
    """It is to be decided anew; one that did not is stored."""
    set_open(shelf, is_open=False)
    for holder, expected in ((XAA, None), (XBB, b"answer")):
        stored = shelf.store.answers.commit(
            XBB,
            shelf.fresh(),
            digest("match"),
            lambda _: b"answer",
            Disclosed(searched=frozenset({holder})),
        )
        assert stored.result(30) == expected


def test_a_repeated_request_changes_nothing(shelf: Shelf) -> None:
    """It is answered as it was, though the opposite was done since."""
    once = asked(shelf)

    def lock() -> tuple[bytes, bool]:
        done = shelf.store.custody.set_open(
            XAA,
            is_open=False,
            change_id=request("change"),
            request=once,
            make_reply=told,
        ).result(30)
        return done.reply, done.replayed

    assert lock() == (told(START), False)
    set_open(shelf, is_open=True)
    assert lock() == (told(START), True)
    assert shelf.store.custody.custody(XAA).state is CustodyState.OPEN


def test_a_key_is_retired_once_nothing_is_under_it(shelf: Shelf) -> None:
    """Not before; then it is gone, and an erasure says which it was."""
    shelf.enrol(*(f"R{n}" for n in range(20)))
    shelf.withdraw("R3")
    first = shelf.key_id
    begin(shelf, key(2))
    assert [k.key_id for k in shelf.store.custody.old(XAA)] == [first]
    assert shelf.store.custody.left(XAA) == 2 * 19
    assert retire(shelf) is None
    assert rewrap(shelf) == 19
    assert retire(shelf) is None  # references are under it
    for statement in ("record", "template"):
        assert shelf.count(statement) == 19
    _rewrap_references(shelf, first)
    assert retire(shelf) == shelf.store.journal.end()
    assert [k.epoch for k in shelf.store.keys.gallery_keys(XAA)] == [2]
    assert kinds(shelf)[-1] == "rotated"
    (erasure,) = shelf.store.erasures.pending(XAA)
    assert (erasure.kind, erasure.records) == (ErasureKind.ROTATION, 1)
    assert erasure.begun_at == key(2).created_at
    (gone,) = erasure.keys
    assert (gone.gallery, gone.epoch, gone.commitment) == ("face-a", 1, b"c" * 32)
    assert retire(shelf) == shelf.store.journal.end()
    shelf.store.erasures.certify(erasure.number, b"note")
    shelf.store.erasures.certify(erasure.number, b"another")
    assert shelf.store.erasures.pending(XAA) == []
    assert [e.note for e in shelf.store.erasures.of(XAA, 0, 10)] == [b"note"]
    assert shelf.store.erasures.of(XAA, erasure.number, 10) == []
    assert shelf.store.erasures.of(XBB, 0, 10) == []


def _rewrap_references(shelf: Shelf, first: int) -> None:
    """Put references, which the shelf seals under its one key, under the newest."""
    statement = (
        f"UPDATE record SET reference_key_id = {newest(shelf).key_id}"  # noqa: S608
        f" WHERE reference_key_id = {first}"
    )
    with shelf.writing.begin() as connection:
        connection.exec_driver_sql(statement)


def test_what_was_sealed_under_a_retired_key_is_refused(shelf: Shelf) -> None:
    """It is sent again, and sealed under the newest."""
    record = shelf.record("late")
    begin(shelf, key(2))
    retire(shelf)
    with pytest.raises(GalleryLockedError) as refused:
        shelf.begin_enrol(record).result(30)
    assert refused.value.reason == "KEYS_ROTATED"
    shelf.key_id = newest(shelf).key_id
    shelf.enrol("late")


def test_a_gallery_that_is_new_is_no_part_of_a_rotation(shelf: Shelf) -> None:
    """What is withdrawn after the rotation was begun is not counted as erased by it."""
    begin(shelf, key(2))
    shelf.store.keys.add_gallery_key(replace(key(9), gallery="face-b", epoch=1))
    shelf.key_id = newest(shelf).key_id
    shelf.clock.advance(dt.timedelta(minutes=3))
    shelf.enrol("A", "B")
    shelf.withdraw("A")
    assert shelf.store.custody.withdrawn_since(XAA) == shelf.clock.now()
    assert retire(shelf) is not None
    (erasure,) = shelf.store.erasures.pending(XAA)
    assert (erasure.records, erasure.begun_at) == (0, key(2).created_at)


def test_one_rotation_at_a_time(shelf: Shelf) -> None:
    """Another that is begun meanwhile joins it; none is begun on locked galleries."""
    shelf.enrol("A")
    assert begin(shelf, key(2)) == told(START)
    shelf.clock.advance(dt.timedelta(hours=1))
    assert begin(shelf, key(3)) == told(key(2).created_at)
    assert [k.epoch for k in shelf.store.keys.gallery_keys(XAA)] == [1, 2]
    set_open(shelf, is_open=False)
    with pytest.raises(GalleryLockedError):
        begin(shelf, key(3))


def test_references_are_found_by_their_own_key(shelf: Shelf) -> None:
    """Page by page, in the order of the records, bound as references are."""
    reference_key = shelf.store.keys.add_gallery_key(key(1, REFERENCES))
    shelf.enrol(*(f"R{n}" for n in range(10)))
    with shelf.writing.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE record SET reference_key_id = {reference_key.key_id}"  # noqa: S608
        )
    begin(shelf, key(2), key(2, REFERENCES))
    values = shelf.store.custody.under(reference_key, 0, 100)
    assert [v.number for v in values] == list(range(1, 11))
    assert {(v.space, v.position, v.modality, v.sample) for v in values} == {
        ("", "", "", 0)
    }
    assert rewrap(shelf, gallery=REFERENCES) == 10
    assert rewrap(shelf) == 10
    assert retire(shelf) is not None


def test_a_destruction_overwrites_keys_at_once_and_deletes_rows_by_and_by(
    shelf: Shelf,
) -> None:
    """Nothing of the member is left, and everything of others."""
    shelf.enrol(*(f"R{n}" for n in range(20)))
    shelf.withdraw("R3")
    shelf.enrol("other", member=XBB)
    assert shelf.store.destruction.delete_some(XAA, 8).result(30) is False

    def destroy() -> bytes:
        done = shelf.store.destruction.destroy(
            XAA, change_id=request("d"), request=asked(shelf), make_reply=told
        )
        return done.result(30).reply

    assert destroy() == told(START)
    shelf.clock.advance(dt.timedelta(hours=1))
    assert destroy() == told(START)
    assert {k.wrapped for k in shelf.store.keys.gallery_keys(XAA)} == {bytes(72)}
    (erasure,) = shelf.store.erasures.pending(XAA)
    assert (erasure.kind, erasure.records) == (ErasureKind.DESTRUCTION, 19)
    assert kinds(shelf)[-1] == "destroyed"
    assert set_open(shelf, is_open=False) == told(START)  # changes nothing any more
    assert shelf.store.destruction.left(XAA) == 19
    shelf.key_id = _key_of_another(shelf)
    steps = 0
    while shelf.store.destruction.delete_some(XAA, 8).result(30):
        steps += 1
        assert shelf.store.register.is_whole()
    assert steps == 3
    assert shelf.store.keys.gallery_keys(XAA) == []
    assert shelf.store.register.spaces(XAA) == []
    assert (shelf.count("record"), shelf.count("template")) == (1, 1)
    assert shelf.count("tombstone") == 1  # is never enrolled again
    set_open(shelf, is_open=True)
    assert shelf.store.custody.custody(XAA).state is CustodyState.OPEN


def _key_of_another(shelf: Shelf) -> int:
    """Put what XBB has under a key of its own; return its number."""
    own = shelf.store.keys.add_gallery_key(
        NewGalleryKey(
            member=XBB,
            gallery="face-a",
            epoch=1,
            wrapped=b"w" * 72,
            commitment=b"c" * 32,
            created_at=START,
        )
    )
    with shelf.writing.begin() as connection:
        for table, column in (("record", "reference_key_id"), ("template", "key_id")):
            of_xbb = "number" if table == "record" else "record_number"
            connection.exec_driver_sql(
                f"UPDATE {table} SET {column} = {own.key_id} WHERE {of_xbb} IN"  # noqa: S608
                " (SELECT number FROM record WHERE member = 'XBB')"
            )
    return own.key_id


def test_a_withdrawal_after_a_rotation_leaves_no_trace_in_sqlite(
    sqlite_shelf: Shelf,
) -> None:
    """A rotation changes rows in place, and leaves no second copy of what it wraps."""
    shelf = sqlite_shelf
    shelf.enrol(*(f"R{n}" for n in range(200)))
    begin(shelf, key(2))
    (old,) = shelf.store.custody.old(XAA)
    values = shelf.store.custody.under(old, 0, 1000)
    fresh = [
        Rewrapped(
            v.number, newest(shelf).key_id, b"key of " + digest(f"{v.number}") * 2
        )
        for v in values
    ]
    for start in range(0, 200, 16):
        shelf.store.custody.rewrap(old, fresh[start : start + 16]).result(30)
    for number in range(0, 200, 3):
        shelf.withdraw(f"R{number}")
    assert shelf.store.erase()
    content = b"".join(f.read_bytes() for f in shelf.path.parent.iterdir())
    left = [n for n in range(200) if digest(f"{n + 1}") * 2 in content]
    assert left == [n for n in range(200) if n % 3]
