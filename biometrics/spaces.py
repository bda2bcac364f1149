"""The template spaces of an exchange, read from `spaces.toml` and files beside it."""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from biometrics import limits
from biometrics.errors import ConfigurationError, Fault, InvalidRequestError
from biometrics.settings import (
    Document,
    Line,
    Settings,
    SettingsFile,
    Word,
    Words,
    configuration_error,
    read_bytes,
)
from biometrics.templates import (
    QUALITY_SCALE,
    Kind,
    Metric,
    Modality,
    Normalisation,
    Position,
    TemplateSpace,
    TemplateSpaces,
)

_Name = Annotated[Line, Field(max_length=limits.MAX_NAME_CHARACTERS)]
_TABLE: Final = "space"
_OF_VECTORS: Final = frozenset(
    {"dimension", "metric", "normalisation", "centre", "centre_file", "spread_file"}
)


_Least = Annotated[int, Field(ge=1, le=limits.MAX_QUALITY)]


class _Quality(Settings):
    """The `[space.quality]` table of a space: with less, nothing is enrolled."""

    minimum: _Least | None = None
    positions: dict[Word[Position], _Least] = Field(default_factory=dict)

    def value(self, positions: Iterable[Position]) -> dict[Position, int]:
        """Return the least quality by position, of those that have one."""
        general = {} if self.minimum is None else dict.fromkeys(positions, self.minimum)
        return general | self.positions


class _Space(Settings):
    """One `[[space]]` table."""

    name: str
    modality: Word[Modality]
    extractor: _Name
    extractor_version: _Name
    positions: Words[Position]
    kind: Word[Kind] = Kind.VECTOR
    # Bounded here too: an array of this size is made before the space is checked.
    dimension: Annotated[
        int | None, Field(ge=limits.MIN_DIMENSION, le=limits.MAX_DIMENSION)
    ] = None
    metric: Word[Metric] = Metric.COSINE
    normalisation: Word[Normalisation] = Normalisation.UNIT
    # One fault tells enough of 4,096 wrong numbers.
    centre: list[float] = Field(default_factory=list, min_length=1, fail_fast=True)
    centre_file: Line = ""
    spread_file: Line = ""
    quality_scale: _Name = QUALITY_SCALE
    quality: _Quality = Field(default_factory=_Quality)

    def value(self, folder: Path) -> TemplateSpace:
        """Return the space.

        Args:
            folder: where `centre_file` and `spread_file` are looked for.

        Raises:
            InvalidRequestError: with every fault at once.
        """
        self._check_kind()
        dimension = self.dimension or 0
        centre = np.array(self.centre or np.zeros(dimension), np.float64)
        if self.centre_file:
            centre = _read_centre(folder / self.centre_file, dimension)
            if self.centre:
                told = "is given by `centre` too; keep one of them"
                raise _wrong_file("centre_file", "CENTRE_TWICE", told)
        spread = None
        if self.spread_file:
            spread = _read_spread(folder / self.spread_file, dimension)
        centre.flags.writeable = False
        return TemplateSpace(
            name=self.name,
            modality=self.modality,
            extractor=self.extractor,
            extractor_version=self.extractor_version,
            positions=frozenset(self.positions),
            kind=self.kind,
            dimension=dimension,
            metric=self.metric,
            centre=centre,
            spread=spread,
            normalisation=self.normalisation,
            quality_scale=self.quality_scale,
            least_quality=self.quality.value(self.positions),
        )

    def _check_kind(self) -> None:
        """Refuse what is missing for the kind, or belongs to another.

        Raises:
            InvalidRequestError: with every fault at once.
        """
        faults = []
        if self.kind is Kind.VECTOR:
            if self.dimension is None:
                told = "is missing; a space of vectors has one"
                faults.append(
                    Fault(field="dimension", reason="MISSING_KEY", message=told)
                )
        else:
            told = f"is of vectors, and the kind is `{self.kind}`; leave it out"
            faults = [
                Fault(field=name, reason="WRONG_KIND", message=told)
                for name in sorted(_OF_VECTORS & self.model_fields_set)
            ]
        if faults:
            raise InvalidRequestError.of(faults)


