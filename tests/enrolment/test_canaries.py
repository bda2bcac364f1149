"""Canaries are drawn as people spread, and are nobody."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.errors import InvalidRequestError
from biometrics.members import Member
from biometrics.templates import Modality, Position, TemplateSpace
from enrolment.canaries import draw
from enrolment.wire import Planting

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSION, COUNT = 64, 400
CENTRE = np.full(DIMENSION, 30.0)
SPACE = TemplateSpace(
    name="face-a",
    modality=Modality.FACE,
    extractor="any",
    extractor_version="1",
    positions=frozenset({Position.FACE}),
    dimension=DIMENSION,
    centre=CENTRE,
)


def drawn(space: TemplateSpace, count: int = COUNT) -> NDArray[np.float32]:
    """Return the templates of some canaries, centred and of unit length."""
    asked = Planting(
        holder=Member("XAA"),
        request_id=bytes(16),
        content=b"",
        space=space,
        position=Position.FACE,
        count=count,
    )
    references, enrolling = draw(asked, secrets.token_bytes)
    records = enrolling.read(slice(None))
    assert len(set(references)) == len(records) == count
    found = []
    for reference, record in zip(references, records, strict=True):
        assert not isinstance(record, InvalidRequestError)
        assert (record.reference, record.is_canary) == (reference, True)
        found += [template.values for template in record.templates]
    return np.array(found)


def test_where_nobody_has_said_how_people_spread_all_directions_are_alike() -> None:
    """No two canaries are near each other, and none is near anybody."""
    rows = drawn(SPACE)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    cosines = (rows @ rows.T)[~np.eye(COUNT, dtype=bool)]
    assert cosines.std() == pytest.approx(1 / np.sqrt(DIMENSION), rel=0.1)
    assert abs(cosines.mean()) < 0.01


def test_canaries_spread_as_the_space_says() -> None:
    """Wide where people differ much, and nowhere where they do not."""
    spread = np.zeros((2, DIMENSION))
    spread[0, 3], spread[1, 5] = 8.0, 1.0
    rows = drawn(replace(SPACE, spread=spread))
    across = np.delete(rows, (3, 5), axis=1)
    assert abs(across).max() < 1e-4
    assert (rows[:, 3] ** 2).mean() > 0.8
