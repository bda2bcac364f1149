"""What every reader gives: records with where they stand, or why there are none.

A source is read once, from front to back, a block at a time, and holds no more than
that. Damage of a record is a refusal in its place; damage of the file as a whole ends
the file with a refusal and never anything else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from biometrics.errors import Fault
    from enrolment.formats.finger import FingerView
    from enrolment.formats.image import ImageSample


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSample:
    """One embedding, as its extractor gave it.

    Attributes:
        vector: floating-point (dimension,); what it says is for admission to judge.
        space: name of its template space, or None if the file does not say.
        position: word such as `right-thumb`, or None likewise.
        quality: 0 to 100, or None likewise.
    """

    vector: NDArray[np.floating] = field(repr=False, compare=False)
    space: str | None = None
    position: str | None = None
    quality: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureSample:
    """One picture as it came, of which an extractor is to make a template.

    Attributes:
        data: the file.
        space: name of its template space, or None if the file does not say.
        position: word such as `right-thumb`, or None likewise.
        quality: 0 to 100, in the place of the extractor's own; None likewise.
    """

    data: bytes = field(repr=False)
    space: str | None = None
    position: str | None = None
    quality: int | None = None


Sample: TypeAlias = "VectorSample | FingerView | ImageSample | PictureSample"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One subject's record in a file.

    Attributes:
        number: which record of its file, from 0.
        reference: the holder's own, opaque.
        samples: one or more.
        expires_at: moment from which no search finds it, or None if the file does not
            say.
    """

    number: int
    reference: str = field(repr=False)
    samples: tuple[Sample, ...]
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record that cannot be read, or all that is left of a file.

    Attributes:
        number: which record of its file, from 0; None for the file as a whole.
        reference: of the record, or empty if that is not known.
        faults: everything that is wrong, by field.
    """

    number: int | None
    reference: str = field(default="", repr=False)
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Consecutive records of a file.

    Attributes:
        share: how much of the file is read behind them, 0 to 1.
        items: the records, in the order of the file.
    """

    share: float
    items: tuple[Found | Unreadable, ...]


class Source(Protocol):
    """A file that was found in order when it was opened."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def kind(self) -> str:
        """Format and edition, for people."""
        ...

    @property
    def dimension(self) -> int | None:
        """Of every vector, or None where records may differ."""
        ...

    def blocks(self) -> Iterator[Block]:
        """Yield the records, a block at a time.

        Raises:
            InvalidRequestError: the rest of the file cannot be read.
        """
        ...
