"""Searches through the whole path: mutual TLS, policy, sealed templates, database."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import sqlite3
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import (
    AGREEMENTS,
    DIMENSION,
    FINGER_THRESHOLD,
    PRESENCE_HOLDERS,
    SPACE,
    THRESHOLD,
    World,
    at_cosine,
    face,
    record,
    unit,
)

from biometrics.client import Chunk, Record, Template
from biometrics.clock import UTC, ManualClock, to_microseconds
from biometrics.custody import Vault
from biometrics.errors import (
    ConflictError,
    ExchangeError,
    InvalidRequestError,
    RefusedError,
    UnavailableError,
)
from matcher.confirm import Confirmation
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.client import MatchAnswer
    from matcher.confirm import Confirmed


def told(answer: MatchAnswer) -> dict[str, str]:
    """Return the outcome by holder."""
    return {a.holder: a.outcome.value for a in answer.holders}


def border(world: World, requester: str, number: int, *holders: str) -> dict[str, str]:
    """Search for subject `number` at the border."""
    probe = face(unit(number))
    client = world.client(requester)
    return told(client.match(probe, purpose="border-check", holders=holders))


def test_an_enrolled_subject_matches_and_another_does_not(world: World) -> None:
    """An acknowledged enrolment is searchable at once; strangers are no match."""
    world.enroller("XAA").enrol(record("one", unit(1)))
    assert border(world, "XCC", 1, "XAA") == {"XAA": "match"}
    assert border(world, "XCC", 2, "XAA") == {"XAA": "no-match"}


def test_the_threshold_is_met_from_exactly_there(world: World) -> None:
    """Just above the threshold is a match, just below it is none."""
    subject = unit(10)
    world.enroller("XAA").enrol(record("threshold", subject))
    client = world.client("XCC")
    for cosine, outcome in (
        (THRESHOLD + 1e-5, "match"),
        (THRESHOLD - 1e-5, "no-match"),
    ):
        probe = face(at_cosine(subject, cosine))
        answer = client.match(probe, purpose="border-check", holders=["XAA"])
        assert told(answer) == {"XAA": outcome}


def test_length_and_number_type_of_a_vector_do_not_matter(world: World) -> None:
    """Templates are normalised at the door, and read from any floating-point type."""
    world.enroller("XAA").enrol(record("scaled", unit(11) * 37))
    probe = face(unit(11).astype(np.float64) * 0.01)
    answer = world.client("XCC").match(probe, purpose="border-check")
    assert told(answer)["XAA"] == "match"


def test_a_reference_comes_only_where_the_agreement_gives_one(world: World) -> None:
    """`reference` gives 16 random bytes with a match, `holder` never does."""
    world.enroller("XAA").enrol(record("referred", unit(12)))
    probe = face(unit(12))
    search = {"purpose": "border-check", "holders": ["XAA"]}
    (mine,) = world.client("XCC").match(probe, **search).holders
    (again,) = world.client("XCC").match(probe, **search).holders
    (named,) = world.client("XBB").match(probe, **search).holders
    assert len(bytes.fromhex(mine.reference)) == 16
    assert again.reference != mine.reference
    assert (named.outcome, named.reference) == ("match", "")


def test_a_reference_is_kept_as_a_digest_for_its_pair_and_a_month(
    tmp_path: Path,
) -> None:
    """The database has neither the reference nor more than holder, requester, end."""
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        world.enroller("XAA").enrol(record("referred", unit(12)))
        probe = face(unit(12))
        (mine,) = world.client("XCC").match(probe, purpose="border-check").holders[:1]
        (path,) = (world.root / "data").glob("*.sqlite")
        with sqlite3.connect(path) as database:
            rows = database.execute(
                "SELECT reference_digest, holder, requester, expires_at FROM reference"
            ).fetchall()
        database.close()
    reference = bytes.fromhex(mine.reference)
    end = to_microseconds(clock.now() + dt.timedelta(days=30))
    assert rows == [(hashlib.sha256(reference).digest(), "XAA", "XCC", end)]


def test_a_cosine_exactly_at_the_threshold_is_a_match(world: World) -> None:
    """At or above: vectors whose cosine is 0.5 without any rounding match."""
    first, second = np.zeros(DIMENSION, np.float32), np.zeros(DIMENSION, np.float32)
    first[0], second[:4] = 1.0, 0.5
    world.enroller("XAA").enrol(record("exact", first))
    answer = world.client("XCC").match(
        face(second), purpose="border-check", holders=["XAA"]
    )
    assert told(answer) == {"XAA": "match"}


def test_each_space_has_its_own_threshold(world: World) -> None:
    """One cosine is a match for a face and none for a finger."""
    subject = unit(160)
    finger = Template(space="tiny-finger", position="left-index", vector=subject)
    world.enroller("XAA").enrol(
        Record(reference="both", templates=(face(subject), finger))
    )
    between = at_cosine(subject, (THRESHOLD + FINGER_THRESHOLD) / 2)
    for probe, outcome in (
        (face(between), "match"),
        (replace(finger, vector=between), "no-match"),
    ):
        answer = world.client("XCC").match(
            probe, purpose="border-check", holders=["XAA"]
        )
        assert told(answer) == {"XAA": outcome}


def test_the_decision_is_the_float64_comparison(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among pairs a rounding away from the threshold, exactly those at it match.

    What was opened for the comparison is overwritten afterwards.
    """
    subject, pairs = unit(161), 150
    others = [at_cosine(subject, THRESHOLD, 10_000 + seed) for seed in range(pairs)]
    records = tuple(record(f"near-{n}", vector) for n, vector in enumerate(others))
    (told_of,) = world.enroller("XAA").enrol_many([Chunk(records=records)])
    assert {o.status for o in told_of.outcomes} == {"enrolled"}
    normal = [v / np.linalg.norm(v.astype(np.float64)) for v in [subject, *others]]
    probe, *stored = (v.astype(np.float32).astype(np.float64) for v in normal)
    matching = sum(float(probe @ vector) >= THRESHOLD for vector in stored)
    assert 0 < matching < pairs
    hits: list[int] = []
    buffers: list[np.ndarray] = []
    confirm, open_into = Confirmation.confirm, Vault.open_into

    def counting(*arguments: object) -> Confirmed:
        confirmed = confirm(*arguments)  # type: ignore[arg-type]
        hits.append(len(confirmed.hits))
        return confirmed

    def watching(*arguments: object) -> None:
        buffers.append(arguments[-1])  # type: ignore[arg-type]
        open_into(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Confirmation, "confirm", counting)
    monkeypatch.setattr(Vault, "open_into", watching)
    world.client("XCC").match(face(subject), purpose="border-check", holders=["XAA"])
    assert hits == [matching]
    assert len(buffers) == pairs
    assert not any(buffer.any() for buffer in buffers)


