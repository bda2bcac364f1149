"""The leak budget through the whole path: whoever feels for a record loses sight of it.

Of the tiny space what lies within 0.07 of the threshold, 0.5, is near.
"""

from __future__ import annotations

import datetime as dt
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from world import (
    AGREEMENTS,
    SPACE,
    World,
    agreement,
    at_cosine,
    face,
    permit,
    record,
    unit,
)

from biometrics import limits
from biometrics.client import MatchAnswer
from biometrics.client.channel import prepare_channel
from biometrics.clock import UTC, ManualClock
from biometrics.errors import ExhaustedError, NotFoundError, RefusedError
from biometrics.v1 import match_pb2, template_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BORDER = {"purpose": "border-check", "holders": ["XAA"]}
MATCH = "/biometrics.v1.MatchService/Match"
TOLD, TOLD_TO_ALL = 4, 6
NEAR_HIT, NEAR_MISS, CLEAR = 0.53, 0.47, 0.9
HOURS = dt.timedelta(hours=limits.FREEZE_HOURS)


@pytest.fixture
def clock() -> ManualClock:
    """The exchange's time."""
    return ManualClock(dt.datetime.now(UTC))


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> Iterator[World]:
    """An exchange that tells of few near searches, and one record."""
    monkeypatch.setattr(limits, "NEAR_SEARCHES_TOLD", TOLD)
    monkeypatch.setattr(limits, "NEAR_SEARCHES_TOLD_TO_ALL", TOLD_TO_ALL)
    agreements = AGREEMENTS | {
        "XAA": agreement(
            "XAA",
            permit("XBB", "holder"),
            permit("XCC", "reference"),
            permit("XDD", "holder"),
        )
    }
    with World(tmp_path, agreements=agreements, clock=clock) as world:
        world.enroller("XAA").enrol(record("felt-for", unit(1)))
        yield world


def probe(cosine: float, seed: int = 0, person: int = 1) -> NDArray:
    """Return a probe at a cosine to a person."""
    return at_cosine(unit(person), cosine, 1000 + seed)


def search(world: World, cosine: float, seed: int = 0, *, who: str = "XBB") -> str:
    """Return what a search at a cosine to the record answers."""
    answer = world.client(who).match(face(probe(cosine, seed)), **BORDER)
    return answer.holders[0].outcome.value


def feel(world: World, times: int, *, who: str = "XBB", cosine: float = NEAR_HIT):
    """Search near the threshold; return the answers."""
    return [search(world, cosine, seed, who=who) for seed in range(times)]


def test_one_near_search_too_many_hides_the_record_at_every_score(
    world: World,
) -> None:
    """From that one on, for that requester, and across a restart."""
    assert feel(world, TOLD + 1) == ["match"] * TOLD + ["no-match"]
    assert search(world, CLEAR) == search(world, 1.0) == "no-match"
    assert search(world, CLEAR, who="XCC") == "match"
    world.restart()
    assert search(world, 1.0) == "no-match"


def test_near_misses_count_as_hits_do(world: World) -> None:
    """Each tells as much; what is clear of the threshold tells nothing new."""
    for seed in range(3 * TOLD):
        assert search(world, CLEAR, seed) == "match"
        assert search(world, 0.2, seed) == "no-match"
    assert feel(world, TOLD, cosine=NEAR_MISS) == ["no-match"] * TOLD
    assert search(world, CLEAR) == "match"
    search(world, NEAR_MISS, 99)
    assert search(world, CLEAR) == "no-match"


def test_a_batch_is_told_no_more_than_single_searches(world: World) -> None:
    """Its probes are counted in their order."""
    probes = [face(probe(NEAR_HIT, seed)) for seed in range(TOLD + 3)]
    told = world.client("XBB").match_many(probes, **BORDER)
    outcomes = [one.regional for one in told if isinstance(one, MatchAnswer)]
    assert outcomes == ["match"] * TOLD + ["no-match"] * 3


def test_searches_at_once_are_told_no_more(world: World) -> None:
    """Whatever was decided before others had taken the rest is decided anew."""
    with ThreadPoolExecutor(8) as pool:
        told = list(
            pool.map(lambda seed: search(world, NEAR_HIT, seed), range(4 * TOLD))
        )
    assert told.count("match") == TOLD


def test_a_replay_counts_once(world: World) -> None:
    """It is the answer that was stored."""
    client, request_id = world.client("XBB"), uuid.uuid4()
    for _ in range(2 * TOLD):
        again = client.match(face(probe(NEAR_HIT)), request_id=request_id, **BORDER)
        assert again.holders[0].outcome == "match"
    assert search(world, CLEAR) == "match"


