"""Templates parse themselves: centred, of unit length, of one space and position."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.templates import (
    Given,
    Modality,
    Position,
    Template,
    TemplateSpace,
    TemplateSpaces,
)

DIMENSION = 16
SPACE = TemplateSpace(
    name="face-a-1",
    modality=Modality.FACE,
    extractor="extractor",
    extractor_version="1",
    positions=frozenset({Position.FACE}),
    dimension=DIMENSION,
    centre=np.zeros(DIMENSION),
)
SPACES = TemplateSpaces({SPACE.name: SPACE})


def written(values: object) -> bytes:
    """Return components as a caller sends them."""
    return np.asarray(values, "<f4").tobytes()


def reasons(
    data: bytes, position: Position = Position.FACE, quality: int | None = None
) -> list[tuple[str, str]]:
    """Return the faults of a template as (field, reason)."""
    with pytest.raises(InvalidRequestError) as refused:
        Template.parse(SPACE, position, data, quality)
    return [(fault.field, fault.reason) for fault in refused.value.faults]


vectors = st.lists(
    st.floats(-1e6, 1e6, width=32), min_size=DIMENSION, max_size=DIMENSION
).filter(lambda values: np.linalg.norm(values) > 1e-3)


@given(vectors)
def test_templates_have_unit_length_and_keep_their_direction(values: list[float]):
    """The vector is normalised in float64 and kept as read-only float32."""
    template = Template.parse(SPACE, Position.FACE, written(values), 50)
    assert template.values.dtype == np.float32
    assert not template.values.flags.writeable
    raw = np.asarray(values, np.float64)
    np.testing.assert_allclose(template.values, raw / np.linalg.norm(raw), atol=1e-7)
    assert np.linalg.norm(template.values.astype(np.float64)) == pytest.approx(1)


@given(vectors)
def test_length_of_the_raw_vector_does_not_matter(values: list[float]):
    """Twice the vector is the same template, since the metric is cosine."""
    once = Template.parse(SPACE, Position.FACE, written(values), None)
    twice = Template.parse(SPACE, Position.FACE, written(np.multiply(values, 2)), None)
    np.testing.assert_array_equal(once.values, twice.values)


def test_centre_is_subtracted_before_normalising():
    """A space's centre moves the origin that directions are seen from."""
    centre = np.full(DIMENSION, 0.5)
    space = replace(SPACE, centre=centre)
    raw = centre + np.eye(DIMENSION)[3] * 7
    template = Template.parse(space, Position.FACE, written(raw), None)
    np.testing.assert_allclose(template.values, np.eye(DIMENSION)[3], atol=1e-6)


def test_components_are_little_endian():
    """The bytes mean the same on every machine."""
    data = b"\x00\x00\x80\x3f" + bytes(4 * (DIMENSION - 1))
    template = Template.parse(SPACE, Position.FACE, data, None)
    np.testing.assert_array_equal(template.values, np.eye(DIMENSION)[0])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "WRONG_DIMENSION"),
        (bytes(63), "WRONG_LENGTH"),
        (written(np.ones(15)), "WRONG_DIMENSION"),
        (written(np.ones(17)), "WRONG_DIMENSION"),
        (np.ones(DIMENSION, "<f8").tobytes(), "WRONG_DIMENSION"),
        (written([np.nan] + [1] * 15), "NOT_FINITE"),
        (written([1] * 15 + [np.inf]), "NOT_FINITE"),
        (written([1] * 15 + [-np.inf]), "NOT_FINITE"),
        (written(np.zeros(DIMENSION)), "ZERO_VECTOR"),
        (written(np.full(DIMENSION, 1e-8)), "ZERO_VECTOR"),
    ],
)
def test_bad_vectors_are_refused(data: bytes, reason: str):
    """Each mistake in the components has its own reason."""
    assert reasons(data) == [("data", reason)]


def test_huge_components_do_not_overflow():
    """The largest float32 values still have a direction."""
    top = float(np.finfo(np.float32).max)
    template = Template.parse(SPACE, Position.FACE, written([top] * DIMENSION), None)
    np.testing.assert_allclose(template.values, 0.25)


def test_every_fault_of_a_template_is_told_at_once():
    """Position, quality and data are judged together."""
    assert reasons(b"", Position.LEFT_IRIS, 101) == [
        ("position", "WRONG_POSITION"),
        ("quality", "WRONG_QUALITY"),
        ("data", "WRONG_DIMENSION"),
    ]
    assert reasons(written(np.ones(DIMENSION)), quality=-1) == [
        ("quality", "WRONG_QUALITY")
    ]


@pytest.mark.parametrize("quality", [None, 0, limits.MAX_QUALITY])
def test_quality_is_optional_and_has_its_ends(quality: int | None):
    """0 and 100 are qualities, and none is not 0."""
    data = written(np.ones(DIMENSION))
    assert Template.parse(SPACE, Position.FACE, data, quality).quality is quality


