"""`biometrics canaries`: planted, listed and removed, against a real exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from world import SPACE, World, record, unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An exchange in which XAA has enrolled somebody."""
    with World(tmp_path) as world:
        world.enroller("XAA").enrol(record("case-1", unit(1)))
        yield world


@pytest.fixture
def do(world: World, run: Callable[..., Told]) -> Callable[..., Told]:
    """Run a command as XAA's enrolling system."""
    profile = world.profile_file("XAA", "enroller")
    return lambda *arguments: run("--profile", profile, *arguments)


def test_canaries_are_planted_listed_and_removed(do: Callable[..., Told]) -> None:
    """For people and for programs; no list of records has them."""
    told = do("canaries", "plant", "--space", SPACE, "--count", "2")
    assert (told.code, told.out) == (0, "canaries planted: 2\n")
    planted = do("canaries", "plant", "--space", SPACE, "--count", "1", "--json")
    (third,) = planted.document["planted"]
    assert do("canaries", "list").out.count(SPACE) == 3
    listed = do("canaries", "list", "--json").document["canaries"]
    assert listed[-1]["reference"] == third
    assert third not in do("records", "list").out
    assert do("canaries", "remove", third).out.startswith("withdrawn at ")
    gone, last = (each["reference"] for each in listed[:2])
    removed = do("canaries", "remove", gone, "--json")
    assert removed.document["reference"] == gone
    assert last in do("canaries", "list").out


def test_what_is_no_canary_is_not_removed(do: Callable[..., Told]) -> None:
    """A record that is somebody's would never come back under its reference."""
    for reference in ("case-1", "case-2"):
        told = do("canaries", "remove", reference)
        assert told.code == 1
        assert "nothing was withdrawn" in told.err
    assert "case-1" in do("records", "list").out


def test_no_more_are_planted_at_once_than_the_help_says(
    do: Callable[..., Told],
) -> None:
    """Told by the client."""
    told = do("canaries", "plant", "--space", SPACE, "--count", "101")
    assert told.code == 2
    assert "must be 1 to 100" in told.err
