"""A folder of templates that were extracted: a manifest, and files that it names.

`biometrics enrol FOLDER` reads it back. It carries references and templates: only its
owner can read it, and nothing is ever overwritten.
"""

from __future__ import annotations

import csv
import io
import os
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write, cause_of
from enrolment.formats.finger import FingerView
from enrolment.formats.finger_writing import write_minutiae
from enrolment.formats.source import VectorSample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from enrolment.formats.source import Found

MANIFEST: Final = "templates.csv"
_HEADER: Final = ("reference", "file", "row", "space", "position", "quality", "expires")
_ROWS_PER_FILE: Final = 1024  # held until they are written


class TemplateFolder:
    """Takes records; a context manager, at whose end the last are written.

    Attributes:
        vectors: how many it has; minutiae are no vectors.
        total: float64 (dimension,), their sum; None if there are none.
    """

    def __init__(self, path: Path) -> None:
        """Make the folder.

        Raises:
            ConfigurationError: it is there already, or cannot be made.
        """
        self.vectors = 0
        self.total: NDArray[np.float64] | None = None
        self._path = path
        self._files = 0
        self._held: list[NDArray[np.float32]] = []
        self._lines: list[list[str]] = []
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            told = cause_of(error)
            message = f"`{path}`, for the templates, cannot be made: {told}"
            raise ConfigurationError("FOLDER_NOT_MADE", message) from error
        self._append(MANIFEST, _csv([list(_HEADER)]))

    def __enter__(self) -> Self:
        """Return the folder."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is held; also where something went wrong, what came before it."""
        self._flush()

    def add(self, found: Found) -> None:
        """Take a record, whose pictures are extracted."""
        expires = "" if found.expires_at is None else found.expires_at.isoformat()
        for sample in found.samples:
            if isinstance(sample, FingerView):
                # A record of minutiae says position and quality itself.
                file = self._write("minutiae", ".fmr", write_minutiae(sample))
                said = [file, "", "", "", ""]
            elif isinstance(sample, VectorSample):
                row = self._hold(sample.vector)
                quality = "" if sample.quality is None else str(sample.quality)
                said = ["", row, sample.space or "", sample.position or "", quality]
            else:
                raise AssertionError("pictures were extracted")  # noqa: TRY004
            self._lines.append([found.reference, *said, expires])
        if len(self._lines) >= _ROWS_PER_FILE:
            self._flush()

    def _hold(self, vector: NDArray[np.floating]) -> str:
        """Hold a vector until there are more; return its row in the file to come."""
        if self.total is None:
            self.total = np.zeros(len(vector))
        self.total += vector
        self.vectors += 1
        self._held.append(vector.astype(np.float32))
        return str(len(self._held) - 1)

    def _flush(self) -> None:
        """Write what is held: vectors first, then the lines that name their file."""
        if self._held:
            data = io.BytesIO()
            np.save(data, np.stack(self._held))
            name = self._write("vectors", ".npy", data.getvalue())
            for line in self._lines:
                line[1] = line[1] or name
        self._append(MANIFEST, _csv(self._lines))
        self._held, self._lines = [], []

    def _write(self, stem: str, suffix: str, data: bytes) -> str:
        """Write a new file; return its name."""
        name = f"{stem}-{self._files:06}{suffix}"
        self._files += 1
        self._append(name, data)
        return name

    def _append(self, name: str, data: bytes) -> None:
        """Add to a file that only its owner can read, and make it if it is not there.

        Raises:
            ConfigurationError: it cannot be written.
        """
        path = self._path / name
        try:
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(data)
        except OSError as error:
            raise cannot_write(path, error) from error


def _csv(lines: list[list[str]]) -> bytes:
    """Return lines of CSV in UTF-8."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()
