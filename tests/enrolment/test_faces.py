"""A picture of one face gives dlib's vector; none, or several, a refusal.

The one real person is an astronaut, on NASA's free portrait that scikit-image brings;
nothing of it enters this repository.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from biometrics.errors import ConfigurationError, InvalidRequestError
from enrolment.extractors import weights
from enrolment.extractors.choice import FACE, choose
from enrolment.extractors.extractor import Picture
from enrolment.formats.source import VectorSample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from enrolment.extractors.extractor import Extractor

pytest.importorskip("dlib", reason="the extra `face` is not installed")


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    """Return dlib's network."""
    return choose(FACE, "1", None).load()


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    """Return a picture of one face."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        pytest.skip("scikit-image, which has a portrait, is not installed")
    with Image.open(Path(spec.origin).parent / "data" / "astronaut.png") as image:
        return np.array(image.convert("RGB"))


def vector(extractor: Extractor, pixels: NDArray[np.uint8]) -> NDArray[np.floating]:
    """Return what a picture gives."""
    found = extractor.extract(Picture(pixels=pixels, per_inch=None))
    assert isinstance(found.sample, VectorSample)
    return found.sample.vector


def refused(extractor: Extractor, pixels: NDArray[np.uint8]) -> str:
    """Return why a picture is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        extractor.extract(Picture(pixels=pixels, per_inch=None))
    return caught.value.reason


def test_one_face_gives_the_vector_that_dlib_gives(
    extractor: Extractor, portrait: NDArray[np.uint8]
):
    """Of the whole picture, and nearly the same of a smaller one."""
    import dlib  # noqa: PLC0415 - an extra

    found = vector(extractor, portrait)
    network = dlib.face_recognition_model_v1(str(weights.locate(weights.FACE_NETWORK)))
    predictor = dlib.shape_predictor(str(weights.locate(weights.FIVE_POINTS)))
    (face,) = dlib.get_frontal_face_detector()(portrait, 0)
    own = network.compute_face_descriptor(portrait, predictor(portrait, face))
    # By dlib's rule two vectors within 0.6 are of one person.
    assert np.linalg.norm(found - np.array(own)) < 0.15
    smaller = np.asarray(Image.fromarray(portrait).resize((300, 300)))
    assert np.linalg.norm(found - vector(extractor, smaller)) < 0.3
    assert 1.2 < np.linalg.norm(found) < 1.6


def test_a_face_has_its_box(extractor: Extractor, portrait: NDArray[np.uint8]):
    """In pixels of the picture as it came."""
    box = extractor.extract(Picture(pixels=portrait, per_inch=None)).box
    assert box is not None
    assert np.allclose(box, (179, 80, 266, 168), atol=12)


def test_no_face_and_several_are_refused(
    extractor: Extractor, portrait: NDArray[np.uint8]
):
    """Whichever of several is meant nobody knows; upside down there is none."""
    face = portrait[:256, 96:352]
    assert refused(extractor, np.concatenate([face, face], axis=1)) == "SEVERAL_FACES"
    assert refused(extractor, face[::-1]) == "NO_FACE"
    assert refused(extractor, np.full((300, 300, 3), 90, np.uint8)) == "NO_FACE"


def test_weights_are_found_without_the_package_and_never_the_68_points(
    monkeypatch: pytest.MonkeyPatch,
):
    """Their terms exclude commercial use; a package that is missing is named."""
    named = {weights.FACE_NETWORK, weights.FIVE_POINTS}
    assert all(weights.locate(name).is_file() for name in named)
    assert not any("68" in name for name in named)
    monkeypatch.setattr(weights, "PACKAGE", "no-such-package")
    with pytest.raises(ConfigurationError, match=r"exchange\[face\]"):
        weights.locate(weights.FACE_NETWORK)
