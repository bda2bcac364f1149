"""Agreements: what each holder lets each requester learn.

An agreement is data. Each holder writes one TOML file; `parse_version` reads it
strictly, and `Agreements` holds the clauses of every holder, indexed for the
decision in `biometrics.disclosure.decision`.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field
from pydantic_core import PydanticCustomError

from biometrics import limits
from biometrics.calibration import BY_DEFAULT, FpirClass, Promise
from biometrics.disclosure.clauses import Clause, Effect, Level, Purpose
from biometrics.errors import Fault, InvalidRequestError
from biometrics.members import Member
from biometrics.settings import (
    Document,
    Line,
    Settings,
    SettingsFile,
    Word,
    Words,
    configuration_error,
    parsed_by,
)
from biometrics.templates import Modality

__all__ = [
    "Agreements",
    "Clause",
    "Effect",
    "Level",
    "Purpose",
    "Version",
    "parse_version",
]

_AHEAD: Final = dt.timedelta(seconds=limits.DATED_AHEAD_SECONDS)
EVERYBODY: Final = "*"  # in place of a requester, in clauses that forbid

# (holder, requester, purpose, modality): what a clause can be asked about.
_Question = tuple[str, str, Purpose, Modality]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of what a holder lets others learn.

    Attributes:
        holder: whose galleries it is about.
        revision: from 1; of two versions the higher is the later.
        dated: when it was written, in UTC.
        clauses: what it says, permissions first.
    """

    holder: Member
    revision: int
    dated: dt.datetime
    clauses: tuple[Clause, ...]

    def is_ahead_of(self, now: dt.datetime) -> bool:
        """Say whether it is of the future, more than two clocks may differ."""
        return self.dated > now + _AHEAD


class Agreements:
    """The clauses of every holder, indexed once. Immutable, in no order of files."""

    def __init__(
        self, clauses: Iterable[Clause], digests: Mapping[Member, bytes] | None = None
    ) -> None:
        """Hold `clauses`; none at all permits nothing.

        Args:
            clauses: of every holder.
            digests: 32 bytes of the version that each holder has signed.
        """
        self._digests = dict(digests or {})
        lines = sorted(f"{m} {d.hex()}\n" for m, d in self._digests.items())
        self._digest = hashlib.sha256("".join(lines).encode()).digest()
        self._clauses = tuple(sorted(clauses, key=_citation))
        self._index = _index(self._clauses)
        self._holders: dict[Member, tuple[Member, ...]] = {}
        for clause in self._clauses:
            if clause.effect is Effect.PERMIT and clause.requester is not None:
                known = self._holders.get(clause.requester, ())
                if clause.holder not in known:
                    self._holders[clause.requester] = (*known, clause.holder)

    @property
    def clauses(self) -> tuple[Clause, ...]:
        """Every clause, in the order of holder, file and line."""
        return self._clauses

    @property
    def digest(self) -> bytes:
        """SHA-256 of a line `CODE hexadecimal digest` for each version, by code."""
        return self._digest

    def digest_of(self, holder: Member) -> bytes:
        """Return the digest of a holder's version; empty where none was given."""
        return self._digests.get(holder, b"")

    def party(self, member: Member) -> tuple[Clause, ...]:
        """Return the clauses in which `member` is the holder or the requester.

        What a holder forbids everybody is listed to that holder alone.
        """
        return tuple(
            clause
            for clause in self._clauses
            if member in (clause.holder, clause.requester)
        )

    def holders_for(self, requester: Member) -> tuple[Member, ...]:
        """Return, by code, the holders with a permission of `requester` at all."""
        return self._holders.get(requester, ())

    def about(
        self,
        holder: Member,
        requester: Member | None,
        purpose: Purpose,
        modality: Modality,
    ) -> tuple[Clause, ...]:
        """Return the clauses on one question, of any validity.

        Without a requester they are those about everybody.

        They stand in the order in which they decide: prohibitions first, then
        permissions from the level that tells most, and of one level from the promise
        that lets most match, then from the quota that lets most be asked. The first
        that is valid decides.
        """
        code = requester.code if requester else EVERYBODY
        decisive = self._index.get((holder.code, code, purpose, modality))
        if decisive is None:  # no clause names this requester: only `*` can apply
            everybody = (holder.code, EVERYBODY, purpose, modality)
            decisive = self._index.get(everybody, ())
        return decisive


