"""Template spaces, and templates as values that parse themselves.

Terms follow ISO/IEC 2382-37. Only templates of one space are ever compared, and only
of one position unless a probe names others.

A space is of one *kind*. Of vectors, a template is centred and normalised when it is
made, so that behind this module a score is an inner product; of minutiae, it is as
`biometrics.minutiae.layout` says. What follows from the kind for a search is in
`matcher.kinds`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from biometrics.minutiae import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray


class Modality(StrEnum):
    """The biometric characteristic that a template was made from."""

    FACE = "face"
    FINGERPRINT = "fingerprint"
    IRIS = "iris"


class Position(StrEnum):
    """Where on the body the sample was taken."""

    FACE = "face"
    RIGHT_THUMB = "right-thumb"
    RIGHT_INDEX = "right-index"
    RIGHT_MIDDLE = "right-middle"
    RIGHT_RING = "right-ring"
    RIGHT_LITTLE = "right-little"
    LEFT_THUMB = "left-thumb"
    LEFT_INDEX = "left-index"
    LEFT_MIDDLE = "left-middle"
    LEFT_RING = "left-ring"
    LEFT_LITTLE = "left-little"
    RIGHT_IRIS = "right-iris"
    LEFT_IRIS = "left-iris"

    @property
    def modality(self) -> Modality:
        """The modality that has this position."""
        if self is Position.FACE:
            return Modality.FACE
        return Modality.IRIS if self.value.endswith("iris") else Modality.FINGERPRINT


class Kind(StrEnum):
    """What a template of a space is."""

    VECTOR = "vector"
    MINUTIAE = "minutiae"  # of one finger


class Metric(StrEnum):
    """How two vectors of a space are compared."""

    COSINE = "cosine"


class Normalisation(StrEnum):
    """What is done with a vector once it is centred."""

    UNIT = "unit"  # brought to unit length


class Basis(StrEnum):
    """What the thresholds of a space rest on."""

    MEASURED = "measured"
    VENDOR = "vendor"
    UNMEASURED = "unmeasured"


QUALITY_SCALE: Final = "ISO/IEC 29794-1"  # where a space names no other

# Of fingers of different people, see benchmarks/results/fingers.json.
_CHANCE_OF_PRINTS: Final = 0.04
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpace:
    """Extractor, version, modality, positions, kind, dimension and metric.

    Attributes:
        name: lower case, by which templates refer to the space.
        modality: the one modality of its templates.
        extractor: what makes its templates.
        extractor_version: templates of another version are not comparable.
        positions: positions that it allows, of its modality.
        kind: what a template is.
        dimension: number of components, `limits.MIN_DIMENSION` to `MAX_DIMENSION`; 0
            of a kind that has none, which has no centre and no spread either.
        metric: how its vectors are compared.
        centre: float64 (dimension,), subtracted before normalising; zeros if none.
        spread: float64 (rows, dimension) whose random sums are spread as raw vectors
            are about the centre; None where nobody has said. Canaries are drawn by it.
        normalisation: what follows the centring.
        quality_scale: of which the quality of its templates is a number, 0 to 100.
        least_quality: by position, 1 to 100; templates below it, and those of which no
            quality is known, are not enrolled. Probes are searched with all the same.
        identity: name and digest of all that makes templates comparable. Sealed
            templates are bound to it: one made under another definition of the same
            name does not open, rather than being compared wrongly. Positions may be
            added without changing it.

    Raises:
        InvalidRequestError: with every fault at once.
    """

    name: str
    modality: Modality
    extractor: str
    extractor_version: str
    positions: frozenset[Position]
    kind: Kind = Kind.VECTOR
    dimension: int
    metric: Metric = Metric.COSINE
    centre: NDArray[np.float64] = field(repr=False, compare=False)
    spread: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    normalisation: Normalisation = Normalisation.UNIT
    quality_scale: str = QUALITY_SCALE
    least_quality: Mapping[Position, int] = field(default_factory=dict, hash=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        """Check the space as a whole."""
        faults = [
            Fault(field=where, reason="INVALID_SPACE", message=message)
            for where, broken, message in (
                (
                    "name",
                    not _NAME.fullmatch(self.name)
                    or len(self.name) > limits.MAX_NAME_CHARACTERS,
                    (
                        f"`{self.name[:80]}` must be lower-case letters, digits, `.`,"
                        f" `_` or `-`, at most {limits.MAX_NAME_CHARACTERS} characters"
                    ),
                ),
                (
                    "positions",
                    not self.positions
                    or any(p.modality is not self.modality for p in self.positions),
                    f"must be one or more positions of the modality `{self.modality}`",
                ),
                (
                    "kind",
                    self.kind is Kind.MINUTIAE
                    and self.modality is not Modality.FINGERPRINT,
                    f"`{self.kind}` is for the modality `{Modality.FINGERPRINT}`",
                ),
                (
                    "dimension",
                    self.kind is Kind.VECTOR
                    and not limits.MIN_DIMENSION
                    <= self.dimension
                    <= limits.MAX_DIMENSION,
                    (
                        f"`{self.dimension}` must be {limits.MIN_DIMENSION} to"
                        f" {limits.MAX_DIMENSION}"
                    ),
                ),
                (
                    "quality",
                    not self.least_quality.keys() <= self.positions
                    or not all(
                        1 <= least <= limits.MAX_QUALITY
                        for least in self.least_quality.values()
                    ),
                    (f"must be 1 to {limits.MAX_QUALITY} for positions of the space"),
                ),
                (
                    "centre",
                    self.centre.shape != (self.dimension,)
                    or not np.isfinite(self.centre).all(),
                    f"must be {self.dimension} finite numbers",
                ),
            )
            if broken
        ]
        if faults:
            raise InvalidRequestError.of(faults)
        object.__setattr__(self, "identity", self._identity())

    @property
    def template_bytes(self) -> int:
        """How long every template is, before it is sealed."""
        return self.room(1).nbytes

    def room(self, count: int) -> NDArray[Any]:
        """Return room for so many templates to be opened into, a row each."""
        if self.kind is Kind.MINUTIAE:
            return np.empty((count, layout.ROWS, 3), "<u2")
        return np.empty((count, self.dimension), np.float32)

    @property
    def chance(self) -> float:
        """Standard deviation of the scores of what has nothing to do with each other.

        Of vectors: that of the cosine of random directions.
        """
        if self.kind is Kind.MINUTIAE:
            return _CHANCE_OF_PRINTS
        return 1 / math.sqrt(self.dimension)

    def gate(self, position: Position, quality: int | None) -> list[Fault]:
        """Return what keeps a template of some quality from being enrolled."""
        least = self.least_quality.get(position, 0)
        if not least or (quality is not None and quality >= least):
            return []
        reason, told = "LOW_QUALITY", f"`{quality}`"
        if quality is None:
            reason, told = "QUALITY_REQUIRED", "none"
        message = (
            f"{told} where `{self.name}` takes {least} or more of `{position}`, on the"
            f" scale {self.quality_scale}; capture again"
        )
        return [Fault(field="quality", reason=reason, message=message)]

    def _identity(self) -> str:
        """Return the name with a digest of the definition."""
        digest = hashlib.sha256()
        parts = [self.modality, self.extractor, self.extractor_version]
        if self.kind is Kind.VECTOR:
            parts += [self.metric, self.normalisation]
        else:
            parts += [self.kind]
        for part in parts:
            digest.update(len(part).to_bytes(4, "big") + part.encode())
        digest.update(self.centre.astype("<f8").tobytes())
        return f"{self.name}@{digest.hexdigest()[:32]}"


class TemplateSpaces:
    """The template spaces of one exchange, by name."""

    def __init__(self, spaces: Mapping[str, TemplateSpace]) -> None:
        """Hold `spaces`, which are keyed by their own names."""
        self._spaces = dict(sorted(spaces.items()))

    def __iter__(self) -> Iterator[TemplateSpace]:
        """Iterate in the order of names."""
        return iter(self._spaces.values())

    def __contains__(self, name: str) -> bool:
        """Say whether there is a space of that name."""
        return name in self._spaces

    def named(self, name: str) -> TemplateSpace:
        """Return the space of that name.

        Raises:
            InvalidRequestError: there is none.
        """
        space = self._spaces.get(name)
        if space is None:
            shown = name[: limits.MAX_NAME_CHARACTERS]
            fault = Fault(
                field="space",
                reason="UNKNOWN_SPACE",
                message=f"`{shown}` is no template space of this exchange; list them"
                " with SpaceService.ListSpaces or `biometrics spaces list`",
            )
            raise InvalidRequestError.of([fault])
        return space


class Given(NamedTuple):
    """What an extractor gave, not parsed yet; see `Template.parse`.

    Attributes:
        space: the space that the caller named.
        position: where the sample was taken.
        data: of any length.
        quality: any number, or None.
    """

    space: TemplateSpace
    position: Position
    data: bytes
    quality: int | None

    def __repr__(self) -> str:
        """Return where it belongs, without what it is."""
        return f"Given({self.space.name!r}, {self.position!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One biometric template.

    Attributes:
        space: the template space.
        position: one of the space's positions.
        values: as it is sealed, read-only: a vector, float32 (dimension,), centred and
            of unit length; or minutiae, see `biometrics.minutiae.layout`.
        quality: 0 to 100 on the space's scale, or None.
    """

    space: TemplateSpace
    position: Position
    values: NDArray[Any] = field(repr=False, compare=False)
    quality: int | None

    @classmethod
    def parse(
        cls,
        space: TemplateSpace,
        position: Position,
        data: bytes,
        quality: int | None,
        *,
        enrolled: bool = False,
    ) -> Template:
        """Make a template of what its extractor gave.

        Args:
            space: the space that the caller named.
            position: where the sample was taken.
            data: exactly `space.template_bytes`: little-endian float32 components, or
                minutiae as they are laid out.
            quality: 0 to 100, or None.
            enrolled: whether it is to be enrolled, which takes its quality too.

        Raises:
            InvalidRequestError: with every fault at once.
        """
        given = Given(space, position, data, quality)
        (values,) = _READ[space.kind](space, [data])
        made = cls._made(given, values, enrolled=enrolled)
        if isinstance(made, InvalidRequestError):
            raise made
        return made

    @classmethod
    def parse_all(
        cls, given: Sequence[Given], *, enrolled: bool = False
    ) -> list[Template | InvalidRequestError]:
        """Make templates, or return why not, of what extractors gave.

        Each is as `parse` makes it. Vectors of one space are computed with at once: for
        every one of its steps NumPy gives the interpreter's lock away.

        Args:
            given: what was given, in any order.
            enrolled: whether they are to be enrolled, which takes their quality too.
        """
        read: dict[int, NDArray[Any] | Fault] = {}
        of_space: dict[str, list[int]] = defaultdict(list)
        for number, one in enumerate(given):
            of_space[one.space.identity].append(number)
        for numbers in of_space.values():
            space = given[numbers[0]].space
            values = _READ[space.kind](space, [given[n].data for n in numbers])
            read.update(zip(numbers, values, strict=True))
        return [
            cls._made(one, read[number], enrolled=enrolled)
            for number, one in enumerate(given)
        ]

    @classmethod
    def _made(
        cls, given: Given, values: NDArray[Any] | Fault, *, enrolled: bool
    ) -> Template | InvalidRequestError:
        """Return one template, or all that is wrong with it."""
        space, position, _, quality = given
        faults = []
        if position not in space.positions:
            allowed = ", ".join(sorted(space.positions))
            faults.append(
                Fault(
                    field="position",
                    reason="WRONG_POSITION",
                    message=f"`{position}` is not a position of `{space.name}`;"
                    f" it allows {allowed}",
                )
            )
        if quality is not None and not 0 <= quality <= limits.MAX_QUALITY:
            faults.append(
                Fault(
                    field="quality",
                    reason="WRONG_QUALITY",
                    message=f"must be 0 to {limits.MAX_QUALITY}, or left out",
                )
            )
        elif enrolled:
            faults += space.gate(position, quality)
        if isinstance(values, Fault):
            return InvalidRequestError.of([*faults, values])
        if faults:
            return InvalidRequestError.of(faults)
        return cls(space=space, position=position, values=values, quality=quality)


