"""Can a requester rebuild a template from answers that say no more than yes or no?

The attacker begins with a probe at cosine 0.6 to the record: a picture of the person,
say. It is a strong one: it knows that cosine, the threshold, the distribution of
templates, the rules of the leak budget, and at once that it is frozen; then it stops.
It asks with

* `bisection`: one direction after the other, halving what it knows of each;
* `one bit`: a new random direction each time, so that no two probes are alike;

and makes of all answers the template that is most likely. The gain is by how much the
cosine of that exceeds 0.6. `patient` asks again each time that a freeze has lapsed, and
`six` are members who pool what they are told. `alike` is with nothing but the
recognition of near-duplicate probes, on one day, and `alike, a month` on each of 30: as
if the record were never near a threshold.

    python -m benchmarks.attack_reconstruction [--searches 5000] [--people 20]

With the defence off it succeeds, which shows that it bites.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.kit import command, results, tables
from benchmarks.kit.galleries import EFFECTIVE_DIMENSION, THRESHOLD, Gallery
from benchmarks.kit.ledger import Ledger, allowing
from biometrics import limits
from biometrics.calibration import Threshold
from biometrics.disclosure import Band
from biometrics.errors import ExhaustedError
from biometrics.members import Member
from biometrics.templates import Modality, Position, Template, TemplateSpace
from enrolment.synthetic import spectrum
from matcher.alike import Resemblance, outlined

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SEED: Final = 5
START: Final = 0.6
RECORD: Final = 1
REQUESTERS: Final = ("XBA", "XBB", "XBC", "XBD", "XBE", "XBF")
# A decade of false matches in the tail from which the threshold is, by search maxima of
# the same galleries at a million records: `benchmarks.calibration`.
DECADES: Final = {"isotropic": None, f"effective {EFFECTIVE_DIMENSION:g}": 0.030}
_LAPSE: Final = dt.timedelta(hours=limits.FREEZE_HOURS, minutes=1)
_PATIENCE: Final = dt.timedelta(days=26)  # within the days that count
# A bit of a normal number tells 2 / pi of its variance: sqrt(2 / pi) is its slope.
_SLOPE: Final = np.sqrt(2 / np.pi)


QUICK = {"searches": 300, "people": 1}


@dataclass
class Oracle:
    """The exchange as an attacker sees it: one record, yes or no.

    Attributes:
        template: of the record.
        band: of its space.
        ledger: what is counted.
        requesters: members who ask for the attacker, one while it is told anything.
        is_patient: whether it waits until a freeze lapses, or it is answered again.
        resemblance: recognises near-duplicate probes, or None.
    """

    template: NDArray[np.float64]
    band: Band
    ledger: Ledger
    requesters: tuple[str, ...]
    is_patient: bool = False
    resemblance: Resemblance | None = None
    asked: int = 0
    told: int = 0
    _turn: int = field(default=0, init=False)
    _in_vain: int = field(default=0, init=False)

    @property
    def is_mute(self) -> bool:
        """Whether it tells nothing any more, whoever asks and however often."""
        return self._in_vain > 2 * len(self.requesters)

    def ask(self, probe: NDArray[np.float64]) -> bool | None:
        """Return whether a probe matches; None if the record was frozen."""
        self.asked += 1
        requester = self.requesters[self._turn % len(self.requesters)]
        if self._is_varied(requester, probe):
            return None
        score = float(probe @ self.template)
        matches = score >= self.band.threshold
        if self.ledger.is_kept and self.ledger.is_frozen(requester, RECORD):
            return self._wait()
        is_near = self.band.is_near(score)
        said = self.ledger.tell(requester, {RECORD: (matches, is_near)})[RECORD]
        if self.ledger.is_kept and self.ledger.is_frozen(requester, RECORD):
            return None
        self.told += 1
        return said

    def _is_varied(self, requester: str, probe: NDArray[np.float64]) -> bool:
        """Say whether a probe is refused for those before it; wait, if that helps."""
        if self.resemblance is None:
            return False
        template = template_of(probe)
        try:
            self.resemblance.note(
                Member(requester),
                template,
                *outlined([template]),
                self.band.threshold,
            )
        except ExhaustedError as error:
            self._turn += 1
            self._in_vain += 1
            passed = self.ledger.clock.monotonic()
            if self.is_patient and passed < dt.timedelta(days=30).total_seconds():
                wait = dt.timedelta(seconds=error.retry_after or 0.0)
                self.ledger.clock.advance(wait)
                self._in_vain = 0
            return True
        return False

    def _wait(self) -> None:
        """Let another member ask next; or come again when the freeze has lapsed."""
        self._turn += 1
        self._in_vain += 1
        passed = self.ledger.clock.monotonic()
        if self.is_patient and passed < _PATIENCE.total_seconds():
            self.ledger.clock.advance(_LAPSE)
            self._in_vain = 0


class Prior:
    """What everybody knows of templates: how far they spread, and into what directions.

    Attributes:
        directions: orthonormal columns (d, d), widest first.
        variances: of a unit vector along each.
    """

    def __init__(self, gallery: Gallery) -> None:
        """Know a gallery's distribution."""
        effective = gallery.effective_dimension or float(gallery.dimension)
        self.variances = spectrum(gallery.dimension, effective)
        turned = gallery.turned.astype(np.float64)
        self.directions = (turned / np.sqrt(self.variances)[:, None]).T


