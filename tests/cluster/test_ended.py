"""What Ray says of one process: that it failed, and that it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from biometrics.errors import StorageError
from matcher.calls import Call, LostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matcher.remote import FoundShard

SECONDS = 30.0


class Fails:
    """Stands for a shard that cannot do what it is asked."""

    def ours(self) -> None:
        """Fail as a shard does that cannot read the database."""
        raise StorageError("DATABASE_AWAY", "for a moment")

    def foreign(self) -> None:
        """Fail by what cannot be told."""

        class Own(Exception):  # noqa: N818
            def __init__(self, _: int, __: int) -> None:
                super().__init__()

        raise Own(1, 2)


@pytest.fixture
def found(cluster: str) -> Iterator[Callable[[type], FoundShard]]:
    """What runs something in a process of its own."""
    import ray  # noqa: PLC0415 - an extra

    from matcher.remote import FoundShard, on_cluster  # noqa: PLC0415

    with on_cluster(cluster, memory_bytes=0):
        yield lambda kind: FoundShard(ray.remote(kind).remote())


@pytest.mark.parametrize("method", ["ours", "foreign"])
def test_one_that_fails_is_known_to_be_alive(
    found: Callable[[type], FoundShard], method: str
) -> None:
    """Or nobody would start it anew."""
    shard = found(Fails)
    with pytest.raises(LostError, match="it failed") as lost:
        shard.answer(shard.send(Call(method, (), {})), seconds=SECONDS)
    assert lost.value.is_alive
