"""Clauses: the words of an agreement, as values that check themselves."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.calibration import BY_DEFAULT, Promise
from biometrics.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from biometrics.members import Member
    from biometrics.templates import Modality


class Purpose(StrEnum):
    """Why a search is made. A closed list."""

    BORDER_CHECK = "border-check"
    VISA = "visa"
    ASYLUM_AND_PROTECTION = "asylum-and-protection"
    TRAFFICKING_VICTIM_IDENTIFICATION = "trafficking-victim-identification"
    SMUGGLING_INVESTIGATION = "smuggling-investigation"
    MISSING_OR_DECEASED_PERSON = "missing-or-deceased-person"


class Level(StrEnum):
    """How much a requester may learn; ordered so, not as texts are."""

    PRESENCE = "presence"
    HOLDER = "holder"
    REFERENCE = "reference"

    @property
    def rank(self) -> int:
        """0 for the level that tells least, and one more for each above."""
        return _RANKS[self]

    def __lt__(self, other: str) -> bool:
        """Say whether this level tells less."""
        return self.rank < Level(other).rank

    def __le__(self, other: str) -> bool:
        """Say whether this level tells no more."""
        return self.rank <= Level(other).rank

    def __gt__(self, other: str) -> bool:
        """Say whether this level tells more."""
        return self.rank > Level(other).rank

    def __ge__(self, other: str) -> bool:
        """Say whether this level tells no less."""
        return self.rank >= Level(other).rank


_RANKS: Final = {level: rank for rank, level in enumerate(Level)}


class Effect(StrEnum):
    """Whether a clause gives or takes."""

    PERMIT = "permit"
    FORBID = "forbid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause of one holder's.

    Attributes:
        holder: whose galleries it is about.
        requester: who asks; None for everybody, in a clause that forbids.
        effect: whether it permits or forbids.
        purposes: the purposes that it covers.
        modalities: the modalities that it covers.
        level: how much may be learnt; None in a clause that forbids.
        valid_from: first day, in UTC; None if open, in a clause that forbids.
        valid_until: last day, in UTC; None if open, in a clause that forbids.
        legal_basis: legal basis of a permission, reason of a prohibition.
        source: file and line of its header, such as `XAA.toml:12`.
        promise: how often a search that it permits may match a stranger.
        quota_per_day: how many searches it permits on one day, in UTC.
        use: 16 bytes under which searches by it are counted; the same of all clauses
            between two members about the same purposes and modalities, so that neither
            a new line nor a new version begins anew.

    Raises:
        InvalidRequestError: the parts contradict one another; every fault at once.
    """

    holder: Member
    requester: Member | None
    effect: Effect
    purposes: frozenset[Purpose]
    modalities: frozenset[Modality]
    level: Level | None
    valid_from: dt.date | None
    valid_until: dt.date | None
    legal_basis: str
    source: str
    promise: Promise = BY_DEFAULT
    quota_per_day: int = limits.DEFAULT_QUOTA_PER_DAY
    use: bytes = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the clause as a whole."""
        object.__setattr__(self, "use", _use_of(self))
        permits = self.effect is Effect.PERMIT
        start, end = self.valid_from or dt.date.min, self.valid_until or dt.date.max
        faults = [
            Fault(field=field, reason="INVALID_CLAUSE", message=message)
            for field, broken, message in (
                (
                    "requester",
                    self.requester == self.holder,
                    "is the holder itself, whose own gallery is never searched",
                ),
                (
                    "requester",
                    permits and self.requester is None,
                    "must name one member; only a prohibition covers everybody",
                ),
                ("purposes", not self.purposes, "must not be empty"),
                ("modalities", not self.modalities, "must not be empty"),
                (
                    "level",
                    permits is (self.level is None),
                    "belongs to every permission and to no prohibition",
                ),
                (
                    "valid_from",
                    permits and self.valid_from is None,
                    "a permission must say on which day it begins",
                ),
                (
                    "valid_until",
                    permits and self.valid_until is None,
                    "a permission must say on which day it ends",
                ),
                ("valid_until", end < start, "must not lie before `valid_from`"),
                ("legal_basis", not self.legal_basis, "must not be empty"),
            )
            if broken
        ]
        if faults:
            raise InvalidRequestError.of(faults)

    def is_valid_on(self, day: dt.date) -> bool:
        """Say whether `day`, in UTC, lies in its validity, both ends included."""
        return (self.valid_from is None or self.valid_from <= day) and (
            self.valid_until is None or day <= self.valid_until
        )


def _use_of(clause: Clause) -> bytes:
    """Return under what searches by a clause are counted; see `Clause.use`."""
    requester = clause.requester.code if clause.requester else ""
    words = (*sorted(clause.purposes), *sorted(clause.modalities))
    text = " ".join((clause.holder.code, requester, *words))
    return hashlib.sha256(text.encode()).digest()[:16]
