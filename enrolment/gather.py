"""Which files an operator's paths stand for, in an order that is always the same."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from biometrics.errors import InvalidRequestError
from enrolment.formats.opening import is_known, is_manifest, is_part

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(slots=True)
class Gathered:
    """The files to read, and what lies beside them and is not read.

    Attributes:
        files: those named, and those found in the folders that were named.
        sizes: of each file in bytes, as far as that can be told.
        passed: how many files in folders are passed over, by the end of their names.
    """

    files: list[Path] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path) -> None:
        """Add a file."""
        self.files.append(path)
        try:
            self.sizes.append(path.stat().st_size)
        except OSError:  # told when it is opened
            self.sizes.append(0)


def gather(paths: Sequence[Path]) -> Gathered:
    """Return the files that paths stand for.

    A file stands for itself, whatever its name. A folder stands for the files of known
    formats in it and in its folders, by name; symbolic links in it are not followed,
    so that there is no loop and nothing from elsewhere, and are passed over. So are
    pictures and minutiae beside and beneath a manifest, which names those it wants.

    Raises:
        InvalidRequestError: there are none.
    """
    found = Gathered()
    for path in paths:
        if not path.is_dir():
            found.add(path)
            continue
        listed: list[Path] = []  # folders with a manifest
        # A folder that cannot be read is refused as a file that cannot be.
        for top, inner, names in os.walk(
            path, onerror=lambda error: found.add(Path(error.filename))
        ):
            folder = Path(top)
            links = sum((folder / name).is_symlink() for name in inner)
            found.passed["symbolic links"] += links
            inner.sort()
            if any(is_manifest(folder / name) for name in names):
                listed.append(folder)
            is_listed = any(folder.is_relative_to(each) for each in listed)
            for name in sorted(names):
                if is_listed and is_part(folder / name):
                    found.passed["files beside or beneath a manifest"] += 1
                else:
                    _sort_out(found, folder / name)
    if not found.files:
        told = ", ".join(f"`{path}`" for path in paths)
        raise InvalidRequestError(
            "NOTHING_TO_READ", f"there is no file of a known format in {told}"
        )
    found.passed = +found.passed
    return found


def _sort_out(found: Gathered, path: Path) -> None:
    """Take a file of a folder, or pass it over."""
    if path.is_symlink():
        found.passed["symbolic links"] += 1
    elif is_known(path):
        found.add(path)
    else:
        found.passed[f"`{path.suffix}`" if path.suffix else "no suffix"] += 1
