"""The main path of a calibration: files in, thresholds out, with what they rest on.

1. Choose the probes: one capture of each person, of at most so many people.
2. Search every template of the gallery with each, exhaustively.
3. Fit the tail of the search maxima, and bootstrap it by person.
4. For each class and each size of the exchange take the safe end of the interval.
5. Weigh scores, where people have a second capture.
6. Doubt the highest scores: a person whom the truth holds twice is in every tail.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from biometrics import limits
from biometrics.calibration import (
    Calibration,
    Evidence,
    FpirClass,
    Row,
    comparisons_supported,
    rounded_up,
    searches_needed,
)
from biometrics.errors import InvalidRequestError
from biometrics.templates import Basis
from enrolment.calibrate import tail
from enrolment.calibrate.searches import search
from enrolment.calibrate.weights import weigh

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from biometrics.templates import TemplateSpace
    from enrolment.calibrate.captures import Capture, Captures
    from enrolment.calibrate.searches import Searches

_SMALLEST = 64  # times smaller than the galleries searched: then the threshold stays
_LARGEST = 1 << 30  # comparisons, beyond any exchange
_LIKELY_ONE = 0.05  # expected searches so high, below which a pair is doubted


@dataclass(frozen=True, slots=True)
class Pair:
    """Two captures that are said to be of two people, and score like one.

    Attributes:
        probe: who searched.
        found: the other.
        score: cosine.
        expected: searches that would reach it, if everybody were as most are.
    """

    probe: Capture
    found: Capture
    score: float
    expected: float

    @property
    def is_doubtful(self) -> bool:
        """Whether they may well be one person, or a failed capture."""
        return self.expected < _LIKELY_ONE


@dataclass(frozen=True, slots=True)
class Measured:
    """A calibration, and all that its report is made of.

    Attributes:
        calibration: without the digest of a file, which is not written yet.
        searches: what came of them.
        pairs: the highest scores of different people, highest first.
        refused: gallery and probes: records without a usable vector, by reason.
    """

    calibration: Calibration
    searches: Searches
    pairs: list[Pair]
    refused: Mapping[str, int]

    def threshold(self, fpir: FpirClass) -> float:
        """Return the threshold of a class at the size that was searched."""
        return self.calibration.at(fpir, self.searches.sizes[-1]).cosine


def measure(  # noqa: PLR0913 - what to read, and how
    space: TemplateSpace,
    gallery: Captures,
    probes: Captures | None,
    *,
    today: dt.date,
    searches: int,
    same: Mapping[str, str],
    seed: int,
    progress: Callable[[str, float], None],
) -> Measured:
    """Calibrate a template space.

    Args:
        space: the space.
        gallery: what is searched.
        probes: who searches; None for people of the gallery, each without their own.
        today: in UTC.
        searches: most people who search.
        same: people who are the same as others, by the name of these.
        seed: of what is drawn.
        progress: told what is done, and how far it is.

    Raises:
        InvalidRequestError: a file cannot be read, or there are too few people.
    """
    found = search(
        gallery, probes, most=searches, same=same, seed=seed, progress=progress
    )
    people = len(np.unique(found.subject))
    least = limits.LEAST_CALIBRATION_SUBJECTS
    if people < least:
        raise InvalidRequestError(
            "TOO_FEW_SUBJECTS",
            f"a calibration needs searches of {least} people or more; there are"
            f" {people}: {searches_needed(FpirClass.THOUSANDTH):,} support an FPIR of"
            f" {FpirClass.THOUSANDTH}",
        )
    evidence = Evidence(
        searches=len(found.subject),
        subjects=people,
        comparisons=found.sizes[-1],
        interval=tail.INTERVAL,
    )
    calibration = Calibration(
        space=space.name,
        definition=space.identity,
        basis=Basis.MEASURED,
        dated=today,
        method=tail.METHOD,
        evidence=evidence,
        rows=tuple(rows(found.maxima[-1], found.subject, evidence, seed)),
        digest="",
        weights=weigh(found, evidence, seed),
    )
    refused = gallery.refused + (probes.refused if probes else Counter())
    return Measured(calibration, found, _highest(found), refused)


def rows(
    maxima: NDArray[np.float64],
    subject: NDArray[np.int64],
    evidence: Evidence,
    seed: int,
) -> Iterator[Row]:
    """Yield the thresholds of every class, at every size of the exchange.

    They rise with the size and with the class, as what they estimate does; beyond what
    the evidence supports they go on, and are not established.
    """
    searched = evidence.comparisons
    sizes = [rounded_up(max(searched // _SMALLEST, 1))]
    while sizes[-1] < max(_LARGEST, rounded_up(searched)):
        sizes.append(2 * sizes[-1])
    wanted = np.concatenate(
        [tail.shares(fpir.rate, np.array(sizes) / searched) for fpir in FpirClass]
    )
    ends = tail.intervals(maxima, subject, wanted, seed=seed)
    told = np.array([ends[0], tail.quantiles(maxima, wanted), ends[1]])
    told = told.reshape(3, len(FpirClass), len(sizes))
    told = np.maximum.accumulate(np.maximum.accumulate(told, axis=1), axis=2)
    most = comparisons_supported(searched)
    for fpir, low, middle, high in zip(FpirClass, *np.round(told, 6), strict=True):
        is_supported = evidence.subjects >= searches_needed(fpir)
        found = [
            Row(
                fpir=fpir,
                comparisons=size,
                cosine=max(float(high[place]), float(middle[place])),
                estimate=float(middle[place]),
                low=min(float(low[place]), float(middle[place])),
                is_established=is_supported and size <= most,
            )
            for place, size in enumerate(sizes)
        ]
        for row, larger in zip_longest(found, found[1:]):
            # Where a larger size has the same threshold, it says all.
            if larger is None or (row.cosine, row.is_established) != (
                larger.cosine,
                larger.is_established,
            ):
                yield row


def _highest(found: Searches) -> list[Pair]:
    """Return the pairs with the highest scores of different people."""
    maxima = found.maxima[-1]
    order = np.argsort(-maxima)[: limits.MAX_REFUSALS_LISTED]
    expected = tail.expected_above(maxima, maxima[order])
    pairs = [
        Pair(found.probes[place], found.nearest[place], float(maxima[place]), share)
        for place, share in zip(order.tolist(), expected.tolist(), strict=True)
    ]
    kept = [pair for pair in pairs if pair.is_doubtful]
    return pairs[: max(len(kept), limits.MAX_REFUSALS_SHOWN)]
