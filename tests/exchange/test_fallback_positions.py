"""A finger is compared with the same finger, and with others only if that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import World, face, unit

from biometrics.client import MatchAnswer, Probe, Record, Template
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

BORDER = {"purpose": "border-check", "holders": ["XAA"]}
LEFT, RIGHT = "left-index", "right-index"


def finger(number: int, position: str) -> Template:
    """Return a finger of subject `number`."""
    return Template(space="tiny-finger", position=position, vector=unit(number))


def ask(world: World, number: int, position: str, *fallback: str) -> MatchAnswer:
    """Search XAA for a finger, and for the same at other positions."""
    probe = Probe(template=finger(number, position), fallback_positions=fallback)
    return world.client("XCC").match(probe, **BORDER)


def test_another_finger_is_compared_only_if_the_probe_says_so(world: World) -> None:
    """The answer names the positions, whether they matched or not."""
    templates = (finger(1, LEFT),)
    world.enroller("XAA").enrol(Record(reference="swapped", templates=templates))
    plain = ask(world, 1, RIGHT)
    assert (plain.regional, plain.fallback_positions) == ("no-match", ())
    swapped = ask(world, 1, RIGHT, LEFT)
    assert (swapped.regional, swapped.fallback_positions) == ("match", (LEFT,))
    assert len(swapped.holders[0].reference) == 32
    stranger = ask(world, 2, RIGHT, LEFT)
    assert (stranger.regional, stranger.fallback_positions) == ("no-match", (LEFT,))


def test_each_probe_of_a_batch_has_its_own(world: World) -> None:
    """One with, one without."""
    templates = (finger(3, LEFT),)
    world.enroller("XAA").enrol(Record(reference="of-a-batch", templates=templates))
    probes = [
        finger(3, RIGHT),
        Probe(template=finger(3, RIGHT), fallback_positions=(LEFT,)),
    ]
    told = world.client("XCC").match_many(probes, **BORDER)
    outcomes = [one.regional for one in told if isinstance(one, MatchAnswer)]
    assert outcomes == ["no-match", "match"]


def test_what_is_opened_of_a_holder_is_bounded_over_all_positions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or whoever names ten of them would have ten times as much opened."""
    monkeypatch.setattr("biometrics.limits.MAX_OPENINGS_PER_HOLDER", 20)
    templates = (finger(4, LEFT),) * 15 + (finger(4, RIGHT),) * 15
    world.enroller("XAA").enrol(Record(reference="many", templates=templates))
    assert ask(world, 4, RIGHT).regional == "match"
    assert ask(world, 4, RIGHT, LEFT).regional == "unavailable"


@pytest.mark.parametrize(
    ("fallback", "reason"),
    [
        ([RIGHT], "REPEATED_VALUE"),
        ([LEFT, LEFT], "REPEATED_VALUE"),
        (["left-thumb"], "WRONG_POSITION"),
        (["face"], "WRONG_POSITION"),
        (["nose"], "UNKNOWN_VALUE"),
        ([LEFT] * 14, "TOO_MANY"),
    ],
)
def test_a_fallback_is_another_position_of_the_space(
    world: World, fallback: Sequence[str], reason: str
) -> None:
    """Each once, and not the probe's own."""
    with pytest.raises(InvalidRequestError) as caught:
        ask(world, 1, RIGHT, *fallback)
    assert caught.value.reason == reason
    probe = Probe(template=face(unit(1)), fallback_positions=(LEFT,))
    with pytest.raises(InvalidRequestError):
        world.client("XCC").match(probe, **BORDER)
