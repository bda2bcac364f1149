"""Canary probes: the exchange searches for nobody, and sees how often that matches.

A calibration is of the people who were searched for when it was made. The galleries and
captures of today may be others, and no honest search says which of its matches are
false. Of a probe that is nobody every match is. So now and then one is drawn, as
canaries are, and searched with in all galleries of a template space, at the threshold
in force. Nobody learns what it found, and nothing is written or spent.

It shows galleries that have drifted, and captures that failed in them; not whether the
people who are searched for have changed, for they are not those who are drawn.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.calibration import Drift, FpirClass
from biometrics.disclosure import Band
from biometrics.nobody import draw_nobody
from matcher.galleries import GalleryState, Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.calibration import Calibrations
    from biometrics.precedence import Precedence
    from biometrics.templates import Position, TemplateSpace, TemplateSpaces
    from matcher.galleries import Galleries
    from matcher.schedule import Scanner

_DRAWN_BYTES: Final = 8
_CLASS: Final = FpirClass.HUNDREDTH  # the sooner seen, the more often it errs


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryProbes:
    """Searches for nobody.

    Attributes:
        spaces: of the exchange.
        calibrations: theirs.
        galleries: who can be searched.
        scanner: searches.
        precedence: says whether anybody else searches.
        random_bytes: what probes are drawn by.
        drifts: what is known so far, by template space.
    """

    spaces: TemplateSpaces
    calibrations: Calibrations
    galleries: Galleries
    scanner: Scanner
    precedence: Precedence
    random_bytes: Callable[[int], bytes]
    drifts: dict[str, Drift] = field(default_factory=dict)

    def drifted(self) -> list[str]:
        """Return the template spaces in which nobody matches too often."""
        return sorted(name for name, drift in self.drifts.items() if drift.is_found)

    async def search(self) -> list[str]:
        """Search once in each space that can be watched, at one of its positions.

        Each waits until nobody searches, but for `limits.CANARY_YIELD_SECONDS` at most.

        Returns:
            The spaces of which a drift was found now.

        Raises:
            ExchangeError: a search cannot be made now; those before it count.
        """
        found = []
        for space in self.spaces:
            threshold = self._threshold(space)
            if threshold is None:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.CANARY_YIELD_SECONDS):
                    await self.precedence.quiet()
            positions = sorted(space.positions)
            place = int.from_bytes(self.random_bytes(_DRAWN_BYTES)) % len(positions)
            if await self._search(space, positions[place], threshold):
                found.append(space.name)
        return found

    def _threshold(self, space: TemplateSpace) -> float | None:
        """Return from where on a search matches; None where nothing is to be watched.

        Directions that nobody's template has match nobody, however others drift.
        """
        comparisons = self.galleries.comparisons(space.name)
        known = self.calibrations.of(space.name).at(_CLASS, comparisons)
        if space.spread is None or not known.is_established:
            return None
        return known.cosine

    async def _search(
        self, space: TemplateSpace, position: Position, threshold: float
    ) -> bool:
        """Search once; say whether a drift is found now. An outage counts for none."""
        band = Band.without(threshold)
        moment = self.galleries.moment()
        shelves = {
            Shelf(gallery.holder, space.name, position): band
            for gallery in self.galleries.known()
            if gallery.space == space.name
            and not self.galleries.is_suspended(gallery.holder)
            and self.galleries.state(*gallery) is GalleryState.READY
        }
        if not shelves:
            return False
        probe = draw_nobody(space, position, self.random_bytes)
        confirmed = await self.scanner.search(probe, shelves)
        closed = self.galleries.closed_since(moment)
        is_whole = closed.isdisjoint(shelf.holder for shelf in shelves)
        if confirmed.failed or confirmed.moved or not is_whole:
            return False
        drift = self.drifts.setdefault(space.name, Drift(_CLASS.rate))
        return drift.take(is_match=bool(confirmed.hits))
