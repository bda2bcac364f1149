"""Several scores become one decision, which keeps what one search promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fused import CALIBRATIONS, FINGERS, SEARCHED, STRANGERS, calibration, weights
from world import CALIBRATIONS as UNMEASURED
from world import SPACE, SPACES

from biometrics.calibration import Calibrations, FpirClass, parse_calibration
from biometrics.disclosure import Band
from biometrics.spaces import parse_spaces
from matcher.fusion import Aim, Aims, Fused, Lean, Strictest, aim_at, is_near

HUNDREDTH, THOUSANDTH, TEN_THOUSANDTH = FpirClass
PARSED = parse_spaces(SPACES, "x")
FACE, FINGER = PARSED.named(SPACE), PARSED.named(FINGERS)
TOLD = weights()
BAND = Band(0.3, 0.4, 0.5)
STRICT = Strictest((BAND, BAND))
FUSED = Fused((BAND, BAND), (TOLD, TOLD), 5.0)


def known(texts: dict[str, str]) -> Calibrations:
    """Return the calibrations of the tiny spaces."""
    spaces = (FACE, FINGER)
    return Calibrations(
        parse_calibration(texts[space.name].encode(), "x", space) for space in spaces
    )


def aim(texts: dict[str, str], comparisons: int, *more: int) -> Aim:
    """Return where a face and two fingers are aimed at."""
    sizes = dict(zip((SPACE, FINGERS), (comparisons, *more, comparisons), strict=False))
    return aim_at((FACE, FINGER, FINGER), known(texts), sizes.__getitem__)


def test_the_strictest_decides_by_what_is_there() -> None:
    """All have to match, the best of each position; what is missing is not asked."""
    assert STRICT.matches({0: [0.4], 1: [0.1, 0.45]})
    assert not STRICT.matches({0: [0.9], 1: [0.39]})
    assert STRICT.matches({1: [0.4]})


def test_fused_weights_add_up_and_captures_of_one_finger_do_not() -> None:
    """Ratios of one position are averaged; one of them has to stand out at all."""
    weight = math.log10(TOLD.ratio(0.41))
    rule = Fused((BAND, BAND), (TOLD, TOLD), 1.5 * weight)
    assert not rule.matches({0: [0.41]})
    assert rule.matches({0: [0.41], 1: [0.41]})
    assert not rule.matches({0: [0.41, 0.41, 0.41]})
    # Two that weigh enough together, of which neither stands out.
    low = Fused((BAND, BAND), (TOLD, TOLD), 1.0)
    assert math.log10(TOLD.ratio(0.39)) > 1.0
    assert not low.matches({0: [0.39], 1: [0.39]})
    assert low.matches({0: [0.39], 1: [0.41]})


def test_a_mean_of_ratios_is_no_more_than_a_single_one_could_be() -> None:
    """One good and one worthless capture weigh half of the good one."""
    whole = math.log10(TOLD.ratio(0.6))
    rule = Fused((BAND,), (TOLD,), whole - 0.2)
    assert rule.matches({0: [0.6]})
    assert not rule.matches({0: [0.6, -0.5]})
    assert Fused((BAND,), (TOLD,), whole - 0.4).matches({0: [0.6, -0.5]})


@pytest.mark.parametrize(
    "rule", [STRICT, FUSED, Strictest((BAND, Band(0.2, 0.4, 0.6)))]
)
def test_near_is_what_a_little_more_or_less_would_decide_otherwise(
    rule: Strictest | Fused,
) -> None:
    """At both sides of the decision, and nowhere else."""
    steps = [{0: [c], 1: [c]} for c in np.arange(0.0, 1.0, 0.01).tolist()]
    near = [is_near(rule, scores) for scores in steps]
    matched = [rule.matches(scores) for scores in steps]
    first = matched.index(True)
    assert near[first]
    assert near[first - 1]
    assert not near[0]
    assert not near[-1]
    assert near == sorted(near[:first]) + sorted(near[first:], reverse=True)
    assert rule.matches(steps[first - 1], Lean.HIGHER)
    assert not rule.matches(steps[first], Lean.LOWER)


def test_of_a_single_template_near_is_what_the_band_says() -> None:
    """As one template has been decided by all along."""
    rule = Strictest((BAND,))
    for score in np.arange(0.0, 1.0, 0.01).round(2).tolist():
        # Where the two round differently at an end, the last bit decides.
        if score not in {0.3, 0.5}:
            assert is_near(rule, {0: [score]}) == BAND.is_near(score)


def test_strangers_fuse_no_more_often_than_is_promised() -> None:
    """Three scores each at random, two of them of one position: Markov's bound."""
    random = np.random.default_rng(1)
    scores = random.normal(0.0, STRANGERS.stdev, (100_000, 3)).tolist()
    free = Band(-2.0, -1.0, 0.0)
    for least in (1.0, 2.0):
        rule = Fused((free, free), (TOLD, TOLD), least)
        passed = sum(rule.matches({0: [a, b], 1: [c]}) for a, b, c in scores)
        assert passed <= len(scores) * 10**-least


