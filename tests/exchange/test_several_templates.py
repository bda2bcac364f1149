"""Fingers and a face of one person are one search, decided as one."""

from __future__ import annotations

import hashlib
import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fused import CALIBRATIONS, FINGERS, Body, cosines, fuses, weights
from world import (
    FINGER_THRESHOLD,
    PRESENCE_HOLDERS,
    SPACE,
    THRESHOLD,
    World,
    agreement,
    at_cosine,
    permit,
    unit,
)

from biometrics import limits
from biometrics.calibration import FpirClass, rounded_up
from biometrics.client import MatchAnswer, Probe, Record, Template
from biometrics.errors import ExhaustedError, InvalidRequestError, RefusedError
from matcher.galleries import Galleries, GalleryState
from matcher.opening import Opener

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from biometrics.members import Member
    from biometrics.store import StoredTemplate
    from matcher.galleries import Shelf

BORDER = "border-check"
FACE, LEFT, RIGHT = "face", "left-index", "right-index"
FACE_ONLY = permit("XCC", "holder").replace(', "fingerprint"', "")
AGREEMENTS = {
    "XAA": agreement("XAA", permit("XCC", "reference")),
    "XBB": agreement("XBB", FACE_ONLY),
    "XRA": agreement(
        "XRA",
        FACE_ONLY.replace('"holder"', '"reference"') + 'fpir = "1e-2"\n',
        permit("XCC", "holder").replace('"face", ', "") + 'fpir = "1e-4"\n',
        permit("XDD", "holder") + "quota_per_day = 2\n",
    ),
    **{
        holder: agreement(holder, permit("XAA", "presence", "visa"))
        for holder in PRESENCE_HOLDERS
    },
}


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange whose calibrations have weights."""
    root = tmp_path_factory.mktemp("fused")
    with World(root, agreements=AGREEMENTS, calibrations=CALIBRATIONS) as world:
        yield world


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange whose calibrations were not measured."""
    with World(tmp_path_factory.mktemp("strict"), agreements=AGREEMENTS) as world:
        yield world


def template(position: str, vector: NDArray[np.float32]) -> Template:
    """Return a template of a position."""
    space = SPACE if position == FACE else FINGERS
    return Template(space=space, position=position, vector=vector)


def probe(parts: Mapping[str, NDArray[np.float32]], **more: object) -> Probe:
    """Return a probe of one person, its positions in the order given."""
    first, *further = [template(*each) for each in parts.items()]
    return Probe(template=first, further=tuple(further), **more)  # type: ignore[arg-type]


def enrol(world: World, holder: str, reference: str, body: Body, **more: object):
    """Enrol a person's templates."""
    templates = tuple(
        template(position, vector)
        for position, vectors in body.items()
        for vector in vectors
    )
    record = Record(reference=reference, templates=templates, **more)  # type: ignore[arg-type]
    world.enroller(holder).enrol(record)


def vectors(person: int) -> dict[str, NDArray[np.float32]]:
    """Return a person's face and fingers, far from everybody's."""
    return {p: unit(1000 * person + n) for n, p in enumerate((FACE, LEFT, RIGHT))}


def crowd() -> list[Body]:
    """Return people of whom some lack a finger or face, and some have two captures."""
    random = np.random.default_rng(7)
    people = []
    for person in range(1, 41):
        body = {position: [vector] for position, vector in vectors(person).items()}
        if person % 4 == 0:
            del body[str(random.choice([FACE, LEFT, RIGHT]))]
        if person % 5 == 0 and LEFT in body:
            body[LEFT].append(at_cosine(body[LEFT][0], 0.6, person))
        people.append(body)
    return people


def probes_of(
    people: int, low: float, high: float
) -> list[dict[str, NDArray[np.float32]]]:
    """Return probes that are like somebody, more or less; some lack something."""
    random = np.random.default_rng(8)
    made = []
    for number in range(120):
        whole = vectors(number % (people + 5) + 1)
        made.append(
            {
                position: at_cosine(vector, float(random.uniform(low, high)), number)
                for position, vector in whole.items()
                if random.random() < 0.8 or position == RIGHT
            }
        )
    return made


