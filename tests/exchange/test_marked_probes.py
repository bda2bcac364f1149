"""Probes that are marked for holders: never compared there, nor reported to them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from world import (
    PRESENCE_HOLDERS,
    World,
    agreement,
    face,
    permit,
    record,
    unit,
)

from biometrics.client import MatchAnswer, Probe, ProbeRefusal
from biometrics.errors import ConflictError, InvalidRequestError, RefusedError
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from biometrics.templates import Template
    from matcher.confirm import Confirmed
    from matcher.galleries import Shelf

NAMED = ("XAA", "XRA")
MARKED = {
    "XAA": agreement(
        "XAA", permit("XCC", "reference"), permit("XBB", "holder", "visa")
    ),
    "XRA": agreement("XRA", permit("XCC", "holder")),
    **{
        holder: agreement(holder, permit("XBB", "presence", "visa"))
        for holder in PRESENCE_HOLDERS
    },
}


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two holders have person 1; five unnamed ones person 2 to 6, one each."""
    with World(tmp_path_factory.mktemp("region"), agreements=MARKED) as world:
        for holder in NAMED:
            world.enroller(holder).enrol(record("one", unit(1)))
        for number, holder in enumerate(PRESENCE_HOLDERS, 2):
            world.enroller(holder).enrol(record("own", unit(number)))
        yield world


def marked(number: int, *holders: str) -> Probe:
    """Return the probe of a subject that is marked for holders."""
    return Probe(template=face(unit(number)), excluded_holders=holders)


def told(answer: MatchAnswer | ProbeRefusal) -> dict[str, str]:
    """Return the outcome by holder."""
    assert isinstance(answer, MatchAnswer)
    return {each.holder: each.outcome.value for each in answer.holders}


@pytest.mark.parametrize("holders", [(), NAMED])
@pytest.mark.parametrize(
    ("marks", "searched"),
    [
        ((), {"XAA", "XRA"}),
        (("XRA",), {"XAA"}),
        (("XAA", "XAA", "XCC", "XZZ"), {"XRA"}),
    ],
)
def test_a_marked_probe_is_neither_scanned_nor_answered_for_its_holders(
    region: World,
    monkeypatch: pytest.MonkeyPatch,
    marks: tuple[str, ...],
    searched: set[str],
    *,
    holders: tuple[str, ...],
) -> None:
    """Also where the search names them; the others are searched as ever."""
    scanned: set[str] = set()
    submit = Scanner._put

    def watching(
        scanner: Scanner, probe: Template, shelves: Mapping[Shelf, float]
    ) -> Future[Confirmed]:
        scanned.update(shelf.holder.code for shelf in shelves)
        return submit(scanner, probe, shelves)

    monkeypatch.setattr(Scanner, "_put", watching)
    answer = region.client("XCC").match(
        marked(1, *marks), purpose="border-check", holders=holders
    )
    assert told(answer) == dict.fromkeys(searched, "match")
    assert answer.regional == "match"
    assert scanned == searched


def test_the_answers_of_the_others_do_not_change(region: World) -> None:
    """Whoever is not marked for has the very answer that it has without a mark."""
    for number in (1, 9):
        whole = told(region.client("XCC").match(marked(number), purpose="border-check"))
        for holder in NAMED:
            told_of = region.client("XCC").match(
                marked(number, holder), purpose="border-check"
            )
            assert told(told_of) == {h: o for h, o in whole.items() if h != holder}


def test_each_probe_of_a_batch_has_its_own_marks(region: World) -> None:
    """One that is marked wrongly, or for everybody, does not stop the others."""
    results = region.client("XCC").match_many(
        [
            marked(1, "XRA"),
            face(unit(1)),
            marked(1, "XRA", "nobody"),
            marked(1, *NAMED),
            marked(1, "XAA"),
        ],
        purpose="border-check",
    )
    assert [told(results[n]) for n in (0, 1, 4)] == [
        {"XAA": "match"},
        {"XAA": "match", "XRA": "match"},
        {"XRA": "match"},
    ]
    assert [r.reason for r in results if isinstance(r, ProbeRefusal)] == [
        "UNKNOWN_MEMBER",
        "NOT_PERMITTED",
    ]


def test_a_probe_that_is_marked_for_all_is_refused_as_any_other(region: World) -> None:
    """By the one text, which names nobody."""
    texts = set()
    for probe, holders in (
        (marked(1, *NAMED), ()),
        (marked(1, "XAA"), ("XAA",)),
        (marked(1), ("XZZ",)),
        (marked(1, "XZZ"), ("XZZ",)),
    ):
        with pytest.raises(RefusedError) as caught:
            region.client("XCC").match(probe, purpose="border-check", holders=holders)
        texts.add((caught.value.reason, caught.value.message))
    assert len(texts) == 1


def test_every_fault_of_the_marks_is_told(region: World) -> None:
    """With the field of each, together with those of the template's space."""
    for probe, faults in (
        (
            marked(1, "XRA", "nobody", "xaa"),
            {
                ("probe.excluded_holders[1]", "UNKNOWN_MEMBER"),
                ("probe.excluded_holders[2]", "UNKNOWN_MEMBER"),
            },
        ),
        (marked(1, *["XRA"] * 65), {("probe.excluded_holders", "TOO_MANY")}),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            region.client("XCC").match(probe, purpose="border-check")
        assert {(f.field, f.reason) for f in caught.value.faults} == faults


def test_a_replay_with_other_marks_is_another_request(region: World) -> None:
    """One request id cannot stand for both."""
    again = {"purpose": "border-check", "request_id": uuid.uuid4()}
    region.client("XCC").match(marked(1, "XRA"), **again)
    with pytest.raises(ConflictError) as caught:
        region.client("XCC").match(marked(1), **again)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_marks_take_no_single_holder_out_of_the_unnamed(region: World) -> None:
    """Else the outcomes with and without it, subtracted, would name who matches."""
    client = region.client("XBB")
    for number in range(2, 7):
        whole = client.match(marked(number, "XRA"), purpose="visa")
        assert (whole.regional, told(whole)) == ("match", {"XAA": "no-match"})
        for holder in PRESENCE_HOLDERS:
            less = client.match(marked(number, holder), purpose="visa")
            assert (less.regional, told(less)) == ("no-match", {"XAA": "no-match"})
    with pytest.raises(RefusedError):
        client.match(marked(2, "XAA", PRESENCE_HOLDERS[0]), purpose="visa")
