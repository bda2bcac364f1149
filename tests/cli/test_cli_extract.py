"""Pictures on the command line: extracted, enrolled, searched with, looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from finger import small_record, write_record
from PIL import Image
from tiny_model import encoded, noise, write_model

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told
    from tests.pocket import Script

pytest.importorskip("onnxruntime", reason="the extra `model` is not installed")
SPACE = ("--space", "faces-v1")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that makes the templates of the pocket exchange's space."""
    return write_model(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of three pictures, of a text that is named like one, and of a list."""
    folder = tmp_path / "pictures"
    (folder / "listed").mkdir(parents=True)
    for number, kind in enumerate(("PNG", "TIFF", "BMP")):
        name = f"p-{number}.{kind.lower()}"
        (folder / name).write_bytes(encoded(noise(number), kind))
    (folder / "text.png").write_text("a text")
    (folder / "listed" / "secret-name.png").write_bytes(encoded(noise(9)))
    (folder / "listed" / "list.csv").write_text(
        "reference,file,quality\nlisted,secret-name.png,44\n"
    )
    return folder


def test_a_folder_of_pictures_is_enrolled_in_one_command(
    ask: Callable[..., Told], pictures: Path, model: Path, script: Script
):
    """By names or a list; what is no picture is refused, and the rest goes on."""
    told = ask("enrol", pictures, *SPACE, "--model", model, "--json", "--processes", 1)
    assert told.code == 1
    assert told.document["enrolled"] == 4
    assert told.document["pictures"] == 5
    assert [each["reason"] for each in told.document["failures"]] == ["NOT_A_PICTURE"]
    assert told.document["passed_over"] == {"files beside or beneath a manifest": 1}
    assert set(script.records) == {"p-0", "p-1", "p-2", "listed"}
    again = ask("enrol", pictures / "p-1.tiff", *SPACE, "--model", model)
    assert again.code == 0
    assert "there already" in again.out
    assert "1 picture by " in again.out


def test_a_picture_is_searched_with_and_never_sent(
    ask: Callable[..., Told], pictures: Path, model: Path, script: Script
):
    """It is extracted on this side, as the enrolled ones were."""
    ask("enrol", pictures, *SPACE, "--model", model, "--processes", 1)
    question = (*SPACE, "--purpose", "border-check", "--model", model, "--json")
    assert ask("match", pictures / "p-2.bmp", *question).document["regional"] == "match"
    other = pictures / "other.png"
    other.write_bytes(encoded(noise(77)))
    assert ask("match", other, *question).document["regional"] == "no-match"
    assert script.records
    wrong = ask("match", pictures / "text.png", *question[:-1])
    assert wrong.code == 2
    assert "text.png: is no JPEG, PNG, BMP or TIFF picture" in wrong.err
    vector = pictures / "vector.npy"
    np.save(vector, np.ones(16, np.float32))
    told = ask("match", vector, *question[:-1])
    assert (told.code, "is no picture; leave the option out" in told.err) == (2, True)


def test_templates_of_another_extractor_do_not_get_into_a_space(
    ask: Callable[..., Told], pictures: Path, model: Path
):
    """The space names its own."""
    model.write_text(model.read_text().replace('_version = "1"', '_version = "2"'))
    told = ask("enrol", pictures, *SPACE, "--model", model)
    assert told.code == 2
    assert "the space has templates by `test` of version `1`" in told.err
    told = ask("enrol", pictures, *SPACE)
    assert "templates by `test` are not made here" in told.err
    told = ask("match", pictures / "p-0.png", *SPACE, "--purpose", "visa")
    assert "templates by `test` are not made here" in told.err
    told = ask("match", pictures / "p-0.png", "--space", "none", "--purpose", "visa")
    assert "`none` is no template space" in told.err


def test_pictures_are_extracted_without_an_exchange(
    run: Callable[..., Told], ask: Callable[..., Told], pictures: Path, model: Path
):
    """Into a folder that can be enrolled, with a sheet to look at and a centre."""
    options = ("--to", "made", "--contact-sheet", "sheet.png", "--centre", "c.npy")
    told = run("extract", pictures, "--model", model, *options, "--processes", 1)
    assert told.code == 1
    assert "4 extracted, 1 refused" in told.out
    assert "5 pictures by 1 processes" in told.out
    folder = pictures.parent
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width > 1000
    done = ask("enrol", folder / "made", *SPACE, "--json")
    assert (done.code, done.document["enrolled"]) == (0, 4)
    lines = (folder / "made/templates.csv").read_text().splitlines()
    assert "listed,vectors-000000.npy,3,,,44," in lines
    vectors = np.frombuffer(
        (folder / "made/vectors-000000.npy").read_bytes()[128:], "f4"
    )
    centre = np.frombuffer((folder / "c.npy").read_bytes()[128:], "f4")
    assert centre == pytest.approx(vectors.reshape(4, 16).mean(axis=0), abs=1e-4)
    again = run("extract", pictures, "--model", model, *options)
    assert again.code == 2
    assert "is there already" in again.err


def test_what_is_no_picture_is_left_to_enrol(
    run: Callable[..., Told], model: Path, gallery: Callable[..., Path]
):
    """`extract` makes templates; it does not copy them."""
    told = run("extract", gallery(3), "--model", model, "--to", "made")
    assert told.code == 1
    assert "is no picture but a NumPy archive" in told.out


def test_a_picture_that_is_too_large_is_refused_with_its_reason(
    run: Callable[..., Told],
    pictures: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Alone as in a manifest, and where it is only looked at."""
    monkeypatch.setattr(limits, "MAX_PICTURE_BYTES", 10)
    paths = (pictures / "p-0.png", pictures / "listed/list.csv")
    told = run("extract", *paths, "--model", model, "--to", "made", "--json")
    assert told.code == 1, told.err
    failures = told.document["failures"]
    assert [each["reason"] for each in failures] == ["FILE_TOO_LARGE"] * 2
    told = run("inspect", paths[0])
    assert (told.code, "is larger than" in told.out) == (1, True)


def test_templates_of_a_manifest_are_left_to_enrol(
    run: Callable[..., Told], pictures: Path, model: Path
):
    """Of any dimension and from any format; the pictures beside them are extracted."""
    folder = pictures / "listed"
    np.save(folder / "vector.npy", np.ones(20, np.float32))
    (folder / "finger.fmr").write_bytes(write_record(small_record(2005, 1)))
    files = ("vector.npy", "finger.fmr", "secret-name.png")
    lines = "".join(f"of-{name},{name}\n" for name in files)
    (folder / "list.csv").write_text(f"reference,file\n{lines}")
    options = ("--model", model, "--to", "made", "--processes", 1, "--json")
    told = run("extract", folder / "list.csv", *options)
    assert told.code == 1, told.err
    assert (told.document["refused"], told.document["pictures"]) == (2, 1)
    assert {each["reason"] for each in told.document["failures"]} == {"NO_PICTURE"}
    made = sorted(path.name for path in (pictures.parent / "made").iterdir())
    assert made == ["templates.csv", "vectors-000000.npy"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of `--extractor NAME` and `--model FILE.toml`"),
        (("--extractor", "magic"), "templates by `magic` are not made here"),
        (("--model", "none.toml"), "cannot be read: no such file"),
    ],
)
def test_an_extractor_is_named(
    run: Callable[..., Told], pictures: Path, options: tuple[str, ...], message: str
):
    """One, that there is."""
    told = run("extract", pictures, "--to", "made", *options)
    assert (told.code, message in told.err) == (2, True)
    assert not (pictures.parent / "made").exists()


def test_a_dry_run_says_where_pictures_are_tried(
    run: Callable[..., Told], pictures: Path
):
    """Without an exchange nothing tells which extractor is meant."""
    told = run("enrol", pictures, *SPACE, "--dry-run")
    assert told.code == 1
    assert "try it without an exchange by `biometrics extract`" in told.out
    told = run("inspect", pictures, "--json")
    assert told.code == 0
    found = {each["format"] for each in told.document["files"]}
    assert found == {"picture", "CSV manifest"}
