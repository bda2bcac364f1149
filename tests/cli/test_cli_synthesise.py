"""Synthetic galleries as files: what `enrol` reads, and the truth about every row."""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from biometrics.errors import InvalidRequestError
from biometrics.members import Member
from biometrics.templates import Position
from enrolment.formats.opening import open_source
from enrolment.formats.source import Found, VectorSample
from enrolment.population import PRESETS, Population
from enrolment.preflight import record_faults
from enrolment.scenario import Scenario
from enrolment.scores import pair_scores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told

SMALL = ("--subjects", 200, "--seed", 3, "--siblings", 0.1)
FINGERS = ("--position", "right-index", "--position", "left-index")


def truth_of(folder: Path) -> list[dict[str, str]]:
    """Return what is known of every row."""
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def records_of(path: Path) -> list[Found]:
    """Return what `enrol` would read, all of it in order."""
    found = [item for block in open_source(path).blocks() for item in block.items]
    assert all(isinstance(each, Found) and not record_faults(each) for each in found)
    return [each for each in found if isinstance(each, Found)]


def samples_of(record: Found) -> list[VectorSample]:
    """Return the embeddings of a record."""
    return [each for each in record.samples if isinstance(each, VectorSample)]


@pytest.mark.parametrize("form", ["npz", "manifest", "parquet"])
def test_a_gallery_is_what_enrol_reads_and_the_truth_is_of_it(
    run: Callable[..., Told], tmp_path: Path, form: str
):
    """Every row of every file is known, with its vector's quality and position."""
    folder = tmp_path / "made"
    told = run("synthesise", folder, *SMALL, "--form", form, "--json")
    assert told.code == 0, told.err
    document = told.document
    truth = truth_of(folder)
    for path, count in zip(
        document["galleries"], document["records"].values(), strict=True
    ):
        records = records_of(folder / path.rpartition("/")[2])
        rows = [row for row in truth if row["file"] == path.rpartition("/")[2]]
        assert len(records) == len(rows) == count
        assert [r.reference for r in records] == [row["reference"] for row in rows]
        if form != "npz":
            qualities = [samples_of(record)[0].quality for record in records]
            assert qualities == [int(row["quality"]) for row in rows]
    probes = [row for row in truth if not row["member"]]
    assert len(probes) == document["probes"] == len(records_of(folder / "probes.npz"))


def test_the_same_seed_gives_the_same_bytes(run: Callable[..., Told], tmp_path: Path):
    """Another gives others."""
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run("synthesise", tmp_path / name, "--subjects", 50, "--seed", seed)
    for file in ("XAA.csv", "XAA.npy", "truth.csv", "made-by.json"):
        a, b, c = ((tmp_path / name / file).read_bytes() for name in "abc")
        assert a == b != c


def test_people_are_enrolled_as_the_scenario_says(
    run: Callable[..., Told], tmp_path: Path
):
    """Some nowhere, some at two members, some twice at one; none is its own probe."""
    run("synthesise", tmp_path / "made", "--subjects", 1000, "--siblings", 0.1)
    truth = truth_of(tmp_path / "made")
    at: dict[str, list[str]] = {}
    for row in truth:
        at.setdefault(row["subject"], [])
        if row["member"]:
            at[row["subject"]].append(row["member"])
    held = Counter(
        "nowhere"
        if not members
        else ("once" if len(members) == 1 else f"by {len(set(members))}, twice")
        for members in at.values()
    )
    assert held == {
        "nowhere": 200,
        "by 2, twice": 80,
        "by 1, twice": 8,
        "once": 712,
    }
    captures = Counter((row["subject"], row["sample"]) for row in truth)
    assert set(captures.values()) == {1}
    kinds = Counter(row["kind"] for row in truth if row["sample"] == "2")
    assert (kinds["sibling"], kinds["goat"], kinds["lamb"]) == (100, 30, 20)
    for row in truth:
        is_alike = row["kind"] in {"sibling", "look-alike"}
        relative = str(int(row["subject"]) ^ 1)
        assert row["resembles"] == (relative if is_alike else "")
    made_by = json.loads((tmp_path / "made/made-by.json").read_text())
    assert made_by["population"]["siblings"] == 0.1
    assert (made_by["members"], made_by["positions"]) == (["XAA", "XBB"], ["face"])


