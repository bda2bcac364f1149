"""`biometrics match`: one probe out of a file, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.cli.match import _show
from biometrics.client import MatchAnswer, Outcome

QUESTION = ("--space", "faces-v1", "--purpose", "border-check")

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.cli.conftest import Told
    from tests.pocket import Script


@pytest.fixture
def vectors():
    """Three different vectors."""
    return np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)


@pytest.fixture
def enrolled(script: Script, vectors: NDArray[np.float32]):
    """The exchange knows the second vector."""
    script.records["ref-1"] = vectors[1].tobytes()
    return script


def _write(path: Path, vectors: NDArray[np.float32]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, embedding=vectors)
    elif path.suffix == ".npy":
        np.save(path, vectors)
    else:
        path.write_bytes(np.asarray(vectors, "<f4").tobytes())
    return path


@pytest.mark.parametrize("name", ["probes.npz", "probes.npy"])
@pytest.mark.usefixtures("enrolled")
def test_a_row_of_a_file_is_searched_for(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path, name: str
):
    """Row numbers begin at 0."""
    path = _write(tmp_path / name, vectors)
    told = ask("match", path, "--row", "1", *QUESTION, "--json")
    assert told.code == 0
    assert told.document["regional"] == "match"
    assert told.document["holders"][0] == {
        "holder": "XAB",
        "outcome": "match",
        "reference": "000102030405060708090a0b0c0d0e0f",
    }
    told = ask("match", path, "--row", "2", *QUESTION, "--json")
    assert (told.code, told.document["regional"]) == (0, "no-match")


def test_a_row_far_down_a_file_is_found(
    ask: Callable[..., Told], script: Script, tmp_path: Path
):
    """Files are read in blocks; a row behind the first is as good."""
    many = np.random.default_rng(2).standard_normal((600, 16)).astype(np.float32)
    script.records["ref"] = many[599].tobytes()
    path = _write(tmp_path / "many.npz", many)
    told = ask("match", path, "--row", "599", *QUESTION, "--json")
    assert told.document["regional"] == "match"


@pytest.mark.parametrize("name", ["one.npy", "one.bin", "one"])
@pytest.mark.usefixtures("enrolled")
def test_a_single_vector_needs_no_row(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path, name: str
):
    """A one-dimensional `.npy`, or bare little-endian float32."""
    path = _write(tmp_path / name, vectors[1])
    assert ask("match", path, *QUESTION, "--json").document["regional"] == "match"


@pytest.mark.usefixtures("enrolled")
def test_a_file_of_one_row_needs_no_row(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path
):
    """It is clear which."""
    path = _write(tmp_path / "one.npz", vectors[1:2])
    assert ask("match", path, *QUESTION, "--json").document["regional"] == "match"


@pytest.mark.usefixtures("enrolled")
def test_big_endian_and_double_precision_are_understood(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path
):
    """A `.npy` says how its numbers are written."""
    path = _write(tmp_path / "one.npy", vectors[1].astype(">f8"))
    assert ask("match", path, *QUESTION, "--json").document["regional"] == "match"


@pytest.mark.usefixtures("enrolled")
def test_a_newer_header_is_understood(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path
):
    """Version 2.0 of the format."""
    path = tmp_path / "one.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, vectors[1], version=(2, 0))
    assert ask("match", path, *QUESTION, "--json").document["regional"] == "match"


@pytest.mark.usefixtures("enrolled")
def test_an_answer_is_a_table_for_people(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path
):
    """Outcome by holder, reference, and that there is no receipt."""
    told = ask("match", _write(tmp_path / "p.npy", vectors[1]), *QUESTION)
    assert told.out.startswith("regional outcome: match\n")
    assert "000102030405060708090a0b0c0d0e0f" in told.out
    assert "not-comparable" in told.out
    assert "no receipt" in told.out


def test_an_answer_without_holders_has_no_table(capsys: pytest.CaptureFixture[str]):
    """All holders searched may be unnamed."""
    _show(MatchAnswer(regional=Outcome.NO_MATCH, holders=(), receipt_status="issued"))
    assert capsys.readouterr().out == "regional outcome: no-match\n"


def test_holders_and_position_are_sent(
    ask: Callable[..., Told],
    script: Script,
    vectors: NDArray[np.float32],
    tmp_path: Path,
):
    """`--holder` and `--exclude-holder` may be repeated."""
    path = _write(tmp_path / "p.npy", vectors[0])
    options = ("--holder", "XAB", "--holder", "XAC", "--position", "left-thumb")
    options += ("--exclude-holder", "XAD", "--exclude-holder", "XAE")
    ask("match", path, *QUESTION, *options)
    (request,) = script.requests
    assert list(request.holders) == ["XAB", "XAC"]
    assert list(request.probe.excluded_holders) == ["XAD", "XAE"]
    assert request.probe.templates[0].position == 7


@pytest.fixture
def bad_files(tmp_path: Path, vectors: NDArray[np.float32]):
    """A folder of files that have no probe, or not the one asked for."""
    for many in ("many.npz", "many.npy", "cut.npy"):
        _write(tmp_path / many, vectors)
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-1])
    _write(tmp_path / "bare.bin", vectors[0])
    (tmp_path / "short.bin").write_bytes(b"12345")
    (tmp_path / "empty.bin").write_bytes(b"")
    (tmp_path / "long.bin").write_bytes(bytes(5 * 4096))
    (tmp_path / "garbage.npy").write_bytes(b"garbage")
    np.save(tmp_path / "tiny.npy", np.ones(3))
    np.save(tmp_path / "pickle.npy", np.array([{}] * 16), allow_pickle=True)
    np.save(tmp_path / "integers.npy", np.ones(16, int))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 16)))
    np.save(tmp_path / "columns.npy", np.asfortranarray(vectors))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("many.npz", (), "has 3 rows; say which with `--row`"),
        ("many.npz", ("--row", "3"), "there is no row 3"),
        ("many.npy", ("--row", "-1"), "there is no row -1"),
        ("bare.bin", ("--row", "1"), "there is no row 1"),
        ("absent.npy", (), "cannot be read: no such file"),
        ("absent.bin", (), "cannot be read: no such file"),
        ("short.bin", (), "is no vector"),
        ("empty.bin", (), "vectors of 0 components"),
        ("tiny.npy", (), "vectors of 3 components"),
        ("garbage.npy", (), "is no NumPy array"),
        ("pickle.npy", (), "neither numbers nor texts"),
        ("integers.npy", (), "must have a vector or a matrix"),
        ("cube.npy", (), "must have a vector or a matrix"),
        ("columns.npy", ("--row", "0"), "must have a vector or a matrix"),
        ("cut.npy", ("--row", "2"), "ends before its array does"),
        ("long.bin", (), "is no vector of at most"),
    ],
)
def test_a_file_that_has_no_such_probe_is_refused(
    *,
    ask: Callable[..., Told],
    script: Script,
    bad_files: Path,
    name: str,
    options: tuple[str, ...],
    told: str,
):
    """Exit code 2, the file is named, nothing is sent."""
    answer = ask("match", bad_files / name, *QUESTION, *options)
    assert answer.code == 2
    assert told in answer.err
    assert name in answer.err
    assert not script.requests


@pytest.mark.usefixtures("enrolled")
def test_further_templates_are_of_the_same_person(
    ask: Callable[..., Told],
    script: Script,
    vectors: NDArray[np.float32],
    tmp_path: Path,
):
    """Each with its space, position and file; the row is that of every file."""
    first = _write(tmp_path / "faces.npz", vectors)
    other = _write(tmp_path / "a:b.npz", vectors[::-1])
    also = f"faces-v1:left-index:{other}"
    told = ask("match", first, "--row", "1", "--also", also, *QUESTION, "--json")
    assert told.code == 0
    (sent,) = script.requests
    assert [len(template.data) for template in sent.probe.templates] == [64, 64]
    assert sent.probe.templates[1].data == vectors[1].tobytes()


@pytest.mark.parametrize("also", ["index.npz", "a:b", "a::c", ":b:c", "a:b:"])
def test_a_further_template_needs_space_position_and_file(
    ask: Callable[..., Told], vectors: NDArray[np.float32], tmp_path: Path, also: str
):
    """One line says so."""
    path = _write(tmp_path / "one.npy", vectors[1])
    told = ask("match", path, "--also", also, *QUESTION, "--json")
    assert told.code == 2
    assert "WRONG_FORM" in told.err
