"""Canaries: records that are nobody's, told to auditors and in no answer."""

from __future__ import annotations

import sqlite3
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import AGREEMENTS, SPACE, World, at_cosine, face, record, unit

from biometrics import limits, nobody
from biometrics.clock import SystemClock
from biometrics.errors import InvalidRequestError, PreconditionError
from biometrics.server.backup import back_up_data
from biometrics.server.examination import examine
from biometrics.server.restoration import restore_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BORDER = {"purpose": "border-check", "holders": ["XAA"]}
NOBODY, SOMEBODY = 77, 1


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An exchange with one record and one canary, whose template the test knows."""
    drawn = iter(range(NOBODY, NOBODY + 1000))
    monkeypatch.setattr(nobody, "_drawn", lambda *_: unit(next(drawn)))
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("somebody", unit(SOMEBODY)))
        plant(world)
        yield world


def plant(world: World, count: int = 1) -> tuple[str, ...]:
    """Plant canaries of XAA's; return their references."""
    enroller = world.enroller("XAA")
    return enroller.plant_canaries(count, space=SPACE, position="face")


def search(world: World, vector: NDArray, who: str = "XBB") -> str:
    """Return what a search answers at XAA."""
    answer = world.client(who).match(face(vector), **BORDER)
    return answer.holders[0].outcome.value


def alerts(world: World, member: str = "XAA", role: str = "auditor") -> dict[str, int]:
    """Return what a member is told of XBB's searches, by kind."""
    told = world.client(member, role).alerts()
    return {alert.kind: alert.count for alert in told if alert.requester == "XBB"}


def test_a_canary_is_answered_as_nobody_and_told_to_its_holder_alone(
    world: World,
) -> None:
    """At every score from the threshold on; a member never learns which they are."""
    hits = [unit(NOBODY), at_cosine(unit(NOBODY), 0.6)]
    assert {search(world, each) for each in hits} == {"no-match"}
    assert search(world, at_cosine(unit(NOBODY), 0.4)) == "no-match"
    assert search(world, unit(SOMEBODY)) == "match"
    assert alerts(world) == {"canary": 2}
    for role in ("auditor", "administrator"):
        assert alerts(world, "XBB", role) == {}
    assert world.client("XAA", "auditor").reviews() == ()


def test_a_canary_is_never_frozen_however_often_it_is_felt_for(world: World) -> None:
    """A review would tell the requester that there is something."""
    for seed in range(limits.NEAR_SEARCHES_TOLD + 2):
        assert search(world, at_cosine(unit(NOBODY), 0.53, 1000 + seed)) == "no-match"
    assert alerts(world) == {"canary": limits.NEAR_SEARCHES_TOLD + 2}
    assert world.client("XBB", "administrator").reviews() == ()


