"""What an exchange has acknowledged, and what it was doing when the power went."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from biometrics.client import MatchAnswer


class Key(NamedTuple):
    """One record of one holder."""

    holder: str
    reference: str


Thing = Key | tuple[str, str]


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
        backups: names of those that are done.
        answers: what was received.
        gone: bytes and names of files that nothing may have any more.
        begun: what each thing may be instead: what was asked and not answered. A thing
            is a record; the `custody`, `revision` or `joined` of a holder; a `backup`.
    """

    records: dict[Key, State | None] = field(default_factory=dict)
    custody: dict[str, str] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    joined: bool = False
    kept: set[str] = field(default_factory=set)
    backups: set[str] = field(default_factory=set)
    answers: list[MatchAnswer] = field(default_factory=list)
    gone: set[bytes] = field(default_factory=set)
    begun: dict[Thing, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def copy(self) -> Ledger:
        """Return it as it is at this moment."""
        with self._lock:
            return Ledger(
                records=self.records.copy(),
                custody=self.custody.copy(),
                revisions=self.revisions.copy(),
                joined=self.joined,
                kept=self.kept.copy(),
                backups=self.backups.copy(),
                answers=self.answers.copy(),
                gone=self.gone.copy(),
                begun=self.begun.copy(),
            )

    @contextmanager
    def changing(self, changes: Mapping[Thing, Any]) -> Iterator[None]:
        """Be in doubt about some things until the block ends; from then on it is so.

        Args:
            changes: what becomes of each.
        """
        with self._lock:
            self.begun |= changes
        yield
        with self._lock:
            for thing, after in changes.items():
                del self.begun[thing]
                self._change(thing, after)

    def settle(self, thing: Thing, *, is_done: bool) -> None:
        """Know what became of a thing that was in doubt."""
        after = self.begun.pop(thing)
        if is_done:
            self._change(thing, after)

    def _change(self, thing: Thing, after: Any) -> None:
        """Know that a thing is so."""
        match thing:
            case Key():
                self.records[thing] = after
            case ("custody", holder):
                self.custody[holder] = after
                if after == "destroyed":
                    self._forget(holder)
            case ("revision", holder):
                self.revisions[holder] = after
            case ("backup", name):
                self.backups.add(name)
            case ("joined", _):
                self.joined = True

    def alive(self, holder: str) -> list[Key]:
        """Return the records of a holder, in the order in which they came."""
        return [k for k, s in self.records.items() if k.holder == holder and s]

    def _forget(self, holder: str) -> None:
        """Have no record of a holder; a withdrawn one stays withdrawn."""
        for key in self.alive(holder):
            del self.records[key]
