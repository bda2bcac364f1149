"""`biometrics enrol` and `inspect` take whatever files an operator has."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from finger import record_of, small_record, write_record
from prints import finger

from biometrics import limits
from biometrics.cli.load import Load
from biometrics.errors import Fault
from enrolment.bulk import Batch, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Told
    from tests.pocket import Script


@pytest.fixture
def folder(tmp_path: Path, gallery: Callable[..., Path]) -> Path:
    """A folder of two sound files, of several that are not, and of other things."""
    folder = tmp_path / "files"
    folder.mkdir()
    sound = gallery(20, "source.npz", zero=(4,))
    (folder / "a.npz").write_bytes(sound.read_bytes())
    (folder / "b.npz").write_bytes(sound.read_bytes()[:300])
    (folder / "c.fmr").write_bytes(write_record(small_record(2011)))
    (folder / "list").mkdir()
    np.save(folder / "list/row.npy", np.ones(16, np.float32))
    (folder / "list/d.csv").write_text("reference,file\nx,row.npy\ny,../source.npz\n")
    (folder / "notes.txt").touch()
    return folder


WRONG = {
    ("a.npz", "ZERO_VECTOR"),
    ("b.npz", "FILE_DAMAGED"),
    ("c.fmr", "TOO_FEW_MINUTIAE"),
    ("list/d.csv", "OUTSIDE_FOLDER"),
}


def failures(told: Told, folder: Path) -> set[tuple[str, str]]:
    """Return what failed, by file and reason, each being counted once."""
    assert all(each["count"] == 1 for each in told.document["failures"])
    return {
        (str(Path(each["file"]).relative_to(folder)), each["reason"])
        for each in told.document["failures"]
    }


def test_a_folder_is_enrolled_but_for_what_is_wrong(
    ask: Callable[..., Told], folder: Path, script: Script, tmp_path: Path
):
    """Exit code 1, and every refusal by file, record and field."""
    taken = tmp_path / "refused.jsonl"
    options = ("--space", "faces-v1", "--refused", taken, "--json")
    told = ask("enrol", folder, *options)
    assert told.code == 1
    assert failures(told, folder) == WRONG
    assert (told.document["enrolled"], told.document["refused"]) == (20, 4)
    assert told.document["passed_over"] == {"`.npy`": 1, "`.txt`": 1}
    assert set(script.records) == {*(f"ref-{n:05d}" for n in range(20)), "x"} - {
        "ref-00004"
    }
    lines = [json.loads(line) for line in taken.read_text().splitlines()]
    assert [
        (Path(line["file"]).name, line["record"], line["reference"]) for line in lines
    ] == [
        ("a.npz", 4, "ref-00004"),
        ("b.npz", None, ""),
        ("c.fmr", 0, "c"),
        ("d.csv", 1, "y"),
    ]
    assert lines[3]["faults"][0]["field"] == "line[3].file"


def test_people_are_told_what_failed_and_what_was_passed_over(
    ask: Callable[..., Told], folder: Path
):
    """A table of refusals, and one of counts."""
    told = ask("enrol", folder, "--space", "faces-v1")
    assert told.out.startswith("20 enrolled, 0 there already, 4 refused, in ")
    assert "TOO_FEW_MINUTIAE" in told.out
    assert "failures to enrol in" in told.out
    assert "passed over in folders: 1 of `.txt`\n" in told.err


def test_a_dry_run_tells_the_same_and_asks_nobody(
    run: Callable[..., Told], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """No profile is needed."""
    monkeypatch.delenv("BIOMETRICS_PROFILE", raising=False)
    told = run("enrol", folder, "--space", "faces-v1", "--dry-run", "--json")
    assert told.code == 1
    assert failures(told, folder) == WRONG
    assert (told.document["valid"], told.document["enrolled"]) == (20, 0)
    told = run("enrol", folder / "a.npz", "--space", "faces-v1", "--dry-run")
    assert told.out.startswith("19 in order, 1 refused, in ")


def test_a_dry_run_of_sound_files_succeeds(
    run: Callable[..., Told], gallery: Callable[..., Path]
):
    """Options are checked as far as that goes."""
    path = gallery(300)
    assert run("enrol", path, "--space", "faces-v1", "--dry-run").code == 0
    told = run("enrol", path, "--space", "x", "--dry-run", "--expires", "2020-01-01")
    assert (told.code, "lies in the past" in told.err) == (2, True)


def test_several_paths_are_one_load(
    ask: Callable[..., Told], gallery: Callable[..., Path], script: Script
):
    """Chunks go across files."""
    first, second = gallery(30, "a.npz"), gallery(40, "b.npz")
    told = ask("enrol", second, first, "--space", "faces-v1", "--json")
    assert (told.code, told.document["settled"]) == (0, 70)
    assert told.document["already_enrolled"] == 30  # the same references
    assert len(script.chunk_ids) == 1


def test_a_named_file_that_cannot_be_read_does_not_stop_the_others(
    ask: Callable[..., Told], folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """It is refused when it is opened, as one in a folder is."""
    real = os.access  # which is true of everything for root

    def access(path: str | Path, *rest: int, **options: bool) -> bool:
        return Path(path).suffix != ".npz" and real(path, *rest, **options)

    monkeypatch.setattr(os, "access", access)
    told = ask("enrol", folder / "a.npz", "--space", "faces-v1", "--json")
    assert (told.code, told.document["enrolled"]) == (1, 19)
    assert ask("inspect", folder / "a.npz", "--json").code == 1


def test_nothing_but_wrong_files_is_a_wrong_input(
    ask: Callable[..., Told], folder: Path, script: Script, tmp_path: Path
):
    """Exit code 2, as for any input, with every fault."""
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    wrong = (
        tmp_path / "absent.npz",
        folder / "notes.txt",
        pipe,
        folder / "list/row.npy",
    )
    told = ask("enrol", *wrong, "--space", "faces-v1")
    assert told.code == 2
    head, *lines = told.err.splitlines()
    assert head == "error: 4 things are wrong:"
    for line, message in zip(
        lines,
        (
            "absent.npz: cannot be read: no such file or directory",
            "notes.txt: ends in none of `.an2`, `.arrow`, `.bir`, `.bmp`, `.cbeff`, ",
            "pipe.npz: is no regular file",
            "row.npy: has vectors without references: name it in a manifest, or ",
        ),
        strict=True,
    ):
        assert message in line
    assert not script.chunk_ids


def test_a_folder_without_files_is_a_mistake(ask: Callable[..., Told], tmp_path: Path):
    """Rather than a success."""
    (tmp_path / "empty").mkdir()
    told = ask("enrol", tmp_path / "empty", "--space", "faces-v1")
    assert told.code == 2
    assert "there is no file of a known format in" in told.err
    assert ask("inspect", tmp_path / "empty").code == 2


def test_failures_are_counted_within_bounds(monkeypatch: pytest.MonkeyPatch):
    """Beyond, those of other files are put together."""
    monkeypatch.setattr(limits, "MAX_FAILURES_COUNTED", 2)
    fault = Fault(field="a", reason="WRONG", message="b")
    load = Load(0)
    for number, name in enumerate("abcda"):
        refused = Refused(file=Path(name), number=0, reference="", faults=(fault,))
        load.begin(Batch(start=number, records=(), refused=(refused,), bytes_read=0))
    assert [(each.file, count) for each, count in load.failures.most_common()] == [
        ("a", 2),
        ("other files", 2),
        ("b", 1),
    ]
    assert load.next_record == 5


def test_inspect_shows_what_files_hold(run: Callable[..., Told], folder: Path):
    """A print with three minutiae is too little; references are not shown."""
    told = run("inspect", folder, "--json")
    assert told.code == 1
    files = {Path(each["file"]).name: each for each in told.document["files"]}
    assert files["a.npz"]["records"] == 19
    assert files["a.npz"]["templates"] == {"vectors of 16, no position": 19}
    assert files["a.npz"]["faults"][0]["record"] == 4
    assert (files["b.npz"]["format"], files["b.npz"]["faulty"]) == (None, 1)
    few = files["c.fmr"]
    assert few["format"] == "ISO/IEC 19794-2:2011 finger minutiae"
    assert {each["reason"] for each in few["faults"]} == {"TOO_FEW_MINUTIAE"}
    assert "ref-0" not in told.out
    whole = folder / "whole.fmr"
    whole.write_bytes(write_record(record_of(finger(1)[:40])))
    told = run("inspect", whole, "--json")
    assert told.code == 0
    (each,) = told.document["files"]
    assert each["templates"] == {"views of minutiae, right-index": 1}
    assert (each["records"], each["minutiae"], each["faulty"]) == (1, 40, 0)


def test_inspect_tells_people_the_first_faults(
    run: Callable[..., Told], gallery: Callable[..., Path]
):
    """And how many more there are."""
    path = gallery(60, zero=range(50))
    told = run("inspect", path, path)
    assert "NumPy archive" in told.out
    assert "the vector is zero" in told.out
    assert "and 80 faulty records more" in told.out
