"""What a search for nobody counts for, and where it looks."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fused import CALIBRATIONS, FINGERS
from world import DIMENSION, SPACE, SPACES

from biometrics.calibration import Calibrations, FpirClass, parse_calibration
from biometrics.disclosure import Protection
from biometrics.members import Member
from biometrics.precedence import Precedence
from biometrics.spaces import parse_spaces
from biometrics.store import SeenRecord
from biometrics.templates import TemplateSpaces
from matcher.canary_probes import CanaryProbes
from matcher.confirm import Confirmed, Hit
from matcher.galleries import GalleryName, GalleryState, Shelf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from biometrics.disclosure import Band
    from biometrics.templates import Template

XAA, XBB, XCC, XDD = (Member(code) for code in ("XAA", "XBB", "XCC", "XDD"))
HIT = Hit(
    holder=XAA,
    record_id=bytes(16),
    lookup=bytes(32),
    protection=Protection(excluded=frozenset({XBB}), expires_at=None, is_canary=True),
    seen=SeenRecord(template_id=1, record_tag=bytes(32), expires_at=None),
)
NOTHING = Confirmed(hits=(), failed=frozenset())


@dataclass
class Scanner:
    """Finds what it is told to, and remembers where it looked."""

    found: Confirmed = NOTHING
    asked: list[Mapping[Shelf, Band]] = field(default_factory=list)
    probes: list[Template] = field(default_factory=list)

    async def search(self, probe: Template, bands: Mapping[Shelf, Band]) -> Confirmed:
        """Find it."""
        self.asked.append(bands)
        self.probes.append(probe)
        return self.found


@dataclass
class Galleries:
    """Faces of four members, of whom one is locked, and one takes no part."""

    held: int = 100
    closed: frozenset[Member] = frozenset()

    def moment(self) -> int:
        """Return the only one."""
        return 0

    def closed_since(self, _moment: int) -> frozenset[Member]:
        """Return who has been during the search."""
        return self.closed

    def known(self) -> set[GalleryName]:
        """Return every gallery."""
        return {GalleryName(holder, SPACE) for holder in (XAA, XBB, XCC, XDD)}

    def state(self, holder: Member, _space: str) -> GalleryState:
        """Return the state of one."""
        return GalleryState.LOCKED if holder == XCC else GalleryState.READY

    def is_suspended(self, holder: Member) -> bool:
        """Say whether a member takes no part."""
        return holder == XDD

    def comparisons(self, _space: str) -> int:
        """Return how many a search has."""
        return self.held


def watching(
    scanner: Scanner,
    *,
    spread: bool = True,
    held: int = 100,
    closed: frozenset[Member] = frozenset(),
) -> CanaryProbes:
    """Return canary probes of the tiny spaces."""
    parsed = parse_spaces(SPACES, "x")
    told = np.eye(DIMENSION) if spread else None
    spaces = {s.name: replace(s, spread=told) for s in parsed}
    return CanaryProbes(
        spaces=TemplateSpaces(spaces),
        calibrations=Calibrations(
            parse_calibration(CALIBRATIONS[name].encode(), "x", spaces[name])
            for name in (SPACE, FINGERS)
        ),
        galleries=Galleries(held, closed),  # type: ignore[arg-type]
        scanner=scanner,  # type: ignore[arg-type]
        precedence=Precedence(),
        random_bytes=secrets.token_bytes,
    )


def test_every_gallery_that_is_there_is_searched_at_the_threshold_in_force() -> None:
    """Whoever is locked or suspended is not; each probe is another nobody."""
    scanner = Scanner()
    probes = watching(scanner)
    for _ in range(2):
        assert asyncio.run(probes.search()) == []
    at = probes.calibrations.of(SPACE).at(FpirClass.HUNDREDTH, 100).cosine
    for bands in scanner.asked:
        assert {shelf.holder for shelf in bands} == {XAA, XBB}
        assert {band.threshold for band in bands.values()} == {at}
        assert not any(band.is_near(at) for band in bands.values())
    first, second = scanner.probes
    assert not np.array_equal(first.values, second.values)
    assert probes.drifts[SPACE].searches == 2
    assert probes.drifts[SPACE].matches == 0


def test_whoever_matches_is_a_false_match() -> None:
    """Whatever protects the record: nobody is told of it."""
    probes = watching(Scanner(replace(NOTHING, hits=(HIT, HIT))))
    told = [asyncio.run(probes.search()) for _ in range(12)]
    assert probes.drifts[SPACE].matches == 12
    assert told == [[]] * 9 + [[SPACE]] + [[]] * 2
    assert probes.drifted() == [SPACE]


@pytest.mark.parametrize(
    "found",
    [
        Confirmed(hits=(HIT,), failed=frozenset({XBB})),
        Confirmed(hits=(HIT,), failed=frozenset(), moved=True),
    ],
    ids=["failed", "moved"],
)
def test_what_was_not_searched_whole_counts_for_nothing(found: Confirmed) -> None:
    """Neither as a match nor as none."""
    probes = watching(Scanner(found))
    asyncio.run(probes.search())
    assert probes.drifts == {}


def test_nor_does_what_was_closed_meanwhile() -> None:
    """Nothing of a gallery may have been there to be searched, and nobody matches."""
    for closed, counted in ((XAA, False), (XCC, True)):  # XCC is not asked
        probes = watching(Scanner(), closed=frozenset({closed}))
        asyncio.run(probes.search())
        assert bool(probes.drifts) is counted


@pytest.mark.parametrize("more", [{"spread": False}, {"held": 1 << 20}])
def test_what_tells_nothing_is_not_searched(more: dict[str, int]) -> None:
    """Directions that no template has, and promises that are not established."""
    scanner = Scanner()
    asyncio.run(watching(scanner, **more).search())  # type: ignore[arg-type]
    assert scanner.asked == []
