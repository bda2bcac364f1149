"""Agreements that are given as files, signed or not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from biometrics.disclosure import Agreements, Version, parse_version
from biometrics.errors import ConfigurationError, ExchangeError, Fault
from biometrics.members import Member
from biometrics.settings import configuration_error, decode_text, read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class GivenFile:
    """One agreement in a file, signed or not."""

    path: Path
    data: bytes
    version: Version

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).digest()


def read_files(path: Path) -> list[GivenFile]:
    """Return an agreement, or those of a folder, signed or not.

    Raises:
        ConfigurationError: there is none, or with every fault of every file.
    """
    paths = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    if not paths:
        raise ConfigurationError(
            "NO_AGREEMENTS", f"`{path}` has no agreement, `CODE.toml`, in it"
        )
    found: list[GivenFile] = []
    faults: list[Fault] = []
    for each in paths:
        try:
            holder = Member(each.stem) if path.is_dir() else None
            data = read_bytes(each)
            version = parse_version(decode_text(data, str(each)), each.name, holder)
            found.append(GivenFile(each, data, version))
        except ExchangeError as error:
            plain = Fault(field=each.name, reason=error.reason, message=error.message)
            faults += error.faults or (plain,)
    if faults:
        raise configuration_error(faults)
    return found


def agreements_in(files: Iterable[GivenFile]) -> Agreements:
    """Return what stands in files, as an exchange would have it in force."""
    given = list(files)
    return Agreements(
        chain.from_iterable(each.version.clauses for each in given),
        {each.version.holder: each.digest for each in given},
    )
