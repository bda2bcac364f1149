"""`biometrics enrol` run again, against the real exchange: what it says is true now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import DIMENSION, SPACE, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running exchange."""
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def enrol(run: Callable[..., Told], world: World):
    """Enrol a file for a member."""
    return lambda member, path: run(
        *("--profile", world.profile_file(member, "enroller")),
        *("enrol", path, "--space", SPACE, "--json"),
    )


@pytest.fixture
def gallery(tmp_path: Path):
    """A maker of array files: as many rows, those of a seed."""

    def make(rows: int, seed: int = 0) -> Path:
        vectors = np.random.default_rng(seed).standard_normal((rows, DIMENSION))
        references = np.array([f"case-{row}" for row in range(rows)])
        path = tmp_path / f"{rows}-{seed}.npz"
        np.savez(path, embedding=vectors.astype(np.float32), reference=references)
        return path

    return make


def counts(told: Told) -> tuple[int, int, int]:
    """Return how many were enrolled, were enrolled before, and were refused."""
    document = told.document
    return document["enrolled"], document["already_enrolled"], document["refused"]


def reasons(told: Told) -> dict[int, str]:
    """Return why rows were refused."""
    return {
        each["record"]: each["faults"][0]["reason"]
        for each in told.document["refusals"]
    }


def test_a_second_run_finds_everything_enrolled_before(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    run: Callable[..., Told],
    world: World,
):
    """Whether minutes or months later; and nothing is there twice."""
    first, second = (enrol("XAA", gallery(700)) for _ in range(2))
    assert (first.code, counts(first)) == (0, (700, 0, 0))
    assert (second.code, counts(second)) == (0, (0, 700, 0))
    profile = world.profile_file("XAA", "enroller")
    told = run("--profile", profile, "galleries", "list", "--json")
    assert [each["records"] for each in told.document["galleries"]] == [700]


def test_a_load_that_was_cut_short_is_finished_by_a_second_run(
    enrol: Callable[..., Told], gallery: Callable[..., Path]
):
    """Chunks that are enrolled in part are told apart record by record."""
    assert counts(enrol("XBB", gallery(40))) == (40, 0, 0)
    told = enrol("XBB", gallery(100))
    assert (told.code, counts(told)) == (0, (60, 40, 0))


def test_a_record_withdrawn_meanwhile_is_not_called_enrolled(
    enrol: Callable[..., Told], gallery: Callable[..., Path], world: World
):
    """The same file a moment later is answered by what is there, not by what was."""
    assert counts(enrol("XCC", gallery(20))) == (20, 0, 0)
    world.enroller("XCC").withdraw("case-7")
    told = enrol("XCC", gallery(20))
    assert (told.code, counts(told)) == (1, (0, 19, 1))
    assert reasons(told) == {7: "REFERENCE_WITHDRAWN"}


def test_another_person_under_a_taken_reference_is_refused(
    enrol: Callable[..., Told], gallery: Callable[..., Path]
):
    """A second file may not replace what is enrolled."""
    assert counts(enrol("XDD", gallery(3))) == (3, 0, 0)
    told = enrol("XDD", gallery(3, seed=1))
    assert (told.code, counts(told)) == (1, (0, 0, 3))
    assert set(reasons(told).values()) == {"REFERENCE_TAKEN"}
