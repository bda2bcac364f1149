"""The keeper joins, saves and erases behind everybody's back, whatever happens."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
from archive import (
    FACES,
    LEFT_FINGERS,
    OTHER_FACES,
    XAA,
    Archive,
    until,
    warnings,
)
from world import SPACE

from biometrics import limits
from matcher.galleries import GalleryName
from matcher.index import Index
from matcher.segments import SegmentFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from biometrics.store import Change
    from matcher.engine import Segment
    from matcher.keeper import Keeper

LOOK_SECONDS = 0.01
XAA_FACES = GalleryName(XAA, SPACE)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred looks a second."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", LOOK_SECONDS)
    monkeypatch.setattr(limits, "KEEP_RETRY_SECONDS", LOOK_SECONDS)


@contextmanager
def keeping(archive: Archive) -> Iterator[Keeper]:
    """Keep an archive while the block runs."""
    keeper = archive.keeper()
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()
        assert not keeper._thread.is_alive()


def test_a_snapshot_is_of_one_moment(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never of the middle of a change: who was withdrawn could come back from disk."""
    held = archive.index.snapshot(XAA_FACES).parts[FACES.position]
    begun, go_on = threading.Event(), threading.Event()
    remove = Index._remove

    def slowly(index: Index, changes: Sequence[Change]) -> None:
        begun.set()
        assert go_on.wait(10)
        remove(index, changes)

    monkeypatch.setattr(Index, "_remove", slowly)
    archive.enrol(FACES, 90, 91)
    archive.withdraw(FACES, 1)
    with ThreadPoolExecutor(2) as pool:
        following = pool.submit(archive.follow)
        assert begun.wait(10)
        taking = pool.submit(archive.index.snapshot, XAA_FACES)
        try:
            with pytest.raises(TimeoutError):
                taking.result(0.2)
        finally:
            go_on.set()
        following.result(10)
        snapshot = taking.result(10)
    assert snapshot.position == archive.store.journal.end()
    parts = snapshot.parts[FACES.position]
    assert count(parts) == count(held) + 1


def count(parts: Sequence[tuple[Segment, NDArray[np.bool_]]]) -> int:
    """Return how many rows of some parts are alive."""
    return sum(int(alive.sum()) for _, alive in parts)


def some_looks() -> None:
    """Let the keeper look several times."""
    time.sleep(20 * LOOK_SECONDS)


def removed_rows(archive: Archive) -> int:
    """Return how many rows of what was withdrawn there are still in memory."""
    return sum(
        len(part) - part.count
        for shelf in archive.engine.names()
        for part in archive.engine.parts(shelf)
    )


def test_galleries_are_joined_and_nobody_is_lost(archive: Archive) -> None:
    """Several segments become one, less those withdrawn, while all are found."""
    assert len(archive.engine.parts(FACES)) == 3
    everybody = archive.found(FACES, range(300))
    with keeping(archive):
        until(lambda: len(archive.engine.parts(FACES)) == 2)  # and the tail
        assert archive.found(FACES, range(300)) == everybody
    assert everybody == set(range(80)) - {5, 70}


