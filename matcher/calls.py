"""Calls to a shard, wherever it runs and whatever carries them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class LostError(Exception):
    """A shard did not answer; the message says why, of nobody's records.

    Attributes:
        is_alive: whether its process is there and failed: then it is of no use.
    """

    def __init__(self, why: str, *, is_alive: bool = False) -> None:
        """Say why."""
        super().__init__(why)
        self.is_alive = is_alive


class SlowError(LostError):
    """A shard has not answered yet: it may be asked for the answer again."""

    def __init__(self, seconds: float) -> None:
        """Say for how long it was waited."""
        super().__init__(f"no answer within {seconds:g} s", is_alive=True)


class UnplacedError(LostError):
    """A shard is not started, for want of room."""


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


class Found(Protocol):
    """A shard that is there; see `matcher.remote`."""

    def send(self, asked: Call) -> Any:  # noqa: ANN401
        """Send a call; the answer is for `answer`."""

    def answer(self, sent: Any, *, seconds: float) -> Any:  # noqa: ANN401
        """Return what a call that was sent returns.

        Raises:
            LostError: it was not answered.
            SlowError: it was not answered yet.
        """

    def end(self) -> None:
        """Have its process end, with all that it holds; it is not spoken to any more.

        `is_gone` says when it has; then it is to be freed.
        """

    def is_gone(self) -> bool:
        """Say whether the process that was there last has ended."""

    def free(self) -> None:
        """Have it end and no other started, and free what it had of nodes.

        From then on `is_gone` says yes, a moment before its process has ended.
        """


class Remote(Found, Protocol):
    """A shard that is had back when it is lost.

    Attributes:
        number: of its place, from 0.
        copy: which of this place, from 0.
    """

    number: int
    copy: int

    def waits_for(self) -> str:
        """Say what it waits for that is not started; empty where it does not wait."""

    def restart(self) -> None:
        """End its process; another one is started."""


def left_until(end: float) -> float:
    """Return for how long it is, in seconds, until `time.monotonic` says `end`.

    Of those that are asked at once, none is waited for beyond one common end.
    """
    return max(end - time.monotonic(), 0.0)


def answer_of(
    remote: Remote,
    sent: Any,  # noqa: ANN401
    *,
    seconds: float,
    is_over: Callable[[], bool],
) -> Any:  # noqa: ANN401
    """Return what a call that may take long returns; see `Remote.answer`.

    Raises:
        LostError: it was not answered; or `is_over` says that nobody waits any more.
    """
    end = time.monotonic() + seconds
    while True:
        left = left_until(end)
        try:
            return remote.answer(sent, seconds=min(left, limits.SHARD_RETRY_SECONDS))
        except SlowError:
            if is_over():
                raise LostError("it is not waited for any more") from None
            if not left:
                raise SlowError(seconds) from None
