"""What a synthetic population is like: every number with its source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError


class Kind(IntEnum):
    """A subject's place in Doddington's zoo.

    Source: Doddington, Liggett, Martin, Przybocki, Reynolds, "Sheep, Goats, Lambs and
    Wolves", ICSLP 1998. Lambs are easy to match, wolves match others easily; where a
    comparison is symmetric they are the same subjects.
    """

    SHEEP = 0
    GOAT = 1
    LAMB = 2
    LOOK_ALIKE = 3
    SIBLING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What a synthetic population is like.

    "Measured" means: on dlib's 128-d embeddings of the ORL faces (20 people, 10 images
    each), centred. "Chosen" means that no source gives a figure; together the chosen
    ones give mated and non-mated scores, with their tails, like the measured ones.

    Attributes:
        seed: of everything that is drawn.
        subjects: number of people.
        samples: number of captures of each.
        dimension: components of a vector; 512 is usual for face extractors.
        effective_dimension: participation ratio of the covariance, so that non-mated
            scores have the standard deviation `1 / sqrt(effective_dimension)`. 180 is
            the gallery on which the exchange's bars are set; measured 23 to 33 for
            128-d; Daugman's irises have 249 degrees of freedom.
        mean_cosine: cosine of two people before centring. Measured .87.
        length: of a centred vector; measured .485.
        length_spread: its relative standard deviation; measured .086.
        mated: score of two perfect captures of a sheep, one right after the other.
            Chosen so that all mated scores are .65 +- .12; measured .60 to .64 +-
            .18 with an older extractor.
        mated_spread: standard deviation of it between sheep. Chosen so that the
            means of subjects, goats among them, spread by .10; measured .11.
        goats: share of subjects who match themselves badly. Chosen; Doddington gives
            the kind, not a share.
        goat_mated: least and greatest `mated` of a goat. Chosen so that the means
            of goats are about .3 to .5; the measured least is .36.
        lambs: share of subjects near to many others. Chosen.
        lamb_tilt: power of the spectrum by which identities of lambs lean to its
            strong components; raises the standard deviation of their non-mated scores.
            Chosen: by a tenth, as the measured .14 to .22 between people.
        look_alikes: share of subjects who have one; they are numbered `2k`, `2k + 1`.
            Chosen, about the share of twins and close siblings in a register.
        look_alike_identity: least and greatest correlation of the two identities. The
            measured most alike pair of 20 people averages .36 to .41.
        siblings: share of subjects who have a sibling in the population; numbered as
            look-alikes are. None by default. Chosen where it is given.
        sibling_identity: least and greatest correlation of the two identities. Chosen
            above strangers and below look-alikes, among whom twins are: NIST IR 8439
            (2022) has twins, identical or not, match far more often than the unrelated.
        quality_loss: share of `kept` lost at quality 0. Qualities are beta(6, 1.5)
            distributed. Chosen.
        ageing: angle in radians by which an identity turns from the first capture to
            the last. Scores fall with elapsed time: Best-Rowden and Jain, "Longitudinal
            Study of Automatic Face Recognition", TPAMI 2018. Chosen, .35 costs 6 %.
        failed: share of captures in which no characteristic was found (what ISO/IEC
            19795-1 counts as failure to acquire where it is noticed). Chosen.
        failed_likeness: least and greatest share of a failed vector's variance in the
            direction that they have in common, so that they look like one another.

    Raises:
        InvalidRequestError: with every fault at once.
    """

    seed: int
    subjects: int
    samples: int
    dimension: int = 512
    effective_dimension: float = 180.0
    mean_cosine: float = 0.87
    length: float = 0.485
    length_spread: float = 0.086
    mated: float = 0.86
    mated_spread: float = 0.065
    goats: float = 0.03
    goat_mated: tuple[float, float] = (0.38, 0.62)
    lambs: float = 0.02
    lamb_tilt: float = 1.0
    look_alikes: float = 0.005
    look_alike_identity: tuple[float, float] = (0.4, 0.75)
    siblings: float = 0.0
    sibling_identity: tuple[float, float] = (0.15, 0.35)
    quality_loss: float = 0.55
    ageing: float = 0.35
    failed: float = 0.002
    failed_likeness: tuple[float, float] = (0.3, 0.9)

    def __post_init__(self) -> None:
        """Check the population as a whole."""
        shares = (self.goats, self.lambs, self.look_alikes, self.siblings)
        faults = [
            Fault(field=where, reason="INVALID_POPULATION", message=message)
            for where, right, message in (
                ("seed", self.seed >= 0, "must be 0 or more"),
                ("subjects", self.subjects >= 1, "must be 1 or more"),
                ("samples", self.samples >= 1, "must be 1 or more"),
                (
                    "dimension",
                    limits.MIN_DIMENSION <= self.dimension <= limits.MAX_DIMENSION,
                    f"must be {limits.MIN_DIMENSION} to {limits.MAX_DIMENSION}",
                ),
                (
                    "effective_dimension",
                    1 < self.effective_dimension <= self.dimension,
                    "must be more than 1 and at most the dimension",
                ),
                ("mean_cosine", 0 <= self.mean_cosine < 1, "must be 0 to below 1"),
                ("length", 0 < self.length < math.inf, "must be positive"),
                (
                    "goats, lambs, look_alikes, siblings",
                    min(shares) >= 0 and sum(shares) <= 1,
                    "must be shares that together are at most 1",
                ),
                *(
                    (name, self._is_share(name), "must be from 0 to 1, least first")
                    for name in _SHARES
                ),
                *(
                    (name, 0 <= getattr(self, name) < math.inf, "must be 0 or more")
                    for name in ("length_spread", "mated_spread", "lamb_tilt")
                ),
                ("ageing", math.isfinite(self.ageing), "must be finite"),
            )
            if not right
        ]
        if faults:
            raise InvalidRequestError.of(faults)

    def _is_share(self, name: str) -> bool:
        """Say whether a field, or both of its bounds, are from 0 to 1 and in order."""
        value = getattr(self, name)
        least, most = value if isinstance(value, tuple) else (value, value)
        return bool(0 <= least <= most <= 1)


_SHARES: Final = (
    "mated",
    "goat_mated",
    "look_alike_identity",
    "sibling_identity",
    "quality_loss",
    "failed",
    "failed_likeness",
)


# What scores are like, by name; sizes and seed are to be replaced.
PRESETS: Final = {
    # The defaults: a recent extractor of 512 dimensions, on which the bars are set.
    "modern-face": Population(seed=0, subjects=2, samples=3),
    # dlib's 128-d embedding, as measured on the ORL faces: mated .600 +- .179 and
    # non-mated -.034 +- .175 after centring (`--plot` draws both), .87 before.
    "dlib-face": Population(
        seed=0,
        subjects=2,
        samples=3,
        dimension=128,
        effective_dimension=32.0,
        mated=0.88,
        mated_spread=0.1,
        goats=0.10,
        goat_mated=(0.45, 0.65),
        quality_loss=0.7,
        failed=0.003,
    ),
}
