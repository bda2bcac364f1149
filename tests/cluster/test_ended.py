"""What Ray says of one process: that it failed, and that it is gone."""

from __future__ import annotations

import os
import re
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
EXITING = 4  # of the flags of a process: see proc(5)


def has_ended(process: int) -> bool:
    """Say whether a process runs no more: is killed, at least, or on its way out.

    Of a large one the machine takes its time to free the memory.
    """
    here = Path(f"/proc/{process}")
    try:
        state, *_, flags = (here / "stat").read_text().rpartition(")")[2].split()[:7]
        status = (here / "status").read_text()
    except OSError:
        return True
    pending = [int(each, 16) for each in re.findall(r"(?:Sig|Shd)Pnd:\s*(\w+)", status)]
    is_killed = any(each >> (signal.SIGKILL - 1) & 1 for each in pending)
    return state in "ZX" or is_killed or bool(int(flags) & EXITING)


@pytest.fixture
def found(cluster: str) -> Iterator[Callable[[type], FoundShard]]:
    """What runs something in a process of its own."""
    import ray  # noqa: PLC0415 - an extra

    from matcher.remote import FoundShard, on_cluster  # noqa: PLC0415

    with on_cluster(cluster, memory_bytes=0):
        yield lambda kind: FoundShard(ray.remote(max_restarts=-1)(kind).remote())


def test_a_lock_is_tried_again_while_ray_does_not_tell_who_is_there(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather than that nothing is followed any more."""
    from ray.exceptions import RpcError  # noqa: PLC0415 - an extra

    from matcher import remote  # noqa: PLC0415

    def away() -> list[str]:
        raise RpcError("the head is away")

    with remote.on_cluster(cluster, memory_bytes=0, name="nobody's") as shards:
        assert shards.strangers() == []
        monkeypatch.setattr(remote, "list_named_actors", away)
        with pytest.raises(StorageError, match="Ray does not answer now"):
            shards.strangers()


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
