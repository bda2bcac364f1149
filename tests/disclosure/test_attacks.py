"""The attacks of `benchmarks/` in short: each succeeds without the leak budget."""

from __future__ import annotations

import pytest

from benchmarks.attack_reconstruction import ATTACKS, SEED, attacked
from benchmarks.honest_use import of_travellers
from benchmarks.kit.galleries import Gallery
from biometrics import limits

GALLERY = Gallery(SEED)
SEARCHES = 600


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_template_is_rebuilt_only_while_nothing_is_counted(attack: str) -> None:
    """Six hundred answers go far; twenty near ones go nowhere, nor do fifty."""
    off, told = attacked(GALLERY, attack, "off", SEARCHES, 0)
    assert off > 0.15
    assert told == SEARCHES
    on, told = attacked(GALLERY, attack, "on", SEARCHES, 0)
    assert on < 0.03
    assert told < 2 * limits.NEAR_SEARCHES_TOLD
    six, told = attacked(GALLERY, attack, "six", SEARCHES, 0)
    assert on < six < 0.07
    assert told < 2 * limits.NEAR_SEARCHES_TOLD_TO_ALL


def test_waiting_for_freezes_to_lapse_gains_next_to_nothing() -> None:
    """What was counted is not forgotten with them."""
    patient, told = attacked(GALLERY, "one bit", "patient", SEARCHES, 0)
    assert patient < 0.03
    assert told < 2 * limits.NEAR_SEARCHES_TOLD


def test_hardly_anybody_who_crosses_every_day_is_frozen() -> None:
    """Most people are far above the threshold; a few match themselves badly."""
    found = of_travellers(200, "commuters", 1)
    assert found["near"] > 0.01
    assert found["frozen"] <= 1