def outcomes(world: World, asked: list[Probe]) -> list[bool]:
    """Return which probes match at XAA."""
    told = world.client("XCC").match_many(asked, purpose=BORDER, holders=["XAA"])
    assert all(isinstance(each, MatchAnswer) for each in told)
    return [each.regional == "match" for each in told if isinstance(each, MatchAnswer)]


def space_of(position: str) -> str:
    """Return the space of a position."""
    return SPACE if position == FACE else FINGERS


def test_fused_decisions_are_those_of_an_exhaustive_comparison(fused: World) -> None:
    """Whatever was scanned for is what weighing everybody finds."""
    people, told = crowd(), weights()
    size = dict.fromkeys((SPACE, FINGERS), 0)
    for number, body in enumerate(people):
        enrol(fused, "XAA", f"p{number}", body)
        for position, found in body.items():
            size[space_of(position)] += len(found)
    alone = {
        position: told.standing_out(rounded_up(size[space_of(position)])) or 1.0
        for position in (FACE, LEFT, RIGHT)
    }
    asked = [each for each in probes_of(len(people), 0.1, 0.75) if len(each) > 1]
    expected = []
    for each in asked:
        every = sum(rounded_up(size[space]) for space in set(map(space_of, each)))
        least = math.log10(rounded_up(every) / FpirClass.THOUSANDTH.rate)
        expected.append(
            any(fuses(cosines(each, body), alone, least, told) for body in people)
        )
    assert outcomes(fused, [probe(each) for each in asked]) == expected
    assert 20 < sum(expected) < len(asked) - 20


def test_elsewhere_every_template_has_to_match_alone(strict: World) -> None:
    """What a record has not is not asked of it; a single finger is as it was."""
    people = crowd()
    for number, body in enumerate(people):
        enrol(strict, "XAA", f"p{number}", body)
    least = {FACE: THRESHOLD, LEFT: FINGER_THRESHOLD, RIGHT: FINGER_THRESHOLD}
    asked = probes_of(len(people), 0.45, 0.95)
    expected = [
        any(
            scores and all(max(found) >= least[at] for at, found in scores.items())
            for scores in (cosines(each, body) for body in people)
        )
        for each in asked
    ]
    assert outcomes(strict, [probe(each) for each in asked]) == expected
    assert 5 < sum(expected) < len(asked) - 20


def like(person: int, *scores: float, seed: int = 1) -> dict[str, NDArray[np.float32]]:
    """Return a probe at these cosines of a person's face and fingers."""
    pairs = zip(vectors(person).items(), scores, strict=False)
    return {p: at_cosine(vector, cosine, seed) for (p, vector), cosine in pairs}


def ask(
    world: World,
    parts: Mapping[str, NDArray[np.float32]],
    *holders: str,
    **more: object,
):
    """Return the answer to XCC at the border."""
    return world.client("XCC").match(
        probe(parts, **more), purpose=BORDER, holders=holders
    )


def test_what_protects_a_record_protects_it_from_all_templates(fused: World) -> None:
    """Before that it matches by what is fused, and by no template alone."""
    enrol(fused, "XAA", "shielded", {p: [v] for p, v in vectors(60).items()})
    apart = like(60, 0.33, 0.33, 0.33)
    for position, vector in apart.items():
        assert ask(fused, {position: vector}, "XAA").regional == "no-match"
    told = ask(fused, apart, "XAA")
    assert told.regional == "match"
    assert len(told.holders[0].reference) == 32
    fused.enroller("XAA").protect("shielded", excluded=["XCC"])
    refused = ask(fused, like(60, 1.0, 1.0, 1.0), "XAA")
    assert (refused.regional, refused.holders[0].reference) == ("no-match", "")


