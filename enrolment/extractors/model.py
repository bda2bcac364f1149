"""The model that an operator brings, run by ONNX Runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime
from PIL import Image

from biometrics.errors import ConfigurationError, InvalidRequestError
from enrolment.extractors.extractor import Extracted
from enrolment.extractors.model_file import Colours, Layout
from enrolment.formats.source import VectorSample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from enrolment.extractors.extractor import Picture
    from enrolment.extractors.face import FaceFinder
    from enrolment.extractors.model_file import Eyes, Input, Model

_FATAL_ONLY: Final = 4  # of ONNX Runtime's severities


class ModelExtractor:
    """One ONNX model on one thread: there are as many processes as are wanted."""

    def __init__(self, model: Model, weights: Path) -> None:
        """Load the model, and try it on a grey picture.

        Raises:
            ConfigurationError: it cannot be loaded or run, or gives no vector of the
                dimension that its file says; or it needs eyes, and dlib is not there.
        """
        self._model = model
        self._finder = _finder() if model.input.eyes else None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                str(weights), options, providers=["CPUExecutionProvider"]
            )
            self._input = self._session.get_inputs()[0].name
            size = (model.input.height, model.input.width, 3)
            self._run(np.full(size, 128, np.uint8))
        except InvalidRequestError as error:
            raise ConfigurationError(error.reason, error.message) from error
        except Exception as error:  # its errors have no base class of their own
            told = str(error).splitlines()[0][:200]
            raise ConfigurationError(
                "WRONG_MODEL",
                f"`{weights}` cannot be loaded, or takes no input as its file says:"
                f" {told}",
            ) from error

    def extract(self, picture: Picture) -> Extracted:
        """Return the vector that the model gives; see `extractor.Extractor`."""
        pixels, settings, box = picture.pixels, self._model.input, None
        size = (settings.width, settings.height)
        image = Image.fromarray(pixels)
        if self._finder is None or settings.eyes is None:
            fitted = image.resize(size, Image.Resampling.BILINEAR)
        else:
            box = self._finder.box(pixels)
            found = self._finder.eyes(pixels, box)
            fitted = image.transform(
                size,
                Image.Transform.AFFINE,
                data=_similarity(settings.eyes, found),
                resample=Image.Resampling.BICUBIC,
            )
        vector = self._run(np.asarray(fitted))
        return Extracted(sample=VectorSample(vector=vector), box=box)

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the model's output on a picture of its input's size.

        Raises:
            InvalidRequestError: it is no vector of the right size.
        """
        given = _arranged(self._model.input, pixels)
        (first, *_) = self._session.run(None, {self._input: given})
        vector = np.asarray(first, np.float32)
        if vector.size != self._model.dimension or vector.shape[-1] != vector.size:
            raise InvalidRequestError(
                "WRONG_DIMENSION",
                f"the model gives `{vector.shape}` where one vector of"
                f" {self._model.dimension} components is expected",
            )
        return vector.reshape(-1).copy()


def _finder() -> FaceFinder:
    """Return what finds eyes.

    Raises:
        ConfigurationError: dlib is not installed.
    """
    try:
        from enrolment.extractors.face import FaceFinder
    except ImportError as error:
        raise ConfigurationError(
            "EXTRA_MISSING",
            "`input.eyes` needs dlib, which is not installed: `pip install"
            " 'regional-biometrics-exchange[face]'`",
        ) from error
    return FaceFinder()


def _arranged(settings: Input, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return pixels as a model's input of four dimensions."""
    chosen = pixels
    if settings.colours is Colours.BGR:
        chosen = pixels[..., ::-1]
    elif settings.colours is Colours.GREY:
        chosen = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    mean = np.array(settings.mean, np.float32)
    scaled = (chosen.astype(np.float32) - mean) * np.array(settings.scale, np.float32)
    if settings.layout is Layout.CHANNELS_FIRST:
        scaled = scaled.transpose(2, 0, 1)
    return np.ascontiguousarray(scaled[None])


def _similarity(
    eyes: Eyes, found: NDArray[np.float64]
) -> tuple[float, float, float, float, float, float]:
    """Return where each pixel of the input is taken from in the picture.

    With points as complex numbers a similarity is `a z + b`; two pairs give both.

    Args:
        eyes: where they are to lie.
        found: (2, 2), where they are.
    """
    to_left, to_right = complex(*eyes.left), complex(*eyes.right)
    left, right = (complex(x, y) for x, y in found)
    a = (right - left) / (to_right - to_left)
    b = left - a * to_left
    return a.real, -a.imag, b.real, a.imag, a.real, b.imag
