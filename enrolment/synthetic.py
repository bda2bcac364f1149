"""Galleries with known truth that are as hard as real ones.

Independent normal vectors are no gallery: real ones have a low effective dimension,
a mean far from zero, people who match themselves badly, people who resemble one
another, and captures that failed. Every number that shapes a population is a field of
`Population`, with its source. Terms follow ISO/IEC 19795-1.

A vector is made as

    embedding = mean + length * turn(spectrum * (kept * identity + lost * capture))

with identity and capture standard normal, so that the cosine of two samples of one
subject, once centred, is about the product of their `kept`, and that of two subjects
has the standard deviation `1 / sqrt(effective_dimension)`.

`turn` hides the axes of the spectrum by rotations of pairs of components. It needs no
matrix product, whose rounding differs between processors and numbers of threads: one
seed gives the same bytes wherever one release of NumPy runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from enrolment.population import Kind, Population

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["Kind", "Population", "SyntheticGallery", "spectrum", "synthesise"]

_BLOCK_SUBJECTS: Final = 512  # even, so that no pair is torn apart; 1 MiB at 512-d
_MIXING_ROUNDS: Final = 2  # beyond log2(dimension): chance leaves gaps
_HALVINGS: Final = 60  # more than a float64 can tell apart


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticGallery:
    """Captures of a population, and the truth about them.

    Attributes:
        embedding: float32 (n, dimension), neither centred nor of unit length.
        subject: int32 (n,), ascending from 0.
        sample: int32 (n,), number of the capture of that subject, by age.
        quality: uint8 (n,), 0 to 100.
        failed: bool (n,), whether the capture has nothing of its subject.
        kind: int8 (subjects,), of type `Kind`.
    """

    embedding: NDArray[np.float32]
    subject: NDArray[np.int32]
    sample: NDArray[np.int32]
    quality: NDArray[np.uint8]
    failed: NDArray[np.bool_]
    kind: NDArray[np.int8]


def spectrum(dimension: int, effective_dimension: float) -> NDArray[np.float64]:
    """Return variances that fall exponentially, sum to 1 and have that dimension.

    The effective dimension is the participation ratio, the square of the sum over
    the sum of squares: the number of equal variances that would give scores of
    unrelated people the same spread. The measured spectrum falls exponentially too.

    Args:
        dimension: how many variances.
        effective_dimension: above 1 and at most `dimension`.
    """
    slow, fast = 0.0, 50.0
    numbers = np.arange(dimension)
    for _ in range(_HALVINGS):
        rate = (slow + fast) / 2
        falling = np.exp(-rate * numbers)
        if falling.sum() ** 2 / (falling**2).sum() > effective_dimension:
            slow = rate
        else:
            fast = rate
    falling = np.exp(-slow * numbers)
    variances: NDArray[np.float64] = falling / falling.sum()
    return variances


def synthesise(population: Population) -> SyntheticGallery:
    """Make the captures of a population.

    Deterministic: one seed, the same bytes. Takes the memory of the result and a few
    MiB, and about 60 ns a component.

    Args:
        population: what it is like.
    """
    random = np.random.default_rng(population.seed)
    subjects, samples = population.subjects, population.samples
    people = _People.draw(population, random)
    captures = _Captures.draw(population, people, random)
    embedding = np.empty((subjects, samples, population.dimension), np.float32)
    mould = _Mould.draw(population, random)
    for start in range(0, subjects, _BLOCK_SUBJECTS):
        block = slice(start, min(start + _BLOCK_SUBJECTS, subjects))
        for sample, latent in enumerate(
            mould.latents(people.block(block), captures.block(block), random)
        ):
            embedding[block, sample] = mould.cast(
                latent, captures.length[block, sample]
            )
    return SyntheticGallery(
        embedding=embedding.reshape(subjects * samples, population.dimension),
        subject=np.repeat(np.arange(subjects, dtype=np.int32), samples),
        sample=np.tile(np.arange(samples, dtype=np.int32), subjects),
        quality=captures.quality.reshape(-1),
        failed=captures.failed.reshape(-1),
        kind=people.kind,
    )


@dataclass(frozen=True, slots=True)
class _People:
    """Who the subjects are: `kind` (s,), `mated` (s,), `likeness` (s,).

    `likeness` is the correlation of a subject's identity with that of the one before;
    0 but for the second of two look-alikes or siblings.
    """

    kind: NDArray[np.int8]
    mated: NDArray[np.float64]
    likeness: NDArray[np.float32]

    @classmethod
    def draw(cls, population: Population, random: np.random.Generator) -> _People:
        """Draw kinds, so many of each as the population's shares say."""
        subjects = population.subjects
        kind = np.zeros(subjects, np.int8)
        likeness = np.zeros(subjects, np.float32)
        pairs = random.permutation(subjects // 2)
        first = 2 * pairs[: round(population.look_alikes * subjects / 2)]
        kind[first] = kind[first + 1] = Kind.LOOK_ALIKE
        likeness[first + 1] = random.uniform(
            *population.look_alike_identity, len(first)
        )
        firsts = round(population.siblings * subjects / 2)
        second = 2 * pairs[len(first) : len(first) + firsts] + 1
        kind[second] = kind[second - 1] = Kind.SIBLING
        likeness[second] = random.uniform(*population.sibling_identity, len(second))
        others = random.permutation(np.flatnonzero(kind == Kind.SHEEP))
        goats = round(population.goats * subjects)
        lambs = round(population.lambs * subjects)
        kind[others[:goats]] = Kind.GOAT
        kind[others[goats : goats + lambs]] = Kind.LAMB
        mated = random.normal(population.mated, population.mated_spread, subjects)
        mated[others[:goats]] = random.uniform(
            *population.goat_mated, len(others[:goats])
        )
        return cls(kind, mated.clip(0.0, 0.98), likeness)

    def block(self, block: slice) -> _People:
        """Return some of the subjects."""
        return _People(self.kind[block], self.mated[block], self.likeness[block])


@dataclass(frozen=True, slots=True)
class _Captures:
    """How the captures went, each field (subjects, samples)."""

    kept: NDArray[np.float32]
    quality: NDArray[np.uint8]
    failed: NDArray[np.bool_]
    length: NDArray[np.float32]

    @classmethod
    def draw(
        cls, population: Population, people: _People, random: np.random.Generator
    ) -> _Captures:
        """Draw the quality of every capture, and what is kept of the identity.

        Of a failed capture, `kept` is what it has of their common direction.
        """
        shape = (population.subjects, population.samples)
        failed = random.random(shape) < population.failed
        quality = np.where(
            failed, random.beta(1.5, 6.0, shape), random.beta(6.0, 1.5, shape)
        )
        kept = np.sqrt(people.mated)[:, None]
        kept = kept * (1 - population.quality_loss * (1 - quality))
        likeness = np.sqrt(random.uniform(*population.failed_likeness, shape))
        length = random.normal(1.0, population.length_spread, shape).clip(0.25, 4.0)
        return cls(
            kept=np.where(failed, likeness, kept).astype(np.float32),
            quality=np.rint(100 * quality).astype(np.uint8),
            failed=failed,
            length=(population.length * length).astype(np.float32),
        )

    def block(self, block: slice) -> _Captures:
        """Return the captures of some of the subjects."""
        return _Captures(
            self.kept[block],
            self.quality[block],
            self.failed[block],
            self.length[block],
        )


@dataclass(frozen=True, slots=True)
class _Mould:
    """What all captures share; components stand in rows, captures in columns."""

    deviation: NDArray[np.float32]  # (d, 1)
    tilt: NDArray[np.float32]  # (d, 1)
    common: NDArray[np.float32]  # (d, 1)
    mean: NDArray[np.float32]  # (d,)
    orders: tuple[NDArray[np.intp], ...]
    angles: NDArray[np.float32]  # (samples,)

    @classmethod
    def draw(cls, population: Population, random: np.random.Generator) -> _Mould:
        """Draw mean, common direction of failures, and turn."""
        dimension = population.dimension
        variances = spectrum(dimension, population.effective_dimension)
        tilt = variances**population.lamb_tilt
        tilt /= (variances * tilt).sum()
        mean = random.standard_normal(dimension)
        # cosine = mean^2 / (mean^2 + length^2), on average
        ratio = population.mean_cosine / (1 - population.mean_cosine)
        mean *= population.length * math.sqrt(ratio / (mean**2).sum())
        common = random.standard_normal((dimension, 1))
        common /= math.sqrt((variances[:, None] * common**2).sum())
        rounds = math.ceil(math.log2(dimension)) + _MIXING_ROUNDS
        return cls(
            deviation=np.sqrt(variances)[:, None].astype(np.float32),
            tilt=np.sqrt(tilt)[:, None].astype(np.float32),
            common=common.astype(np.float32),
            mean=mean.astype(np.float32),
            orders=tuple(random.permutation(dimension) for _ in range(rounds)),
            angles=np.linspace(0, population.ageing, population.samples).astype(
                np.float32
            ),
        )

    def latents(
        self, people: _People, captures: _Captures, random: np.random.Generator
    ) -> Iterator[NDArray[np.float32]]:
        """Yield, for each capture in turn, (d, s) of all subjects, before the turn."""
        shape = (len(self.mean), len(people.kind))
        young = random.standard_normal(shape, np.float32)
        _resemble(young, people.likeness)
        young[:, people.kind == Kind.LAMB] *= self.tilt
        old = random.standard_normal(shape, np.float32)
        for number, angle in enumerate(self.angles):
            failed = captures.failed[:, number]
            kept = captures.kept[:, number]
            latent = random.standard_normal(shape, np.float32)
            latent *= np.sqrt(1 - kept**2)
            latent += np.where(failed, 0, kept * np.cos(angle)) * young
            latent += np.where(failed, 0, kept * np.sin(angle)) * old
            latent[:, failed] += kept[failed] * self.common
            yield latent

    def cast(
        self, latent: NDArray[np.float32], length: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return embeddings (s, d) of latents (d, s)."""
        turned = latent * self.deviation
        half = len(turned) // 2
        eighth_of_a_circle = np.float32(math.sqrt(0.5))
        for order in self.orders:
            turned = turned[order]
            above, below = turned[:half], turned[half : 2 * half]
            above *= eighth_of_a_circle
            below *= eighth_of_a_circle
            difference = above - below
            above += below
            below[:] = difference
        turned *= length
        return turned.T + self.mean


def _resemble(identity: NDArray[np.float32], likeness: NDArray[np.float32]) -> None:
    """Make identities (d, s) resemble the ones before, as much as `likeness` says."""
    second = np.flatnonzero(likeness)
    share = likeness[second]
    identity[:, second] *= np.sqrt(1 - share**2)
    identity[:, second] += share * identity[:, second - 1]
