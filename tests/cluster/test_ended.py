"""What Ray says of one process: that it failed, and that it is gone."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cluster_world import until

from biometrics.errors import StorageError
from matcher.calls import Call, LostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matcher.remote import FoundShard

SECONDS = 30.0


def has_ended(process: int) -> bool:
    """Say whether nothing is left of a process, whoever has seen that."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


@pytest.fixture
def found(cluster: str) -> Iterator[Callable[[type], FoundShard]]:
    """What runs something in a process of its own."""
    import ray  # noqa: PLC0415 - an extra

    from matcher.remote import FoundShard, on_cluster  # noqa: PLC0415

    with on_cluster(cluster, memory_bytes=0):
        yield lambda kind: FoundShard(ray.remote(max_restarts=-1)(kind).remote())


@pytest.mark.parametrize("method", ["ours", "foreign"])
def test_one_that_fails_is_known_to_be_alive(
    found: Callable[[type], FoundShard], method: str
) -> None:
    """Or nobody would start it anew."""

    class Fails:
        def ours(self) -> None:
            raise StorageError("DATABASE_AWAY", "for a moment")

        def foreign(self) -> None:
            class Own(Exception):  # noqa: N818
                def __init__(self, _: int, __: int) -> None:
                    super().__init__()  # which cannot be made anew from this

            raise Own(1, 2)

    shard = found(Fails)
    with pytest.raises(LostError, match="it failed") as lost:
        shard.answer(shard.send(Call(method, (), {})), seconds=SECONDS)
    assert lost.value.is_alive


@pytest.mark.parametrize("hangs", [False, True])
def test_one_that_is_ended_is_gone_once_its_process_is(
    found: Callable[[type], FoundShard],
    hangs: bool,  # noqa: FBT001
) -> None:
    """A lock waits for that: it has keys, and for seconds where it hangs."""

    class Lives:
        def process(self) -> int:
            return os.getpid()

    shard = found(Lives)
    asked = Call("process", (), {})
    process = shard.answer(shard.send(asked), seconds=SECONDS)
    if hangs:
        os.kill(process, signal.SIGSTOP)
    try:
        shard.end()
        until(shard.is_gone)
        assert has_ended(process)
        with suppress(LostError):  # none, or another
            assert shard.answer(shard.send(asked), seconds=SECONDS) != process
        assert shard.is_gone()
        shard.free()
        assert shard.is_gone()
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