def test_fused_where_every_space_has_weights_and_keeps_the_promise() -> None:
    """The least weight follows from all comparisons, and from what is promised."""
    found = aim(CALIBRATIONS, 1000, 300)
    assert found.established == frozenset(FpirClass)
    for fpir, rule in found.rules.items():
        assert isinstance(rule, Fused)
        assert rule.least == pytest.approx(math.log10(2048) - math.log10(fpir.rate))
        assert [band.threshold for band in rule.bands] == [
            TOLD.standing_out(1024),
            TOLD.standing_out(512),
            TOLD.standing_out(512),
        ]
    assert len(found.lowest) == 3


@pytest.mark.parametrize(
    "texts",
    [
        {**CALIBRATIONS, FINGERS: calibration(FINGERS, fusion=False)},
        {**CALIBRATIONS, FINGERS: calibration(FINGERS, searched=100)},
    ],
    ids=["no weights", "outgrown"],
)
def test_elsewhere_by_the_strictest_at_the_threshold_for_all(
    texts: dict[str, str],
) -> None:
    """Of as many comparisons as all spaces have together, and it is said if beyond."""
    found = aim(texts, 1000, 1000)
    at = {space.name: known(texts).of(space.name) for space in (FACE, FINGER)}
    for fpir, rule in found.rules.items():
        assert isinstance(rule, Strictest)
        assert [band.threshold for band in rule.bands] == [
            at[name].at(fpir, 2000).cosine for name in (SPACE, FINGERS, FINGERS)
        ]
    is_known = all(each.at(HUNDREDTH, 2000).is_established for each in at.values())
    assert (HUNDREDTH in found.established) is is_known


def test_nothing_is_fused_beyond_what_was_measured() -> None:
    """Where one of so many strangers reaches what no search has, nobody stands out."""
    found = aim(CALIBRATIONS, 1 << 21)
    assert not any(isinstance(rule, Fused) for rule in found.rules.values())
    assert not found.established
    assert SEARCHED < 1 << 21


def test_fingers_of_one_space_are_one_size() -> None:
    """Each is compared with its own position only: together they compare once."""
    spaces = (FINGER, FINGER)
    found = aim_at(spaces, known(UNMEASURED), {FINGERS: 100}.__getitem__)
    alone = aim_at((FINGER,), known(UNMEASURED), {FINGERS: 100}.__getitem__)
    for fpir in FpirClass:
        assert found.rules[fpir].bands == alone.rules[fpir].bands * 2
    assert not found.established


def test_where_is_aimed_moves_in_steps_with_each_space() -> None:
    """Enrolments within one change nothing, and nothing is computed anew for them."""
    sizes = {SPACE: 600, FINGERS: 1025}
    aims = Aims(known(CALIBRATIONS), lambda space: sizes[space])
    spaces = (FACE, FINGER)
    first = aims.at(spaces)
    sizes |= {SPACE: 1024, FINGERS: 2048}
    assert aims.at(spaces) is first
    rule = first.rules[THOUSANDTH]
    assert isinstance(rule, Fused)
    assert rule.least == pytest.approx(math.log10(4096) + 3)
    sizes[SPACE] = 1025
    second = aims.at(spaces)
    assert second.rules[THOUSANDTH] != first.rules[THOUSANDTH]
