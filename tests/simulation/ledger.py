"""What an exchange has acknowledged, and what it was doing when the power went."""

from __future__ import annotations

import copy
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from biometrics.client import MatchAnswer


class Key(NamedTuple):
    """One record of one holder."""

    holder: str
    reference: str


@dataclass(frozen=True, slots=True)
class State:
    """How a record is.

    Attributes:
        people: who is found by it, one for each template.
        excluded: which members must not learn of it.
        generation: one more with each template that was replaced.
        are_fingers: the right and the left index; else they are all the face.
    """

    people: tuple[int, ...]
    excluded: tuple[str, ...] = ()
    generation: int = 1
    are_fingers: bool = False


@dataclass
class Ledger:
    """What is certain, and what may be one thing or the other.

    Attributes:
        records: how each record is; None if it was withdrawn.
        custody: `open`, `locked` or `destroyed`, by holder.
        revisions: of agreements that are in force, by holder.
        joined: whether the member that had no key has one.
        kept: galleries of which codes are on disk, such as `XAA/tiny-face`.
        answers: what was received.
        gone: bytes and names of files that nothing may have any more.
        begun: what each thing may be instead: what was asked and not answered.
    """

    records: dict[Key, State | None] = field(default_factory=dict)
    custody: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    joined: bool = False
    kept: set[str] = field(default_factory=set)
    answers: list[MatchAnswer] = field(default_factory=list)
    gone: set[bytes] = field(default_factory=set)
    begun: dict[object, object] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __deepcopy__(self, _memo: object) -> Ledger:
        """Return it as it is at this moment; what it holds never changes."""
        with self._lock:
            return Ledger(
                records=self.records.copy(),
                custody=self.custody.copy(),
                revisions=self.revisions.copy(),
                joined=self.joined,
                kept=self.kept.copy(),
                answers=self.answers.copy(),
                gone=self.gone.copy(),
                begun=self.begun.copy(),
            )

    def copy(self) -> Ledger:
        """Return it as it is at this moment."""
        return copy.deepcopy(self)

    @contextmanager
    def changing(self, thing: object, after: object) -> Iterator[None]:
        """Be in doubt about a thing until the block ends; from then on it is so.

        Args:
            thing: a `Key`; or `custody HOLDER`, `revision HOLDER`, `joined`.
            after: what becomes of it.
        """
        with self._lock:
            self.begun[thing] = after
        yield
        with self._lock:
            del self.begun[thing]
            if isinstance(thing, Key):
                assert after is None or isinstance(after, State)
                self.records[thing] = after
                return
            what, _, holder = str(thing).partition(" ")
            if what == "custody":
                self.custody[holder] = str(after)
                if after == "destroyed":
                    self._forget(holder)
            elif what == "revision":
                assert isinstance(after, int)
                self.revisions[holder] = after
            else:
                self.joined = True

    def settle(self, thing: object, *, is_done: bool) -> None:
        """Know what became of a thing that was in doubt."""
        after = self.begun.pop(thing)
        if is_done:
            with self.changing(thing, after):
                pass

    def alive(self, holder: str) -> list[Key]:
        """Return the records of a holder, in the order in which they came."""
        return [k for k, s in self.records.items() if k.holder == holder and s]

    def _forget(self, holder: str) -> None:
        """Have no record of a holder; a withdrawn one stays withdrawn."""
        for key in self.alive(holder):
            del self.records[key]
