"""Which records are admitted: the pure rules, every fault of a record at once."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from biometrics import limits
from biometrics.errors import Fault
from biometrics.sealed import shown

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.members import Member
    from biometrics.templates import Template


class Record(NamedTuple):
    """What a holder enrols: one subject's templates, with what protects them.

    Attributes:
        reference: the holder's own opaque reference.
        templates: several spaces, positions and samples, in the holder's order.
        excluded: members that must never learn of the record.
        legal_basis: of the enrolment; may be empty.
        expires_at: from then on no search finds it; None if it does not expire.
        content: the record as it came, to tell a repetition from another record.
        is_canary: whether it is nobody's, and no answer ever tells of it.
    """

    reference: str
    templates: tuple[Template, ...]
    excluded: frozenset[Member]
    legal_basis: str
    expires_at: dt.datetime | None
    content: bytes
    is_canary: bool = False

    def __repr__(self) -> str:
        """Return what it says, without who it is."""
        return shown(self, "reference", "templates", "content")


def reference_faults(reference: str) -> list[Fault]:
    """Return what is wrong with a holder's reference; it is never repeated."""
    most = limits.MAX_REFERENCE_CHARACTERS
    if not 1 <= len(reference) <= most:
        message = f"{len(reference)} characters; must be 1 to {most}"
        return [Fault(field="reference", reason="WRONG_LENGTH", message=message)]
    if _has_control(reference):
        message = "must not contain control or unassigned characters"
        return [Fault(field="reference", reason="WRONG_CHARACTER", message=message)]
    return []


def _has_control(text: str) -> bool:
    """Say whether a text could drive a terminal, or shows less than it is."""
    if text.isascii():  # as nearly all are, and said at once
        return not text.isprintable()
    return any(unicodedata.category(c).startswith("C") for c in text)


def count_faults(templates: int) -> list[Fault]:
    """Return what is wrong with the number of a record's templates."""
    most = limits.MAX_TEMPLATES_PER_RECORD
    if 1 <= templates <= most:
        return []
    message = f"{templates} templates; a record has 1 to {most}"
    return [Fault(field="templates", reason="WRONG_COUNT", message=message)]


def deliberate_faults(*, excluded: int, nobody: bool) -> list[Fault]:
    """Return what is wrong with how a request says whom to exclude.

    Args:
        excluded: how many members it names.
        nobody: whether it says that there is none.
    """
    if bool(excluded) is not nobody:
        return []
    message = (
        "names members where `exclude_nobody` says that there is none; leave one out"
        if nobody
        else "names no member; name all that are to be excluded, or set"
        " `exclude_nobody` to take every exclusion away"
    )
    return [
        Fault(field="excluded_requesters", reason="NOT_DELIBERATE", message=message)
    ]


def life_faults(
    *, legal_basis: str, expires_at: dt.datetime | None, now: dt.datetime
) -> list[Fault]:
    """Return what is wrong with a record's legal basis and expiry."""
    faults: list[Fault] = []
    if not legal_basis and expires_at is None:
        return faults
    most = limits.MAX_LEGAL_BASIS_CHARACTERS
    if len(legal_basis) > most:
        message = f"{len(legal_basis)} characters; must be at most {most}"
        faults.append(
            Fault(field="legal_basis", reason="WRONG_LENGTH", message=message)
        )
    if _has_control(legal_basis):
        message = "must not contain control or unassigned characters"
        faults.append(
            Fault(field="legal_basis", reason="WRONG_CHARACTER", message=message)
        )
    if expires_at is not None and expires_at <= now:
        message = "lies in the past; leave it out or give a moment to come"
        faults.append(Fault(field="expire_time", reason="EXPIRED", message=message))
    return faults
