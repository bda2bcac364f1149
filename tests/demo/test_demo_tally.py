"""The demo counts every answer that differs from the truth, and no other."""

from __future__ import annotations

import dataclasses

import pytest

from biometrics.client import HolderAnswer, MatchAnswer, Outcome
from biometrics.demo import report
from biometrics.demo.outcome import Outcome as Found
from biometrics.demo.outcome import Rows
from biometrics.demo.tally import Asked, Pair, Rate
from biometrics.demo.truth import Expected

REFERENCE = "00" * 16
RIGHT = Expected(
    regional="match",
    holders={"XBB": ("no-match", False), "XCC": ("match", True)},
    undecided=frozenset(),
    mates=frozenset({"XCC"}),
    kept_back=frozenset(),
)


def answer(regional: str, **holders: str) -> MatchAnswer:
    """Return an answer; a match at XCC comes with a reference."""
    return MatchAnswer(
        regional=Outcome(regional),
        holders=tuple(
            HolderAnswer(
                holder=holder,
                outcome=Outcome(outcome),
                reference=REFERENCE * ((holder, outcome) == ("XCC", "match")),
            )
            for holder, outcome in holders.items()
        ),
        receipt_status="not-issued",
    )


@pytest.fixture
def asked() -> Asked:
    """XAA, who may name XBB and XCC and not XDD, and learns nothing of XEE."""
    levels = {"XBB": "holder", "XCC": "reference", "XDD": "presence", "XEE": None}
    return Asked(
        requester="XAA",
        purpose="border-check",
        pairs={holder: Pair(level=level) for holder, level in levels.items()},
    )


def test_a_right_answer_is_not_wrong(asked: Asked):
    """It counts as a search and, where it is one, as a match."""
    asked.count(answer("match", XBB="no-match", XCC="match"), RIGHT)
    assert asked.wrong == 0
    assert asked.regional_matches == 1
    assert {h: (p.searches, p.matches) for h, p in asked.pairs.items()} == {
        "XBB": (1, 0),
        "XCC": (1, 1),
        "XDD": (1, 0),
        "XEE": (0, 0),
    }


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        (answer("match", XBB="match", XCC="match"), 1),
        (answer("match", XBB="no-match", XCC="no-match"), 1),
        (answer("match", XBB="unavailable", XCC="match"), 1),
        (answer("no-match", XBB="no-match", XCC="match"), 1),
        (answer("unavailable", XBB="no-match", XCC="match"), 1),
        (answer("match", XCC="match"), 1),
        (answer("match"), 2),
        # A holder that must not be named, at its pair and over all.
        (answer("match", XBB="no-match", XCC="match", XDD="no-match"), 2),
        (answer("match", XBB="no-match", XCC="match", XEE="no-match"), 1),
        (answer("match", XBB="no-match", XCC="match", XAA="no-match"), 1),
        (answer("no-match", XBB="match", XCC="no-match"), 3),
    ],
)
def test_whatever_differs_is_wrong(asked: Asked, told: MatchAnswer, wrong: int):
    """Each holder's outcome, the regional one, and whoever is named and should not."""
    asked.count(told, RIGHT)
    assert asked.wrong == wrong


def test_a_reference_where_none_is_allowed_is_wrong(asked: Asked):
    """And so is one that is missing."""
    right = answer("match", XBB="no-match", XCC="match")
    for flawed in (
        dataclasses.replace(right.holders[0], reference=REFERENCE),
        dataclasses.replace(right.holders[1], reference=""),
    ):
        others = [each for each in right.holders if each.holder != flawed.holder]
        before = asked.wrong
        asked.count(dataclasses.replace(right, holders=(flawed, *others)), RIGHT)
        assert asked.wrong == before + 1


def test_what_rounding_may_decide_is_counted_apart(asked: Asked):
    """A score at the threshold makes no answer wrong but others' own."""
    near = dataclasses.replace(RIGHT, undecided=frozenset({"XBB"}))
    asked.count(answer("match", XBB="match", XCC="match"), near)
    assert (asked.wrong, asked.pairs["XBB"].undecided) == (0, 1)
    asked.count(answer("match", XBB="match", XCC="no-match"), near)
    assert asked.wrong == 1


def test_rates_are_about_the_person_and_not_about_the_rule(asked: Asked):
    """A right decision may still be a false positive or a false negative."""
    decided = dataclasses.replace(
        RIGHT, holders={"XBB": ("match", False), "XCC": ("no-match", False)}
    )
    asked.count(answer("match", XBB="match", XCC="no-match"), decided)
    assert asked.wrong == 0
    assert asked.pairs["XBB"].false_positive == Rate(count=1, of=1)
    assert asked.pairs["XCC"].false_negative == Rate(count=1, of=1)
    assert asked.pairs["XDD"].false_positive.of == 0


def test_a_search_that_should_have_been_refused_is_wrong(asked: Asked):
    """The pilot's count takes in refusals that did not come."""
    found = Found(
        records=1,
        subjects=1,
        rows=Rows(estimating=1, enrolled=1, mated=1, non_mated=1, unused=0),
        dimension=2,
        shards=None,
        enrol_seconds=1.0,
        threshold=0.5,
        target_fpir=0.01,
        asked=[asked],
        refusals=(4, 4),
    )
    assert found.wrong == 0
    asked.count(answer("no-match", XBB="no-match", XCC="match"), RIGHT)
    assert found.wrong == 1
    assert dataclasses.replace(found, refusals=(2, 4)).wrong == 3


def test_great_counts_are_folded_and_not_cut(
    asked: Asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The report fits a terminal of 80 columns, whatever it counts."""
    monkeypatch.setenv("COLUMNS", "80")
    asked.seconds = [0.1]
    asked.pairs["XCC"].matches = asked.pairs["XCC"].searches = 123_456
    asked.pairs["XCC"].false_positive = Rate(count=5, of=5)
    found = Found(
        records=1,
        subjects=1,
        rows=Rows(estimating=1, enrolled=1, mated=1, non_mated=1, unused=0),
        dimension=2,
        shards=None,
        enrol_seconds=1.0,
        threshold=0.5,
        target_fpir=0.01,
        asked=[asked],
        refusals=(4, 4),
    )
    report.show(found)
    told = capsys.readouterr().out
    assert "\u2026" not in told
    assert "100.0 (56.6-100.0)" in told
    assert max(map(len, told.splitlines())) <= 80


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
    ],
)
def test_intervals_are_wilsons(count: int, of: int, low: float, high: float):
    """As published for four pairs of numbers; nothing is known of no search."""
    assert Rate(count=count, of=of).interval() == pytest.approx((low, high), abs=5e-5)
