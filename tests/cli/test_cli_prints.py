"""Records of minutiae from a folder to an answer, by the commands of an operator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from finger import record_of, small_record, write_record
from prints import FILES, PERMITTED, PRINTS, finger, pressed

from biometrics.testing import ExchangeInProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Told

SPACE = ("--space", PRINTS)
PURPOSE = ("--purpose", "border-check", "--json")
FINGERS = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExchangeInProcess]:
    """An exchange with a space of minutiae."""
    root = tmp_path_factory.mktemp("prints")
    with ExchangeInProcess(root, spaces=FILES, agreements=PERMITTED) as world:
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of records, of which some are none that can be enrolled."""
    made = tmp_path / "records"
    made.mkdir()
    for number in range(FINGERS):
        shown = write_record(record_of(pressed(finger(number), 1)))
        (made / f"case-{number}.fmr").write_bytes(shown)
    (made / "few.fmr").write_bytes(write_record(record_of(finger(9)[:5])))
    (made / "none.fmr").write_bytes(write_record(record_of(finger(9)[:1]))[:-8])
    np.savez(made / "faces.npz", embedding=np.ones((1, 16)), reference=np.array(["x"]))
    return made


def test_a_folder_of_records_is_enrolled_and_searched(
    world: ExchangeInProcess, folder: Path, run: Callable[..., Told], tmp_path: Path
):
    """One clear refusal for each file that is wrong; the rest goes on."""
    enroller = world.profile_file("XAA", "enroller")
    enrol = ("--profile", enroller, "enrol", folder, *SPACE, "--json")
    told = run(*enrol, "--position", "left-index")  # but records know their fingers
    assert told.code == 1
    assert told.document["enrolled"] == FINGERS
    assert {each["reason"] for each in told.document["failures"]} == {
        "TOO_FEW_MINUTIAE",
        "WRONG_FIELD",
        "WRONG_KIND",
    }
    client = world.profile_file("XBB")
    probe = tmp_path / "probe.fmr"
    for per_cm in (197, 394):  # whatever the resolution that a record is of
        shown = record_of(pressed(finger(2), 7), per_cm=per_cm)
        probe.write_bytes(write_record(shown))
        told = run("--profile", client, "match", probe, *SPACE, *PURPOSE)
        assert told.document["regional"] == "match"
    probe.write_bytes(write_record(record_of(finger(20), code=0)))
    where = ("--position", "right-index")
    told = run("--profile", client, "match", probe, *SPACE, *where, *PURPOSE)
    assert told.document["regional"] == "no-match"


def test_which_view_is_meant_is_said(
    world: ExchangeInProcess, run: Callable[..., Told], tmp_path: Path
):
    """Of several the one of `--row`, and none without."""
    views = [*small_record(2005, 1).views, *record_of(finger(3), code=3).views]
    same = {key: getattr(views[1], key) for key in ("width", "height")}
    record = replace(small_record(2011), views=(views[0], replace(views[1], **same)))
    path = tmp_path / "two.fmr"
    path.write_bytes(write_record(record))
    match = ("--profile", world.profile_file("XBB"), "match", path, *SPACE, *PURPOSE)
    assert "ROW_REQUIRED" in run(*match).err
    assert "TOO_FEW_MINUTIAE" in run(*match, "--row", 0).err
    assert "WRONG_POSITION" in run(*match, "--row", 1).err  # a middle finger
    assert "NO_SUCH_ROW" in run(*match, "--row", 2).err


def test_thresholds_of_prints_are_calibrated(
    world: ExchangeInProcess, run: Callable[..., Told], tmp_path: Path
):
    """On the maxima of searches by their comparison, for this kind alone."""
    pytest.importorskip("scipy", reason="the extra `calibrate` is not installed")
    lines = ["reference,file"]
    for number in range(24):
        for impression in range(2):
            name = f"{number}-{impression}.fmr"
            shown = record_of(pressed(finger(number), impression))
            (tmp_path / name).write_bytes(write_record(shown))
            lines.append(f"finger-{number},{name}")
    lines.append("few,few.fmr")
    (tmp_path / "few.fmr").write_bytes(write_record(record_of(finger(9)[:5])))
    listed = tmp_path / "all.csv"
    listed.write_text("\n".join(lines) + "\n")
    spaces = ("--spaces", world.root / "spaces.toml", *SPACE)
    written = ("--output", tmp_path / "thresholds.toml", "--json")
    where = ("--position", "right-index")
    told = run("calibrate", listed, *spaces, *where, *written)
    assert told.code == 0, told.err
    text = (tmp_path / "thresholds.toml").read_text()
    assert f'definition = "{PRINTS}@' in text
    assert "[fusion]" in text
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, embedding=np.ones((1, 16)), reference=np.array(["x"]))
    written = ("--output", tmp_path / "other.toml")
    assert "vectors where" in run("calibrate", vectors, *spaces, *where, *written).err
