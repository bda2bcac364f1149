"""Template spaces as a file: strict, every fault at once."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.spaces import parse_spaces
from biometrics.templates import Kind, Modality, Position

SPACE = """
[[space]]
name = "face-a-1"
modality = "face"
extractor = "extractor"
extractor_version = "1.0"
positions = ["face"]
dimension = 16
"""
HEAD = "version = 1\n"
ONES = "centre = [" + "1, " * 15 + "0.5]\n"


def faults_of(text: str) -> list[tuple[str, str]]:
    """Return the faults of a file as (field, reason)."""
    with pytest.raises(ConfigurationError) as refused:
        parse_spaces(text, "spaces.toml")
    return [(fault.field, fault.reason) for fault in refused.value.faults]


def test_spaces_are_what_the_file_says():
    """Every key is read, and a centre left out is zero."""
    (space,) = parse_spaces(HEAD + SPACE, "spaces.toml")
    assert space.name == "face-a-1"
    assert space.modality is Modality.FACE
    assert (space.extractor, space.extractor_version) == ("extractor", "1.0")
    assert space.positions == {Position.FACE}
    assert space.dimension == 16
    np.testing.assert_array_equal(space.centre, np.zeros(16))


def test_centre_is_read_and_cannot_be_changed():
    """Whole numbers and fractions become read-only float64."""
    (space,) = parse_spaces(HEAD + SPACE + ONES, "spaces.toml")
    np.testing.assert_array_equal(space.centre, [1.0] * 15 + [0.5])
    assert space.centre.dtype == np.float64
    assert not space.centre.flags.writeable


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"face-a-1"', '"Face A"', ("name", "INVALID_SPACE")),
        ('modality = "face"', 'modality = "iris"', ("positions", "INVALID_SPACE")),
        ('modality = "face"', 'modality = "gait"', ("modality", "INVALID_VALUE")),
        ('["face"]', '["nose"]', ("positions[0]", "INVALID_VALUE")),
        ('["face"]', '["face", "face"]', ("positions", "REPEATED_VALUE")),
        ('["face"]', "[]", ("positions", "INVALID_VALUE")),
        ("= 16", '= "16"', ("dimension", "INVALID_VALUE")),
        ("= 16", "= 16.0", ("dimension", "INVALID_VALUE")),
        ("= 16", "= true", ("dimension", "INVALID_VALUE")),
        # Refused before an array of that size is asked for.
        ("= 16", "= 1_000_000_000_000_000", ("dimension", "INVALID_VALUE")),
        ("= 16\n", "= 17\n" + ONES, ("centre", "INVALID_SPACE")),
        ("= 16\n", "= 16\ncentre = []\n", ("centre", "INVALID_VALUE")),
        ("= 16\n", "= 16\ncentre = ['a', 'b']\n", ("centre[0]", "INVALID_VALUE")),
        ('"extractor"', '""', ("extractor", "EMPTY_TEXT")),
        ('"1.0"', '"' + "1" * 65 + '"', ("extractor_version", "INVALID_VALUE")),
        ("= 16\n", "= 16\nthreshold = 0.4\n", ("threshold", "UNKNOWN_KEY")),
        ("dimension = 16", "", ("dimension", "MISSING_KEY")),
    ],
)
def test_each_mistake_is_told_by_line_and_key(
    old: str, new: str, fault: tuple[str, str]
):
    """The line is that of the space's header."""
    assert old in SPACE
    field, reason = fault
    faults = faults_of(HEAD + SPACE.replace(old, new))
    assert (f"spaces.toml:3: space[0].{field}", reason) in faults


def test_names_are_unique():
    """Two spaces of one name are refused at the second."""
    other = SPACE.replace("face-a-1", "face-b-1")
    assert len(list(parse_spaces(HEAD + SPACE + other, "spaces.toml"))) == 2
    faults = faults_of(HEAD + SPACE + SPACE)
    assert faults == [("spaces.toml:11: space[1].name", "REPEATED_SPACE")]