def probe_at(
    start: NDArray[np.float64], direction: NDArray[np.float64], split: float, at: float
) -> NDArray[np.float64]:
    """Return a probe that matches if the template has more of a direction than that.

    Args:
        start: unit vector, at `START` to the template.
        direction: unit vector across it.
        split: component of the template along the direction.
        at: threshold.
    """
    reach, turn = np.hypot(START, split), np.arctan2(split, START)
    angle = turn + np.arccos(min(at / reach, 1.0))
    return np.cos(angle) * start + np.sin(angle) * direction


def one_bit(
    oracle: Oracle, start: NDArray[np.float64], prior: Prior, searches: int, seed: int
) -> NDArray[np.float64]:
    """Return the template that is most likely after so many searches."""
    random = np.random.default_rng(seed)
    rows, bits = [], []
    while oracle.asked < searches and not oracle.is_mute:
        drawn = random.standard_normal(len(start)) * np.sqrt(prior.variances)
        direction = prior.directions @ drawn
        direction -= (direction @ start) * start
        direction /= np.linalg.norm(direction)
        said = oracle.ask(probe_at(start, direction, 0.0, oracle.band.threshold))
        if said is not None:
            rows.append(direction)
            bits.append(1.0 if said else -1.0)
    if not rows:
        return start
    return _most_likely(start, np.array(rows), np.array(bits), prior)


def _most_likely(
    start: NDArray[np.float64],
    rows: NDArray[np.float64],
    bits: NDArray[np.float64],
    prior: Prior,
) -> NDArray[np.float64]:
    """Return the best linear estimate from the signs of some components."""
    left = 1 - START**2
    spread = (prior.directions * prior.variances) @ (prior.directions.T @ rows.T) * left
    inner = rows @ spread
    deviation = np.sqrt(np.diag(inner))
    # E[sign x] is linear in what x is; what a sign leaves of x is noise.
    inner[np.diag_indices(len(inner))] += deviation**2 * (np.pi / 2 - 1)
    weights = np.linalg.solve(inner, bits * deviation / _SLOPE)
    return START * start + spread @ weights


def bisection(
    oracle: Oracle, start: NDArray[np.float64], prior: Prior, searches: int, seed: int
) -> NDArray[np.float64]:
    """Return the template after halving each direction, all of them in turns."""
    del seed
    # Widest directions first, each across the start and across those before it.
    basis, _ = np.linalg.qr(np.column_stack([start, prior.directions]))
    basis = basis[:, 1 : len(start)]
    variances = (basis.T @ prior.directions) ** 2 @ prior.variances * (1 - START**2)
    spread = np.sqrt(variances)
    low, high = -4 * spread, 4 * spread
    while oracle.asked < searches and not oracle.is_mute:
        middle = _means(low, high, spread)
        for number in np.argsort(-spread):
            if oracle.asked >= searches or oracle.is_mute:
                break
            probe = probe_at(
                start, basis[:, number], middle[number], oracle.band.threshold
            )
            said = oracle.ask(probe)
            if said is not None:
                (low if said else high)[number] = middle[number]
    return START * start + basis @ _means(low, high, spread)


