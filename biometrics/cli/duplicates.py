"""The look for duplicates of a load: which records resemble others of one's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.cli.new_file import NewFile
from biometrics.client import EnrolStatus

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.client import ChunkOutcome, DuplicateInfo, ExchangeClient

_THERE: Final = frozenset({EnrolStatus.ENROLLED, EnrolStatus.ALREADY_ENROLLED})
_COMPARED: Final = "compared"


class DuplicateFile(NewFile):
    """Takes every record that resembles another as a line of JSON, and counts.

    It carries references.

    Attributes:
        compared: records that were compared.
        found: those of them that resemble another.
        left: records that could not be compared.
    """

    def __init__(self, path: Path) -> None:
        """Find out whether a file can be made at `path`; see `NewFile`."""
        super().__init__(path, "duplicates", "--duplicates")
        self.compared = 0
        self.found = 0
        self.left = 0

    def look(self, exchange: ExchangeClient, outcome: ChunkOutcome) -> None:
        """Compare the records of a chunk that are enrolled with all others.

        Raises:
            ExchangeError: the exchange cannot be asked.
            ConfigurationError: the file cannot be made or written.
        """
        references = [
            record.reference
            for record, told in zip(
                outcome.chunk.records, outcome.outcomes, strict=True
            )
            if told.status in _THERE
        ]
        most = limits.MAX_DUPLICATES_ASKED
        for start in range(0, len(references), most):
            for each in exchange.duplicates(references[start : start + most]):
                self._take(each)

    def _take(self, found: DuplicateInfo) -> None:
        """Count a record, and write it down if it resembles another."""
        if found.outcome != _COMPARED:
            self.left += 1
            return
        self.compared += 1
        if found.count:
            self.found += 1
            document = {
                "reference": found.reference,
                "resembles": found.others,
                "count": found.count,
            }
            self.add(json.dumps(document) + "\n")