def _refused(reason: str, message: str) -> Fault:
    """Return what is wrong with the data of a template."""
    return Fault(field="data", reason=reason, message=message)


def _units(
    space: TemplateSpace, datas: Sequence[bytes]
) -> list[NDArray[np.float32] | Fault]:
    """Return centred unit vectors, each or why there is none."""
    faults = [_length_fault(space, data) for data in datas]
    sound = [data for data, fault in zip(datas, faults, strict=True) if not fault]
    raw = np.frombuffer(b"".join(sound), "<f4").astype(np.float64)
    raw = raw.reshape(-1, space.dimension)
    # No sum of squares of float32 overflows float64.
    lengths = np.sqrt(np.vecdot(raw, raw)).tolist()
    if not math.isfinite(sum(lengths)):  # there is nothing to compute with in those
        raw[[not math.isfinite(length) for length in lengths]] = 0.0
    raw -= space.centre
    norms = np.sqrt(np.vecdot(raw, raw))
    raw /= np.maximum(norms, limits.MIN_NORM)[:, None]
    units = raw.astype(np.float32)
    units.flags.writeable = False
    made = zip(units, lengths, norms.tolist(), strict=True)
    return [fault or _unit_or_fault(*next(made)) for fault in faults]


def _length_fault(space: TemplateSpace, data: bytes) -> Fault | None:
    """Return what is wrong with the length of a vector."""
    if len(data) == 4 * space.dimension:
        return None
    if len(data) % 4:
        return _refused(
            "WRONG_LENGTH",
            f"{len(data)} bytes are no whole number of 4-byte float32 components",
        )
    return _refused(
        "WRONG_DIMENSION",
        f"{len(data) // 4} components where `{space.name}` has {space.dimension}",
    )