def test_members_who_share_what_they_are_told_share_the_bound(world: World) -> None:
    """A newcomer's near search finds nothing left; its clear ones are answered."""
    feel(world, TOLD)
    assert feel(world, TOLD_TO_ALL - TOLD, who="XCC") == ["match"] * 2
    assert search(world, CLEAR, who="XDD") == "match"
    assert search(world, NEAR_HIT, who="XDD") == "no-match"
    assert search(world, CLEAR, who="XDD") == "no-match"


def test_a_freeze_lapses_unless_both_sides_confirm_it(
    world: World, clock: ManualClock
) -> None:
    """After a lapse the next near search is one too many again."""
    feel(world, TOLD + 1)
    clock.advance(HOURS)
    assert search(world, CLEAR) == "match"
    assert search(world, NEAR_HIT, 50) == "no-match"
    requester, auditor = reviewers(world)
    (review,) = requester.reviews()
    assert not requester.decide_review(review.case, "confirm")
    assert auditor.decide_review(review.case, "confirm")
    clock.advance(2 * HOURS)
    assert search(world, CLEAR) == "no-match"
    (review,) = auditor.reviews()
    assert (review.lapses_on, review.searches) == ("", TOLD)
    assert not auditor.decide_review(review.case, "lift")
    assert requester.decide_review(review.case, "lift")
    assert feel(world, TOLD + 1) == ["match"] * TOLD + ["no-match"]


def reviewers(world: World):
    """Return the administrator of the requester, and the auditor of the holder."""
    return world.client("XBB", "administrator"), world.client("XAA", "auditor")


def test_nobody_but_the_two_sides_sees_a_review_or_decides_it(world: World) -> None:
    """Least of all the system that searches."""
    feel(world, TOLD + 1)
    _, auditor = reviewers(world)
    (review,) = auditor.reviews()
    assert (review.holder, review.requester) == ("XAA", "XBB")
    with pytest.raises(RefusedError):
        world.client("XBB").reviews()
    assert world.client("XCC", "auditor").reviews() == ()
    with pytest.raises(NotFoundError):
        world.client("XBB", "auditor").decide_review(review.case, "lift")
    with pytest.raises(NotFoundError):
        world.client("XAA", "administrator").decide_review(review.case, "lift")


def test_auditors_are_told_the_agreement_and_how_often(world: World) -> None:
    """At once; the requester's not at which holder."""
    feel(world, TOLD + 1)
    search(world, CLEAR)
    search(world, CLEAR)
    _, auditor = reviewers(world)
    told = {(a.kind, a.holder, a.requester): a.count for a in auditor.alerts()}
    # The near search that froze it would have matched, too.
    assert told == {("frozen", "XAA", "XBB"): 1, ("frozen-hit", "XAA", "XBB"): 3}
    (alert,) = world.client("XBB", "auditor").alerts()
    assert (alert.kind, alert.holder, alert.count) == ("frozen", "", 1)


@pytest.mark.parametrize("role", ["auditor", "administrator"])
def test_no_alert_tells_a_requester_what_a_search_would_have_answered(
    world: World, role: str
) -> None:
    """Or a freeze would end nothing: a count that goes up is a match."""
    feel(world, TOLD + 1)
    shown = world.client("XBB", role).alerts()
    for cosine in (CLEAR, NEAR_HIT, NEAR_MISS, 0.2):
        assert search(world, cosine) == "no-match"
        assert world.client("XBB", role).alerts() == shown


def test_a_requester_is_told_that_it_looks_like_enumeration_not_how_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the count would tell which of its matches are near, and score by that."""
    monkeypatch.setattr(limits, "NEAR_MATCHES_ALERTED", 1)
    requester, auditor = reviewers(world)
    counts = []
    for seed in range(3):
        search(world, NEAR_HIT, seed)
        counts += [(requester.alerts()[0].count, auditor.alerts()[0].count)]
    assert counts == [(1, 1), (1, 2), (1, 3)]


def test_no_holder_learns_of_a_search_by_enrolling_somebody_many_times(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer is one match, however many records of the holder's it is of."""
    monkeypatch.setattr(limits, "MATCHES_A_DAY_ALERTED", 3)
    for number in range(5):
        world.enroller("XAA").enrol(record(f"copy {number}", unit(1)))
    _, auditor = reviewers(world)
    assert [search(world, CLEAR) for _ in range(2)] == ["match"] * 2
    assert auditor.alerts() == ()
    search(world, CLEAR)
    assert [alert.kind for alert in auditor.alerts()] == ["enumeration"]


