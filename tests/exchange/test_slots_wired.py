"""Whatever a search finds, a running exchange holds its answer back to a slot's end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics.errors import RefusedError
from biometrics.store import AnswerWriter

if TYPE_CHECKING:
    from pathlib import Path

SLOT_MS = 150


def test_every_answer_waits_for_the_end_of_its_slot(tmp_path: Path) -> None:
    """A match, no match, a replay and a batch; but for the grain of timers."""
    with World(tmp_path, agreements=AGREEMENTS, slot_ms=SLOT_MS) as world:
        world.enroller("XAA").enrol(record("one", unit(1)))
        client = world.client("XCC")
        request_id = "0a8f4d3e-6a52-4a53-9a65-0e6f7b0d2f11"

        def seconds(number: int, **more: str) -> float:
            begun = time.perf_counter()
            client.match(face(unit(number)), purpose="border-check", **more)  # type: ignore[arg-type]
            return time.perf_counter() - begun

        waited = [
            seconds(1),
            seconds(2),
            seconds(1, request_id=request_id),
            seconds(1, request_id=request_id),
        ]
        begun = time.perf_counter()
        client.match_many([face(unit(1)), face(unit(2))], purpose="border-check")
        waited.append(time.perf_counter() - begun)
        assert min(waited) > 0.95 * SLOT_MS / 1000
        # A refusal by the agreements tells nothing of anybody, and comes alike.
        with pytest.raises(RefusedError):
            client.match(face(unit(1)), purpose="border-check", holders=["XBB"])


def test_what_is_found_is_stored_at_the_end_of_a_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another request under the same id could ask whether it is stored by then."""
    stored: list[float] = []
    commit = AnswerWriter.commit

    def noted(*arguments: Any, **more: Any) -> object:  # noqa: ANN401 - as it takes
        stored.append(time.perf_counter())
        return commit(*arguments, **more)

    monkeypatch.setattr(AnswerWriter, "commit", noted)
    with World(tmp_path, agreements=AGREEMENTS, slot_ms=SLOT_MS) as world:
        world.enroller("XAA").enrol(record("one", unit(1)))
        for number in (1, 2):
            begun = time.perf_counter()
            world.client("XCC").match(face(unit(number)), purpose="border-check")
            ended = time.perf_counter()
            assert stored.pop() - begun > 0.95 * SLOT_MS / 1000
            assert ended - begun > 0.95 * 2 * SLOT_MS / 1000
    assert not stored
