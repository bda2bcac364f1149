"""Agreements that are signed anew count without a restart, and no call is dropped."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from world import World, agreement, face, permit, record, unit

from biometrics.errors import RefusedError
from biometrics.server.development import write_agreement
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from biometrics.client import MatchAnswer

FORBID = '[[forbid]]\nrequester = "XCC"\nreason = "under review"\n'
MOST_SECONDS = 20


def version(revision: int, *clauses: str) -> str:
    """Return a version of XAA's agreement that permits XCC, unless it forbids."""
    return agreement("XAA", permit("XCC", "holder"), *clauses, revision=revision)


def search(world: World) -> MatchAnswer:
    """Ask as XCC for the person that XAA has enrolled."""
    return world.client("XCC").match(face(unit(1)), purpose="border-check")


def is_refused(world: World) -> bool:
    """Say whether XCC may not ask; any other failure is one of the test."""
    try:
        search(world)
    except RefusedError:
        return True
    return False


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for something that the exchange does by itself."""
    end = time.monotonic() + MOST_SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_version_counts_soon_after_it_is_signed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Forbidden and permitted again under load: every search is answered or refused."""
    caplog.set_level("INFO", "biometrics.server")
    with World(tmp_path, agreements={"XAA": version(1)}) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))
        for revision, clauses in ((2, [FORBID]), (3, []), (4, [FORBID])):
            write_agreement(world.root, version(revision, *clauses))
            wait_until(lambda clauses=clauses: is_refused(world) is bool(clauses))  # type: ignore[misc]
        # What is not signed changes nothing, however often it is looked at.
        (world.root / "agreements/XAA.toml").write_text(version(5))
        wait_until(lambda: "not the file that the note" in caplog.text)
        time.sleep(2.5)
        assert caplog.text.count("not the file that the note") == 1
        assert is_refused(world)
        world.restart()
        assert is_refused(world)
        (world.root / "agreements/XAA.toml").unlink()
        world.restart()
        assert is_refused(world)
        # An old version that was put back, with its own good signatures, is known.
        write_agreement(world.root, version(3))
        world.restart()
        assert is_refused(world)
        assert "revision 3 is older than revision 4" in caplog.text
        told = world.client("XCC").explain(
            holder="XAA", requester="XCC", purpose="border-check", modality="face"
        )
        assert not told.permitted
        assert "under review" in told.text
        assert told.own_version is None  # that is the holder's to know


def test_a_holder_sees_from_its_desk_which_version_is_in_force(tmp_path: Path) -> None:
    """Its number, digest and signers; once it has lapsed, that there is none."""
    question = {"holder": "XAA", "purpose": "border-check", "modality": "face"}
    with World(tmp_path, agreements={"XAA": version(3)}) as world:
        data = (world.root / "agreements/XAA.toml").read_bytes()
        holder, requester = world.client("XAA"), world.client("XCC")
        own = holder.own_version()
        assert own is not None
        assert (own.revision, own.sha256) == (3, hashlib.sha256(data).hexdigest())
        assert len(own.signers) == 2
        assert holder.explain(requester="XCC", **question).own_version == own
        assert requester.own_version() is None
        assert requester.explain(requester="XCC", **question).own_version is None
        # One of those who have signed it is listed no more, nor anybody in their place.
        path = world.root / "signers.toml"
        tables = path.read_text().split("[[signer]]")
        path.write_text("[[signer]]".join(t for t in tables if '"XAA"' not in t))
        wait_until(lambda: holder.own_version() is None)
        told = holder.explain(requester="XCC", **question)
        assert (told.permitted, told.own_version) == (False, None)
        assert "; no version of the agreement of XAA is in force: none was" in told.text
        told = requester.explain(requester="XCC", **question)
        assert not told.permitted
        assert "in force" not in told.text


def test_a_search_ends_by_the_version_it_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is signed while it is under way is for the next one."""
    begun, go_on = threading.Event(), threading.Event()
    scan = Scanner.search

    async def slow(self: Scanner, *asked: Any) -> Any:  # noqa: ANN401 - handed on
        found = await scan(self, *asked)
        begun.set()
        await asyncio.to_thread(go_on.wait, MOST_SECONDS)
        return found

    with (
        World(tmp_path, agreements={"XAA": version(1)}) as world,
        ThreadPoolExecutor(1) as pool,
    ):
        world.enroller("XAA").enrol(record("r", unit(1)))
        monkeypatch.setattr(Scanner, "search", slow)
        answer = pool.submit(search, world)
        try:
            assert begun.wait(MOST_SECONDS)
            write_agreement(world.root, version(2, FORBID))
            # A refused search is not scanned, and so tells when the version counts.
            others = world.client("XCC")
            wait_until(
                lambda: (
                    not others.explain(
                        holder="XAA",
                        requester="XCC",
                        purpose="border-check",
                        modality="face",
                    ).permitted
                )
            )
        finally:
            go_on.set()
        assert answer.result(MOST_SECONDS).holders[0].outcome == "match"
        with pytest.raises(RefusedError):
            search(world)


def test_a_look_that_fails_is_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A defect is logged, and what is signed after it counts."""
    with World(tmp_path, agreements={"XAA": version(1)}) as world:
        world.enroller("XAA").enrol(record("r", unit(1)))

        def broken(_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr("biometrics.server.in_force.stamp_of", broken)
            wait_until(lambda: "the look for what is new failed" in caplog.text)
        write_agreement(world.root, version(2, FORBID))
        wait_until(lambda: is_refused(world))
