"""How a bulk load goes: what is settled, what is refused and why, where to go on."""

from __future__ import annotations

import json
import os
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from biometrics import limits
from biometrics.cli.output import fault_documents
from biometrics.client import EnrolStatus
from biometrics.errors import ConfigurationError
from enrolment.bulk import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import IO

    from biometrics.client import ChunkOutcome
    from enrolment.bulk import Batch


class Failure(NamedTuple):
    """What failures to enrol are counted by."""

    file: str
    by: str
    reason: str


_DONE: Final = frozenset({EnrolStatus.ENROLLED, EnrolStatus.ALREADY_ENROLLED})


class Load:
    """Counts what is settled; keeps the first refusals, and counts all."""

    def __init__(
        self, start: int, tell: Callable[[Refused], None] | None = None
    ) -> None:
        """Begin before record `start`; `tell`, if any, is told of every refusal."""
        self.next_record = start
        self.bytes_read = 0
        self.refusals: list[Refused] = []
        self.failures: Counter[Failure] = Counter()
        self.stopped = False
        self._tell = tell
        self._counts: Counter[EnrolStatus] = Counter()
        self._files_refused = 0
        self._sent: dict[int, Batch] = {}  # as many as chunks in flight
        self._ahead: dict[int, int] = {}

    def begin(self, batch: Batch) -> None:
        """Take note of a batch: its records are to be sent, if it has any."""
        if batch.records:
            self._sent[batch.start] = batch
        else:
            self._settle(batch)

    def add(self, outcome: ChunkOutcome) -> None:
        """Count the outcomes of a chunk."""
        batch = self._sent.pop(outcome.chunk.start)
        for (file, found), told in zip(batch.records, outcome.outcomes, strict=True):
            self._counts[told.status] += 1
            if told.status not in _DONE:
                self._refuse(
                    Refused(
                        file=file,
                        number=found.number,
                        reference=found.reference,
                        by="exchange",
                        faults=told.faults,
                    )
                )
        self._settle(batch)

    def add_valid(self, batch: Batch) -> None:
        """Count a batch that is not to be sent."""
        self._counts[EnrolStatus.ENROLLED] += len(batch.records)
        self._settle(batch)

    @property
    def settled(self) -> int:
        """Records whose outcome is known, and files that could not be read on."""
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
        """Records that are not enrolled, and files that could not be read on."""
        return self.settled - self.enrolled - self.known

    @property
    def is_unread(self) -> bool:
        """Whether there was no record in anything that was named, only faults."""
        return 0 < self.settled == self._files_refused

    def _settle(self, batch: Batch) -> None:
        """Count a batch's own refusals, and go on behind it."""
        for refused in batch.refused:
            self._counts[EnrolStatus.REFUSED] += 1
            self._files_refused += refused.number is None
            self._refuse(refused)
        self.bytes_read = max(self.bytes_read, batch.bytes_read)
        # Acknowledgements may come in any order: go on only behind a closed front.
        self._ahead[batch.start] = batch.end
        while self.next_record in self._ahead:
            self.next_record = self._ahead.pop(self.next_record)

    def _refuse(self, refused: Refused) -> None:
        """Tell of a refusal, count it, and keep it if there is room."""
        if self._tell is not None:
            self._tell(refused)
        if len(self.refusals) < limits.MAX_REFUSALS_LISTED:
            self.refusals.append(refused)
        reason = refused.faults[0].reason if refused.faults else "UNKNOWN"
        failure = Failure(str(refused.file), refused.by, reason)
        is_full = len(self.failures) >= limits.MAX_FAILURES_COUNTED
        if is_full and failure not in self.failures:
            failure = Failure("other files", refused.by, reason)
        self.failures[failure] += 1


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

    def write(self, refused: Refused) -> None:
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
            self._file.write(json.dumps(refusal_document(refused)) + "\n")
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


def refusal_document(refused: Refused, *, named: bool = True) -> dict[str, object]:
    """Return a refusal for JSON; the reference only if it is to be named."""
    document: dict[str, object] = {
        "file": str(refused.file),
        "record": refused.number,
        "by": refused.by,
    }
    if named:
        document["reference"] = refused.reference
    document["faults"] = fault_documents(refused.faults)
    return document