def test_several_canaries_in_one_search_are_one_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many a holder has planted."""
    monkeypatch.setattr(nobody, "_drawn", lambda *_: unit(NOBODY))
    with World(tmp_path, agreements=AGREEMENTS) as world:
        assert len(set(plant(world, 3))) == 3
        assert search(world, unit(NOBODY)) == "no-match"
        assert alerts(world) == {"canary": 1}


def test_canaries_are_no_people_in_what_is_listed_and_counted(world: World) -> None:
    """They have a list of their own."""
    enroller = world.enroller("XAA")
    assert [each.reference for each in enroller.records()] == ["somebody"]
    (canary,) = enroller.records(canaries=True)
    assert [t.space for t in canary.templates] == [SPACE]
    (gallery,) = enroller.galleries()
    assert (gallery.records, gallery.templates) == (1, 1)
    assert enroller.summary().lasting == 1
    assert world.exchange is not None
    assert world.exchange.store.journal.templates_by_space() == {SPACE: 1}
    enroller.withdraw("somebody")
    assert enroller.galleries() == ()


def test_planting_again_under_one_id_plants_once(world: World) -> None:
    """As any call that has effects."""
    enroller, request_id = world.enroller("XAA"), uuid.uuid4()
    asked = {"space": SPACE, "position": "face", "request_id": request_id}
    first = enroller.plant_canaries(2, **asked)
    assert enroller.plant_canaries(2, **asked) == first
    assert len([*enroller.records(canaries=True)]) == 3


def test_canaries_outlive_restarts_and_backups_and_are_known_to_the_check(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They stay what they are; the codes in memory know nothing of it."""
    world.restart()
    world.forget_codes()
    world.restart()
    assert search(world, unit(NOBODY)) == "no-match"
    assert alerts(world) == {"canary": 1}
    config = world.root / "exchange.toml"
    folder = tmp_path_factory.mktemp("kept") / "backup"
    back_up_data(config, folder, clock=SystemClock(), random_bytes=np.random.bytes)
    world.stop()
    for path in sorted((world.root / "data").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    restore_data(config, folder, None)
    assert examine(config, show=lambda *_: None).is_whole
    world.start()
    assert search(world, unit(NOBODY)) == "no-match"
    assert alerts(world) == {"canary": 2}


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1)])
def test_a_mark_that_was_edited_in_the_database_is_not_believed(
    world: World, before: int, after: int
) -> None:
    """A canary that matches would tell a thief; a person made one would be hidden."""
    world.stop()
    with sqlite3.connect(world.root / "data/exchange.sqlite") as database:
        edit = "UPDATE protection SET is_canary = ? WHERE is_canary = ?"
        assert database.execute(edit, (after, before)).rowcount == 1
    database.close()
    assert not examine(world.root / "exchange.toml", show=lambda *_: None).is_whole
    world.start()
    found = unit(NOBODY if before else SOMEBODY)
    assert search(world, found) == "unavailable"


def test_a_holder_chooses_no_canary_and_learns_of_none(world: World) -> None:
    """Or it would plant whom it looks for, and see who searches for that person."""
    enroller = world.enroller("XAA")
    (canary,) = enroller.records(canaries=True)
    with pytest.raises(PreconditionError) as caught:
        enroller.replace(canary.reference, face(unit(SOMEBODY)))
    assert caught.value.reason == "CANARY_KEPT"
    enroller.enrol(record("double", unit(NOBODY)))
    told = enroller.duplicates(["double", canary.reference])
    assert [(each.outcome, each.count) for each in told] == [
        ("compared", 0),
        ("not-enrolled", 0),
    ]


def test_a_canary_that_was_removed_is_there_no_more(world: World) -> None:
    """As any record; protecting one leaves it what it is."""
    enroller = world.enroller("XAA")
    (canary,) = enroller.records(canaries=True)
    enroller.protect(canary.reference, excluded=["XCC"])
    assert search(world, unit(NOBODY)) == "no-match"
    assert search(world, unit(NOBODY), "XCC") == "no-match"
    enroller.withdraw(canary.reference)
    assert search(world, unit(NOBODY)) == "no-match"
    assert alerts(world) == {"canary": 1}
    assert [*enroller.records(canaries=True)] == []


def test_everything_wrong_with_a_planting_is_told_at_once(world: World) -> None:
    """By the exchange as by the client."""
    enroller = world.enroller("XAA")
    with pytest.raises(InvalidRequestError) as caught:
        enroller.plant_canaries(0, space="no-space", position="nose")
    assert {fault.field for fault in caught.value.faults} == {"count", "position"}
    with pytest.raises(InvalidRequestError) as caught:
        enroller.plant_canaries(1, space=SPACE, position="right-thumb")
    assert [fault.reason for fault in caught.value.faults] == ["WRONG_POSITION"]
    with pytest.raises(InvalidRequestError) as caught:
        enroller.plant_canaries(1, space="no-space", position="face")
    assert [fault.reason for fault in caught.value.faults] == ["UNKNOWN_SPACE"]
