"""Somebody who enrols, replaces and withdraws at random, in the middle of anything."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from archive import Archive

    from matcher.galleries import Shelf


class Writer:
    """Writes to one shelf, and knows who is there since when."""

    def __init__(
        self, archive: Archive, shelf: Shelf, people: Iterable[int], seed: int
    ) -> None:
        """Begin with people who are there."""
        self.archive, self.shelf = archive, shelf
        self.since = dict.fromkeys(people, 0)  # position
        self.most = 0  # that is written in between from here on
        self._random = np.random.default_rng(seed)
        self._new = count(10_000)

    def write(self) -> None:
        """Enrol, replace or withdraw somebody."""
        archive, shelf = self.archive, self.shelf
        person = int(self._random.choice([*self.since]))
        what = self._random.choice(["enrol", "replace", "replace", "replace", "go"])
        if what == "enrol":
            archive.enrol(shelf, person := next(self._new))
            self.since[person] = archive.store.journal.end()
        elif what == "replace":
            archive.replace(shelf, person)
        elif len(self.since) > 1:
            archive.withdraw(shelf, person)
            del self.since[person]

    def in_between(self, do: Callable[..., Any]) -> Callable[..., Any]:
        """Return what does something, before which something is written at times."""

        def doing(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401 - as it takes
            if self.most and self._random.random() < 0.5:
                left, self.most = self.most, 0
                self.write()
                self.most = left - 1
            return do(*arguments, **more)

        return doing

    def there(self, position: int) -> list[int]:
        """Return who was enrolled by a position, and is there still."""
        return sorted(who for who, since in self.since.items() if since <= position)
