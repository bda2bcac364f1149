"""Templates that were replaced, on their way from one shard to another.

What takes the place of a template may be in another shard than it was, and no two
shards follow the journal at the same moment: a search that hears one after it has
dropped the old and another before it has the new would find neither. So whoever asks
for a holder of whom something is replaced waits until all shards have followed, and
whoever was overtaken by that asks again.
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.store import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from biometrics.members import Member
    from biometrics.store import Change


class Moves:
    """Holders of whom templates are being replaced; for many threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._changed = threading.Condition()
        self._moving: frozenset[Member] = frozenset()
        self._begun: Counter[Member] = Counter()

    @contextmanager
    def during(self, changes: Sequence[Change]) -> Iterator[None]:
        """Have holders moving while shards follow changes; for one thread at a time."""
        with self._changed:
            self._moving = replacing(changes)
            self._begun.update(self._moving)
        try:
            yield
        finally:
            with self._changed:
                self._moving = frozenset()
                self._changed.notify_all()

    def settled(self, holders: Collection[Member]) -> Mapping[Member, int]:
        """Wait until nobody of some holders moves; return how often each did so far.

        Shards that do not follow are lost before it takes too long.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._moving.isdisjoint(holders), limits.SHARD_FOLLOW_SECONDS
            )
            return {holder: self._begun[holder] for holder in holders}

    def is_as(self, before: Mapping[Member, int]) -> bool:
        """Say whether nobody has moved since `settled` said so."""
        with self._changed:
            return self._moving.isdisjoint(before) and all(
                self._begun[holder] == count for holder, count in before.items()
            )


def replacing(changes: Sequence[Change]) -> frozenset[Member]:
    """Return the holders of whom some changes may replace a template.

    A replacement is an enrolment, and then the withdrawal of what was there. Of the
    first change nobody knows what was before it.
    """
    first = changes[0]
    return frozenset(
        {
            change.member
            for before, change in pairwise([first, *changes])
            if change.kind is ChangeKind.WITHDRAWN
            and (change is first or before.record_id == change.record_id)
        }
    )
