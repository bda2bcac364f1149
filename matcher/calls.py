"""Calls to a shard, wherever it runs and whatever carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class LostError(Exception):
    """A shard did not answer; the message says why, of nobody's records.

    Attributes:
        is_alive: whether its process is there and failed: then it is of no use.
    """

    def __init__(self, why: str, *, is_alive: bool = False) -> None:
        """Say why."""
        super().__init__(why)
        self.is_alive = is_alive


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a shard.

    Attributes:
        method: of `Shard`.
        arguments: of the method.
        more: those that have names.
        group: of threads there, that it is for.
    """

    method: str
    arguments: tuple[Any, ...]
    more: Mapping[str, Any]
    group: str | None = None


def call(method: str, *arguments: Any, group: str | None = None, **more: Any) -> Call:  # noqa: ANN401
    """Return a call of a method of `Shard`, on a group of threads there."""
    return Call(method, arguments, more, group)


class Remote(Protocol):
    """One shard; see `matcher.remote`.

    Attributes:
        number: of its place, from 0.
        copy: which of this place, from 0.
    """

    number: int
    copy: int

    def send(self, asked: Call) -> Any:  # noqa: ANN401
        """Send a call; the answer is for `answer`."""

    def answer(self, sent: Any, *, seconds: float) -> Any:  # noqa: ANN401
        """Return what a call that was sent returns.

        Raises:
            LostError: it was not answered.
        """

    def is_gone(self) -> bool:
        """Say whether the process that was there last has ended."""

    def restart(self) -> None:
        """End its process; another one is started."""

    def end(self) -> None:
        """End it, with all that it holds in memory."""
