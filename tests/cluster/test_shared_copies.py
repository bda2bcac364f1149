"""Copies of shards of several front ends, which end: they can be had again.

What they had of nodes is free meanwhile.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from archive import FACES, Archive
from cluster_world import until

from biometrics import limits
from matcher.calls import LostError, call
from matcher.shard import ShardPlan
from matcher.shares import Sharing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matcher.remote import RayShard, Shards

MEMORY_BYTES = 300 << 20
SECONDS = 2.0
CALL_SECONDS = 5.0


@pytest.fixture
def plans(tmp_path: Path) -> Iterator[list[ShardPlan]]:
    """One shard of an archive, in two copies."""
    archive = Archive(tmp_path)
    archive.enrol(FACES, 1)
    plan = ShardPlan(
        number=0,
        sharing=Sharing(1, 8, 2),
        database=archive.database,
        segments=archive.folder,
        spaces=tuple(archive.spaces),
        threads=1,
    )
    yield list(plan.all())
    archive.store.close()


@contextmanager
def front_end(cluster: str) -> Iterator[Shards]:
    """Be one of several."""
    from matcher.remote import on_cluster  # noqa: PLC0415 - an extra

    with on_cluster(cluster, memory_bytes=MEMORY_BYTES, name="shared") as shards:
        yield shards


def incarnations(copies: list[RayShard]) -> list[bytes]:
    """Return who copies are, as soon as they say so; they are had back for it."""

    def told(copy: RayShard) -> bytes | None:
        try:
            greeting = copy.answer(copy.send(call("greet")), seconds=CALL_SECONDS)
        except LostError:
            copy.is_gone()
            return None
        incarnation: bytes = greeting.incarnation
        return incarnation

    found: list[bytes] = []
    for copy in copies:
        until(lambda: (who := told(copy)) is not None and not found.append(who))  # noqa: B023
    return found


def end_unasked(copy: RayShard, silent: float) -> None:
    """Have one end as if nobody had asked it anything for so long."""

    def begin(shard: Any) -> None:  # noqa: ANN401
        import threading  # noqa: PLC0415 - over there

        shard.asked_at -= silent
        threading.Thread(target=shard._end, daemon=True).start()

    copy._actor.__ray_call__.remote(begin)


def is_free() -> bool:
    """Say whether nobody has any core of a node, nor a group that would."""
    import ray  # noqa: PLC0415 - an extra

    return bool(ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])


@contextmanager
def ended(copies: list[RayShard]) -> Iterator[None]:
    """End copies after the block; nothing is left of them."""
    try:
        yield
    finally:
        for copy in copies:
            copy.free()
        until(is_free)


def test_all_that_nobody_asks_end_and_are_had_again(
    cluster: str, plans: list[ShardPlan]
) -> None:
    """By whoever starts later; until then what they had of nodes is free."""
    with front_end(cluster) as shards:
        copies = shards.made(plans)
        were = incarnations(copies)
        for copy in copies:
            end_unasked(copy, limits.SHARD_SILENT_SECONDS)
        until(is_free)
    with front_end(cluster) as shards:
        copies = shards.made(plans)
        with ended(copies):
            assert not {*were} & {*incarnations(copies)}


def test_one_that_nobody_asks_ends_alone_and_is_had_again(
    cluster: str, plans: list[ShardPlan]
) -> None:
    """Nobody misses the other meanwhile."""
    with front_end(cluster) as shards:
        copies = shards.made(plans)
        with ended(copies):
            other, was = incarnations(copies)
            end_unasked(copies[1], limits.SHARD_SILENT_SECONDS)
            until(copies[1].is_gone)
            began = time.monotonic()
            while time.monotonic() < began + SECONDS:
                assert incarnations(copies[:1]) == [other]
            still, anew = incarnations(copies)
            assert still == other
            assert anew != was


def test_what_strangers_had_of_nodes_is_free_when_they_are_ended(
    cluster: str, plans: list[ShardPlan]
) -> None:
    """One after the other; the first takes nothing from the second."""
    with front_end(cluster) as shards:
        incarnations(shards.made(plans))
    with front_end(cluster) as shards:
        first, second = shards.strangers()
        first.free()
        time.sleep(SECONDS)
        assert not second.is_gone()
        second.free()
        assert not shards.strangers()
        until(is_free)