def _means(
    low: NDArray[np.float64], high: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return means of normal numbers that are known to lie between two ends."""
    steps = np.linspace(0, 1, 65)[:, None]
    values = low + (high - low) * steps
    weights = np.exp(-((values / spread) ** 2) / 2)
    means: NDArray[np.float64] = (values * weights).sum(0) / weights.sum(0)
    return means


ATTACKS: Final[dict[str, Callable[..., NDArray[np.float64]]]] = {
    "bisection": bisection,
    "one bit": one_bit,
}
# Who asks: requesters, whether they wait for a freeze to lapse, and the defence: the
# counts near thresholds, and the recognition of near duplicates.
MANNERS: Final = {
    "off": (1, False, False, False),
    "on": (1, False, True, True),
    "patient": (1, True, True, True),
    "six": (6, False, True, True),
    "alike": (1, False, False, True),
    "alike, a month": (1, True, False, True),
}


def template_of(vector: NDArray[Any]) -> Template:
    """Return a unit vector as a template."""
    return Template(
        space=_space_of(len(vector)),
        position=Position.FACE,
        values=vector.astype(np.float32),
        quality=None,
    )


@cache
def _space_of(dimension: int) -> TemplateSpace:
    """Return a template space of faces."""
    return TemplateSpace(
        name="faces",
        modality=Modality.FACE,
        extractor="any",
        extractor_version="1",
        positions=frozenset({Position.FACE}),
        dimension=dimension,
        centre=np.zeros(dimension),
    )


def band_of(gallery: Gallery) -> Band:
    """Return what the product calls near in a space like a gallery."""
    decade = DECADES[gallery.name]
    threshold = Threshold(THRESHOLD, is_established=True, decade=decade)
    return Band.about(threshold, gallery.dimension**-0.5)


def attacked(
    gallery: Gallery, attack: str, manner: str, searches: int, person: int
) -> tuple[float, int]:
    """Return what one attack gains, and how many of its searches were told."""
    count, is_patient, is_kept, is_recognised = MANNERS[manner]
    template = gallery.vectors(person + 1)[person : person + 1]
    start = gallery.mated(template, np.array([START]), person)[0].astype(np.float64)
    ledger = Ledger(is_kept=is_kept)
    oracle = Oracle(
        template=template[0].astype(np.float64),
        band=band_of(gallery),
        ledger=ledger,
        requesters=REQUESTERS[:count],
        is_patient=is_patient,
        resemblance=Resemblance(ledger.clock, np.random.default_rng(person).bytes)
        if is_recognised
        else None,
    )
    found = ATTACKS[attack](oracle, start, Prior(gallery), searches, SEED + person)
    ledger.close()
    cosine = float(found @ oracle.template / np.linalg.norm(found))
    return cosine - START, oracle.told


COLUMNS = (
    tables.Column("gallery", "gallery"),
    tables.Column("attack", "attack"),
    tables.Column("manner", "defence, who asks"),
    tables.Column("searches", "searches", ",d"),
    tables.Column("told", "told", ",.0f"),
    tables.Column("gain", "gain of cosine", ".4f"),
    tables.Column("most", "at most", ".4f"),
    tables.Column("cosine", "cosine reached", ".3f"),
)


def main() -> None:
    """Attack in every manner."""
    parser = command.Parser("attack_reconstruction", __doc__, quick=QUICK)
    parser.add_argument("--searches", default=5000)
    parser.add_argument("--people", default=20)
    parser.add_argument("--manners", nargs="+", choices=MANNERS, default=[*MANNERS])
    parser.add_argument("--told", default=limits.NEAR_SEARCHES_TOLD)
    parser.add_argument("--all", default=limits.NEAR_SEARCHES_TOLD_TO_ALL)
    options = parser.parse_args()
    found = results.Results(
        "can a requester rebuild a template from yes and no?",
        key=("gallery", "attack", "manner"),
        settings={
            "start": START,
            "threshold": THRESHOLD,
            "told": options.told,
            "told to all": options.all,
        },
        options=options,
    )
    galleries = (Gallery(SEED), Gallery(SEED, effective_dimension=EFFECTIVE_DIMENSION))
    for gallery, attack, manner in product(galleries, ATTACKS, options.manners):
        if found.has(gallery=gallery.name, attack=attack, manner=manner):
            continue
        with allowing(options.told, options.all):
            done = [
                attacked(gallery, attack, manner, options.searches, person)
                # Undefended it succeeds with everybody alike.
                for person in range(options.people if any(MANNERS[manner][2:]) else 1)
            ]
        gains = [gain for gain, _ in done]
        found.add(
            [
                {
                    "gallery": gallery.name,
                    "attack": attack,
                    "manner": manner,
                    "searches": options.searches,
                    "people": len(done),
                    "told": float(np.mean([told for _, told in done])),
                    "gain": float(np.mean(gains)),
                    "most": float(np.max(gains)),
                    "cosine": float(np.mean(gains)) + START,
                }
            ]
        )
    found.show("rebuilt from yes and no", COLUMNS)


if __name__ == "__main__":
    command.run(main)
