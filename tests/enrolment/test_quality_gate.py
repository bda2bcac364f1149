"""The quality gate of a space: what it refuses, with all other faults of a record."""

from __future__ import annotations

import numpy as np
import pytest

from biometrics.clock import SystemClock
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.spaces import parse_spaces
from biometrics.templates import Position, TemplateSpaces
from biometrics.v1 import enrolment_pb2, template_pb2
from biometrics.wire import read_template
from enrolment.wire import read_record

SPACE = """version = 1
[[space]]
name = "hand"
modality = "fingerprint"
extractor = "e"
extractor_version = "1"
positions = ["right-thumb", "right-little", "left-little"]
dimension = 16
quality_scale = "ours"
"""
GATE = """[space.quality]
minimum = 40
[space.quality.positions]
right-little = 20
"""
POSITIONS = {
    "right-thumb": template_pb2.POSITION_RIGHT_THUMB,
    "right-little": template_pb2.POSITION_RIGHT_LITTLE,
    "left-little": template_pb2.POSITION_LEFT_LITTLE,
}


def spaces(text: str) -> TemplateSpaces:
    """Return the space with the gate that a text says."""
    return parse_spaces(SPACE + text, "spaces.toml")


def template(
    position: str, quality: int | None, data: bytes = np.ones(16, "<f4").tobytes()
) -> template_pb2.Template:
    """Return the message of a template."""
    return template_pb2.Template(
        space="hand",
        position=POSITIONS[position],
        data_type=template_pb2.DATA_TYPE_FLOAT32,
        data=data,
        quality=quality,
    )


def faults(
    held: TemplateSpaces, *templates: template_pb2.Template
) -> list[tuple[str, str]]:
    """Return the faults of a record, as (field, reason)."""
    message = enrolment_pb2.Record(reference="r", templates=templates)
    record = read_record(message, held, SystemClock().now())
    if isinstance(record, InvalidRequestError):
        return [(fault.field, fault.reason) for fault in record.faults]
    return []


def test_a_space_without_a_gate_takes_any_quality():
    """And none at all."""
    held = spaces("")
    assert not faults(held, template("right-thumb", 0), template("left-little", None))


@pytest.mark.parametrize(
    ("position", "quality", "reason"),
    [
        ("right-thumb", 39, "LOW_QUALITY"),
        ("right-thumb", 40, None),
        ("left-little", 39, "LOW_QUALITY"),
        ("right-little", 19, "LOW_QUALITY"),
        ("right-little", 20, None),
        ("right-thumb", None, "QUALITY_REQUIRED"),
        ("right-thumb", 101, "WRONG_QUALITY"),
    ],
)
def test_each_position_has_its_own_least_quality(
    position: str, quality: int | None, reason: str | None
):
    """That of the space, where the position has none."""
    told = faults(spaces(GATE), template(position, quality))
    assert told == ([("templates[0].quality", reason)] if reason else [])


def test_low_quality_is_told_with_all_other_faults():
    """Of the same template, and of others."""
    told = faults(
        spaces(GATE),
        template("right-thumb", 10, data=bytes(64)),
        template("right-little", 80),
        template("left-little", 5),
    )
    assert told == [
        ("templates[0].quality", "LOW_QUALITY"),
        ("templates[0].data", "ZERO_VECTOR"),
        ("templates[2].quality", "LOW_QUALITY"),
    ]


def test_a_probe_is_searched_with_whatever_its_quality():
    """A border has no second chance."""
    held = spaces(GATE)
    assert read_template(template("right-thumb", 1), held).quality == 1


def test_the_gate_is_no_part_of_what_makes_templates_comparable():
    """It may be raised and lowered with records in the gallery."""
    (gated,), (free,) = spaces(GATE), spaces("")
    assert gated.identity == free.identity
    assert gated.least_quality[Position.RIGHT_LITTLE] == 20


@pytest.mark.parametrize(
    ("gate", "field"),
    [
        ("[space.quality]\nminimum = 0\n", "space[0].quality.minimum"),
        ("[space.quality]\nminimum = 101\n", "space[0].quality.minimum"),
        ("[space.quality]\nleast = 4\n", "space[0].quality.least"),
        ("[space.quality.positions]\nface = 4\n", "space[0].quality"),
        ("[space.quality.positions]\nnose = 4\n", "space[0].quality.positions.nose"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(gate: str, field: str):
    """By its key."""
    with pytest.raises(ConfigurationError) as refused:
        spaces(gate)
    (fault,) = refused.value.faults
    assert field in f"{fault.field} space[0].{fault.field}"