def test_the_budget_counts_what_is_near_once_fused(fused: World) -> None:
    """Beyond twenty of them the record is as if it were not there, at every score."""
    for person in (61, 62):
        enrol(
            fused, "XAA", f"felt-{person}", {p: [v] for p, v in vectors(person).items()}
        )
    near = [ask(fused, like(61, 0.33, 0.33, 0.33, seed=n), "XAA") for n in range(22)]
    assert [each.regional for each in near] == ["match"] * 20 + ["no-match"] * 2
    assert ask(fused, like(61, 1.0, 1.0, 1.0), "XAA").regional == "no-match"
    clear = [ask(fused, like(62, 0.9, 0.9, 0.9, seed=n), "XAA") for n in range(22)]
    assert {each.regional for each in clear} == {"match"}


def test_a_holder_is_asked_if_it_permits_every_modality(fused: World) -> None:
    """Else it is not in the answer, and named it is the one refusal."""
    parts = like(63, 1.0, 1.0)
    enrol(fused, "XRA", "both", {p: [v] for p, v in vectors(63).items()})
    assert [each.holder for each in ask(fused, parts).holders] == ["XAA", "XRA"]
    with pytest.raises(RefusedError) as refused:
        ask(fused, parts, "XBB")
    assert refused.value.reason == "NOT_PERMITTED"
    # XRA gives a reference for a face, and none for a finger: for both it gives none.
    told = ask(fused, parts, "XRA").holders[0]
    assert (told.outcome, told.reference) == ("match", "")
    alone = ask(fused, {FACE: parts[FACE]}, "XRA").holders[0]
    assert len(alone.reference) == 32


def test_the_strictest_promise_of_all_modalities_is_kept(fused: World) -> None:
    """XRA promises 1e-2 of faces and 1e-4 of fingers: both together keep 1e-4."""
    enrol(fused, "XRA", "strictly", {p: [v] for p, v in vectors(64).items()})
    enrol(fused, "XAA", "as-usual", {p: [v] for p, v in vectors(64).items()})
    found = {}
    for step in range(30, 45):
        told = ask(fused, like(64, step / 100, step / 100, seed=step), "XAA", "XRA")
        for each in told.holders:
            if each.outcome == "match":
                found.setdefault(each.holder, step)
    assert found["XAA"] < found["XRA"]


def test_a_reference_is_of_the_first_modality(fused: World) -> None:
    """Whatever the order in which the templates came."""
    enrol(fused, "XAA", "cited", {p: [v] for p, v in vectors(69).items()})
    whole = like(69, 1.0, 1.0, 1.0)
    for order, modality in (
        ((LEFT, FACE), "face"),
        ((LEFT, RIGHT), "fingerprint"),
    ):
        told = ask(fused, {p: whole[p] for p in order}, "XAA").holders[0]
        digest = hashlib.sha256(bytes.fromhex(told.reference)).digest()
        with closing(sqlite3.connect(fused.root / "data/exchange.sqlite")) as database:
            (row,) = database.execute(
                "SELECT modality FROM reference WHERE reference_digest = ?", (digest,)
            ).fetchall()
        assert row == (modality,)


def test_all_templates_are_one_search_of_the_quota(fused: World) -> None:
    """And one request that is replayed is none."""
    client = fused.client("XDD")
    asked = probe(like(65, 1.0, 1.0, 1.0))
    for _ in range(2):
        client.match(asked, purpose=BORDER, holders=["XRA"])
    with pytest.raises(ExhaustedError) as spent:
        client.match(asked, purpose=BORDER, holders=["XRA"])
    assert spent.value.reason == "QUOTA_SPENT"


