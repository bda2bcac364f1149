"""The main path of a look for duplicates: a holder's records against its own others.

It goes the way of a search, but that no agreement is asked, since nobody but the holder
learns of it, and that nothing is stored, since nothing was disclosed.

1. Read the record, by the keyed hash of its reference, with what is sealed of it.
2. Open its templates: each is a probe.
3. Scan and confirm on the holder's own shelf of the same space and position.
4. Decide: what has expired is as if it were not there, and nobody resembles itself.
5. Open the references of what is left.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.calibration import BY_DEFAULT
from biometrics.disclosure import Band
from biometrics.errors import NotFoundError
from biometrics.sealed import reference_binding
from biometrics.templates import Position, Template
from matcher.galleries import GalleryState, Shelf
from matcher.index import binding_of
from matcher.telling import learnable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Executor

    from biometrics.calibration import Calibrations
    from biometrics.clock import Clock
    from biometrics.custody import Vault
    from biometrics.members import Member
    from biometrics.store import StoredTemplate, WholeReader
    from biometrics.templates import TemplateSpaces
    from matcher.confirm import Confirmed
    from matcher.galleries import Galleries
    from matcher.schedule import Scanner


class Comparison(Enum):
    """Whether a record could be compared."""

    COMPARED = "compared"
    NOT_ENROLLED = "not-enrolled"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resembling:
    """What one record resembles.

    Attributes:
        comparison: whether it could be compared.
        others: references of records that it resembles, not all if there are many.
        count: how many it resembles.
    """

    comparison: Comparison
    others: tuple[str, ...] = field(default=(), repr=False)
    count: int = 0


_NOT_ENROLLED: Final = Resembling(comparison=Comparison.NOT_ENROLLED)
_UNAVAILABLE: Final = Resembling(comparison=Comparison.UNAVAILABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Looks for duplicates.

    Attributes:
        whole: step 1, and the references of step 5.
        vault: keys that find records, and open them.
        spaces: what templates are of.
        calibrations: from which likeness on it tells.
        galleries: whether they can be searched.
        scanner: step 3.
        abreast: returns once all that is durable is in effect, whoever wrote it.
        workers: threads for blocking work.
        clock: the time.
    """

    whole: WholeReader
    vault: Vault
    spaces: TemplateSpaces
    calibrations: Calibrations
    galleries: Galleries
    scanner: Scanner
    abreast: Callable[[], Awaitable[None]]
    workers: Executor
    clock: Clock

    async def find(self, holder: Member, references: Sequence[str]) -> list[Resembling]:
        """Return what each of a holder's records resembles, a few at a time.

        Raises:
            GalleryLockedError: the holder is locked.
        """
        await self.abreast()
        slots = asyncio.Semaphore(limits.DUPLICATES_AT_ONCE)

        async def one(reference: str) -> Resembling:
            async with slots:
                return await self._find(holder, reference)

        return await asyncio.gather(*map(one, references))

    async def _find(self, holder: Member, reference: str) -> Resembling:
        """Return what one record resembles."""
        loop = asyncio.get_running_loop()
        for _ in range(limits.MAX_DECISIONS_PER_SEARCH):
            # 1. Read. 2. Open.
            found = await loop.run_in_executor(
                self.workers, self._probes, holder, reference
            )
            if found is None:
                return _NOT_ENROLLED
            record_id, probes = found
            # 3. Scan and confirm.
            try:
                confirmed = await self._compared(holder, probes)
            finally:
                for probe in probes:
                    probe.values.fill(0)
            if confirmed is None:
                return _UNAVAILABLE
            if any(each.moved for each in confirmed):
                continue  # withdrawn or replaced meanwhile
            # 4. Decide. 5. Name.
            return await loop.run_in_executor(
                self.workers, self._named, holder, record_id, confirmed
            )
        return _UNAVAILABLE

    async def _compared(
        self, holder: Member, probes: Sequence[Template]
    ) -> list[Confirmed] | None:
        """Return what each probe finds; None where not all galleries were searched."""
        moment = self.galleries.moment()
        could_search = self._can_search(holder, probes)
        confirmed = await asyncio.gather(
            *(self._search(holder, probe) for probe in probes)
        )
        was_searched = (
            could_search
            and self._can_search(holder, probes)
            and holder not in self.galleries.closed_since(moment)
            and not any(each.failed for each in confirmed)
        )
        return confirmed if was_searched else None

    def _can_search(self, holder: Member, probes: Sequence[Template]) -> bool:
        """Say whether the galleries of all probes can be searched."""
        return all(
            self.galleries.state(holder, probe.space.name) is GalleryState.READY
            for probe in probes
        )

    async def _search(self, holder: Member, probe: Template) -> Confirmed:
        """Return what of the holder's own may be of the person of a probe."""
        space = probe.space.name
        thresholds = self.calibrations.of(space).thresholds(
            self.galleries.comparisons(space)
        )
        shelf = Shelf(holder, space, probe.position)
        band = Band.without(thresholds[BY_DEFAULT.fpir].cosine)
        return await self.scanner.search(probe, {shelf: band})

    def _probes(
        self, holder: Member, reference: str
    ) -> tuple[bytes, list[Template]] | None:
        """Return the id of a record and its templates; None if it is not there."""
        key = self.vault.index(holder)
        try:
            whole = self.whole.record(holder, key.lookup(reference))
        except NotFoundError:
            return None
        if whole is None:  # changed while it was read
            return None
        attested = whole.row.attested
        key.check_record(attested, whole.row.record_tag)
        if attested.expires_at is not None and attested.expires_at <= self.clock.now():
            return None
        if attested.is_canary:  # nobody's, so nobody's duplicate
            return None
        return attested.record, [self._probe(each) for each in whole.templates]

    def _probe(self, stored: StoredTemplate) -> Template:
        """Return a stored template as a probe."""
        space = self.spaces.named(stored.space)
        (values,) = space.room(1)
        self.vault.open_into(binding_of(stored, self.spaces), stored.sealed, values)
        return Template(
            space=space,
            position=Position(stored.position),
            values=values,
            quality=stored.quality,
        )

    def _named(
        self, holder: Member, record_id: bytes, confirmed: Sequence[Confirmed]
    ) -> Resembling:
        """Return what is left of some hits, with references in the clear."""
        hits = [hit for each in confirmed for hit in each.hits]
        learnt = learnable(hits, holder, self.clock.now()).get(holder, ())
        others = {h.record_id: h.seen.template_id for h in learnt}
        others.pop(record_id, None)
        rows = self.whole.references(
            list(others.values())[: limits.MAX_DUPLICATES_TOLD]
        )
        return Resembling(
            comparison=Comparison.COMPARED,
            others=tuple(
                self.vault.open(
                    reference_binding(holder, row.record_id, row.generation),
                    row.sealed_reference,
                ).decode()
                for row in rows
            ),
            count=len(others),
        )