def test_what_is_protected_from_a_requester_is_not_counted(world: World) -> None:
    """A review would tell that the record is there."""
    world.enroller("XAA").protect("felt-for", excluded=["XBB"])
    feel(world, 3 * TOLD)
    _, auditor = reviewers(world)
    assert auditor.reviews() == auditor.alerts() == ()
    world.enroller("XAA").protect("felt-for", exclude_nobody=True)
    assert search(world, CLEAR) == "match"


def test_a_holder_that_answers_unnamed_stays_so_in_a_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The requester is told that it has felt too often for somebody, not where."""
    monkeypatch.setattr(limits, "NEAR_SEARCHES_TOLD", TOLD)
    with World(tmp_path, agreements=AGREEMENTS) as world:
        for holder in ("XCC", "XDD", "XEE", "XFF", "XGG"):
            world.enroller(holder).enrol(record("a", unit(ord(holder[1]))))
        wanted = probe(NEAR_HIT, 1, ord("C"))
        for _ in range(TOLD + 1):
            answer = world.client("XAA").match(face(wanted), purpose="visa")
        assert answer.regional == "no-match"
        (review,) = world.client("XAA", "administrator").reviews()
        assert (review.holder, review.requester) == ("", "XAA")
        (review,) = world.client("XCC", "auditor").reviews()
        assert review.holder == "XCC"


def raw(world: World, vector: NDArray) -> tuple[object, ...]:
    """Return all that comes back of a search of XBB's: bytes, code, trailers.

    But for the receipt, which is random and of one size.
    """
    template = template_pb2.Template(
        space=SPACE,
        position=template_pb2.POSITION_FACE,
        data_type=template_pb2.DATA_TYPE_FLOAT32,
        data=vector.tobytes(),
    )
    request = match_pb2.MatchRequest(
        request_id=str(uuid.uuid4()),
        purpose=match_pb2.PURPOSE_BORDER_CHECK,
        probe=match_pb2.Probe(templates=[template]),
    )
    settings = prepare_channel(world.profile("XBB"))
    with grpc.secure_channel(
        world.target, settings.credentials, settings.options
    ) as channel:
        body, call = channel.unary_unary(MATCH).with_call(
            request.SerializeToString(), timeout=5
        )
    answer = match_pb2.MatchResponse.FromString(body)
    size = len(answer.receipt)
    answer.receipt = b""
    told = answer.SerializeToString()
    return len(body), size, told, call.code(), tuple(call.trailing_metadata() or ())


def test_frozen_and_absent_are_the_same_bytes(world: World) -> None:
    """At every score, and of the search that freezes."""
    told = {raw(world, probe(NEAR_HIT, seed)) for seed in range(TOLD)}
    hidden = {raw(world, probe(cosine)) for cosine in (NEAR_HIT, CLEAR, 1.0, NEAR_MISS)}
    absent = {raw(world, unit(number)) for number in (7, 8)}
    assert len(told) == len(hidden) == 1
    assert hidden == absent != told


def test_a_quota_that_is_spent_is_an_honest_refusal(
    tmp_path: Path, clock: ManualClock
) -> None:
    """It says when it renews; a batch is refused whole, and a replay is answered."""
    limited = permit("XBB", "holder").replace("level =", "quota_per_day = 5\nlevel =")
    agreements = AGREEMENTS | {"XAA": agreement("XAA", limited)}
    with World(tmp_path, agreements=agreements, clock=clock) as world:
        client, request_id = world.client("XBB"), uuid.uuid4()
        nobody = face(unit(9))
        client.match_many([nobody] * 3, **BORDER)
        with pytest.raises(ExhaustedError) as caught:
            client.match_many([nobody] * 3, **BORDER)
        assert caught.value.reason == "QUOTA_SPENT"
        first = client.match(nobody, request_id=request_id, **BORDER)
        client.match(nobody, **BORDER)
        with pytest.raises(ExhaustedError) as caught:
            client.match(nobody, **BORDER)
        tomorrow = clock.now().date() + dt.timedelta(days=1)
        assert "XAA is 5 searches a day; 0 are left" in caught.value.message
        assert f"renews at {tomorrow} 00:00 UTC" in caught.value.message
        assert client.match(nobody, request_id=request_id, **BORDER) == first
        clock.advance(dt.timedelta(days=1))
        client.match(nobody, **BORDER)