def test_a_start_is_kept_at_once_and_then_after_so_many_changes(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a crash leaves to be opened again is bounded."""
    monkeypatch.setattr(limits, "KEPT_EVERY_CHANGES", 5)
    begin = archive.index.position
    with keeping(archive) as keeper:
        until(lambda: keeper._kept == begin)
        assert started_from(archive).restored == begin
        archive.enrol(FACES, *range(80, 84))
        archive.follow()
        some_looks()
        assert started_from(archive).restored == begin
        archive.withdraw(FACES, 83)
        archive.follow()
        until(lambda: keeper._kept == begin + 5)
        assert started_from(archive).restored == begin + 5


def test_a_stop_keeps_everything(archive: Archive) -> None:
    """A start after it has nothing to do."""
    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
        archive.enrol(FACES, 90)
        archive.follow()
    archive.start()
    assert archive.restored == archive.store.journal.end()
    assert 90 in archive.found(FACES, range(100))


def test_a_keeper_that_was_not_started_can_be_stopped(archive: Archive) -> None:
    """A start that fails stops everything, begun or not."""
    archive.keeper().stop()
    assert not archive.folder.exists()


def test_a_damaged_gallery_is_not_kept(archive: Archive) -> None:
    """Its files go, though nothing else was changed; others' stay."""
    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
        assert archive.segments(FACES)
        archive.galleries.damage(*XAA_FACES, "test")
    assert not archive.gallery(FACES).exists()
    assert archive.segments(OTHER_FACES)


def test_damage_while_codes_are_taken_is_not_kept(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lacks a row that did not open is no copy of the gallery."""
    snapshot = Index.snapshot

    def damaged(index: Index, gallery: GalleryName) -> object:
        archive.galleries.damage(*gallery, "test")
        return snapshot(index, gallery)

    monkeypatch.setattr(Index, "snapshot", damaged)
    archive.keeper()._save()
    assert not archive.segments(FACES)


def test_a_locked_holders_files_stay(archive: Archive) -> None:
    """They cannot be written, and are worth keeping."""
    archive.save()
    before = archive.segments(FACES)
    archive.vault.lock(XAA)
    archive.galleries.lock(XAA)
    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
    assert archive.segments(FACES) == before


def test_who_was_withdrawn_leaves_memory_and_disk_within_the_hour(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a single row goes, and though no change came after it was kept."""
    monkeypatch.setattr(limits, "KEPT_EVERY_CHANGES", 1)
    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
        until(lambda: keeper._erase_at > time.monotonic() + 3500)
        archive.withdraw(OTHER_FACES, 101)
        archive.follow()
        until(lambda: keeper._kept == archive.index.position)
        assert removed_rows(archive) == 1
        keeper._erase_at = 0.0  # an hour later
        until(lambda: removed_rows(archive) == 0)
    assert removed_rows(started_from(archive)) == 0
    assert 101 not in archive.found(OTHER_FACES, range(300))


def started_from(archive: Archive) -> Archive:
    """Return what a start makes of what is kept now."""
    again = Archive.__new__(Archive)
    again.__dict__ |= archive.__dict__
    again.start()
    return again


def test_a_start_erases_soon(archive: Archive) -> None:
    """An exchange that is restarted every half hour erases too."""
    archive.save()
    archive.start()
    assert removed_rows(archive) == 3
    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
        assert removed_rows(archive) == 0
    archive.start()
    assert removed_rows(archive) == 0


def test_an_erasure_that_failed_is_tried_again_soon(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full for a moment does not put it off for an hour."""
    monkeypatch.setattr(limits, "KEPT_EVERY_CHANGES", 1)
    full, tries = threading.Event(), []
    save = SegmentFiles.save

    def saved(*arguments: object) -> None:
        tries.append(full.is_set())
        if full.is_set():
            raise OSError(28, "No space left on device")
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SegmentFiles, "save", saved)
    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
        archive.withdraw(OTHER_FACES, 101)
        archive.follow()
        until(lambda: keeper._kept == archive.index.position)
        full.set()
        keeper._erase_at = 0.0
        until(lambda: True in tries)
        assert removed_rows(started_from(archive)) == 1
        full.clear()
        until(lambda: not any(tries[-3:]))
    assert removed_rows(started_from(archive)) == 0


def test_trouble_with_one_gallery_is_told_once_and_keeps_no_other(
    archive: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    """A file in a folder's place: a line, however often it is tried; later it heals."""
    place = archive.gallery(FACES)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"in the way")
    with keeping(archive) as keeper:
        until(lambda: bool(archive.segments(OTHER_FACES)))
        until(lambda: bool(archive.segments(LEFT_FINGERS)))
        some_looks()
        (line,) = warnings(caplog.records)
        assert line == f"codes cannot be kept on disk now: XAA in {SPACE}: File exists"
        assert 3 in archive.found(FACES, range(10))
        place.unlink()
        until(lambda: keeper._kept >= 0)
        assert archive.segments(FACES)
        shutil.rmtree(place)
        place.write_bytes(b"in the way again")
        archive.enrol(FACES, 90)
        archive.follow()
    assert len(list(warnings(caplog.records))) == 2


def test_a_full_disk_is_told_once_and_not_filled_every_second(
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Names of files are new with every try, and are no new trouble."""
    monkeypatch.setattr(limits, "KEEP_RETRY_SECONDS", 8 * LOOK_SECONDS)
    tries = []

    def fail(*_: object) -> None:
        tries.append(len(tries))
        raise OSError(28, "No space left on device", f"{len(tries)}.segment.new")

    monkeypatch.setattr(SegmentFiles, "save", fail)
    with keeping(archive):
        until(lambda: len(tries) >= 3 * 3)  # of three galleries
        begun = time.monotonic()
        until(lambda: len(tries) >= 3 * 5)
        assert time.monotonic() - begun > 8 * LOOK_SECONDS
    (line,) = warnings(caplog.records)
    assert line.count("No space left on device") == 3
    assert "segment" not in line


def test_a_defect_is_told_once_and_does_not_end_the_keeper(
    archive: Archive,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What nobody thought of: one traceback; and it goes on when it can."""

    def fail(*_: object, **__: object) -> None:
        raise ValueError("test")

    with keeping(archive) as keeper:
        until(lambda: keeper._kept >= 0)
        with monkeypatch.context() as broken:
            broken.setattr(archive.engine, "compact", fail)
            some_looks()
        assert keeper._thread.is_alive()
        (told,) = [r for r in caplog.records if r.levelno == logging.ERROR]
        assert told.exc_info is not None
        archive.withdraw(FACES, *range(40))
        archive.follow()
        until(lambda: archive.engine.count(FACES) == 39)
        until(lambda: removed_rows(archive) == 0)
    archive.start()
    assert archive.found(FACES, range(100)) == set(range(40, 80)) - {70}


def test_nobody_withdrawn_is_found_while_segments_are_joined(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal that returned counts, whatever is being joined at that moment."""
    monkeypatch.setattr(limits, "COMPACT_SECONDS", 0.0)
    monkeypatch.setattr(limits, "ERASE_SECONDS", 0.0)
    present = set(range(80)) - {5, 70}
    random = np.random.default_rng(3)
    with keeping(archive):
        for person in random.permutation(sorted(present))[:60].tolist():
            archive.withdraw(FACES, person)
            archive.follow()
            present.discard(person)
            assert archive.found(FACES, range(80)) == present
    archive.start()
    assert archive.found(FACES, range(80)) == present
