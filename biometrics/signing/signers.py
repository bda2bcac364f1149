"""Whose signatures count: `signers.toml`, read strictly.

    version = 1

    [[signer]]
    holder = "XAA"
    name = "Ministry of Justice, director of legal affairs"
    key = "exchange.example/XAA/legal+5f2c01aa+AcR3..."

Each holder that is there has two signers or more, each with a key and a name of its
own: two persons or offices stand behind every version of its agreement.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from biometrics import limits
from biometrics.errors import Fault
from biometrics.members import Member
from biometrics.settings import (
    Document,
    Line,
    Settings,
    SettingsFile,
    configuration_error,
    decode_text,
    parsed_by,
    read_bytes,
)
from biometrics.signing.keys import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A person or office that signs for a holder, and its key."""

    holder: Member
    name: str
    key: VerifierKey


class Signers:
    """The signers of every holder.

    Attributes:
        fingerprint: SHA-256 of the file, hexadecimal, for members to compare.
    """

    def __init__(self, signers: Iterable[Signer], fingerprint: str) -> None:
        """Hold `signers`, of whom `parse_signers` has made sure what it says."""
        self._signers = tuple(signers)
        self.fingerprint = fingerprint

    @property
    def holders(self) -> frozenset[Member]:
        """Every holder that somebody is listed for."""
        return frozenset(each.holder for each in self._signers)

    def of(self, holder: Member) -> tuple[Signer, ...]:
        """Return who signs for a holder; empty where nobody is listed."""
        return tuple(each for each in self._signers if each.holder == holder)


class _Signer(Settings):
    """One `[[signer]]` table."""

    holder: Annotated[Member, parsed_by(Member)]
    name: Annotated[Line, Field(max_length=limits.MAX_SIGNER_CHARACTERS)]
    key: Annotated[VerifierKey, parsed_by(VerifierKey.parse)]


class _SignersFile(SettingsFile):
    """The whole file."""

    signer: list[_Signer] = Field(
        [], max_length=limits.MAX_MEMBERS * limits.MAX_SIGNERS_PER_HOLDER
    )


def parse_signers(data: bytes, source: str) -> Signers:
    """Read who signs for whom.

    Raises:
        ConfigurationError: with every fault at once.
    """
    document = Document.parse(decode_text(data, source), source)
    file = document.read_as(_SignersFile)
    faults = [*_repeated(document, file.signer), *_alone(document, file.signer)]
    if faults:
        raise configuration_error(faults)
    return Signers(
        (
            Signer(holder=each.holder, name=each.name, key=each.key)
            for each in file.signer
        ),
        hashlib.sha256(data).hexdigest(),
    )


def read_signers(path: Path) -> Signers:
    """Return the signers of the file at `path`.

    Raises:
        ConfigurationError: it is not there, or with every fault at once.
    """
    return parse_signers(read_bytes(path), path.name)


def _repeated(document: Document, rows: list[_Signer]) -> Iterator[Fault]:
    """Yield a fault for each key, and each name at a holder, that is there twice."""
    keys: set[bytes] = set()
    names: set[tuple[Member, str]] = set()
    for index, each in enumerate(rows):
        if each.key.public in keys:
            told = "is the key of a signer above; whoever signs has a key of its own"
            yield document.fault(("signer", index, "key"), "REPEATED_KEY", told)
        if (each.holder, each.name.casefold()) in names:
            told = "signs for this holder already; two persons or offices are needed"
            yield document.fault(("signer", index, "name"), "REPEATED_SIGNER", told)
        keys.add(each.key.public)
        names.add((each.holder, each.name.casefold()))


def _alone(document: Document, rows: list[_Signer]) -> Iterator[Fault]:
    """Yield a fault for each holder that has too few or too many signers."""
    least, most = limits.SIGNATURES_REQUIRED, limits.MAX_SIGNERS_PER_HOLDER
    for holder, count in Counter(each.holder for each in rows).items():
        if not least <= count <= most:
            told = f"{count} for {holder}; list {least} to {most} for each holder"
            yield document.fault(("signer",), "WRONG_COUNT", told)
