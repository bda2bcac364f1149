"""Bulk loads give way to searches of either kind, in the exchange as it is wired."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from world import World, face, record, unit

from biometrics import limits
from biometrics.client import Chunk, ExchangeClient
from biometrics.errors import ConflictError, RefusedError
from biometrics.store import RecordWriter
from matcher.engine import Segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    import numpy as np

    from biometrics.store import Added, NewRecord

SECONDS = 20
BORDER = {"purpose": "border-check", "holders": ["XAA"]}
SEARCHES: dict[str, Callable[[World], object]] = {
    "Match": lambda world: world.client("XCC").match(face(unit(1)), **BORDER),
    "BatchMatch": lambda world: world.client("XCC").match_many(
        [face(unit(1)), face(unit(2))], **BORDER
    ),
}


class Written:
    """Counts the parts of chunks that reach the store before their last."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count from now on."""
        self.sizes: list[int] = []
        add = RecordWriter.add

        def counted(
            writer: RecordWriter, member: object, records: list[NewRecord]
        ) -> Future[Added]:
            self.sizes.append(len(records))
            return add(writer, member, records)  # type: ignore[arg-type]

        monkeypatch.setattr(RecordWriter, "add", counted)


@pytest.mark.parametrize("kind", SEARCHES)
def test_no_part_of_a_chunk_is_stored_while_a_search_runs(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The chunk waits for the search, and goes in by parts when it has ended."""
    monkeypatch.setattr(limits, "GIVE_WAY_SECONDS", 60.0)
    monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 60.0)
    world.enroller("XAA").enrol(record(f"held-{kind}", unit(1)))
    written = Written(monkeypatch)
    begun, go_on = threading.Event(), threading.Event()
    candidates = Segment.candidates

    def held(segment: Segment, probes: object) -> list[np.ndarray | None]:
        begun.set()
        assert go_on.wait(SECONDS)
        return candidates(segment, probes)  # type: ignore[arg-type]

    monkeypatch.setattr(Segment, "candidates", held)
    records = tuple(record(f"wired-{kind}-{n}", unit(700 + n)) for n in range(9))
    with ThreadPoolExecutor(2) as pool:
        try:
            searching = pool.submit(SEARCHES[kind], world)
            assert begun.wait(SECONDS)
            loading = pool.submit(
                lambda: list(world.enroller("XAA").enrol_many([Chunk(records=records)]))
            )
            time.sleep(0.3)
            assert written.sizes == []
            assert not loading.done()
        finally:
            go_on.set()
        searching.result(SECONDS)
        (told,) = loading.result(SECONDS)
    assert {each.status for each in told.outcomes} == {"enrolled"}
    assert written.sizes == [4, 4]


def test_a_load_is_answered_where_searches_never_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowly: a few records at a time, each after it has given way."""
    written = Written(monkeypatch)
    over = threading.Event()

    def search() -> None:
        while not over.is_set():
            SEARCHES["Match"](world)

    with ThreadPoolExecutor(2) as pool:
        searching = pool.submit(search)
        time.sleep(0.2)
        try:
            records = tuple(record(f"slow-{n}", unit(800 + n)) for n in range(40))
            (told,) = world.enroller("XAA").enrol_many([Chunk(records=records)])
        finally:
            over.set()
        searching.result(SECONDS)
    assert {each.status for each in told.outcomes} == {"enrolled"}
    assert set(written.sizes) == {limits.RECORDS_BETWEEN_SEARCHES}


def test_searches_that_are_refused_hold_up_no_load(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may ask nobody anything has no way to slow others down by asking."""
    monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 60.0)
    written = Written(monkeypatch)
    # What was searched for before this test counts for another minute.
    assert world.exchange is not None
    world.restart()
    with pytest.raises(RefusedError):
        world.client("XGG").match(face(unit(1)), purpose="border-check")
    records = tuple(record(f"free-{n}", unit(900 + n)) for n in range(9))
    (told,) = world.enroller("XAA").enrol_many([Chunk(records=records)])
    assert {each.status for each in told.outcomes} == {"enrolled"}
    assert written.sizes == []


def test_of_two_chunks_under_one_id_one_is_enrolled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the other, though parts are stored before the id is."""
    monkeypatch.setattr(limits, "SEARCHES_LAST_SECONDS", 60.0)
    SEARCHES["Match"](world)
    one_id = uuid.uuid4()
    chunks = [
        Chunk(
            records=tuple(record(f"{name}-{n}", unit(1000 + n)) for n in range(20)),
            request_id=one_id,
        )
        for name in ("one", "other")
    ]

    profile = world.profile("XAA", "enroller")

    def load(chunk: Chunk) -> str:
        with ExchangeClient(profile) as client:
            try:
                list(client.enrol_many([chunk]))
            except ConflictError as error:
                return error.reason
            return "enrolled"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(load, chunks)) == ["REQUEST_ID_REUSED", "enrolled"]
    held = {each.reference for each in world.enroller("XAA").records()}
    assert len([name for name in held if name.startswith(("one-", "other-"))]) == 20