def test_unnamed_holders_count_only_if_they_hold_every_modality(fused: World) -> None:
    """Else a worthless face would ask one unnamed holder for a finger."""
    body = {p: [v] for p, v in vectors(66).items()}
    for holder in PRESENCE_HOLDERS:
        enrol(fused, holder, "a", {FACE: [unit(1)]})
    enrol(fused, "XCC", "b", body)
    client = fused.client("XAA")
    asked = {FACE: unit(2), LEFT: body[LEFT][0]}
    told = client.match(probe(asked), purpose="visa")
    assert told.regional == "not-comparable"
    for holder in PRESENCE_HOLDERS:
        enrol(fused, holder, "c", {RIGHT: [unit(3)]})
    whole = client.match(probe(like(66, 1.0, 1.0)), purpose="visa")
    assert whole.regional == "match"


def test_an_outage_of_one_modality_is_an_outage(
    fused: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that does not open is never weighed without it."""
    enrol(fused, "XAA", "broken", {p: [v] for p, v in vectors(67).items()})
    opened = Opener.can_open

    def fails(
        self: Opener,
        shelf: Shelf,
        template: StoredTemplate,
        clear: NDArray[np.float32],
    ) -> bool:
        done = opened(self, shelf, template, clear)
        return done and not np.allclose(clear, vectors(67)[RIGHT], atol=1e-4)

    monkeypatch.setattr(Opener, "can_open", fails)
    assert ask(fused, like(67, 1.0, 1.0), "XAA").regional == "match"
    assert ask(fused, like(67, 1.0, 1.0, -0.3), "XAA").regional == "unavailable"


def test_more_than_may_be_opened_is_an_outage_too(
    fused: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many templates a record has, beside those that were scanned for."""
    body = {p: [v] * 10 for p, v in vectors(71).items()}
    enrol(fused, "XRA", "many", body)
    told = []
    for most in (100, 20):
        monkeypatch.setattr(limits, "MAX_OPENINGS_PER_HOLDER", most)
        told.append(ask(fused, like(71, 1.0, 1.0, 1.0), "XRA").regional)
    assert told == ["match", "unavailable"]


def test_a_gallery_that_is_not_there_is_an_outage_too(
    fused: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the other one would have said."""
    states = Galleries.state

    def state(self: Galleries, holder: Member, space: str) -> GalleryState:
        is_finger = space == FINGERS
        return GalleryState.LOADING if is_finger else states(self, holder, space)

    monkeypatch.setattr(Galleries, "state", state)
    told = ask(fused, like(68, 1.0, 1.0), "XAA")
    assert (told.regional, told.holders[0].outcome) == ("unavailable", "unavailable")


@pytest.mark.parametrize(
    ("parts", "more", "reason"),
    [
        ((FACE, FACE), {}, "REPEATED_VALUE"),
        ((LEFT, RIGHT), {"fallback_positions": (RIGHT,)}, "WRONG_COUNT"),
        ((FACE,) * 14, {}, "WRONG_COUNT"),
    ],
)
def test_templates_of_one_person_are_of_different_parts(
    strict: World, parts: tuple[str, ...], more: dict[str, object], reason: str
) -> None:
    """Each once, and where which is which is not in doubt."""
    first, *further = [template(position, unit(1)) for position in parts]
    asked = Probe(template=first, further=tuple(further), **more)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError) as refused:
        strict.client("XCC").match(asked, purpose=BORDER)
    assert reason in {fault.reason for fault in refused.value.faults}


def test_every_fault_of_every_template_is_told(strict: World) -> None:
    """At once, each with where it is."""
    bad = Template(space=FINGERS, position=LEFT, vector=np.zeros(3, np.float32))
    worse = Template(space=FINGERS, position=RIGHT, vector=np.full(128, np.nan))
    asked = Probe(template=template(FACE, unit(1)), further=(bad, worse))
    with pytest.raises(InvalidRequestError) as refused:
        strict.client("XCC").match(asked, purpose=BORDER)
    assert {fault.field for fault in refused.value.faults} == {
        "probe.templates[1].data",
        "probe.templates[2].data",
    }
