"""What follows from the kind of a template space, for a search: all of it is here.

A template is *coded*: the engine has one vector of it, or several, under its number. A
probe is *asked* with: one vector, or several, each with a cosine from which on it is
answered by a template's, and with how many of them have to be. What is so found is
opened and *compared*, exactly: that gives a score. Behind this module there are scores,
whatever the kind.

A kind keeps a promise: of templates whose exact score reaches a threshold, what it asks
for finds all, but for what the engine's codes lose.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from biometrics import limits
from biometrics.minutiae import descriptor, outline, score
from biometrics.minutiae.layout import unpack
from biometrics.templates import Kind
from matcher.engine import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from biometrics.disclosure import Band
    from biometrics.templates import TemplateSpace
    from matcher.engine import Engine


Name = TypeVar("Name", bound=Hashable)


class Comparison(Protocol):
    """A probe, ready to be compared with opened templates."""

    def score(self, opened: NDArray[Any], least: float) -> float:
        """Return the exact score; where it is below `least`, anything below that."""

    def cost(self, opened: NDArray[Any]) -> int:
        """Return what that takes, in pairs of what is compared."""

    def forget(self) -> None:
        """Overwrite what the probe was made into."""


class Searched(Protocol):
    """How templates of one kind are searched.

    Attributes:
        version: what tells its vectors from those of another version.
        has_sets: whether a template has several.
        most_opened: templates of one holder in one search, at most.
        most_cost: of comparing them, likewise.
    """

    @property
    def version(self) -> str:
        """See above."""

    @property
    def has_sets(self) -> bool:
        """See above."""

    @property
    def most_opened(self) -> int:
        """See above."""

    @property
    def most_cost(self) -> int:
        """See above."""

    def dimension(self, space: TemplateSpace) -> int:
        """Return of the vectors that the engine has of templates of a space."""

    def coded(
        self, opened: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Return the vectors of templates, and of which of them each is, ascending.

        Args:
            opened: (n, ...), as `TemplateSpace.room` made room for them.
        """

    def vectors(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return what a probe asks with, (m, dimension)."""

    def asked(self, vectors: NDArray[np.float32], band: Band) -> Asked:
        """Return what is asked at a shelf by what `vectors` returned."""

    def size(self, values: NDArray[Any]) -> int:
        """Return how many vectors a probe asks with."""

    def comparison(self, values: NDArray[Any]) -> Comparison:
        """Return a probe, ready to be compared."""

    def outlined(self, space: TemplateSpace) -> int:
        """Return how many components an outline has."""

    def outline(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return a vector of unit length that is near for variations of a probe."""

    def alike_from(self, threshold: float) -> float:
        """Return the cosine from which outlines are of one that is varied.

        Args:
            threshold: least score from which templates of the space match.
        """


@dataclass(frozen=True, slots=True)
class _Cosine:
    """Compares a vector; see `Comparison`."""

    vector: NDArray[np.float64]
    exact: NDArray[np.float64]

    def score(self, opened: NDArray[Any], least: float) -> float:  # noqa: ARG002
        """Return the cosine."""
        np.copyto(self.exact, opened)
        return float(self.vector @ self.exact)

    def cost(self, opened: NDArray[Any]) -> int:  # noqa: ARG002 - whatever it is
        """Return that of one vector."""
        return 1

    def forget(self) -> None:
        """Overwrite both."""
        self.vector.fill(0.0)
        self.exact.fill(0.0)


class Vectors:
    """One vector, found by its cosine; see `Searched`."""

    version = ""
    has_sets = False

    @property
    def most_opened(self) -> int:
        """Return as many as are opened in some 30 ms."""
        return limits.MAX_OPENINGS_PER_HOLDER

    @property
    def most_cost(self) -> int:
        """Return no more: all take as long."""
        return self.most_opened

    def dimension(self, space: TemplateSpace) -> int:
        """Return that of the space."""
        return space.dimension

    def coded(
        self, opened: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Return the vectors themselves."""
        return opened, np.arange(len(opened))

    def vectors(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the vector itself."""
        return values[None]

    def asked(self, vectors: NDArray[np.float32], band: Band) -> Asked:
        """Return what finds all templates in the band, and some that are near it."""
        return Asked(vectors, band.threshold, band.low)

    def size(self, values: NDArray[Any]) -> int:  # noqa: ARG002 - whatever it is
        """Return one."""
        return 1

    def outlined(self, space: TemplateSpace) -> int:
        """Return those of the vector."""
        return space.dimension

    def outline(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the vector itself."""
        return values

    def alike_from(self, threshold: float) -> float:
        """Return a share of the threshold.

        A probe that is varied at random until it only just matches is as far from the
        next.
        """
        return limits.ALIKE_SHARE * threshold

    def comparison(self, values: NDArray[Any]) -> Comparison:
        """Return the vector, ready to be compared in float64."""
        vector = values.astype(np.float64)
        return _Cosine(vector, np.empty_like(vector))


@dataclass(frozen=True, slots=True)
class _Prints:
    """Compares a print; see `Comparison`."""

    print: score.Print

    def score(self, opened: NDArray[Any], least: float) -> float:
        """Return how alike two prints are."""
        minutiae = unpack(opened)
        try:
            return score.score(self.print, score.Print.of(minutiae), least=least)
        finally:
            minutiae.fill(0.0)

    def cost(self, opened: NDArray[Any]) -> int:
        """Return how many pairs of minutiae; to describe them takes something, too."""
        own = max(len(self.print.minutiae), limits.TYPICAL_MINUTIAE)
        return int(opened[0, 0]) * own

    def forget(self) -> None:
        """Overwrite the print."""
        self.print.minutiae.fill(0.0)
        self.print.vectors.fill(0.0)


class Minutiae:
    """A vector for each minutia, of its surroundings; see `Searched`.

    That `score.VOUCHERS` of them are found is what a score takes, so nothing is lost by
    asking for it.
    """

    has_sets = True

    @property
    def most_opened(self) -> int:
        """Return as many as are compared in some two seconds."""
        return limits.MAX_PRINTS_OPENED_PER_HOLDER

    @property
    def most_cost(self) -> int:
        """Return that of as many typical ones, in some two seconds as well."""
        return self.most_opened * limits.TYPICAL_MINUTIAE**2

    @property
    def version(self) -> str:
        """Return what tells its vectors from those of another version."""
        return descriptor.descriptor_digest()

    def dimension(self, space: TemplateSpace) -> int:  # noqa: ARG002 - of any space
        """Return that of a descriptor."""
        return descriptor.DIMENSION

    def coded(
        self, opened: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Return the vectors of all minutiae."""
        prints = [self.vectors(values) for values in opened]
        numbers = np.repeat(np.arange(len(prints)), [len(each) for each in prints])
        none = np.zeros((0, descriptor.DIMENSION), np.float32)
        return np.concatenate([none, *prints]), numbers

    def vectors(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return the vectors of all minutiae of a print."""
        return descriptor.describe(unpack(values))

    def asked(self, vectors: NDArray[np.float32], band: Band) -> Asked:
        """Return what finds all prints from the low end of the band on."""
        cosine = score.least_cosine(band.low)
        return Asked(vectors, cosine, cosine, least=score.VOUCHERS)

    def size(self, values: NDArray[Any]) -> int:
        """Return how many minutiae there are."""
        return int(values[0, 0])

    def outlined(self, space: TemplateSpace) -> int:  # noqa: ARG002 - of any space
        """Return those of all outlines."""
        return outline.OUTLINE

    def outline(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the print is all in all."""
        return outline.outline(self.vectors(values))

    def alike_from(self, threshold: float) -> float:  # noqa: ARG002 - of any
        """Return from where on few are of different impressions."""
        return limits.ALIKE_PRINTS

    def comparison(self, values: NDArray[Any]) -> Comparison:
        """Return the print, ready to be compared."""
        return _Prints(score.Print.of(unpack(values)))


_SEARCHED: Mapping[Kind, Searched] = {
    Kind.VECTOR: Vectors(),
    Kind.MINUTIAE: Minutiae(),
}


def searched(space: TemplateSpace) -> Searched:
    """Return how the templates of a space are searched."""
    return _SEARCHED[space.kind]


def make_shelf(
    engine: Engine[Name], shelf: Name, space: TemplateSpace, seed: bytes
) -> None:
    """Make an empty shelf for the templates of a space, if there is none."""
    kind = searched(space)
    engine.make(
        shelf, dimension=kind.dimension(space), seed=seed, has_sets=kind.has_sets
    )


def coded_as(space: TemplateSpace) -> str:
    """Return what the codes of a space's templates follow from, beside their key."""
    return " ".join(filter(None, (space.identity, searched(space).version)))
