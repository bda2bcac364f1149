"""Template spaces as a file: strict, every fault at once."""

import numpy as np
import pytest

from biometrics.errors import ConfigurationError
from biometrics.spaces import parse_spaces
from biometrics.templates import Modality, Position

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