def test_mistakes_in_several_spaces_are_told_together():
    """Every fault of the file is in one error."""
    text = (
        HEAD
        + SPACE.replace('["face"]', '["left-iris"]')
        + SPACE.replace("face-a-1", "FACE")
    )
    assert faults_of(text) == [
        ("spaces.toml:3: space[0].positions", "INVALID_SPACE"),
        ("spaces.toml:11: space[1].name", "INVALID_SPACE"),
    ]


@pytest.mark.parametrize("text", [HEAD, HEAD + "space = []\n"])
def test_an_exchange_without_a_space_is_refused(text: str):
    """It could answer nothing, so that it is taken for a mistake."""
    assert [field for field, _ in faults_of(text)] == ["spaces.toml: space"]


def with_centre(folder: Path, data: bytes, more: str = "") -> str:
    """Return a file whose centre stands in another one, with that content."""
    (folder / "mean.npy").write_bytes(data)
    return f'{HEAD}{SPACE}centre_file = "mean.npy"\n{more}'


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as `numpy.save` writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8"])
def test_a_centre_in_a_file_is_the_same_as_one_in_the_text(tmp_path: Path, kind: str):
    """It is read beside the file, and is part of what the space is."""
    text = with_centre(tmp_path, npy(np.array([1] * 15 + [0.5], kind)))
    (space,) = parse_spaces(text, "spaces.toml", tmp_path)
    (inline,) = parse_spaces(HEAD + SPACE + ONES, "spaces.toml")
    (without,) = parse_spaces(HEAD + SPACE, "spaces.toml")
    np.testing.assert_array_equal(space.centre, inline.centre)
    assert space.identity == inline.identity != without.identity
    assert not space.centre.flags.writeable


@pytest.mark.parametrize(
    ("data", "more", "reason"),
    [
        (npy(np.ones(15)), "", "WRONG_CENTRE"),
        (npy(np.ones((1, 16))), "", "WRONG_CENTRE"),
        (npy(np.ones(16, np.int64)), "", "WRONG_CENTRE"),
        (npy(np.ones(16))[:-1], "", "WRONG_CENTRE"),
        (npy(np.ones(16)) + b"x", "", "WRONG_CENTRE"),
        (npy(np.full(16, np.nan)), "", "INVALID_SPACE"),
        (npy(np.array([{}] * 16)), "", "WRONG_CENTRE"),
        (b"", "", "NOT_NPY"),
        (b"1, 2, 3", "", "NOT_NPY"),
        (npy(np.ones(16))[:40], "", "NOT_NPY"),
        (npy(np.ones(16)), ONES, "CENTRE_TWICE"),
    ],
)
def test_a_file_that_is_no_centre_is_refused(
    tmp_path: Path, data: bytes, more: str, reason: str
):
    """By the key that names it; nothing in it is unpickled."""
    text = with_centre(tmp_path, data, more)
    with pytest.raises(ConfigurationError) as refused:
        parse_spaces(text, "spaces.toml", tmp_path)
    (fault,) = refused.value.faults
    assert fault.reason == reason
    assert "spaces.toml:3: space[0].centre" in fault.field
    (tmp_path / "mean.npy").unlink()
    with pytest.raises(ConfigurationError) as refused:
        parse_spaces(with_centre(tmp_path, b"").replace("mean", "none"), "x", tmp_path)
    assert refused.value.reason == "UNREADABLE_FILE"


def test_a_space_says_on_which_scale_quality_is():
    """It does not decide what can be compared."""
    (plain,) = parse_spaces(HEAD + SPACE, "spaces.toml")
    (named,) = parse_spaces(f'{HEAD}{SPACE}quality_scale = "NFIQ 2"\n', "spaces.toml")
    assert (plain.quality_scale, named.quality_scale) == ("ISO/IEC 29794-1", "NFIQ 2")
    assert plain.identity == named.identity


