"""The model that an operator brings: an ONNX file, and TOML on how to feed it."""

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.files import cause_of
from biometrics.settings import (
    Line,
    Settings,
    SettingsFile,
    Word,
    parse_settings,
    read_text,
)

_PIECE_BYTES: Final = 1024 * 1024
_Side = Annotated[int, Field(ge=16, le=2048)]
_Point = Annotated[list[float], Field(min_length=2, max_length=2)]
_Name = Annotated[Line, Field(max_length=limits.MAX_NAME_CHARACTERS)]


class Colours(StrEnum):
    """Which channels a model takes, in this order."""

    RGB = "rgb"
    BGR = "bgr"
    GREY = "grey"


class Layout(StrEnum):
    """Where the channels stand in a model's input of four dimensions."""

    CHANNELS_FIRST = "channels-first"
    CHANNELS_LAST = "channels-last"


class Eyes(Settings):
    """Where the model expects the centres of the eyes, in pixels of its input.

    `left` and `right` are those of the picture. The picture is turned, scaled and
    moved (a similarity, which two points determine) so that they lie there.
    """

    left: _Point
    right: _Point

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse points that determine nothing, or turn every face over."""
        if self.right[0] <= self.left[0]:
            raise PydanticCustomError(
                "WRONG_EYES", "`left` must lie to the left of `right` in the picture"
            )
        return self


class Input(Settings):
    """What a model takes: `(pixel - mean) * scale`, float32."""

    width: _Side
    height: _Side
    colours: Word[Colours]
    layout: Word[Layout]
    mean: Annotated[list[float], Field(min_length=1, max_length=3)]
    scale: Annotated[list[float], Field(min_length=1, max_length=3)]
    # Without it the whole picture is scaled to the input, for faces cut out already.
    eyes: Eyes | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse numbers that do not fit the channels."""
        channels = 1 if self.colours is Colours.GREY else 3
        if {len(self.mean), len(self.scale)} - {1, channels}:
            raise PydanticCustomError(
                "WRONG_COUNT",
                "`mean` and `scale` must have one number, or one a channel",
            )
        return self


class Model(SettingsFile):
    """The whole file.

    Attributes:
        extractor: as the template space in `spaces.toml` names it.
        extractor_version: likewise; the two say that its templates are comparable.
        file: the model, beside the TOML file.
        sha256: of the model, so that no other is run under its name.
        dimension: of its only output, a vector.
        input: what it takes.
    """

    extractor: _Name
    extractor_version: _Name
    file: Line
    sha256: Line
    dimension: Annotated[int, Field(ge=limits.MIN_DIMENSION, le=limits.MAX_DIMENSION)]
    input: Input


def read_model(path: Path) -> tuple[Model, Path]:
    """Return what a file says of a model, and where the model is.

    Raises:
        ConfigurationError: with every fault in the file; or the model is missing, or
            is another than the file says.
    """
    model = parse_settings(Model, read_text(path), str(path))
    weights = path.parent / model.file
    digest = hashlib.sha256()
    try:
        with weights.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
    except OSError as error:
        told = cause_of(error)
        raise ConfigurationError(
            "MODEL_NOT_READ",
            f"`{weights}`, which `{path}` names, cannot be read: {told}",
        ) from error
    if digest.hexdigest() != model.sha256.lower():
        raise ConfigurationError(
            "ANOTHER_MODEL",
            f"`{weights}` is not the model that `{path}` names: its `sha256` is"
            f" `{digest.hexdigest()}`; correct it if this is the one that is meant",
        )
    return model, weights
