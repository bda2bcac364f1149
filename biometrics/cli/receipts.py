"""The receipt of a withdrawal as a file, which its holder can show."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from biometrics.cli.output import plain
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WHAT: Final = "receipt of a withdrawal, as the exchange told it; not signed"


class ReceiptFile:
    """A file for a receipt; nothing is ever overwritten."""

    def __init__(self, path: Path) -> None:
        """Find out whether a file can be made at `path`, before anything is withdrawn.

        Raises:
            ConfigurationError: it is there already, or its folder is not to be
                written to.
        """
        self._path = path
        if os.path.lexists(path):
            raise self._error("is there already; it is kept as it is")
        if not os.access(path.parent, os.W_OK):
            raise self._error("lies in no folder that can be written to")

    def write(self, receipt: Mapping[str, object]) -> None:
        """Make it, for its owner alone to read: it carries a reference.

        Raises:
            ConfigurationError: it cannot be made. The record is withdrawn.
        """
        document = {"document": _WHAT, **receipt}
        text = json.dumps(document, indent=2, default=plain) + "\n"
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            told = (error.strerror or "unknown").lower()
            raise self._error(
                f"cannot be written: {told}; the record is withdrawn all the same"
            ) from error

    def _error(self, what: str) -> ConfigurationError:
        """Return an error about the file."""
        return ConfigurationError(
            "FILE_NOT_MADE",
            f"`{self._path}`, for the receipt, {what}; name a file that is not there"
            " with `--receipt`",
        )
