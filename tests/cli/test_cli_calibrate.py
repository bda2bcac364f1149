"""`biometrics calibrate`: files in, a calibration out, and a report."""

from __future__ import annotations

import csv
import stat
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from biometrics.calibration import FpirClass, parse_calibration
from biometrics.spaces import parse_spaces

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told

    Run = Callable[..., Told]

DIMENSION = 64
SPACES = """\
version = 1
[[space]]
name = "small"
modality = "face"
extractor = "test"
extractor_version = "1"
positions = ["face"]
dimension = 64
[[space]]
name = "finger"
modality = "fingerprint"
extractor = "test"
extractor_version = "1"
positions = ["left-index", "right-index"]
dimension = 64
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A configuration's folder, and a gallery of 320 people, two of them one."""
    (tmp_path / "calibrations").mkdir()
    (tmp_path / "spaces.toml").write_text(SPACES)
    random = np.random.default_rng(1)
    identity = random.standard_normal((320, 1, DIMENSION))
    identity[7] = identity[3]
    rows = identity + 0.2 * random.standard_normal((320, 2, DIMENSION))
    np.savez(
        tmp_path / "gallery.npz",
        embedding=rows.reshape(-1, DIMENSION).astype("f4"),
        subject=np.repeat([f"p{n}" for n in range(320)], 2),
        group=np.repeat(["a", "b"], 320),
    )
    alone = rows[:, 0].astype("f4")
    alone[5, 0] = np.nan
    np.savez(tmp_path / "alone.npz", embedding=alone, reference=np.arange(320))
    return tmp_path


ASKED = ("calibrate", "gallery.npz", "--space", "small", "--spaces", "spaces.toml")


def test_a_calibration_is_written_and_told(run: Run, folder: Path) -> None:
    """It is good as it is, beside the spaces; rates stand by size and group."""
    told = run(*ASKED)
    assert told.code == 0, told.err
    path = folder / "calibrations" / "small.toml"
    space = parse_spaces(SPACES, "spaces.toml").named("small")
    calibration = parse_calibration(path.read_bytes(), path.name, space)
    assert calibration.reach(FpirClass.HUNDREDTH) == 1024
    assert told.out.startswith("320 searches against 640 templates, each but for")
    assert "up to 1,024 comparisons" in told.out
    assert "not established: that takes searches of 3,000 people" in told.out
    assert "can be fused" in told.out
    assert "by 320 mated searches" in told.out
    assert calibration.weights is not None
    assert "at the threshold of 1e-2:" in told.out
    assert "hidden; use --review" in told.out
    assert "p3" not in told.out + told.err
    again = run(*ASKED)
    assert (again.code, "--replace" in again.err) == (2, True)
    document = run(*ASKED, "--replace", "--json").document
    assert document["comparisons"] == 640
    assert document["weighed_by"] == 320
    assert [each["established_up_to"] for each in document["classes"]] == [1024, 0, 0]
    assert document["highest_pairs"][0]["doubtful"] is True
    assert not list(folder.rglob("*.new"))


def test_without_second_captures_nothing_is_fused(run: Run, folder: Path) -> None:
    """It is said, with what it takes."""
    asked = ("calibrate", "alone.npz", *ASKED[2:])
    told = run(*asked)
    assert told.code == 0, told.err
    assert "cannot be fused" in told.out
    assert "takes 20 people with a second capture" in told.out
    assert "[fusion]" not in (folder / "calibrations" / "small.toml").read_text()
    assert run(*asked, "--replace", "--json").document["weighed_by"] == 0


def test_one_person_under_two_names_is_reviewed_and_told(
    run: Run, folder: Path
) -> None:
    """What is left of the review is given back, and lowers the threshold."""
    first = run(*ASKED, "--review", "review.csv", "--json").document
    review = folder / "review.csv"
    assert stat.S_IMODE(review.stat().st_mode) == 0o600
    rows = list(csv.reader(review.read_text().splitlines()))
    assert {rows[1][0], rows[1][2], rows[1][5]} == {"p3", "p7", "yes"}
    (folder / "same.csv").write_text("\n".join(map(",".join, rows[:3])))
    rows[3:] = []
    same = ("--same", "same.csv", "--replace", "--json")
    second = run(*ASKED, *same).document
    assert second["highest_pairs"][0]["score"] < first["highest_pairs"][0]["score"]
    thresholds = [each["classes"][0]["threshold"] for each in (first, second)]
    assert thresholds[1] <= thresholds[0]
    taken = run(*ASKED, "--replace", "--review", "review.csv")
    assert (taken.code, "there already" in taken.err) == (2, True)


def test_pictures_are_drawn(run: Run, folder: Path) -> None:
    """Three, large enough to be printed, and none of them empty."""
    told = run(*ASKED, "--pictures", "report")
    assert told.code == 0, told.err
    names = {path.name for path in (folder / "report").iterdir()}
    assert names == {f"small-{n}.png" for n in ("densities", "rates", "trade-off")}
    for path in (folder / "report").iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 800
            pixels = np.asarray(picture.convert("L"))
        assert (pixels < 200).mean() > 0.005


def test_a_gallery_without_mates_has_no_fnir(run: Run, folder: Path) -> None:
    """And is calibrated and drawn all the same; what was passed over is told."""
    told = run("calibrate", "alone.npz", *ASKED[2:], "--pictures", "report")
    assert told.code == 0, told.err
    assert told.out.startswith("319 searches against 319 templates")
    assert "; 0 mated as well" in told.out
    assert "passed over: 1 vector, NOT_FINITE" in told.err
    assert len(list((folder / "report").iterdir())) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--space", "other"), "`other` is not in `spaces.toml`; it has `finger`"),
        (("--position", "left-iris"), "`left-iris` is none of `small`: `face`"),
        (("--space", "finger"), "name one of `finger`: `left-index`, `right-"),
        (("--spaces", "none.toml"), "none.toml"),
        (("--probes", "none.npz"), "none.npz"),
        (("--output", "no/where.toml"), "has no folder to be in"),
        (("--same", "spaces.toml"), "must be a table as `--review` writes it"),
        (("--pictures", "spaces.toml"), "exists and is not overwritten"),
        (("--searches", "19"), "equal to 20"),
    ],
)
def test_each_mistake_is_told(
    run: Run, folder: Path, arguments: tuple[str, ...], told: str
) -> None:
    """In one line that says what, where, and what to do."""
    found = run(*ASKED, *arguments)
    assert (found.code, told in found.err) == (2, True), found.err
    if arguments[0] != "--pictures":
        assert not list((folder / "calibrations").iterdir())


@pytest.mark.parametrize(
    "missing",
    [("enrolment.calibrate.measure", "calibrate"), ("matplotlib.figure", "pictures")],
)
def test_extras_are_named_where_they_are_missing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, str]
) -> None:
    """One line says how to get them."""
    module, extra = missing
    monkeypatch.setitem(sys.modules, module, None)
    found = run(*ASKED, "--pictures", str(folder / "report"))
    assert found.code == 2
    assert f"regional-biometrics-exchange[{extra}]" in found.err