def test_fingers_are_recorded_in_the_wrong_order_now_and_then(
    run: Callable[..., Told], tmp_path: Path
):
    """The truth says where each was taken; records have all fingers of a capture."""
    folder = tmp_path / "made"
    told = run("synthesise", folder, "--subjects", 900, *FINGERS)
    assert told.code == 0, told.err
    truth = truth_of(folder)
    swapped = [row for row in truth if row["position"] != row["true_position"]]
    assert all(row["member"] for row in swapped)
    assert 0 < len(swapped) < 30
    (first, *_) = records_of(folder / "XAA.csv")
    assert [s.position for s in samples_of(first)] == ["right-index", "left-index"]
    told = run("synthesise", tmp_path / "no", *FINGERS, "--form", "npz")
    assert (told.code, "no place for positions" in told.err) == (2, True)
    assert (
        run("synthesise", tmp_path / "p", *SMALL, *FINGERS, "--form", "parquet").code
        == 0
    )
    names = [each.reference for each in records_of(tmp_path / "p/XAA.parquet")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--samples", 2), "must be 3 or more"),
        (("--position", "nose"), "`nose` is no position"),
        (("--position", "face", "--position", "left-index"), "of one modality"),
        (("--preset", "none"), "must be one of `modern-face`, `dlib-face`"),
        (("--member", "nobody"), "nobody"),
        (("--subjects", 10**9), "may be held at once"),
        (("--siblings", 2), "siblings"),
        (("--plot", "picture.pdf"), "must end in `.png`"),
    ],
)
def test_what_cannot_be_made_is_refused(
    run: Callable[..., Told], tmp_path: Path, options: tuple[Any, ...], told: str
):
    """Exit code 2, and it says what to do."""
    given = ("--subjects", 10) if "--subjects" not in options else ()
    said = run("synthesise", tmp_path / "made", *given, *options)
    assert said.code == 2
    assert told in said.err


def test_nothing_is_written_over(run: Callable[..., Told], tmp_path: Path):
    """A folder with something in it is kept as it is."""
    (tmp_path / "notes").write_text("mine")
    told = run("synthesise", tmp_path, "--subjects", 10)
    assert (told.code, "has something in it" in told.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_scores_are_drawn_beside_real_ones_where_there_are_any(
    run: Callable[..., Told], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A larger picture with them than without."""
    monkeypatch.delenv("BIOMETRICS_DATA", raising=False)
    run("synthesise", tmp_path / "a", *SMALL, "--plot", tmp_path / "a.png")
    folder = tmp_path / "faces-dlib128"
    folder.mkdir()
    embedding = np.random.default_rng(1).standard_normal((40, 128)).astype("f4")
    subject = np.repeat(np.arange(10, dtype="i4"), 4)
    np.savez(folder / "gallery.npz", embedding=embedding, subject=subject)
    monkeypatch.setenv("BIOMETRICS_DATA", str(tmp_path))
    run("synthesise", tmp_path / "b", *SMALL, "--plot", tmp_path / "b.png")
    height = [
        int.from_bytes((tmp_path / name).read_bytes()[20:24], "big")
        for name in ("a.png", "b.png")
    ]
    assert 0 < height[0] < height[1]


def test_scores_are_of_pairs_of_one_and_of_two_people():
    """All mated pairs, or as many as are asked for."""
    vectors = np.repeat(np.eye(20, dtype="f4")[:4], 3, axis=0)
    subject = np.repeat(np.arange(4), 3)
    scores = pair_scores(vectors, subject, np.random.default_rng(1), most=500)
    assert len(scores.mated) == 4 * 3
    assert np.allclose(scores.mated, 1.0)
    assert np.allclose(scores.non_mated, -1 / 3)
    few = pair_scores(vectors, subject, np.random.default_rng(1), most=5)
    assert len(few.mated) == 5


def test_every_fault_of_a_scenario_is_told():
    """At once."""
    with pytest.raises(InvalidRequestError) as caught:
        Scenario(
            population=Population(seed=0, subjects=1, samples=2),
            members=(),
            positions=(Position.FACE, Position.FACE),
            at_two=0.9,
            twice=0.2,
        )
    assert [fault.field for fault in caught.value.faults] == [
        *("samples", "members", "positions"),
        "not_enrolled, at_two, twice, swapped",
    ]
    assert Scenario(population=PRESETS["dlib-face"], members=(Member("XAA"),))