@pytest.mark.parametrize(("seconds", "is_replay"), [(599, True), (601, False)])
def test_a_stored_answer_counts_for_ten_minutes(
    tmp_path: Path, seconds: int, *, is_replay: bool
) -> None:
    """Within them a replay gives the same reference, beyond them a new one."""
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        again = {"purpose": "border-check", "request_id": uuid.uuid4()}
        first = world.client("XCC").match(face(unit(1)), **again)
        clock.advance(dt.timedelta(seconds=seconds))
        second = world.client("XCC").match(face(unit(1)), **again)
    assert (first == second) is is_replay
    assert second.holders[0].outcome == "match"


def test_a_record_is_never_shown_to_whom_it_excludes(world: World) -> None:
    """An excluded requester gets NO_MATCH, everybody else the match."""
    hidden = record("refugee", unit(13), excluded=("XBB",))
    world.enroller("XAA").enrol(hidden)
    assert border(world, "XBB", 13) == {"XAA": "no-match"}
    assert border(world, "XCC", 13, "XAA") == {"XAA": "match"}


def test_a_withdrawn_record_is_not_found_from_its_acknowledgement_on(
    world: World,
) -> None:
    """Withdrawal takes effect before it is acknowledged, and outlives a restart."""
    world.enroller("XAA").enrol(record("leaving", unit(14)))
    world.enroller("XAA").withdraw("leaving")
    assert border(world, "XCC", 14, "XAA") == {"XAA": "no-match"}


def test_a_refusal_by_agreement_is_honest_and_says_no_more(world: World) -> None:
    """Every cause of a refused search has the same reason and the same text."""
    probe = face(unit(1))
    told_texts = set()
    for requester, purpose, holders in (
        ("XDD", "border-check", []),  # permitted by nobody
        ("XCC", "visa", ["XAA"]),  # another purpose
        ("XCC", "border-check", ["XAA", "XBB"]),  # one of two permits nothing
        ("XCC", "border-check", ["XZZ"]),  # no member here
        ("XAA", "visa", ["XCC"]),  # only at the level presence
        ("XAA", "border-check", ["XAA"]),  # its own
    ):
        with pytest.raises(RefusedError) as caught:
            world.client(requester).match(probe, purpose=purpose, holders=holders)
        told_texts.add((caught.value.reason, caught.value.message))
    assert len(told_texts) == 1


