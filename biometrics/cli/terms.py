"""The terms of a bulk load: what its options say of every record, and their faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.client import Chunk, Record, Template
from biometrics.errors import Fault, InvalidRequestError
from biometrics.members import Member
from enrolment.admission import life_faults
from enrolment.formats.finger import FingerView
from enrolment.formats.source import VectorSample

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from biometrics.client import SpaceInfo
    from enrolment.bulk import Batch
    from enrolment.formats.source import Found, Source

_OPTIONS: Final = {"legal_basis": "--legal-basis", "expire_time": "--expires"}


_VECTOR: Final = "vector"


def template_of(
    sample: VectorSample | FingerView, space: str, position: str
) -> Template:
    """Return what is sent of a sample; what its file says beats `space` and so on."""
    if isinstance(sample, FingerView):
        return Template(
            space=space,
            position=sample.position or position,
            minutiae=sample.placed(),
            quality=sample.quality,
        )
    return Template(
        space=sample.space or space,
        position=sample.position or position,
        vector=sample.vector,
        quality=sample.quality,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What all records of a load have in common.

    Attributes:
        space: name of the template space.
        position: of every template.
        excluded: members that must never learn of the records.
        legal_basis: of the enrolment.
        expires_at: from then on no search finds those of which their file says
            nothing else; None if they do not expire.
    """

    space: str
    position: str
    excluded: tuple[str, ...]
    legal_basis: str
    expires_at: dt.datetime | None

    def check(self, spaces: Sequence[SpaceInfo] | None, now: dt.datetime) -> None:
        """Refuse what the exchange would refuse of every single record.

        Args:
            spaces: of the exchange; None if it is not asked.
            now: the present moment.

        Raises:
            InvalidRequestError: with every fault, by option.
        """
        faults = [
            *(self._space_faults(spaces) if spaces is not None else ()),
            *self._excluded_faults(),
            *(
                Fault(field=_OPTIONS[f.field], reason=f.reason, message=f.message)
                for f in life_faults(
                    legal_basis=self.legal_basis, expires_at=self.expires_at, now=now
                )
            ),
        ]
        if faults:
            raise InvalidRequestError.of(faults)

    def fits(self, source: Source, spaces: Sequence[SpaceInfo] | None) -> None:
        """Refuse a file whose vectors the exchange would refuse every one.

        Raises:
            InvalidRequestError: their dimension is not that of the space.
        """
        space = self._space(spaces or ())
        if space is None or source.dimension in {None, space.dimension}:
            return
        reason = "WRONG_DIMENSION"
        message = (
            f"vectors of dimension {source.dimension} where `{space.name}` has"
            f" {space.dimension}"
        )
        if space.kind != _VECTOR:
            reason = "WRONG_KIND"
            message = f"vectors where `{space.name}` is of the kind `{space.kind}`"
        where = f"{source.path}:embedding"
        fault = Fault(field=where, reason=reason, message=message)
        raise InvalidRequestError.of([fault])

    def chunk(self, batch: Batch) -> Chunk:
        """Return the records of a batch under these terms."""
        return Chunk(
            records=tuple(self._record(found) for _, found in batch.records),
            start=batch.start,
        )

    def _record(self, found: Found) -> Record:
        """Return a record; what its file says beats the options."""
        return Record(
            reference=found.reference,
            templates=tuple(
                template_of(sample, self.space, self.position)
                for sample in found.samples
                if isinstance(sample, VectorSample | FingerView)  # as all that are sent
            ),
            excluded=self.excluded,
            legal_basis=self.legal_basis,
            expires_at=found.expires_at or self.expires_at,
        )

    def _space(self, spaces: Sequence[SpaceInfo]) -> SpaceInfo | None:
        """Return the template space, if it is there."""
        return next((space for space in spaces if space.name == self.space), None)

    def _space_faults(self, spaces: Sequence[SpaceInfo]) -> Iterator[Fault]:
        """Yield what does not fit the template space."""
        space = self._space(spaces)
        if space is None:
            told = ", ".join(f"`{space.name}`" for space in spaces) or "none"
            shown = self.space[: limits.MAX_NAME_CHARACTERS]
            message = f"`{shown}` is no template space of this exchange; it has {told}"
            yield Fault(field="--space", reason="UNKNOWN_SPACE", message=message)
            return
        if self.position not in space.positions:
            allowed = ", ".join(f"`{position}`" for position in space.positions)
            message = (
                f"`{self.position}` is not a position of `{space.name}`; it allows"
                f" {allowed}"
            )
            yield Fault(field="--position", reason="WRONG_POSITION", message=message)

    def _excluded_faults(self) -> Iterator[Fault]:
        """Yield what is wrong with the members that are excluded."""
        most = limits.MAX_EXCLUDED_REQUESTERS
        if len(self.excluded) > most:
            message = f"{len(self.excluded)} members; must be at most {most}"
            yield Fault(field="--exclude", reason="TOO_MANY", message=message)
            return
        for code in self.excluded:
            try:
                Member(code)
            except InvalidRequestError as error:
                yield Fault(
                    field="--exclude", reason=error.reason, message=error.message
                )
