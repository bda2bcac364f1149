"""How a bulk load goes: what is acknowledged, what is refused, where to go on."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.cli.output import fault_documents
from biometrics.client import EnrolStatus
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

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

    def __init__(
        self, start: int, tell: Callable[[Refusal], None] | None = None
    ) -> None:
        """Begin before row `start`; `tell`, if any, is told of every refusal."""
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
        """Records that were there already, of this load or of one before."""
        return self._counts[EnrolStatus.ALREADY_ENROLLED]

    @property
    def refused(self) -> int:
        """Records that are not enrolled."""
        return self.acknowledged - self.enrolled - self.known

    def _refuse(self, refusal: Refusal) -> None:
        """Tell of a refusal, and keep it if there is room."""
        if self._tell is not None:
            self._tell(refusal)
        if len(self.refusals) < limits.MAX_REFUSALS_LISTED:
            self.refusals.append(refusal)


class RefusalFile:
    """Takes every refusal as a line of JSON; a context manager.

    It carries references: only its owner can read it. It is made when the first
    record is refused, so that a load without refusals leaves nothing behind, and
    nothing is ever overwritten.
    """

    def __init__(self, path: Path) -> None:
        """Find out whether a file can be made at `path`.

        Raises:
            ConfigurationError: it is there already, or its folder is not to be
                written to.
        """
        self._path = path
        self._file: IO[str] | None = None
        if os.path.lexists(path):
            raise self._error("is there already; it is kept as it is")
        if not path.parent.is_dir():
            raise self._error("has no folder to be in; make that first")
        if not os.access(path.parent, os.W_OK):
            raise self._error("lies in a folder that is not to be written to")

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, if it was made."""
        if self._file is not None:
            with suppress(OSError):  # of a write that failed, and was told then
                self._file.close()

    @property
    def is_made(self) -> bool:
        """Whether a record was refused."""
        return self._file is not None

    def write(self, refusal: Refusal) -> None:
        """Add a refusal, and make the file if it is the first.

        Raises:
            ConfigurationError: it cannot be made or written.
        """
        try:
            if self._file is None:
                opened = os.open(
                    self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
                )
                self._file = os.fdopen(opened, "w", encoding="utf-8")
            self._file.write(json.dumps(refusal_document(refusal)) + "\n")
            self._file.flush()
        except OSError as error:
            told = (error.strerror or "unknown").lower()
            raise self._error(f"cannot be written: {told}") from error

    def _error(self, what: str) -> ConfigurationError:
        """Return an error about the file."""
        return ConfigurationError(
            "FILE_NOT_MADE",
            f"`{self._path}`, for refused records, {what}; name a file that is not"
            " there with `--refused`",
        )


def refusal_document(refusal: Refusal, *, named: bool = True) -> dict[str, object]:
    """Return a refusal for JSON; the reference only if it is to be named."""
    document: dict[str, object] = {"row": refusal.row}
    if named:
        document["reference"] = refusal.reference
    document["faults"] = fault_documents(refusal.faults)
    return document
