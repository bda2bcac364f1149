"""What one member is told of what happened, in a text of fixed size.

    member XRA
    sequence 12
    hour 2026-03-01T12Z
    kind searched
    gallery face-synthetic-512
    with XAA
    purpose asylum-and-protection
    agreement base64 of 32 bytes
    fpir 1e-3
    count 1
    what base64 of 32 bytes

Sequences go up by one with each entry of the member, whatever it is about: a member
that has all numbers has everything. Lines whose value is empty are left out. The text
is filled up with line ends, and stands behind 32 random bytes; the hash of both is what
the leaf holds, so that it can be shown to anybody, and guessed by nobody.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Self

from biometrics.audit.leaf import read_hour, write_hour
from biometrics.audit.tree import leaf_hash, root
from biometrics.errors import DefectError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.members import Member

TEXT_BYTES: Final = 416  # the longest, with every word at its limit, is some 390
BLIND_BYTES: Final = 32
ENTRY_BYTES: Final = BLIND_BYTES + TEXT_BYTES


class Kind(StrEnum):
    """What happened. Values are in texts that members keep: never change one."""

    SEARCH = "search"  # the member asked
    SEARCHED = "searched"  # its gallery was asked
    ENROLMENT = "enrolment"
    REPLACEMENT = "replacement"
    WITHDRAWAL = "withdrawal"
    EXPIRY = "expiry"
    PROTECTION = "protection"
    LOCK = "lock"
    UNLOCK = "unlock"
    ROTATION = "rotation"
    ERASURE = "erasure"
    DESTRUCTION = "destruction"
    AGREEMENT = "agreement"
    MEMBERS = "members"
    SUSPENSION = "suspension"
    RESUMPTION = "resumption"
    DEPARTURE = "departure"
    RESTORATION = "restoration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """What a member is to be told, before it has a number.

    Attributes:
        member: who.
        kind: what happened.
        gallery: name of the template space, or empty.
        other: code of the member that asked, in what its holders are told.
        purpose: of a search.
        agreement: 32 bytes of the agreements that it was permitted by, or empty.
        fpir: what was promised of errors, in words.
        count: how many probes or records it is about.
        items: what it is about, of which there is one root: commitments to answers,
            keyed hashes of references, a digest.
    """

    member: Member
    kind: Kind
    gallery: str = ""
    other: str = ""
    purpose: str = ""
    agreement: bytes = b""
    fpir: str = ""
    count: int = 1
    items: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a member is told, as lines of words and values in their order."""

    lines: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, mention: Mention, sequence: int, hour: int, what: bytes) -> Self:
        """Return what is mentioned, with its number, hour and the root of its items."""
        values = (
            ("member", mention.member.code),
            ("sequence", str(sequence)),
            ("hour", write_hour(hour)),
            ("kind", mention.kind.value),
            ("gallery", mention.gallery),
            ("with", mention.other),
            ("purpose", mention.purpose),
            ("agreement", encode(mention.agreement)),
            ("fpir", mention.fpir),
            ("count", str(mention.count)),
            ("what", encode(what)),
        )
        return cls(tuple(line for line in values if line[1]))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an entry's text, filled up or not.

        Raises:
            InvalidRequestError: it is none.
        """
        lines = []
        for line in text.rstrip("\n").split("\n"):
            name, blank, value = line.partition(" ")
            if not (name and blank and value):
                raise _no_entry()
            lines.append((name, value))
        found = cls(tuple(lines))
        found.sequence  # noqa: B018 - reads them, or raises
        found.hour  # noqa: B018
        return found

    def __getitem__(self, name: str) -> str:
        """Return the value of a line; empty where there is none."""
        return next((value for named, value in self.lines if named == name), "")

    @property
    def sequence(self) -> int:
        """Which one of the member's it is, from 1."""
        try:
            return int(self["sequence"])
        except ValueError as error:
            raise _no_entry() from error

    @property
    def hour(self) -> int:
        """Hours since 1970."""
        try:
            return read_hour(self["hour"])
        except ValueError as error:
            raise _no_entry() from error

    @property
    def text(self) -> str:
        """The lines, each with its end."""
        return "".join(f"{name} {value}\n" for name, value in self.lines)

    def data(self, blind: bytes) -> bytes:
        """Return what the leaf holds the hash of.

        Args:
            blind: 32 random bytes.
        """
        text = self.text.encode()
        if len(text) > TEXT_BYTES:
            raise DefectError("ENTRY_SIZE", "an entry of the log does not fit its size")
        return blind + text.ljust(TEXT_BYTES, b"\n")

    def hash(self, blind: bytes) -> bytes:
        """Return the hash that the leaf holds."""
        return leaf_hash(self.data(blind))


def read_entry(data: bytes) -> tuple[Entry, bytes]:
    """Return the entry in what `Entry.data` returned, and its blind.

    Raises:
        InvalidRequestError: there is none in it.
    """
    if len(data) != ENTRY_BYTES:
        raise _no_entry()
    try:
        text = data[BLIND_BYTES:].decode("ascii")
    except UnicodeDecodeError as error:
        raise _no_entry() from error
    return Entry.parse(text), data[:BLIND_BYTES]


def root_of_items(items: Sequence[bytes]) -> bytes:
    """Return the one hash that stands for all that an entry is about."""
    return root([leaf_hash(item) for item in items])


def encode(data: bytes) -> str:
    """Return bytes as text."""
    return binascii.b2a_base64(data, newline=False).decode()


def _no_entry() -> InvalidRequestError:
    """Return the error of what is no entry."""
    return InvalidRequestError("NOT_AN_ENTRY", "is no entry of the log")
