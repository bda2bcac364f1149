"""A space of minutiae has all that a space of vectors has, through the whole path."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from prints import (
    FILES,
    PERMITTED,
    PRINTS,
    THRESHOLD,
    Minutiae,
    finger,
    held,
    like,
    pressed,
    sent,
    turned,
)
from world import SPACE, unit

from biometrics import limits
from biometrics.client import Probe, Template
from biometrics.errors import ExhaustedError, InvalidRequestError
from biometrics.testing import ExchangeInProcess
from matcher import kinds
from matcher.engine import segment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BORDER = {"purpose": "border-check", "holders": ["XAA"]}
RIGHT, LEFT = "right-index", "left-index"
FINGERS = 12
NONE = np.zeros((0, 3))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeInProcess]:
    """An exchange with some fingers."""
    root = tmp_path_factory.mktemp("world")
    with ExchangeInProcess(root, spaces=FILES, agreements=PERMITTED) as world:
        enroller = world.client("XAA", "enroller")
        for number in range(FINGERS):
            enroller.enrol(held(f"f{number}", sent(pressed(finger(number), 1), RIGHT)))
        yield world


def search(world: ExchangeInProcess, probe: Template | Probe, who: str = "XBB") -> str:
    """Return what a search finds at XAA."""
    answer = world.client(who).match(probe, **BORDER)  # type: ignore[arg-type]
    return answer.holders[0].outcome.value


def test_a_finger_is_found_by_another_impression(world: ExchangeInProcess) -> None:
    """Each, and upside down as well; a finger that is not there is not."""
    for number in range(FINGERS):
        again = pressed(finger(number), 2)
        assert search(world, sent(again)) == "match"
        assert search(world, sent(turned(again, np.pi))) == "match"
    for number in range(FINGERS, FINGERS + 5):
        assert search(world, sent(pressed(finger(number), 2))) == "no-match"


def test_fingers_of_other_positions_are_not_compared(world: ExchangeInProcess) -> None:
    """But where the probe names them."""
    probe = sent(pressed(finger(1), 3), LEFT)
    assert search(world, probe) == "no-match"
    assert search(world, Probe(template=probe, fallback_positions=(RIGHT,))) == "match"


def test_several_fingers_decide_together(world: ExchangeInProcess) -> None:
    """Without weights each of them alone has to match, of those that are there."""
    both = held("both", sent(finger(40), RIGHT), sent(finger(41), LEFT))
    world.client("XAA", "enroller").enrol(both)
    right, left = (sent(pressed(finger(n), 2), p) for n, p in ((40, RIGHT), (41, LEFT)))
    other = sent(pressed(finger(42), 2), LEFT)
    assert search(world, Probe(template=right, further=(left,))) == "match"
    assert search(world, Probe(template=right, further=(other,))) == "no-match"


def test_what_is_withdrawn_or_protected_is_not_found(world: ExchangeInProcess) -> None:
    """From the acknowledgement on; and it is the same answer."""
    enroller = world.client("XAA", "enroller")
    print_ = finger(50)
    enroller.enrol(held("gone", sent(print_)))
    assert search(world, sent(print_)) == "match"
    enroller.protect("gone", excluded=("XBB",))
    assert search(world, sent(print_)) == "no-match"
    assert search(world, sent(print_), "XCC") == "match"
    enroller.withdraw("gone")
    assert search(world, sent(print_), "XCC") == "no-match"


def test_all_prints_are_sealed_in_one_size(world: ExchangeInProcess) -> None:
    """However many minutiae they have."""
    enroller = world.client("XAA", "enroller")
    for number, count in ((60, limits.MIN_MINUTIAE), (61, limits.MAX_MINUTIAE)):
        random = np.random.default_rng(number)
        places = random.uniform(0, 600, (count, 3))
        enroller.enrol(held(f"of {count}", sent(places, LEFT)))
    with sqlite3.connect(world.root / "data/exchange.sqlite") as database:
        query = "SELECT DISTINCT length(ciphertext) FROM template WHERE space = ?"
        sizes = database.execute(query, (PRINTS,)).fetchall()
    assert sizes == [(limits.MINUTIAE_BYTES + 16,)]


def test_a_start_finds_them_again(world: ExchangeInProcess) -> None:
    """From the codes that were kept, and from the sealed templates without them."""
    probe = sent(pressed(finger(2), 4))
    world.restart()
    assert search(world, probe) == "match"
    world.stop()
    segments = world.root / "data/segments" / "XAA" / PRINTS
    assert list(segments.glob("*.segment"))
    for path in segments.iterdir():
        path.unlink()
    world.start()
    assert search(world, probe) == "match"


def test_prints_are_coded_a_few_at_a_time(
    world: ExchangeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vectors they are a hundred times as large as they came; all are found."""
    coded, most = kinds.Minutiae.coded, []

    def noted(
        kind: kinds.Minutiae, opened: NDArray[np.uint16]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        most.append(len(opened))
        return coded(kind, opened)

    monkeypatch.setattr(limits, "TEMPLATES_CODED_AT_ONCE", 3)
    monkeypatch.setattr(kinds.Minutiae, "coded", noted)
    samples = [finger(70 + number) for number in range(7)]
    some = held("some", *(sent(each, RIGHT) for each in samples))
    world.client("XAA", "enroller").enrol(some)
    assert most == [3, 3, 1]
    assert {search(world, sent(each)) for each in samples} == {"match"}


def test_prints_that_are_alike_all_over_are_their_holders_outage(
    world: ExchangeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of their vectors finds every row: as much as no honest print does."""
    monkeypatch.setattr(segment, "MOST_ALIKE", 2 * limits.MAX_MINUTIAE**2)
    alike = sent(np.zeros((limits.MAX_MINUTIAE, 3)), LEFT)
    honest = sent(pressed(finger(3), 5), RIGHT)
    both = Probe(template=honest, fallback_positions=(LEFT,))
    enroller = world.client("XAA", "enroller")
    told = []
    for number in range(3):
        enroller.enrol(held(f"alike {number}", alike))
        told.append(search(world, alike, "XCC"))
    assert told == ["no-match", "no-match", "unavailable"]
    assert search(world, both) == "match"
    for number in range(3):
        enroller.withdraw(f"alike {number}")
    assert search(world, alike, "XCC") == "no-match"


def test_so_much_is_compared_as_takes_two_seconds(
    world: ExchangeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few large prints take as long as many small ones; with more of them no outcome.

    Whoever has enrolled thousands would keep the exchange busy for minutes.
    """
    random = np.random.default_rng(64)
    large = sent(random.uniform(0, 600, (limits.MAX_MINUTIAE, 3)), LEFT)
    world.client("XAA", "enroller").enrol(held("copies", *(large,) * 3))
    told = []
    for most in (3, 2):
        monkeypatch.setattr(kinds.Minutiae, "most_cost", most * limits.MAX_MINUTIAE**2)
        told.append(search(world, large))
    assert told == ["match", "unavailable"]


def test_a_batch_of_large_prints_holds_up_nobody(
    world: ExchangeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes milliseconds of each is done beside the event loop, and few at once.

    A message has room for 2,500 of the largest, each of which takes ten milliseconds.
    """
    outline, threads, most = kinds.Minutiae.outline, set(), [0, 0]
    counting = threading.Lock()

    def outlined(
        kind: kinds.Minutiae, values: NDArray[np.uint16]
    ) -> NDArray[np.float32]:
        with counting:
            threads.add(threading.current_thread().name.split("_")[0])
            most[0] += 1
            most[1] = max(most)
        try:
            return outline(kind, values)
        finally:
            with counting:
                most[0] -= 1

    monkeypatch.setattr(kinds.Minutiae, "outline", outlined)
    random = np.random.default_rng(62)
    probes = [
        Probe(
            template=sent(random.uniform(0, 600, (limits.MAX_MINUTIAE, 3)), RIGHT),
            further=(sent(finger(63), LEFT),),
        )
        for _ in range(8)
    ]
    told = world.client("XBB").match_many(probes, **BORDER)
    assert len(told) == len(probes)
    assert threads == {"worker"}
    assert most[1] <= limits.OUTLINED_AT_ONCE


def test_canaries_are_planted_among_prints(world: ExchangeInProcess) -> None:
    """They are drawn as impressions of fingers that nobody has."""
    planted = world.client("XAA", "enroller").plant_canaries(
        3, space=PRINTS, position=LEFT
    )
    assert len(planted) == 3


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (Template(space=PRINTS, position=RIGHT, vector=unit(1)), "UNKNOWN_VALUE"),
        (Template(space=SPACE, position="face", minutiae=NONE), "UNKNOWN_VALUE"),
        (Template(space=PRINTS, position=RIGHT, minutiae=-finger(1)), "WRONG_PLACE"),
        (sent(finger(1)[: limits.MIN_MINUTIAE - 1]), "TOO_FEW_MINUTIAE"),
        (
            sent(finger(1)[:0].reshape(0, 3) if False else finger(1)[:1]),
            "TOO_FEW_MINUTIAE",
        ),
        (sent(np.tile(finger(1), (8, 1))), "TOO_MANY_MINUTIAE"),
        (
            Template(space=PRINTS, position="face", minutiae=[[1, 2, 3]] * 20),
            "WRONG_POSITION",
        ),
        (Template(space=PRINTS, position=RIGHT, minutiae=[1.0] * 20), "WRONG_SHAPE"),
        (Template(space=PRINTS, position=RIGHT), "WRONG_KIND"),
    ],
)
def test_what_is_no_print_is_refused(
    world: ExchangeInProcess, template: Template, reason: str
) -> None:
    """With one reason that says what and where."""
    with pytest.raises(InvalidRequestError) as caught:
        search(world, template)
    assert [fault.reason for fault in caught.value.faults] == [reason]


def near(given: Minutiae) -> Iterator[Minutiae]:
    """Yield impressions that are hardly alike enough to a print."""
    for seed in range(10_000):
        tried = pressed(given, seed, 4 + seed % 7)
        if THRESHOLD <= like(tried, given) < THRESHOLD + 0.02:
            yield tried


def test_whoever_feels_for_a_print_loses_sight_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some answers near the threshold it is as if it were not there."""
    monkeypatch.setattr(limits, "NEAR_SEARCHES_TOLD", 3)
    given = finger(70)
    about = near(given)
    with ExchangeInProcess(tmp_path, spaces=FILES, agreements=PERMITTED) as world:
        world.client("XAA", "enroller").enrol(held("felt for", sent(given)))
        told = [search(world, sent(next(about)), "XCC") for _ in range(4)]
        assert told == ["match"] * 3 + ["no-match"]
        assert search(world, sent(given), "XCC") == "no-match"
        assert search(world, sent(given), "XBB") == "match"


def test_whoever_varies_a_print_is_refused(
    world: ExchangeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other impressions of a finger are no variations, nor are other fingers."""
    monkeypatch.setattr(limits, "ALIKE_TOLD", 4)
    for number in range(6):
        search(world, sent(pressed(finger(80), number)), "XCC")
        search(world, sent(pressed(finger(90 + number), 1)), "XCC")
    with pytest.raises(ExhaustedError) as caught:
        search_with_variations(world, finger(81))
    assert caught.value.reason == "PROBE_VARIED"


def search_with_variations(world: ExchangeInProcess, given: Minutiae) -> None:
    """Search with six prints that hardly differ."""
    for number in range(6):
        random = np.random.default_rng(number)
        varied = given + random.normal(0, (0.4, 0.4, 0.01), given.shape)
        search(world, sent(varied), "XCC")
