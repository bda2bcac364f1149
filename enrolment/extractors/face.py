"""Faces by dlib: a picture of one face to a vector of 128 components.

What it was trained on: the network `dlib_face_recognition_resnet_model_v1` on about
three million pictures of 7,485 people: of the face scrub and VGG data sets, and of the
web, collected by its author, who gives 0.9938 on LFW. Whom they portray, and so whom it
serves less well, nobody has measured here. Its author gave network and five-point
predictor to the public domain.

Its vectors are neither centred nor of unit length: raw cosines of different people
average 0.87. That is for the template space to put right (`centre_file`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dlib
import numpy as np
from PIL import Image

from biometrics.errors import InvalidRequestError
from enrolment.extractors.extractor import Extracted
from enrolment.extractors.weights import FACE_NETWORK, FIVE_POINTS, locate
from enrolment.formats.source import VectorSample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from enrolment.extractors.extractor import Picture

# The detector finds faces of 80 pixels and more: an eighth of this. A portrait's face
# is larger, and those of passers-by behind it are not looked for.
_DETECTED_AT: Final = 640  # the longer side


class FaceFinder:
    """Finds the one face of a picture and the corners of its eyes."""

    def __init__(self) -> None:
        """Load detector and predictor.

        Raises:
            ConfigurationError: their weights are not installed.
        """
        self._detector = dlib.get_frontal_face_detector()
        self._predictor = dlib.shape_predictor(str(locate(FIVE_POINTS)))

    def box(self, pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
        """Return left, upper, right and lower edge of the one face.

        Raises:
            InvalidRequestError: there is none, or are several.
        """
        scale = _DETECTED_AT / max(pixels.shape[:2])
        size = tuple(max(round(side * scale), 1) for side in pixels.shape[1::-1])
        image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
        found = self._detector(np.asarray(image), 0)
        if not found:
            raise InvalidRequestError(
                "NO_FACE",
                "no face is found that looks to the front and takes an eighth of the"
                " picture or more; capture or crop it again",
            )
        if len(found) > 1:
            raise InvalidRequestError(
                "SEVERAL_FACES",
                f"{len(found)} faces are found where there must be one; crop the"
                " picture to the one that is meant",
            )
        edges = (found[0].left(), found[0].top(), found[0].right(), found[0].bottom())
        left, upper, right, lower = (round(edge / scale) for edge in edges)
        return left, upper, right, lower

    def shape(
        self, pixels: NDArray[np.uint8], box: tuple[int, int, int, int]
    ) -> dlib.full_object_detection:
        """Return corners of both eyes and the base of the nose, as dlib has them."""
        return self._predictor(pixels, dlib.rectangle(*box))

    def eyes(
        self, pixels: NDArray[np.uint8], box: tuple[int, int, int, int]
    ) -> NDArray[np.float64]:
        """Return the centres of both eyes, that on the left of the picture first.

        Returns:
            (2, 2), x and y in pixels.
        """
        shape = self.shape(pixels, box)
        points = np.array([(p.x, p.y) for p in shape.parts()][:4], np.float64)
        centres = points.reshape(2, 2, 2).mean(axis=1)
        ordered: NDArray[np.float64] = centres[np.argsort(centres[:, 0])]
        return ordered


class FaceExtractor:
    """dlib's face recognition network."""

    def __init__(self) -> None:
        """Load the networks, which takes half a second.

        Raises:
            ConfigurationError: their weights are not installed.
        """
        self._finder = FaceFinder()
        self._network = dlib.face_recognition_model_v1(str(locate(FACE_NETWORK)))

    def extract(self, picture: Picture) -> Extracted:
        """Return the vector of the one face; see `extractor.Extractor`."""
        box = self._finder.box(picture.pixels)
        shape = self._finder.shape(picture.pixels, box)
        vector = self._network.compute_face_descriptor(picture.pixels, shape)
        sample = VectorSample(vector=np.array(vector, np.float32))
        return Extracted(sample=sample, box=box)
