"""Other front ends, which speak to the same shards.

Each has all that it knows of the shards by itself, and tells them where to go as if it
were alone: a shard goes no way back. So what this one hears may be of a later moment
than it has come to, and of another one for each shard.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from biometrics import limits
from biometrics.errors import StorageError
from matcher.calls import LostError, call, left_until

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from biometrics.members import Member
    from matcher.calls import Call, Found
    from matcher.shard import Greeting
    from matcher.shares import Sharing


class Beside(Protocol):
    """What there is beside this front end."""

    def sharings(self) -> Collection[Sharing]:
        """Return how the galleries of strangers are shared out; see `close`.

        Raises:
            StorageError: one does not say so, and its end was not seen yet; or it
                cannot be found out who is there.
        """

    def close(
        self, position: int, members: Collection[Member], *, retired: bool
    ) -> None:
        """Have strangers obey the journal up to a position, or end them.

        They are shards that somebody else had, and may have no longer: of another
        number of them, say. Nobody may be left that speaks to them. One that is still
        being filled obeys nobody, and one that was never lent newer keys has nothing
        else than those that are retired: it is ended if it was lent any of `members`.

        Args:
            position: up to which.
            members: whose keys are dropped on the way.
            retired: whether some are retired, while newer ones go on to be used.

        Raises:
            StorageError: one does not obey, and its end was not seen yet; or it cannot
                be found out who is there.
        """

    def is_last(self) -> bool:
        """Say whether nobody else is there, so that shards are to end."""


class Nobody:
    """Nobody."""

    def sharings(self) -> Collection[Sharing]:
        """Return none."""
        return ()

    def close(
        self, position: int, members: Collection[Member], *, retired: bool
    ) -> None:
        """Do nothing: there are no strangers."""

    def is_last(self) -> bool:
        """Say yes."""
        return True


class Others:
    """Some, as far as the database tells."""

    def __init__(
        self,
        is_last: Callable[[], bool],
        strangers: Callable[[], Sequence[Found]],
    ) -> None:
        """Ask `is_last` whether no other front end is there now.

        `strangers` are shards of the exchange that are not spoken to from here.
        """
        self._strangers = strangers
        self._is_last = is_last

    def sharings(self) -> Collection[Sharing]:
        """Return how the galleries of strangers are shared out; see `close`."""
        return {greeting.sharing for _, greeting in self._greeted()}

    def close(
        self, position: int, members: Collection[Member], *, retired: bool
    ) -> None:
        """Have strangers obey the journal up to a position, or end them."""
        sent = [
            (remote, greeting, remote.send(_follow(greeting, position)))
            for remote, greeting in self._greeted()
            if greeting.lent
        ]
        disobey = []
        end = time.monotonic() + limits.SHARD_FOLLOW_SECONDS
        for remote, greeting, reply in sent:
            try:
                is_done = remote.answer(reply, seconds=left_until(end))
            except LostError:
                disobey.append(remote)
            else:
                is_obeyed = is_done is not None and not retired
                if not is_obeyed and not greeting.lent.isdisjoint(members):
                    disobey.append(remote)
        _end(disobey)

    def _greeted(self) -> list[tuple[Found, Greeting]]:
        """Return strangers and who they are; those that do not say so are ended."""
        greeted, silent = [], []
        sent = [(each, each.send(call("greet"))) for each in self._strangers()]
        end = time.monotonic() + limits.SHARD_GREET_SECONDS
        for remote, reply in sent:
            try:
                greeted.append((remote, remote.answer(reply, seconds=left_until(end))))
            except LostError:
                silent.append(remote)
        _end(silent)
        return greeted

    def is_last(self) -> bool:
        """Say whether nobody else is there, so that shards are to end."""
        return self._is_last()


def _follow(greeting: Greeting, position: int) -> Call:
    """Return what tells a stranger to go to a position, with no keys more."""
    return call("follow", greeting.incarnation, position, {}, group="follow")


def _end(strangers: Sequence[Found]) -> None:
    """End some, and see that they are gone.

    Raises:
        StorageError: one is not, yet.
    """
    for each in strangers:
        each.end()
    end = time.monotonic() + limits.SHARD_END_SECONDS
    while not all(each.is_gone() for each in strangers):
        if not left_until(end):
            raise StorageError("SHARD_NOT_GONE", "the end of a shard was not seen yet")
        time.sleep(limits.SHARD_RETRY_SECONDS)
    for each in strangers:
        each.free()
