"""How values of the kernel are written in columns, and read back."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from biometrics import limits
from biometrics.clock import from_microseconds, to_microseconds
from biometrics.errors import DefectError, InvalidRequestError
from biometrics.members import Member

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

Word = TypeVar("Word", bound=StrEnum)


@lru_cache(maxsize=limits.MAX_MEMBERS)
def member_of(code: str) -> Member:
    """Return the member whose code a row has.

    Raises:
        DefectError: the row has none.
    """
    try:
        return Member(code)
    except (InvalidRequestError, TypeError) as error:  # SQLite keeps any type
        raise DefectError(
            "STORAGE_DAMAGED", "a row names no member; restore the database"
        ) from error


def word_of(kind: type[Word], text: str) -> Word:
    """Return the word of an enumeration that a row has.

    Raises:
        DefectError: it has none of them.
    """
    try:
        return kind(text)
    except ValueError as error:
        raise DefectError(
            "STORAGE_DAMAGED",
            f"a row has no {kind.__name__}; restore the database",
        ) from error


def join_members(members: Iterable[Member]) -> str:
    """Return codes in their order, with a space between; empty for nobody."""
    return " ".join(sorted(member.code for member in members))


@lru_cache(maxsize=1024)
def split_members(text: str | None) -> frozenset[Member]:
    """Return what `join_members` wrote; rows say the same few things again.

    Raises:
        DefectError: there is no text, because the row that has it is lost, or it
            names none that can be a member.
    """
    if text is None:
        raise DefectError(
            "STORAGE_DAMAGED",
            "what protects a record is missing; restore the database",
        )
    return frozenset(map(member_of, text.split()))


def moment_or_null(moment: dt.datetime | None) -> int | None:
    """Return microseconds, or None for no moment."""
    return None if moment is None else to_microseconds(moment)


def moment_or_none(microseconds: int | None) -> dt.datetime | None:
    """Return what `moment_or_null` wrote."""
    return None if microseconds is None else from_microseconds(microseconds)