def test_an_unnamed_holder_counts_only_toward_the_regional_outcome(
    tmp_path: Path,
) -> None:
    """`presence` tells that somebody in the region matches, and never who."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for number, holder in enumerate(PRESENCE_HOLDERS[:-1]):
            world.enroller(holder).enrol(record("a", unit(20 + number)))
        search = world.client("XAA").match
        few = search(face(unit(20)), purpose="visa")
        assert (few.regional, few.holders) == ("not-comparable", ())
        world.enroller(PRESENCE_HOLDERS[-1]).enrol(record("a", unit(24)))
        for number in range(20, 25):
            answer = search(face(unit(number)), purpose="visa")
            assert (answer.regional, answer.holders) == ("match", ())
        assert search(face(unit(25)), purpose="visa").regional == "no-match"


def test_only_templates_of_one_space_and_position_are_compared(world: World) -> None:
    """The same vector in another space, or at another position, is no match."""
    finger = Template(space="tiny-finger", position="left-index", vector=unit(30))
    both = Record(reference="many", templates=(face(unit(31)), face(unit(32)), finger))
    world.enroller("XAA").enrol(both)
    search = world.client("XBB").match
    for space, position, number, outcome in (
        (SPACE, "face", 31, "match"),
        (SPACE, "face", 32, "match"),
        ("tiny-finger", "left-index", 30, "match"),
        ("tiny-finger", "right-index", 30, "no-match"),
        (SPACE, "face", 30, "no-match"),
    ):
        probe = Template(space=space, position=position, vector=unit(number))
        assert told(search(probe, purpose="border-check")) == {"XAA": outcome}


def test_a_holder_without_a_gallery_is_not_a_no_match(world: World) -> None:
    """Who never enrolled in the probe's space is NOT_COMPARABLE."""
    assert border(world, "XCC", 1, "XRA") == {"XRA": "not-comparable"}


def test_a_record_expires_at_its_moment(tmp_path: Path) -> None:
    """The matcher itself enforces expiry, at the moment it comes."""
    clock = ManualClock(dt.datetime.now(UTC))
    with World(tmp_path, agreements=AGREEMENTS, clock=clock) as world:
        ends = clock.now() + dt.timedelta(seconds=10)
        world.enroller("XAA").enrol(record("short", unit(40), expires_at=ends))
        assert border(world, "XBB", 40) == {"XAA": "match"}
        clock.advance(dt.timedelta(seconds=10))
        assert border(world, "XBB", 40) == {"XAA": "no-match"}


def test_everything_enrolled_is_there_after_a_restart(tmp_path: Path) -> None:
    """A restart finds what was enrolled and not what was withdrawn."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for number in range(5):
            world.enroller("XAA").enrol(record(f"r{number}", unit(number)))
        world.enroller("XAA").withdraw("r3")
        world.restart()
        for number in range(5):
            outcome = "no-match" if number == 3 else "match"
            assert border(world, "XBB", number) == {"XAA": outcome}


def test_a_replay_returns_the_stored_answer(world: World) -> None:
    """The same request id and content answer alike, whatever happened since."""
    world.enroller("XAA").enrol(record("replayed", unit(50)))
    again = {"purpose": "border-check", "request_id": uuid.uuid4()}
    first = world.client("XCC").match(face(unit(50)), **again)
    world.enroller("XAA").withdraw("replayed")
    assert world.client("XCC").match(face(unit(50)), **again) == first
    assert border(world, "XCC", 50, "XAA") == {"XAA": "no-match"}


def test_a_replay_is_answered_though_a_new_search_would_be_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agreement that ended meanwhile does not change what was answered."""
    world.enroller("XAA").enrol(record("answered", unit(55)))
    again = {"purpose": "border-check", "request_id": uuid.uuid4()}
    first = world.client("XCC").match(face(unit(55)), **again)

    def ended(*_: object, **__: object) -> None:
        raise RefusedError("NOT_PERMITTED", "the agreement has ended")

    monkeypatch.setattr("matcher.match.plan", ended)
    assert world.client("XCC").match(face(unit(55)), **again) == first
    with pytest.raises(RefusedError):
        world.client("XCC").match(face(unit(55)), purpose="border-check")


def test_a_replay_with_another_body_is_refused(world: World) -> None:
    """One request id cannot stand for two searches."""
    again = {"purpose": "border-check", "request_id": uuid.uuid4()}
    world.client("XCC").match(face(unit(51)), **again)
    with pytest.raises(ConflictError) as caught:
        world.client("XCC").match(face(unit(52)), **again)
    assert caught.value.reason == "REQUEST_ID_REUSED"


def test_request_ids_of_two_members_do_not_meet(world: World) -> None:
    """Another member's request id is just another one."""
    world.enroller("XAA").enrol(record("shared", unit(53)))
    again = {"purpose": "border-check", "request_id": uuid.uuid4(), "holders": ["XAA"]}
    world.client("XCC").match(face(unit(53)), **again)
    assert told(world.client("XBB").match(face(unit(54)), **again)) == {
        "XAA": "no-match"
    }


