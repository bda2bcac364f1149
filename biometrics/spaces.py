"""The template spaces of an exchange, read from `spaces.toml`."""

from typing import Annotated, Final

import numpy as np
from pydantic import Field

from biometrics import limits
from biometrics.errors import InvalidRequestError
from biometrics.settings import (
    Document,
    Line,
    Settings,
    SettingsFile,
    Word,
    Words,
    configuration_error,
)
from biometrics.templates import (
    Metric,
    Modality,
    Normalisation,
    Position,
    TemplateSpace,
    TemplateSpaces,
)

_Name = Annotated[Line, Field(max_length=limits.MAX_NAME_CHARACTERS)]
_TABLE: Final = "space"


class _Space(Settings):
    """One `[[space]]` table."""

    name: str
    modality: Word[Modality]
    extractor: _Name
    extractor_version: _Name
    positions: Words[Position]
    # Bounded here too: an array of this size is made before the space is checked.
    dimension: Annotated[int, Field(ge=limits.MIN_DIMENSION, le=limits.MAX_DIMENSION)]
    metric: Word[Metric] = Metric.COSINE
    normalisation: Word[Normalisation] = Normalisation.UNIT
    # One fault tells enough of 4,096 wrong numbers.
    centre: list[float] = Field(default_factory=list, min_length=1, fail_fast=True)

    def value(self) -> TemplateSpace:
        """Return the space.

        Raises:
            InvalidRequestError: with every fault at once.
        """
        centre = np.array(self.centre or np.zeros(self.dimension), np.float64)
        centre.flags.writeable = False
        return TemplateSpace(
            name=self.name,
            modality=self.modality,
            extractor=self.extractor,
            extractor_version=self.extractor_version,
            positions=frozenset(self.positions),
            dimension=self.dimension,
            metric=self.metric,
            centre=centre,
            normalisation=self.normalisation,
        )


class _SpacesFile(SettingsFile):
    """The whole file."""

    space: Annotated[
        list[_Space], Field(min_length=1, max_length=limits.MAX_TEMPLATE_SPACES)
    ]


def parse_spaces(text: str, source: str) -> TemplateSpaces:
    """Read the template spaces.

    Args:
        text: TOML: `version = 1` and one `[[space]]` for each space.
        source: name of the file, for messages.

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
            spaces[table.name] = table.value()
        except InvalidRequestError as error:
            faults += [
                document.fault((*path, fault.field), fault.reason, fault.message)
                for fault in error.faults
            ]
    if faults:
        raise configuration_error(faults)
    return TemplateSpaces(spaces)
