"""How a bulk load goes: what is settled, what is refused and why, where to go on."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from biometrics import limits
from biometrics.cli.new_file import NewFile
from biometrics.cli.output import fault_documents
from biometrics.client import EnrolStatus
from enrolment.bulk import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


class RefusalFile(NewFile):
    """Takes every refusal as a line of JSON. It carries references."""

    def __init__(self, path: Path) -> None:
        """Find out whether a file can be made at `path`; see `NewFile`."""
        super().__init__(path, "refused records", "--refused")

    def write(self, refused: Refused) -> None:
        """Add a refusal.

        Raises:
            ConfigurationError: the file cannot be made or written.
        """
        self.add(json.dumps(refusal_document(refused)) + "\n")


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
