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
    FOLLOW_UP_REQUEST = "follow-up-request"
    FOLLOW_UP_CONFIRMATION = "follow-up-confirmation"  # the holder alone is told
    FOLLOW_UP_RELEASE = "follow-up-release"  # likewise
    FOLLOW_UP_REFUSAL = "follow-up-refusal"
    FOLLOW_UP_READING = "follow-up-reading"
    FOLLOW_UP_EXPIRY = "follow-up-expiry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """What a member is to be told, before it has a number.

    Attributes:
        member: who.
        kind: what happened.
        gallery: name of the template space, or empty.
        other: code of the member that asked, in what its holders are told; of the other
            side of a follow-up.
        purpose: of a search or a follow-up.
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
    """What a member is told: its lines, each of a word and a value, with their ends."""

    text: str

    @classmethod
    def of(cls, mention: Mention, sequence: int, hour: int, what: bytes) -> Self:
        """Return what is mentioned, with its number, hour and the root of its items."""
        told = mention
        return cls(
            f"member {told.member.code}\nsequence {sequence}\nhour {write_hour(hour)}\n"
            f"kind {told.kind.value}\n{_line('gallery', told.gallery)}"
            f"{_line('with', told.other)}{_line('purpose', told.purpose)}"
            f"{_line('agreement', encode(told.agreement))}{_line('fpir', told.fpir)}"
            f"count {told.count}\nwhat {encode(what)}\n"
        )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an entry's text, filled up or not.

        Raises:
            InvalidRequestError: it is none.
        """
        found = cls(text.rstrip("\n") + "\n")
        if not all(name and value for name, value in found.lines):
            raise _no_entry()
        found.sequence  # noqa: B018 - reads them, or raises
        found.hour  # noqa: B018
        return found

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Its words and values, in their order."""
        lines = (line.partition(" ") for line in self.text[:-1].split("\n"))
        return tuple((name, value) for name, _, value in lines)

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


def _line(name: str, value: str) -> str:
    """Return a line; nothing where there is no value."""
    return f"{name} {value}\n" if value else ""


def encode(data: bytes) -> str:
    """Return bytes as text."""
    return binascii.b2a_base64(data, newline=False).decode()


def _no_entry() -> InvalidRequestError:
    """Return the error of what is no entry."""
    return InvalidRequestError("NOT_AN_ENTRY", "is no entry of the log")