def _read_centre(path: Path, dimension: int) -> NDArray[np.float64]:
    """Return the mean of raw vectors, float64 (dimension,).

    Raises:
        InvalidRequestError: the file holds no such vector.
    """
    found = _read_npy(path, "centre_file")
    if found.shape != (dimension,):
        told = f"`{path}` has shape `{found.shape}`; must be `({dimension},)`"
        raise _wrong_file("centre_file", "WRONG_CENTRE", told)
    return found


def _read_spread(path: Path, dimension: int) -> NDArray[np.float64]:
    """Return how raw vectors spread, float64 (rows, dimension).

    A random sum of the rows is spread as they are.

    Raises:
        InvalidRequestError: the file holds nothing that could be that.
    """
    found = _read_npy(path, "spread_file")
    fits = found.ndim == 2 and found.shape[1] == dimension  # noqa: PLR2004 - rows of it
    if not fits or not 1 <= len(found) <= dimension or not _varies(found):
        told = (
            f"`{path}` has shape `{found.shape}`; must be 1 to {dimension} rows of"
            f" {dimension} finite numbers, not all zero"
        )
        raise _wrong_file("spread_file", "WRONG_SPREAD", told)
    found.flags.writeable = False
    return found


def _varies(rows: NDArray[np.float64]) -> bool:
    """Say whether rows are finite, and not all zero."""
    return bool(np.isfinite(rows).all() and rows.any())


def _read_npy(path: Path, field: str) -> NDArray[np.float64]:
    """Return what is in a `.npy` file; nothing in it is ever unpickled.

    Raises:
        InvalidRequestError: it holds no floating-point numbers, or not all.
    """
    try:
        file = io.BytesIO(read_bytes(path))
        np.lib.format.read_magic(file)  # a vector has version 1.0, whoever writes it
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except ConfigurationError as error:
        told = f"`{path}` {error.faults[0].message}"
        raise _wrong_file(field, error.reason, told) from error
    except ValueError as error:
        told = f"`{path}` is no `.npy` file of version 1.0; write it by `numpy.save`"
        raise _wrong_file(field, "NOT_NPY", told) from error
    data = file.read()
    if (
        min(shape, default=0) < 0
        or dtype.kind != "f"
        or len(data) != math.prod(shape) * dtype.itemsize
    ):
        told = (
            f"`{path}` has `{dtype}` of shape `{shape}` in {len(data)} bytes; must be"
            " floating-point, and whole"
        )
        raise _wrong_file(field, f"WRONG_{field.removesuffix('_file').upper()}", told)
    order: Literal["C", "F"] = "F" if is_fortran else "C"
    return np.frombuffer(data, dtype).astype(np.float64).reshape(shape, order=order)


def _wrong_file(field: str, reason: str, message: str) -> InvalidRequestError:
    """Return an error about a file that a space names."""
    fault = Fault(field=field, reason=reason, message=message)
    return InvalidRequestError.of([fault])


class _SpacesFile(SettingsFile):
    """The whole file."""

    space: Annotated[
        list[_Space], Field(min_length=1, max_length=limits.MAX_TEMPLATE_SPACES)
    ]


def parse_spaces(text: str, source: str, folder: Path = Path()) -> TemplateSpaces:
    """Read the template spaces.

    Args:
        text: TOML: `version = 1` and one `[[space]]` for each space.
        source: name of the file, for messages.
        folder: where the files are that it names.

    Raises:
        ConfigurationError: with every fault at once.
    """
    document = Document.parse(text, source)
    faults = []
    spaces: dict[str, TemplateSpace] = {}
    for index, table in enumerate(document.read_as(_SpacesFile).space):
        path = (_TABLE, index)
        if table.name in spaces:
            faults.append(
                document.fault(
                    (*path, "name"),
                    "REPEATED_SPACE",
                    "is the name of another space above; give each its own",
                )
            )
        try:
            spaces[table.name] = table.value(folder)
        except InvalidRequestError as error:
            faults += [
                document.fault((*path, fault.field), fault.reason, fault.message)
                for fault in error.faults
            ]
    if faults:
        raise configuration_error(faults)
    return TemplateSpaces(spaces)