def test_one_bad_probe_does_not_stop_a_batch(world: World) -> None:
    """A batch answers every probe in order, with the refusal where it belongs."""
    world.enroller("XAA").enrol(record("batched", unit(60)))
    bad = face(np.zeros(DIMENSION, np.float32))
    results = world.client("XBB").match_many(
        [face(unit(60)), bad, face(unit(61))], purpose="border-check"
    )
    assert told(results[0]) == {"XAA": "match"}
    assert results[1].reason == "ZERO_VECTOR"
    assert told(results[2]) == {"XAA": "no-match"}


@pytest.mark.parametrize(
    ("probe", "reason"),
    [
        (face(np.ones(DIMENSION - 1)), "WRONG_DIMENSION"),
        (face(np.full(DIMENSION, np.nan)), "NOT_FINITE"),
        (face(np.full(DIMENSION, np.inf)), "NOT_FINITE"),
        (face(np.zeros(DIMENSION)), "ZERO_VECTOR"),
        (Template(space="other", position="face", vector=unit(1)), "UNKNOWN_SPACE"),
        (
            Template(space=SPACE, position="left-iris", vector=unit(1)),
            "WRONG_POSITION",
        ),
        (face(unit(1), quality=101), "WRONG_QUALITY"),
    ],
)
def test_a_bad_probe_is_refused_by_name(
    world: World, probe: Template, reason: str
) -> None:
    """What cannot be compared is refused, and the error says which field is wrong."""
    with pytest.raises(InvalidRequestError) as caught:
        world.client("XBB").match(probe, purpose="border-check")
    assert caught.value.reason == reason
    assert caught.value.faults[0].field.startswith("probe.templates[0]")


def test_agreements_are_decided_before_the_probe_is_read(world: World) -> None:
    """A requester without an agreement does not even learn that its probe is bad."""
    with pytest.raises(RefusedError):
        world.client("XDD").match(face(np.zeros(DIMENSION)), purpose="border-check")


def test_a_holder_whose_key_is_gone_is_unavailable_and_others_are_not(
    tmp_path: Path,
) -> None:
    """An outage is never a no-match, and stays that member's own."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for holder in ("XAA", "XRA"):
            world.enroller(holder).enrol(record("r", unit(70)))
        world.stop()
        (world.root / "keys" / "XAA.key").rename(world.root / "keys" / "gone")
        world.start()
        assert border(world, "XCC", 70) == {"XAA": "unavailable", "XRA": "match"}
        assert border(world, "XCC", 71) == {"XAA": "unavailable", "XRA": "no-match"}
        with pytest.raises(ExchangeError) as caught:
            world.enroller("XAA").enrol(record("s", unit(72)))
        assert caught.value.reason == "GALLERY_LOCKED"
        # A locked member can still take its people out.
        world.enroller("XAA").withdraw("r")


def test_a_member_under_another_key_is_unavailable(tmp_path: Path) -> None:
    """A key that does not fit locks the member; nothing is opened or overwritten."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(73)))
        world.stop()
        keys = world.root / "keys"
        own = (keys / "XAA.key").read_bytes()
        (keys / "XAA.key").write_bytes((keys / "XBB.key").read_bytes())
        world.start()
        assert border(world, "XBB", 73) == {"XAA": "unavailable"}
        world.stop()
        (keys / "XAA.key").write_bytes(own)
        world.start()
        assert border(world, "XBB", 73) == {"XAA": "match"}


def test_a_space_defined_anew_under_its_old_name_is_unavailable(
    tmp_path: Path,
) -> None:
    """Templates made under another definition are not compared, rather than wrongly."""
    with World(tmp_path, agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("r", unit(74)))
        world.stop()
        spaces = world.root / "spaces.toml"
        text = spaces.read_text()
        version = 'extractor_version = "1"'
        spaces.write_text(text.replace(version, 'extractor_version = "2"', 1))
        world.start()
        assert border(world, "XBB", 74) == {"XAA": "unavailable"}
        (gallery,) = world.enroller("XAA").galleries()
        assert gallery.state == "damaged"
        world.stop()
        spaces.write_text(text)
        world.start()
        assert border(world, "XBB", 74) == {"XAA": "match"}


def test_once_a_probe_of_a_batch_fails_the_others_are_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch has no answer any more, and nothing goes on for it."""
    begun: list[None] = []
    given_up: list[None] = []

    async def search(*_: object) -> None:
        begun.append(None)
        if len(begun) % 3 == 0:  # of each try
            raise UnavailableError("EXCHANGE_BUSY", "test")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            given_up.append(None)
            raise

    monkeypatch.setattr(Scanner, "search", search)
    with pytest.raises(UnavailableError):
        world.client("XCC").match_many(
            [face(unit(n)) for n in range(3)], purpose="border-check", deadline=10
        )
    assert 3 * len(given_up) == 2 * len(begun) > 0
