"""Thresholds follow the promise and what the exchange holds, never who is named."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import pytest
from world import SPACE, SPACES, World, agreement, at_cosine, face, permit, record, unit

from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError, RefusedError
from biometrics.server.blueprint import write_exchange
from biometrics.server.check import check
from biometrics.spaces import parse_spaces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL, LARGE = 4, 1 << 20  # comparisons; the first is all that is established


def row(fpir: str, comparisons: int, cosine: float, *, established: bool) -> str:
    """Return a threshold."""
    text = f'[[threshold]]\nfpir = "{fpir}"\ncomparisons = {comparisons}\n'
    claim = "established = true\n" if established else ""
    return f"{text}cosine = {cosine}\n{claim}"


CALIBRATION = "".join(
    (
        f'version = 1\nspace = "{SPACE}"\nbasis = "measured"\ndated = 2026-01-01\n',
        f'definition = "{parse_spaces(SPACES, "x").named(SPACE).identity}"\n',
        'method = "test"\n[evidence]\nsearches = 3000\nsubjects = 3000\n',
        "comparisons = 1000\ninterval = 0.95\n",
        row("1e-2", SMALL, 0.5, established=True),
        row("1e-3", SMALL, 0.6, established=True),
        row("1e-3", LARGE, 0.8, established=False),
        row("1e-4", LARGE, 0.9, established=False),
    )
)
STRICT = "measured_only = true\n"
AGREEMENTS = {
    "XAA": agreement("XAA", permit("XCC", "holder")),
    "XRA": agreement("XRA", permit("XCC", "holder") + 'fpir = "1e-2"\n'),
    "XBB": agreement(
        "XBB",
        permit("XCC", "holder", "visa") + STRICT,
        permit("XDD", "holder", "visa") + STRICT + 'fpir = "1e-4"\n',
    ),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An exchange whose calibration supports four comparisons."""
    root = tmp_path_factory.mktemp("thresholds")
    with World(root, agreements=AGREEMENTS, calibrations={SPACE: CALIBRATION}) as world:
        yield world


def told(world: World, cosine: float, *holders: str, person: int = 1) -> dict[str, str]:
    """Return the outcomes of a search at some cosine to a person."""
    probe = face(at_cosine(unit(person), cosine))
    client = world.client("XCC")
    answer = client.match(probe, purpose="border-check", holders=holders)
    return {each.holder: each.outcome.value for each in answer.holders}


def test_thresholds_follow_promises_and_size(world: World) -> None:
    """Each holder's class is its own, and the size is that of the whole exchange."""
    for holder in ("XAA", "XRA"):
        world.enroller(holder).enrol(record("one", unit(1)))
    # 1. Each at the threshold of what it has promised.
    assert told(world, 0.55) == {"XAA": "no-match", "XRA": "match"}
    assert told(world, 0.65) == {"XAA": "match", "XRA": "match"}
    # 2. A record with two templates counts as two, and matches by either.
    world.enroller("XBB").enrol(record("two", unit(2), unit(3)))
    visa = {"purpose": "visa", "holders": ["XBB"]}
    for person in (2, 3):
        (found,) = world.client("XCC").match(face(unit(person)), **visa).holders
        assert found.outcome == "match"
    (space, _) = sorted(
        world.client("XCC").spaces(), key=lambda each: each.name != SPACE
    )
    assert (space.threshold_basis, space.established) == ("measured", ("1e-2", "1e-3"))
    # 3. The fifth template moves the threshold, whoever is named and whoever holds it.
    assert told(world, 0.65, "XAA") == {"XAA": "match"}
    world.enroller("XBB").enrol(record("three", unit(4)))
    assert told(world, 0.65, "XAA") == {"XAA": "no-match"}
    assert told(world, 0.85, "XAA") == {"XAA": "match"}
    # 4. Now nothing is established, and who demands that is not searched.
    with pytest.raises(RefusedError) as refused:
        world.client("XCC").match(face(unit(2)), **visa)
    assert refused.value.reason == "FPIR_NOT_ESTABLISHED"
    question = {"holder": "XBB", "purpose": "visa", "modality": "face"}
    said = world.client("XCC").explain(requester="XCC", **question)
    assert not said.permitted
    assert "demands a measured FPIR of 1e-3" in said.text
    (clause,) = [c for c in world.client("XCC").agreements() if c.holder == "XBB"]
    assert (clause.fpir, clause.measured_only) == ("1e-3", True)
    # 5. A restart counts the same, with codes or without, and so does a withdrawal: who
    #    could take it back would have two thresholds to ask at.
    world.restart()
    assert told(world, 0.65, "XAA") == {"XAA": "no-match"}
    world.stop()
    notes = check(world.root / "exchange.toml")
    assert sum("XBB.toml:" in note for note in notes) == len(notes) - 1 == 4
    assert "supports up to 4 comparisons, and a search has more" in notes[0]
    assert any("up to 4 comparisons, and a search has more" in each for each in notes)
    world.forget_codes()
    world.start()
    assert told(world, 0.65, "XAA") == {"XAA": "no-match"}
    world.enroller("XBB").withdraw("three")
    assert told(world, 0.65, "XAA") == {"XAA": "no-match"}
    world.restart()
    assert told(world, 0.65, "XAA") == {"XAA": "no-match"}
    with pytest.raises(RefusedError) as refused:
        world.client("XDD").match(face(unit(2)), **visa)
    assert refused.value.reason == "FPIR_NOT_ESTABLISHED"


def test_a_space_without_a_calibration_is_not_served(tmp_path: Path) -> None:
    """The start says which, and what to do."""
    settings = write_exchange(
        tmp_path / "pilot",
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen="127.0.0.1:0",
    )
    (path,) = (settings.parent / "calibrations").iterdir()
    path.unlink()
    with pytest.raises(ConfigurationError) as refused:
        check(settings)
    assert refused.value.reason == "NOT_CALIBRATED"
    assert f"`{path.stem}` has no calibration" in refused.value.message