def _index(clauses: Iterable[Clause]) -> dict[_Question, tuple[Clause, ...]]:
    """Return the clauses by question, in the order in which they decide."""
    index: dict[_Question, list[Clause]] = {}
    for clause in clauses:
        requester = clause.requester.code if clause.requester else EVERYBODY
        for purpose in clause.purposes:
            for modality in clause.modalities:
                question = (clause.holder.code, requester, purpose, modality)
                index.setdefault(question, []).append(clause)
    decided = {}
    for question, named in index.items():
        holder, requester, purpose, modality = question
        everybody = (holder, EVERYBODY, purpose, modality)
        general = index.get(everybody, []) if requester != EVERYBODY else []
        decided[question] = tuple(sorted([*general, *named], key=_weight))
    return decided


def _weight(clause: Clause) -> tuple[float, float, bool, int]:
    """Return where a clause stands among those on one question, least first."""
    rate, is_lax = clause.promise.laxity
    rank = -1 if clause.level is None else len(Level) - clause.level.rank
    return rank, -rate, not is_lax, -clause.quota_per_day


def _citation(clause: Clause) -> tuple[object, ...]:
    """Return what orders clauses: as they are cited, then by all that they say."""
    file, _, line = clause.source.rpartition(":")
    return (
        clause.holder.code,
        file,
        int(line) if line.isdecimal() else 0,
        clause.source,
        clause.requester.code if clause.requester else EVERYBODY,
        clause.effect,
        _weight(clause),
        sorted(clause.purposes),
        sorted(clause.modalities),
        clause.valid_from or dt.date.min,
        clause.valid_until or dt.date.max,
        clause.legal_basis,
    )


def _requester_of_prohibition(text: str) -> Member | None:
    return None if text == EVERYBODY else Member(text)


_Basis = Annotated[Line, Field(max_length=limits.MAX_LEGAL_BASIS_CHARACTERS)]


class _Permit(Settings):
    """One `[[permit]]` table."""

    requester: Annotated[Member, parsed_by(Member)]
    purposes: Words[Purpose]
    modalities: Words[Modality]
    level: Word[Level]
    valid_from: dt.date
    valid_until: dt.date
    legal_basis: _Basis
    fpir: Word[FpirClass] = BY_DEFAULT.fpir
    measured_only: bool = BY_DEFAULT.measured_only
    quota_per_day: Annotated[int, Field(ge=1, le=limits.MAX_QUOTA_PER_DAY)] = (
        limits.DEFAULT_QUOTA_PER_DAY
    )

    def clause(self, holder: Member, source: str) -> Clause:
        """Return the table as a clause.

        Raises:
            InvalidRequestError: with every fault at once.
        """
        return Clause(
            holder=holder,
            requester=self.requester,
            effect=Effect.PERMIT,
            purposes=frozenset(self.purposes),
            modalities=frozenset(self.modalities),
            level=self.level,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            legal_basis=self.legal_basis,
            source=source,
            promise=Promise(fpir=self.fpir, measured_only=self.measured_only),
            quota_per_day=self.quota_per_day,
        )


class _Forbid(Settings):
    """One `[[forbid]]` table; what it does not narrow it forbids."""

    requester: Annotated[Member | None, parsed_by(_requester_of_prohibition)]
    purposes: Words[Purpose] = Field(default_factory=lambda: list(Purpose))
    modalities: Words[Modality] = Field(default_factory=lambda: list(Modality))
    valid_from: dt.date | None = None
    valid_until: dt.date | None = None
    reason: _Basis

    def clause(self, holder: Member, source: str) -> Clause:
        """Return the table as a clause.

        Raises:
            InvalidRequestError: with every fault at once.
        """
        return Clause(
            holder=holder,
            requester=self.requester,
            effect=Effect.FORBID,
            purposes=frozenset(self.purposes),
            modalities=frozenset(self.modalities),
            level=None,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            legal_basis=self.reason,
            source=source,
        )


