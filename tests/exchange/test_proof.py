"""The log of a running exchange, as members' auditors see it."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, DIMENSION, PRESENCE_HOLDERS, World, face, record, unit

from biometrics import limits
from biometrics.audit import AuditorSecret, Entry, Receipt
from biometrics.audit.verify import Shown, Verified, verify
from biometrics.cli.log_export import export_log
from biometrics.client import Probe, Template
from biometrics.errors import InvalidRequestError, NotFoundError, RefusedError
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from biometrics.client import MatchAnswer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange with three of XAA's, one hidden from XCC, and one of each unnamed."""
    with World(tmp_path_factory.mktemp("proof"), agreements=AGREEMENTS) as world:
        world.enroller("XAA").enrol(record("a", unit(1)))
        world.enroller("XAA").enrol(record("b", unit(2), excluded=("XCC",)))
        for number, holder in enumerate(PRESENCE_HOLDERS, 10):
            world.enroller(holder).enrol(record("p", unit(number)))
        yield world


def key_of(world: World) -> VerifierKey:
    """Return the log's key."""
    return VerifierKey.parse(world.client("XAA", "auditor").checkpoint().verifier_key)


def audited(world: World, folder: Path, member: str, *answers: MatchAnswer) -> Verified:
    """Export and verify what a member has of the log, with some answers' receipts."""
    place = folder / member
    export_log(world.client(member, "auditor"), place, None)
    secret = (world.root / f"auditors/{member}.key").read_text()
    found = verify(
        place,
        key_of(world),
        secret=AuditorSecret.parse(secret),
        receipts=[
            Shown(name="receipt", receipt=each.receipt.encode(), answer=each.text)
            for each in answers
        ],
    )
    assert found.faults == []
    assert found.receipts == len(answers)
    return found


def entries(found: Verified, kind: str) -> list[Entry]:
    """Return the member's entries of a kind."""
    return [entry for entry in found.entries if entry["kind"] == kind]


def test_every_answer_has_a_receipt_that_the_log_keeps(
    world: World, tmp_path: Path
) -> None:
    """Match, no match and hidden alike: one size, and one entry each."""
    client = world.client("XCC")
    answers = [
        client.match(face(unit(n)), purpose="border-check", holders=["XAA"])
        for n in (1, 2, 3)
    ]
    assert [each.regional for each in answers] == ["match", "no-match", "no-match"]
    assert {each.receipt_status for each in answers} == {"issued"}
    assert {len(each.receipt.encode()) for each in answers} == {limits.RECEIPT_BYTES}
    found = audited(world, tmp_path, "XCC", *answers)
    assert len(entries(found, "search")) == 3
    key = key_of(world)
    hidden, absent = (Receipt.parse(a.receipt.encode(), key) for a in answers[1:])
    varying = {"sequence", "what"}
    told = [
        [line for line in each.entry.lines if line[0] not in varying]
        for each in (hidden, absent)
    ]
    assert told[0] == told[1]
    for receipt, answer in ((hidden, answers[0]), (absent, answers[1])):
        if answer.text != answers[1].text:
            with pytest.raises(InvalidRequestError, match="another answer"):
                receipt.check_answer(answer.text)


def test_a_holder_learns_that_it_was_asked_and_never_what_came_of_it(
    world: World, tmp_path: Path
) -> None:
    """Who, for what, by which agreement and how often: match and no match alike."""
    before = entries(audited(world, tmp_path, "XAA"), "searched")
    client = world.client("XCC")
    for number in (1, 2):
        client.match(face(unit(number)), purpose="border-check", holders=["XAA"])
    after = entries(audited(world, tmp_path, "XAA"), "searched")[len(before) :]
    names = [[name for name, _ in entry.lines] for entry in after]
    assert (
        names
        == [
            [
                *("member", "sequence", "hour", "kind", "gallery", "with", "purpose"),
                *("agreement", "fpir", "count", "what"),
            ]
        ]
        * 2
    )
    shown = [
        {n: v for n, v in entry.lines if n not in {"sequence", "what", "hour"}}
        for entry in after
    ]
    assert shown[0] == shown[1]
    assert shown[0]["with"] == "XCC"


