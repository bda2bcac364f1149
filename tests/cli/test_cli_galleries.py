"""`biometrics galleries`: lock, unlock, rotate and destroy, against a real exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import World, record, unit

from biometrics.cli import galleries
from biometrics.client import CustodyInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from biometrics.client import ExchangeClient
    from tests.cli.conftest import Told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange in which XAA has enrolled somebody."""
    with World(tmp_path_factory.mktemp("world")) as world:
        world.enroller("XAA").enrol(record("case-1", unit(1)))
        yield world


@pytest.fixture
def do(world: World, run: Callable[..., Told]) -> Callable[..., Told]:
    """Run a command of `galleries` as XAA's administrator."""
    profile = world.profile_file("XAA", "administrator")
    return lambda *arguments: run("--profile", profile, "galleries", *arguments)


def test_a_gallery_is_locked_and_unlocked(do: Callable[..., Told]) -> None:
    """With the moment, for people and for programs."""
    told = do("lock")
    assert told.code == 0
    assert told.out.startswith("locked since ")
    again = do("lock", "--json")
    assert again.document["locked_at"][:10] in told.out
    assert "locked" in do("list").out
    assert do("unlock").out.startswith("unlocked since ")
    assert do("unlock", "--json").document["unlocked_at"]


def test_a_key_is_made_and_handed_over_to_the_exchange_alone(
    world: World, run: Callable[..., Told], tmp_path: Path
) -> None:
    """Not where it has one already, and not without a verifier in the profile."""
    key = tmp_path / "mine.key"
    made = run("galleries", "make-key", key)
    assert (made.code, key.stat().st_mode & 0o777) == (0, 0o600)
    assert run("galleries", "make-key", key).code != 0
    assert world.exchange is not None
    profile = world.profile_file("XBB", "administrator")
    unlock = ("--profile", profile, "galleries", "unlock", "--key", key)
    alone = run(*unlock)
    assert alone.code == 2
    assert "put its verifier key into the profile" in alone.err
    run("--profile", profile, "galleries", "lock")
    with profile.open("a") as file:
        file.write(f'verifier = "{world.exchange.verifier}"\n')
    told = run(*unlock)
    assert (told.code, told.out) == (1, "")
    assert "the exchange has the key-encryption key of `XBB`" in told.err


def test_a_rotation_is_waited_for_and_certified(
    do: Callable[..., Told], tmp_path: Path
) -> None:
    """The certificate is printed, listed, and written into a folder."""
    told = do("rotate")
    assert told.code == 0
    assert told.out.startswith("biometrics.exchange erasure\nnumber 1\nholder XAA\n")
    (document,) = do("rotate", "--json").document["erasures"]
    assert (document["number"], document["kind"]) == (2, "rotation")
    listed = do("erasures", "--to", tmp_path)
    assert listed.out.count("issued") == 2
    assert (tmp_path / "erasure-1.note").read_text() == told.out
    assert (tmp_path / "erasure-2.note").read_text() == document["certificate"]
    both = do("erasures", "--json").document["erasures"]
    assert both[1] == document


def test_what_keeps_a_rotation_from_its_end_is_told(
    monkeypatch: pytest.MonkeyPatch, do: Callable[..., Told]
) -> None:
    """One does not wait for it in vain."""

    def custody(_: ExchangeClient) -> CustodyInfo:
        return CustodyInfo(
            state="open", since=None, is_busy=True, items_left=3, trouble="3 values"
        )

    monkeypatch.setattr(galleries.ExchangeClient, "custody", custody)
    told = do("rotate")
    assert (told.code, told.out) == (1, "")
    assert "3 values" in told.err


def test_a_destruction_takes_the_members_own_code(
    world: World, do: Callable[..., Told]
) -> None:
    """Without it, or with another, nothing is destroyed."""
    assert do("destroy").code != 0
    refused = do("destroy", "--yes", "XBB")
    assert refused.code == 2
    assert "must be `XAA`" in refused.err
    assert [g.records for g in world.enroller("XAA").galleries()] == [1]
    told = do("destroy", "--yes", "XAA")
    assert told.code == 0
    assert "by destruction\n" in told.out
    assert world.enroller("XAA").galleries() == ()
    again = do("destroy", "--yes", "XAA")
    assert (again.code, again.out) == (0, "there was no key to be erased\n")


def test_only_an_administrator_may(world: World, run: Callable[..., Told]) -> None:
    """An enroller is refused."""
    profile = world.profile_file("XAA", "enroller")
    told = run("--profile", profile, "galleries", "lock")
    assert told.code == 3
