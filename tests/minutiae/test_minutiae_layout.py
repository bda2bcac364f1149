"""What a template has of a print is what the print has, in one size."""

from __future__ import annotations

import numpy as np
import pytest
from prints import finger, sent

from biometrics import limits
from biometrics.client.contents import minutiae_bytes
from biometrics.errors import InvalidRequestError
from biometrics.minutiae.descriptor import describe
from biometrics.minutiae.layout import ROWS, pack, unpack
from biometrics.templates import (
    Kind,
    Modality,
    Position,
    Template,
    TemplateSpace,
)

SPACE = TemplateSpace(
    name="prints",
    kind=Kind.MINUTIAE,
    modality=Modality.FINGERPRINT,
    extractor="any",
    extractor_version="1",
    positions=frozenset({Position.LEFT_INDEX}),
    dimension=0,
    centre=np.zeros(0),
)


def parsed(data: bytes) -> Template:
    """Return a template of such bytes."""
    return Template.parse(SPACE, Position.LEFT_INDEX, data, None)


def written(count: int) -> np.ndarray:
    """Return so many minutiae as a template has them."""
    rows = np.zeros((ROWS, 3), "<u2")
    rows[0, 0] = count
    rows[1 : 1 + count] = np.random.default_rng(1).integers(1, 4000, (count, 3))
    return rows


def test_a_print_is_what_was_packed():
    """But for where it lies, to a tenth of a pixel and less than a hundredth degree."""
    given = finger(1)
    again = unpack(pack(given))
    away = given[:, :2] - again[:, :2]
    assert np.abs(away - away[0]).max() < 0.11
    assert np.cos(given[:, 2] - again[:, 2]) == pytest.approx(1, abs=1e-7)


def test_a_client_sends_what_the_exchange_packs():
    """Both write the same bytes, always as many."""
    given = finger(2)
    message = minutiae_bytes(sent(given).minutiae)
    assert len(message) == limits.MINUTIAE_BYTES == SPACE.template_bytes
    template = parsed(message)
    assert template.values.tobytes() == message
    assert describe(unpack(template.values)) == pytest.approx(describe(given), abs=0.05)


@pytest.mark.parametrize("count", [limits.MIN_MINUTIAE, limits.MAX_MINUTIAE])
def test_as_many_as_there_may_be_are_read(count: int):
    """The fewest and the most."""
    assert len(unpack(parsed(written(count).tobytes()).values)) == count


def test_what_is_laid_out_otherwise_is_refused():
    """With a reason that tells what."""
    few, beyond, more, after = (written(20) for _ in range(4))
    few[0, 0], few[12:] = 11, 0
    beyond[5, 1] = 40_961
    more[0, 0] = 256
    after[30, 2] = 1
    odd = written(20)
    odd[0, 2] = 1
    for rows, reason in (
        (few, "TOO_FEW_MINUTIAE"),
        (beyond, "WRONG_LAYOUT"),
        (more, "WRONG_LAYOUT"),
        (after, "WRONG_LAYOUT"),
        (odd, "WRONG_LAYOUT"),
        (written(20)[:-1], "WRONG_LENGTH"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            parsed(rows.tobytes())
        assert [fault.reason for fault in caught.value.faults] == [reason]


def test_minutiae_are_of_fingers():
    """A face has none."""
    with pytest.raises(InvalidRequestError) as caught:
        TemplateSpace(
            name="faces",
            kind=Kind.MINUTIAE,
            modality=Modality.FACE,
            extractor="any",
            extractor_version="1",
            positions=frozenset({Position.FACE}),
            dimension=0,
            centre=np.zeros(0),
        )
    assert [fault.field for fault in caught.value.faults] == ["kind"]