def test_a_batch_is_one_leaf_with_a_receipt_for_each_answer(
    world: World, tmp_path: Path
) -> None:
    """Each shows its own answer, and a refused probe has none."""
    auditor = world.client("XCC", "auditor")
    size = audited(world, tmp_path, "XCC").checkpoint.size
    wrong = Probe(template=face(unit(1, DIMENSION // 2)))
    results = world.client("XCC").match_many(
        [Probe(template=face(unit(1))), wrong, Probe(template=face(unit(3)))],
        purpose="border-check",
    )
    first, refused, last = results
    assert not hasattr(refused, "receipt")
    found = audited(world, tmp_path, "XCC", first, last)  # type: ignore[arg-type]
    assert found.checkpoint.size == size + 1
    assert entries(found, "search")[-1]["count"] == "2"
    assert auditor.checkpoint().note


def test_several_templates_of_one_person_are_one_search(
    world: World, tmp_path: Path
) -> None:
    """One leaf, one entry for each side, and one receipt of the one size."""
    finger = Template(space="tiny-finger", position="left-index", vector=unit(9))
    before = audited(world, tmp_path, "XCC")
    told = world.client("XCC").match(
        Probe(template=face(unit(1)), further=(finger,)),
        purpose="border-check",
        holders=["XAA"],
    )
    assert len(told.receipt.encode()) == limits.RECEIPT_BYTES
    after = audited(world, tmp_path, "XCC", told)
    assert after.checkpoint.size == before.checkpoint.size + 1
    (entry,) = entries(after, "search")[len(entries(before, "search")) :]
    assert (entry["gallery"], entry["count"]) == ("several", "1")
    asked = entries(audited(world, tmp_path, "XAA"), "searched")[-1]
    assert (asked["gallery"], asked["count"]) == ("several", "1")


def test_a_replay_has_the_receipt_of_the_first_answer_and_adds_nothing(
    world: World, tmp_path: Path
) -> None:
    """The same bytes, and no second leaf."""
    number = str(uuid.uuid4())
    client = world.client("XCC")
    one, two = (
        client.match(face(unit(1)), purpose="border-check", request_id=number)
        for _ in range(2)
    )
    assert one == two
    size = audited(world, tmp_path, "XCC", one, two).checkpoint.size
    client.match(face(unit(1)), purpose="border-check", request_id=number)
    assert audited(world, tmp_path, "XCC").checkpoint.size == size


def test_of_unnamed_holders_a_receipt_tells_nothing(
    world: World, tmp_path: Path
) -> None:
    """Neither which it was, nor that it was one: the same lines whoever matched."""
    client, key = world.client("XAA"), key_of(world)
    answers = [client.match(face(unit(n)), purpose="visa") for n in (10, 14, 99)]
    assert [each.regional for each in answers] == ["match", "match", "no-match"]
    assert {each.holders for each in answers} == {()}
    found = audited(world, tmp_path, "XAA", *answers)
    told = set()
    for answer in answers:
        entry = Receipt.parse(answer.receipt.encode(), key).entry
        # By words: three letters come about in base64 as well.
        words = {
            *answer.receipt.split(),
            *(w for _, v in entry.lines for w in v.split()),
        }
        assert words.isdisjoint(PRESENCE_HOLDERS)
        told.add(tuple(v for n, v in entry.lines if n not in {"sequence", "what"}))
        assert len(answer.receipt.encode()) == limits.RECEIPT_BYTES
    assert len(told) == 1
    assert all(not entry["with"] for entry in entries(found, "search"))
    asked = entries(audited(world, tmp_path, "XDD"), "searched")
    assert [entry["with"] for entry in asked] == ["XAA"] * 3


def test_everything_that_a_member_changes_is_in_its_log(
    world: World, tmp_path: Path
) -> None:
    """And nothing of it in anybody else's, who sees a leaf like all others."""
    before = audited(world, tmp_path, "XBB")
    enroller, boss = world.enroller("XRA"), world.client("XRA", "administrator")
    enroller.enrol(record("x", unit(50)))
    enroller.protect("x", excluded=["XAA"])
    enroller.protect("x", excluded=["XAA"])  # changes nothing
    enroller.withdraw("x")
    enroller.withdraw("x")
    boss.lock()
    boss.unlock()
    boss.rotate()
    while boss.custody().is_busy:
        pass
    boss.destroy(confirm_holder="XRA")
    found = audited(world, tmp_path, "XRA")
    kinds = [entry["kind"] for entry in found.entries]
    assert kinds == [
        *("members", "agreement", "enrolment", "protection", "withdrawal"),
        *("lock", "unlock", "rotation", "erasure", "destruction"),
    ]
    after = audited(world, tmp_path, "XBB")
    assert after.checkpoint.size == before.checkpoint.size + 8
    assert len(after.entries) == len(before.entries)
    leaves = world.client("XBB", "auditor").log_leaves(0, 500)
    assert {len(leaf) for leaf in leaves} == {37}


def test_the_log_goes_on_after_a_restart(world: World, tmp_path: Path) -> None:
    """What was verified before is its beginning, under the same key."""
    before = audited(world, tmp_path, "XCC").checkpoint
    world.restart()
    world.client("XCC").match(face(unit(1)), purpose="border-check")
    after = audited(world, tmp_path, "XCC").checkpoint
    assert after.origin == before.origin
    assert after.size > before.size


def test_pages_of_the_log_are_for_auditors(world: World) -> None:
    """The systems that search and enrol have no use for them."""
    for role in ("client", "enroller", "administrator"):
        with pytest.raises(RefusedError):
            world.client("XAA", role).checkpoint()
    auditor = world.client("XAA", "auditor")
    assert len(auditor.log_tile(0, 0, 5)) == 5 * 32
    with pytest.raises(NotFoundError):
        auditor.log_tile(3, 0, 1)
    for wrong in (lambda: auditor.log_tile(9, 0, 1), lambda: auditor.log_leaves(0, 0)):
        with pytest.raises(InvalidRequestError):
            wrong()
    assert auditor.log_leaves(10**9, 5) == ()
