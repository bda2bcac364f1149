"""Two prints of one finger are like one another, however they lie; others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.minutiae.descriptor import DIMENSION, describe
from biometrics.minutiae.outline import outline
from biometrics.minutiae.score import (
    VOUCHERS,
    Print,
    apart,
    least_cosine,
    most_vouched,
    score,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def minutiae(seed: int, count: int = 40) -> NDArray[np.float64]:
    """Return a print of nobody's finger."""
    random = np.random.default_rng(seed)
    places = random.uniform(0, (288, 384), (count, 2))
    return np.column_stack([places, random.uniform(-np.pi, np.pi, count)])


def moved(
    given: NDArray[np.float64], turn: float, by: tuple[float, float] = (40.0, -90.0)
) -> NDArray[np.float64]:
    """Return a print turned about the origin, then moved."""
    cosine, sine = np.cos(turn), np.sin(turn)
    turned = given[:, :2] @ np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([turned + by, given[:, 2] + turn])


def pressed(given: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return another impression: a third of it missing, and all a little elsewhere."""
    random = np.random.default_rng(seed)
    kept = given[random.permutation(len(given))[: 2 * len(given) // 3]]
    return kept + random.normal(0, (2.0, 2.0, 0.08), kept.shape)


def like(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the score of two prints."""
    return score(Print.of(one), Print.of(other))


@pytest.mark.parametrize("turn", [0.0, 0.6, np.pi, -2.0])
def test_surroundings_do_not_change_when_a_print_is_moved(turn: float):
    """Nor when it is upside down."""
    given = minutiae(1)
    assert describe(moved(given, turn)) == pytest.approx(describe(given), abs=1e-5)


@pytest.mark.parametrize("turn", [0.0, 0.6, np.pi, -2.0])
def test_a_print_is_like_itself(turn: float):
    """Wherever it lies: every minutia meets."""
    given = minutiae(2)
    assert like(given, moved(given, turn)) == pytest.approx(1.0, abs=1e-5)


def test_impressions_of_one_finger_are_more_alike_than_those_of_others():
    """Each of twenty, turned, with a third missing and every minutia moved."""
    fingers = [minutiae(seed) for seed in range(20)]
    mated = [like(f, moved(pressed(f, n), 0.9)) for n, f in enumerate(fingers)]
    others = [like(fingers[n], moved(fingers[n - 1], 0.9)) for n in range(20)]
    assert min(mated) > 2 * max(others)


def test_a_mirror_image_is_another_finger():
    """Left and right hands resemble each other so."""
    given = minutiae(3)
    mirrored = given * (-1, 1, -1) + (0, 0, np.pi)
    assert like(given, mirrored) < 0.3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_minutiae_are_like_little(count: int):
    """A print of none, of one or of two tells nothing, and raises nothing."""
    assert like(minutiae(4, count), minutiae(5)) < 0.2
    assert like(minutiae(4), minutiae(4)[:count]) < 0.2


def test_a_minutia_alone_is_as_any_other_such():
    """There is nothing around it to tell it by."""
    one, other = describe(minutiae(6, 1)), describe(minutiae(7, 1))
    assert one.shape == (1, DIMENSION)
    assert one == pytest.approx(other)


def test_minutiae_that_point_elsewhere_do_not_meet():
    """Even where they lie just alike, in surroundings that are alike."""
    given = Print.of(minutiae(7))
    turned = given.minutiae.copy()
    turned[::2, 2] += np.pi / 2
    assert score(given, Print(turned, given.vectors)) == pytest.approx(0.5, abs=0.1)


def test_a_score_is_vouched_for_by_surroundings():
    """So an index that finds as many alike surroundings finds all that score so."""
    fingers = [minutiae(seed) for seed in range(20)]
    for number, finger in enumerate(fingers):
        one = Print.of(pressed(finger, number))
        for other in map(Print.of, fingers):
            scored = score(one, other)
            alike = (one.vectors @ other.vectors.T).max(axis=1)
            vouching = alike >= least_cosine(scored) - 1e-6
            assert scored == 0 or vouching.sum() >= VOUCHERS
            assert scored == pytest.approx(min(apart(one, other)), abs=1e-9)


def test_a_score_that_does_not_matter_is_told_to_be_low():
    """Below what is asked for anything below it is said, and nothing above."""
    one, other = Print.of(minutiae(1)), Print.of(minutiae(2))
    exact = score(one, other)
    assert exact < 0.9
    assert exact <= score(one, other, least=0.9) < 0.9
    same = Print.of(pressed(minutiae(1), 3))
    assert score(one, same, least=0.2) == score(one, same) > 0.2


def test_vouchers_and_scores_are_two_sides_of_one_line():
    """The cosine that a score takes vouches for just that score."""
    for scored in (0.0, 0.3, 1.0):
        assert most_vouched(least_cosine(scored)) == pytest.approx(scored)


def test_outlines_are_near_for_variations_and_for_nothing_else():
    """A print that is varied a little; neither impressions nor other fingers."""
    given = minutiae(8)
    own = outline(describe(given))
    random = np.random.default_rng(1)
    varied = given + random.normal(0, (0.3, 0.3, 0.01), given.shape)
    assert own @ outline(describe(varied)) > 0.6
    assert own @ outline(describe(pressed(given, 1))) < 0.3
    assert abs(own @ outline(describe(minutiae(9)))) < 0.1


def test_the_largest_prints_are_compared_by_fewer_proposals():
    """Which find how one lies over the other all the same."""
    given = minutiae(10, 255) * (3, 3, 1)
    assert like(given, moved(given, 0.7)) == pytest.approx(1.0, abs=1e-5)
    assert like(pressed(given, 1), moved(given, 0.7)) > 0.5


def test_the_fewest_minutiae_that_can_vouch_are_compared():
    """They have fewer pairs than are proposed."""
    few = minutiae(5, VOUCHERS)
    assert 0 < like(few, few) <= 1
    assert like(few[1:], few[1:]) == 0