def _unit_or_fault(
    unit: NDArray[np.float32], length: float, norm: float
) -> NDArray[np.float32] | Fault:
    """Return a unit vector, or why it is none.

    Args:
        unit: the vector.
        length: of it as it came.
        norm: its length once it was centred.
    """
    if not math.isfinite(length):
        told = "every component must be finite; found NaN or Inf"
        return _refused("NOT_FINITE", told)
    if norm < limits.MIN_NORM * max(1.0, length):
        return _refused(
            "ZERO_VECTOR",
            "the vector is zero after centring and has no direction to compare;"
            " the extractor failed, capture again",
        )
    return unit


def _minutiae_of(
    space: TemplateSpace, datas: Sequence[bytes]
) -> list[NDArray[np.uint16] | Fault]:
    """Return sets of minutiae, each or why there is none."""
    return [_minutiae(space, data) for data in datas]


def _minutiae(space: TemplateSpace, data: bytes) -> NDArray[np.uint16] | Fault:
    """Return a set of minutiae, or why there is none."""
    if len(data) != limits.MINUTIAE_BYTES:
        return _refused(
            "WRONG_LENGTH",
            f"{len(data)} bytes where the minutiae of `{space.name}` have"
            f" {limits.MINUTIAE_BYTES}, however many there are",
        )
    packed = np.frombuffer(data, "<u2").reshape(layout.ROWS, 3)
    count = int(packed[0, 0])
    if (
        count > limits.MAX_MINUTIAE
        or packed[0, 1:].any()
        or packed[1 + count :].any()
        or (packed[:, :2] > layout.FARTHEST).any()
    ):
        return _refused(
            "WRONG_LAYOUT",
            f"must be a count, here {count}, of at most {limits.MAX_MINUTIAE} and two"
            " zeros; then so many minutiae, no place of one beyond"
            f" {limits.MAX_MINUTIA_PIXELS} pixels; then zeros",
        )
    if count < limits.MIN_MINUTIAE:
        return _refused(
            "TOO_FEW_MINUTIAE",
            f"{count} minutiae, of {limits.MIN_MINUTIAE} that a comparison takes: an"
            " empty or a partial print; capture again",
        )
    return packed


_READ: Final[Mapping[Kind, Callable[..., Sequence[NDArray[Any] | Fault]]]] = {
    Kind.VECTOR: _units,
    Kind.MINUTIAE: _minutiae_of,
}
