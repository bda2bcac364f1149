"""The look for duplicates of a load: which records resemble others of one's own."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.client import EnrolStatus
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from biometrics.client import ChunkOutcome, DuplicateInfo, ExchangeClient

_THERE: Final = frozenset({EnrolStatus.ENROLLED, EnrolStatus.ALREADY_ENROLLED})
_COMPARED: Final = "compared"


class DuplicateFile:
    """Takes every record that resembles another as a line of JSON; a context manager.

    It carries references: only its owner can read it. It is made when the first is
    found, and nothing is ever overwritten.
    """

    def __init__(self, path: Path) -> None:
        """Find out whether a file can be made at `path`.

        Raises:
            ConfigurationError: it is there already, or its folder is not to be
                written to.
        """
        self._path = path
        self._file: IO[str] | None = None
        self.compared = 0
        self.found = 0
        self.left = 0
        if os.path.lexists(path):
            raise self._error("is there already; it is kept as it is")
        if not os.access(path.parent, os.W_OK):
            raise self._error("lies in no folder that can be written to")

    def __enter__(self) -> Self:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it, if it was made."""
        if self._file is not None:
            self._file.close()

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
            self._write(found)

    def _write(self, found: DuplicateInfo) -> None:
        """Add a line, and make the file if it is the first."""
        document = {
            "reference": found.reference,
            "resembles": found.others,
            "count": found.count,
        }
        try:
            if self._file is None:
                opened = os.open(
                    self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600
                )
                self._file = os.fdopen(opened, "w", encoding="utf-8")
            self._file.write(json.dumps(document) + "\n")
            self._file.flush()
        except OSError as error:
            told = (error.strerror or "unknown").lower()
            raise self._error(f"cannot be written: {told}") from error

    def _error(self, what: str) -> ConfigurationError:
        """Return an error about the file."""
        return ConfigurationError(
            "FILE_NOT_MADE",
            f"`{self._path}`, for duplicates, {what}; name a file that is not there"
            " with `--duplicates`",
        )
