"""The leak budget: what is near, and what is told of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biometrics import limits
from biometrics.calibration import Threshold
from biometrics.disclosure import Band, Standing, Tally, is_enumeration

RECORD, OTHER = b"r" * 16, b"o" * 16
N, ALL = limits.NEAR_SEARCHES_TOLD, limits.NEAR_SEARCHES_TOLD_TO_ALL


def at(cosine: float, decade: float | None = None) -> Threshold:
    """Return a threshold of a space whose false matches fall so fast."""
    return Threshold(cosine, is_established=True, decade=decade)


def test_without_a_measurement_the_band_follows_the_dimension() -> None:
    """A random direction moves a score by less in more dimensions."""
    for dimension in (128, 512, 2048):
        band = Band.about(at(0.5), 1 / math.sqrt(dimension))
        half = limits.NEAR_DEVIATIONS / math.sqrt(dimension)
        assert (band.low, band.high) == pytest.approx((0.5 - half, 0.5 + half))


def test_a_measured_band_is_wider_where_false_matches_fall_slowly() -> None:
    """It is so many decades, and never less than what a random probe moves by."""
    slow, fast = (
        Band.about(at(0.5, 0.05), 512**-0.5),
        Band.about(at(0.5, 0.001), 512**-0.5),
    )
    assert slow.low == pytest.approx(0.5 - limits.NEAR_DECADES * 0.05)
    most = limits.NEAR_DEVIATIONS_AT_MOST / math.sqrt(512)
    assert Band.about(at(0.5, 0.3), 512**-0.5).low == pytest.approx(0.5 - most)
    assert fast == Band.about(at(0.5), 512**-0.5)


def test_a_band_does_not_reach_below_half_of_its_threshold() -> None:
    """Where dimensions are few nearly everything would be near."""
    assert Band.about(at(0.2), 0.25).low == 0.1


def test_both_sides_of_the_threshold_are_near_and_nothing_else_is() -> None:
    """The low end is, the high end is not."""
    band = Band(0.4, 0.5, 0.6)
    near = [c for c in (0.39, 0.4, 0.49, 0.5, 0.59, 0.6, 1.0) if band.is_near(c)]
    assert near == [0.4, 0.49, 0.5, 0.59]
    assert not any(map(Band.without(0.5).is_near, (0.499, 0.5, 0.501)))


def test_near_searches_are_told_until_there_is_no_room() -> None:
    """The one after freezes the record, and is not told itself."""
    tally = Tally({RECORD: Standing(own=N - 2, everybodys=N - 2)})
    told = [tally.take(RECORD, is_near=True) for _ in range(4)]
    assert told == [True, True, False, False]
    assert (tally.near, tally.frozen) == ({RECORD: 2}, {RECORD})
    assert not tally.take(RECORD, is_near=False)
    assert tally.take(OTHER, is_near=True)


def test_what_is_far_from_the_threshold_is_told_without_being_counted() -> None:
    """A person who is clearly there is found as often as anybody likes."""
    tally = Tally({RECORD: Standing(own=N, everybodys=ALL)})
    assert all(tally.take(RECORD, is_near=False) for _ in range(3 * N))
    assert (tally.near, tally.frozen) == ({}, set())


def test_others_who_have_taken_all_leave_nothing_for_a_newcomer() -> None:
    """Its first near search freezes; what is clear is told it still."""
    tally = Tally({RECORD: Standing(own=0, everybodys=ALL)})
    assert tally.take(RECORD, is_near=False)
    assert not tally.take(RECORD, is_near=True)
    assert tally.frozen == {RECORD}


def test_what_is_frozen_is_told_at_no_score_and_not_counted() -> None:
    """Neither is it frozen again."""
    tally = Tally({RECORD: Standing(own=0, is_frozen=True)})
    assert not tally.take(RECORD, is_near=True)
    assert not tally.take(RECORD, is_near=False)
    assert (tally.near, tally.frozen) == ({}, set())


@given(
    own=st.integers(0, N + 2),
    others=st.integers(0, ALL + 2),
    searches=st.lists(st.booleans(), max_size=2 * N),
)
def test_no_batch_is_told_more_than_there_is_room_for(
    own: int, others: int, searches: list[bool]
) -> None:
    """Whatever was counted before, by whomever."""
    before = Standing(own=own, everybodys=own + others)
    tally = Tally({RECORD: before})
    told = [tally.take(RECORD, is_near=is_near) for is_near in searches]
    count = tally.near.get(RECORD, 0)
    assert count == sum(t and near for t, near in zip(told, searches, strict=True))
    assert count == 0 or before.has_room(count)
    if RECORD in tally.frozen:
        assert not before.has_room(count + 1)


CLOSE, A_DAY = limits.NEAR_MATCHES_ALERTED, limits.MATCHES_A_DAY_ALERTED


@pytest.mark.parametrize(
    ("matches", "near", "today", "before", "looks_so"),
    [
        (CLOSE, CLOSE, 1, 0, True),
        (CLOSE - 1, CLOSE - 1, 1, 0, False),
        (2 * CLOSE - 1, CLOSE, 1, 0, True),
        (2 * CLOSE, CLOSE, 1, 0, False),  # no more than half of them
        (2 * CLOSE + 5, CLOSE + 3, 1, 0, True),
        (2 * CLOSE + 6, CLOSE + 3, 1, 0, False),
        (A_DAY, 0, A_DAY, A_DAY - 1, True),
        (A_DAY + 7, 0, A_DAY + 7, A_DAY - 1, True),  # several in one request
        (A_DAY - 1, 0, A_DAY - 1, A_DAY - 2, False),
        (A_DAY + 1, 0, A_DAY + 1, A_DAY, False),  # told of once a day
        (9 * A_DAY, 0, A_DAY - 1, 0, False),
        (9 * A_DAY, 0, A_DAY + 2, A_DAY + 1, False),
        (A_DAY + 300, 0, A_DAY + 300, 5, True),
    ],
)
def test_enumeration_looks_like_many_strangers_or_like_very_many_matches(
    matches: int, near: int, today: int, before: int, *, looks_so: bool
) -> None:
    """Most matches near the threshold, in a month; or the bound of a day, once."""
    found = is_enumeration(matches=matches, near=near, today=today, before=before)
    assert found is looks_so


@pytest.mark.parametrize(
    ("standing", "more", "fits"),
    [
        (Standing(own=N - 2, everybodys=N - 2), 2, True),
        (Standing(own=N - 2, everybodys=N - 2), 3, False),
        (Standing(own=0, everybodys=ALL - 3), 3, True),
        (Standing(own=0, everybodys=ALL - 3), 4, False),
        (Standing(own=N, everybodys=N), 0, True),
        (Standing(own=0, everybodys=0, is_frozen=True), 1, False),
    ],
)
def test_room_ends_with_the_first_of_both_bounds(
    standing: Standing, more: int, *, fits: bool
) -> None:
    """One's own, and that of all together; a frozen record has none."""
    assert standing.has_room(more) is fits


def test_of_whom_nothing_is_known_nothing_was_counted() -> None:
    """And whether a search is near is said by name."""
    assert Standing() == Standing(own=0, everybodys=0, is_frozen=False)
    with pytest.raises(TypeError):
        Tally({}).take(RECORD, True)  # type: ignore[misc]  # noqa: FBT003