def _in_utc(moment: dt.datetime) -> dt.datetime:
    """Refuse a moment that is not told in UTC."""
    if moment.utcoffset():
        raise PydanticCustomError("NOT_UTC", "must end in Z: moments are in UTC")
    return moment


class _AgreementsFile(SettingsFile):
    """The whole file of one holder."""

    holder: Annotated[Member, parsed_by(Member)]
    revision: Annotated[int, Field(ge=1, le=limits.MAX_REVISION)]
    dated: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    permit: list[_Permit] = Field([], max_length=limits.MAX_CLAUSES_PER_HOLDER)
    forbid: list[_Forbid] = Field([], max_length=limits.MAX_CLAUSES_PER_HOLDER)


def _class_faults(document: Document, rows: Sequence[_Permit]) -> Iterator[Fault]:
    """Yield where one question is promised two classes on the same days.

    Whichever counted, the other would be no promise; and who takes one line back would
    not know what is left.
    """
    by_question: dict[tuple[str, Purpose, Modality], list[int]] = {}
    for index, row in enumerate(rows):
        for purpose, modality in product(row.purposes, row.modalities):
            question = (row.requester.code, purpose, modality)
            by_question.setdefault(question, []).append(index)
    told: set[int] = set()
    for indices in by_question.values():
        ends: dict[FpirClass, dt.date] = {}
        for index in sorted(indices, key=lambda each: rows[each].valid_from):
            row = rows[index]
            others = (day for fpir, day in ends.items() if fpir is not row.fpir)
            if max(others, default=dt.date.min) >= row.valid_from:
                told.add(index)
            ends[row.fpir] = max(ends.get(row.fpir, dt.date.min), row.valid_until)
    for index in sorted(told):
        yield document.fault(
            ("permit", index, "fpir"),
            "DIFFERENT_CLASS",
            "differs from that of another permission of the same search on the same"
            " days; promise one",
        )


def parse_version(text: str, source: str, holder: Member | None = None) -> Version:
    """Read one version of what a holder lets others learn.

    Args:
        text: TOML: `version = 1`, `holder`, `revision`, `dated`, then `[[permit]]` and
            `[[forbid]]`. A file without a clause is valid and permits nothing.
        source: name of the file, for messages and citations.
        holder: the member whose file it must be; None for any.

    Raises:
        ConfigurationError: with every fault at once.
    """
    document = Document.parse(text, source)
    file = document.read_as(_AgreementsFile)
    faults = []
    if holder is not None and file.holder != holder:
        told = f"must be `{holder}`, whose file this is; nobody permits for another"
        faults.append(document.fault(("holder",), "WRONG_HOLDER", told))
    faults += _class_faults(document, file.permit)
    clauses = []
    tables: tuple[tuple[str, Sequence[_Permit | _Forbid]], ...] = (
        ("permit", file.permit),
        ("forbid", file.forbid),
    )
    for name, rows in tables:
        if len(rows) != len(document.lines.get(name, ())):
            told = f"write each under a header `[[{name}]]`, to be cited by its line"
            faults.append(document.fault((name,), "NO_HEADER", told))
        for index, row in enumerate(rows):
            try:
                clauses.append(row.clause(file.holder, document.place(name, index)))
            except InvalidRequestError as error:
                faults += [
                    document.fault((name, index, each.field), each.reason, each.message)
                    for each in error.faults
                ]
    if faults:
        raise configuration_error(faults)
    return Version(
        holder=file.holder,
        revision=file.revision,
        dated=file.dated,
        clauses=tuple(clauses),
    )
