"""Picture files: read as they are; decoding them is for the extractors.

What kind a picture is its content says. By the name it is only told from other files.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.files import open_regular
from enrolment.formats.source import Block, Found, PictureSample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})


def is_picture(name: str) -> bool:
    """Say whether a file is a picture, by its name."""
    return PurePath(name).suffix.lower() in SUFFIXES


def read_picture(file: BinaryIO, name: str) -> bytes:
    """Return a picture's file, open at its start.

    Raises:
        InvalidRequestError: it is too large.
    """
    data = file.read(limits.MAX_PICTURE_BYTES + 1)
    if len(data) > limits.MAX_PICTURE_BYTES:
        message = (
            f"is larger than {limits.MAX_PICTURE_BYTES >> 20} MiB; save it smaller"
        )
        fault = Fault(field=name, reason="FILE_TOO_LARGE", message=message)
        raise InvalidRequestError.of([fault])
    return data


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One picture as a source; the file's name without its end is its reference."""

    path: Path
    kind: str = "picture"
    dimension: None = None

    def blocks(self) -> Iterator[Block]:
        """Yield the one record; see `source.Source`."""
        with open_regular(self.path) as file:
            sample = PictureSample(data=read_picture(file, str(self.path)))
        found = Found(number=0, reference=self.path.stem, samples=(sample,))
        yield Block(share=1.0, items=(found,))
