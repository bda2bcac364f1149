"""How a bulk load goes: what is acknowledged, what is refused, where to go on."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.client import EnrolStatus
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from biometrics.client import ChunkOutcome
    from biometrics.errors import Fault

_DONE: Final = frozenset({EnrolStatus.ENROLLED, EnrolStatus.ALREADY_ENROLLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A record that is not enrolled: which row, and why."""

    row: int
    reference: str = field(repr=False)
    faults: tuple[Fault, ...]


class Load:
    """Counts what the exchange acknowledges; keeps the first refusals."""

    def __init__(self, start: int, tell: Callable[[Refusal], None]) -> None:
        """Begin before row `start`; `tell` is told of every refusal."""
        self.next_row = start
        self.refusals: list[Refusal] = []
        self.stopped = False
        self._tell = tell
        self._counts: Counter[EnrolStatus] = Counter()
        self._ahead: dict[int, int] = {}

    def add(self, outcome: ChunkOutcome) -> None:
        """Count the outcomes of a chunk."""
        chunk = outcome.chunk
        rows = enumerate(zip(chunk.records, outcome.outcomes, strict=True), chunk.start)
        for row, (record, told) in rows:
            self._counts[told.status] += 1
            if told.status not in _DONE:
                self._refuse(
                    Refusal(row=row, reference=record.reference, faults=told.faults)
                )
        # Acknowledgements may come in any order: go on only behind a closed front.
        self._ahead[chunk.start] = chunk.start + len(chunk.records)
        while self.next_row in self._ahead:
            self.next_row = self._ahead.pop(self.next_row)

    @property
    def acknowledged(self) -> int:
        """Records whose outcome is known."""
        return self._counts.total()

    @property
    def enrolled(self) -> int:
        """Records that this load enrolled."""
        return self._counts[EnrolStatus.ENROLLED]

    @property
    def known(self) -> int:
        """Records that were enrolled before."""
        return self._counts[EnrolStatus.ALREADY_ENROLLED]

    @property
    def refused(self) -> int:
        """Records that are not enrolled."""
        return self.acknowledged - self.enrolled - self.known

    def _refuse(self, refusal: Refusal) -> None:
        """Tell of a refusal, and keep it if there is room."""
        self._tell(refusal)
        if len(self.refusals) < limits.MAX_REFUSALS_LISTED:
            self.refusals.append(refusal)


@contextmanager
def refusal_file(path: Path | None) -> Iterator[Callable[[Refusal], None]]:
    """Open the file that takes every refusal as a line of JSON; none if None.

    It carries references: only its owner can read it. It must not exist yet.

    Raises:
        ConfigurationError: it cannot be made.
    """
    if path is None:
        yield lambda _refusal: None
        return
    try:
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(
            "FILE_NOT_MADE",
            f"`{path}` cannot be made for refused records:"
            f" {(error.strerror or 'unknown').lower()}; name a file that is not there",
        ) from error
    with os.fdopen(opened, "w", encoding="utf-8") as file:

        def write(refusal: Refusal) -> None:
            file.write(json.dumps(refusal_document(refusal)) + "\n")
            file.flush()

        yield write


def refusal_document(refusal: Refusal, *, named: bool = True) -> dict[str, object]:
    """Return a refusal for JSON; the reference only if it is to be named."""
    document: dict[str, object] = {"row": refusal.row}
    if named:
        document["reference"] = refusal.reference
    document["faults"] = [
        {"field": fault.field, "reason": fault.reason, "message": fault.message}
        for fault in refusal.faults
    ]
    return document
