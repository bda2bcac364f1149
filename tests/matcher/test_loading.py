"""Who is replaced while galleries are loaded is found from the first moment on."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from archive import FACES, XAA, Archive

from biometrics import limits
from matcher.access import Access

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from biometrics.members import Member
    from biometrics.store import Change

PEOPLE = range(5)
WAIT_SECONDS = 10.0


def test_who_is_enrolled_while_a_lock_fails_is_found(archive: Archive) -> None:
    """That is followed while the door is closed, which is opened again."""
    nothing: Any = None
    access = Access(
        galleries=archive.galleries,
        follower=nothing,
        loading=archive.loading(),
        scanner=nothing,
        keeper=nothing,
        others=nothing,
        settled=nothing,
    )

    async def close_in_vain() -> None:
        before = access.close(XAA)
        archive.enrol(FACES, 300)
        archive.follow()
        access.undo(XAA, before)
        await access.loaded(XAA)
        await access.stop()

    asyncio.run(close_in_vain())
    assert archive.found(FACES, [300]) == {300}


def test_who_is_gone_before_it_is_read_is_waited_for(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced twice: once that is followed, and once more before it is read."""
    monkeypatch.setattr(limits, "LOADING_PAUSE_SECONDS", 0.01)
    archive.start()
    archive.enrol(FACES, *PEOPLE)
    archive.follow()
    archive.index._lock(XAA)
    archive.galleries.load(XAA)
    journal = archive.store.journal
    read, filled = journal.changes, journal.end()
    seen: list[set[int]] = []
    is_replaced = threading.Event()

    def late(
        after: int, most: int, *, holder: Member | None = None
    ) -> Sequence[Change]:
        if holder is None or is_replaced.is_set():
            return read(after, most, holder=holder)
        if after == filled:
            archive.replace(FACES, 1)
            is_replaced.set()
            return read(after, most, holder=holder)
        told = read(after, most, holder=holder)
        archive.replace(FACES, 1)
        archive.follow()
        return told

    def done() -> None:
        archive.galleries.open(XAA)
        seen.append(archive.found(FACES, PEOPLE))

    monkeypatch.setattr(journal, "changes", late)
    loading = archive.loading()
    thread = threading.Thread(
        target=loading.load,
        args=(XAA,),
        kwargs={"is_wanted": lambda: True, "done": done},
    )
    thread.start()
    assert is_replaced.wait(WAIT_SECONDS)
    time.sleep(0.2)
    archive.follow()
    thread.join(WAIT_SECONDS)
    assert seen == [set(PEOPLE)]