def test_how_vectors_spread_decides_nothing_of_what_can_be_compared(tmp_path: Path):
    """It stands in a file of its own, in any order of its numbers."""
    spread = np.arange(32.0, dtype=np.float32).reshape(2, 16)
    for order in (spread, np.asfortranarray(spread)):
        (tmp_path / "spread.npy").write_bytes(npy(order))
        text = f'{HEAD}{SPACE}spread_file = "spread.npy"\n'
        (space,) = parse_spaces(text, "spaces.toml", tmp_path)
        assert space.spread is not None
        np.testing.assert_array_equal(space.spread, spread)
    (plain,) = parse_spaces(HEAD + SPACE, "spaces.toml")
    assert space.identity == plain.identity
    assert plain.spread is None
    assert not space.spread.flags.writeable


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (npy(np.ones(16)), "WRONG_SPREAD"),
        (npy(np.ones((2, 15))), "WRONG_SPREAD"),
        (npy(np.ones((17, 16))), "WRONG_SPREAD"),
        (npy(np.ones((0, 16))), "WRONG_SPREAD"),
        (npy(np.zeros((2, 16))), "WRONG_SPREAD"),
        (npy(np.full((2, 16), np.inf)), "WRONG_SPREAD"),
        (npy(np.ones((2, 16), np.int64)), "WRONG_SPREAD"),
        (npy(np.ones((2, 16))).replace(b"(2, 16)", b"(-2, -16)"), "WRONG_SPREAD"),
        (b"", "NOT_NPY"),
    ],
)
def test_a_file_that_says_nothing_of_spread_is_refused(
    tmp_path: Path, data: bytes, reason: str
):
    """By the key that names it."""
    (tmp_path / "spread.npy").write_bytes(data)
    text = f'{HEAD}{SPACE}spread_file = "spread.npy"\n'
    with pytest.raises(ConfigurationError) as refused:
        parse_spaces(text, "spaces.toml", tmp_path)
    (fault,) = refused.value.faults
    assert (fault.reason, fault.field[-11:]) == (reason, "spread_file")


PRINTS = """\
version = 1
[[space]]
name = "prints"
kind = "minutiae"
modality = "fingerprint"
extractor = "any"
extractor_version = "1"
positions = ["left-index"]
"""


def test_a_space_of_minutiae_has_no_more_to_say():
    """Neither dimension nor centre; every template is of one size."""
    space = parse_spaces(PRINTS, "spaces.toml").named("prints")
    assert (space.kind, space.dimension) == (Kind.MINUTIAE, 0)
    assert space.template_bytes == limits.MINUTIAE_BYTES
    other = PRINTS.replace('"any"', '"other"')
    assert parse_spaces(other, "").named("prints").identity != space.identity


@pytest.mark.parametrize(
    ("line", "reason", "where"),
    [
        ("dimension = 128", "WRONG_KIND", "space[0].dimension"),
        ('metric = "cosine"', "WRONG_KIND", "space[0].metric"),
        ("centre = [0.5]", "WRONG_KIND", "space[0].centre"),
        ('spread_file = "x.npy"', "WRONG_KIND", "space[0].spread_file"),
    ],
)
def test_what_is_of_vectors_does_not_go_with_minutiae(
    line: str, reason: str, where: str
):
    """Each of them is named."""
    with pytest.raises(ConfigurationError) as caught:
        parse_spaces(f"{PRINTS}{line}\n", "spaces.toml")
    (fault,) = caught.value.faults
    assert fault.reason == reason
    assert fault.field.endswith(where.partition(".")[2])


def test_a_space_of_vectors_has_a_dimension():
    """It is missed where nothing is said of a kind."""
    text = PRINTS.replace('kind = "minutiae"\n', "")
    with pytest.raises(ConfigurationError) as caught:
        parse_spaces(text, "spaces.toml")
    assert [fault.reason for fault in caught.value.faults] == ["MISSING_KEY"]