def test_a_template_does_not_print_its_vector():
    """A log line with a template shows no biometric data."""
    template = Template.parse(SPACE, Position.FACE, written(np.ones(DIMENSION)), None)
    assert "values" not in repr(template)
    assert "0.25" not in repr(template)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Face"),
        ("name", ""),
        ("name", "a b"),
        ("name", "REFERENCES"),
        ("name", "a" * 65),
        ("name", "face\n"),
        ("positions", frozenset()),
        ("positions", frozenset({Position.LEFT_IRIS})),
        ("positions", frozenset({Position.FACE, Position.LEFT_IRIS})),
        ("dimension", 15),
        ("dimension", 4097),
        ("centre", np.zeros(17)),
        ("centre", np.full(DIMENSION, np.nan)),
    ],
)
def test_space_that_makes_no_sense_cannot_be_made(
    field: str, value: str | float | frozenset[Position] | NDArray[np.float64]
):
    """A space checks itself, and says which part is wrong."""
    with pytest.raises(InvalidRequestError) as refused:
        replace(SPACE, **{field: value})
    assert field in {fault.field for fault in refused.value.faults}
    assert {fault.reason for fault in refused.value.faults} == {"INVALID_SPACE"}


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_vector_that_is_zero_once_centred_is_refused(scale: float):
    """It is the gallery's mean, rounded to float32, and has no direction."""
    centre = scale * np.linspace(1.1, 2.3, DIMENSION)
    space = replace(SPACE, centre=centre)
    with pytest.raises(InvalidRequestError) as refused:
        Template.parse(space, Position.FACE, written(centre), None)
    assert refused.value.reason == "ZERO_VECTOR"


def test_identity_follows_what_makes_templates_comparable():
    """Another extractor or centre is another identity; another position is not."""
    assert replace(SPACE).identity == SPACE.identity
    others = [
        replace(SPACE, name="face-b-1"),
        replace(SPACE, extractor="extractor1", extractor_version=""),
        replace(SPACE, extractor_version="2"),
        replace(SPACE, centre=np.full(DIMENSION, 0.5)),
        replace(SPACE, dimension=17, centre=np.zeros(17)),
    ]
    assert len({space.identity for space in [SPACE, *others]}) == 6


def test_spaces_are_found_by_name():
    """They iterate in the order of names, and an unknown one is refused."""
    other = replace(SPACE, name="a-face")
    spaces = TemplateSpaces({SPACE.name: SPACE, other.name: other})
    assert [space.name for space in spaces] == ["a-face", "face-a-1"]
    assert "a-face" in spaces
    assert spaces.named("a-face") is other
    with pytest.raises(InvalidRequestError, match="list them") as refused:
        SPACES.named("n" * 1000)
    assert refused.value.reason == "UNKNOWN_SPACE"
    assert len(refused.value.message) < 250


def test_every_position_belongs_to_one_modality():
    """A face, ten fingers and two irises."""
    by_modality = [position.modality for position in Position]
    assert [by_modality.count(modality) for modality in Modality] == [1, 10, 2]


def test_many_templates_are_made_as_each_alone():
    """Whatever stands between them, and in whatever order they are."""
    wide = replace(SPACE, name="wide", dimension=32, centre=np.full(32, 0.1))
    random = np.random.default_rng(5)
    datas = [written(random.standard_normal(n)) for n in (DIMENSION, 32) * 4]
    datas[2] = written([np.nan, *[1.0] * (DIMENSION - 1)])
    datas[3] = written(wide.centre)
    datas[4] = written([np.inf, *[0.0] * (DIMENSION - 1)])
    datas[5] = datas[5][:-1]
    datas[6] = datas[5] + b"0"
    given = [
        Given((SPACE, wide)[number % 2], Position.FACE, data, 200 if number > 6 else 50)
        for number, data in enumerate(datas)
    ]
    made = Template.parse_all(given, enrolled=True)
    for one, template in zip(given, made, strict=True):
        if isinstance(template, InvalidRequestError):
            with pytest.raises(InvalidRequestError) as refused:
                Template.parse(*one, enrolled=True)
            assert template.faults == refused.value.faults
            continue
        alone = Template.parse(*one, enrolled=True)
        assert template == alone
        assert template.values.tobytes() == alone.values.tobytes()
        assert not template.values.flags.writeable
    reasons = [each.reason for each in made if isinstance(each, InvalidRequestError)]
    assert reasons == [
        "NOT_FINITE",
        "ZERO_VECTOR",
        "NOT_FINITE",
        "WRONG_LENGTH",
        "WRONG_DIMENSION",
        "WRONG_QUALITY",
    ]
    assert Template.parse_all([]) == []
