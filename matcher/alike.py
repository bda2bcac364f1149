"""Near-duplicate probes: how many of its own last ones a requester's probe resembles.

Whoever varies one picture to feel for templates sends probes that resemble one another,
near a record or not. What is remembered of each is a short random projection, by which
cosines can be estimated (Johnson and Lindenstrauss 1984); its directions are secret and
drawn anew with each start. Together with them it is a blurred template: so it stays in
memory, for a day and for the last few probes of a requester, and is never written.

A requester that sends too many is refused, and told why. That depends on its own probes
alone, as a quota does: to answer as if nobody were there would hide a person from
officers who search in good faith, and tell the one who does not no less.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from biometrics import limits
from biometrics.errors import ExhaustedError
from matcher.kinds import searched

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.templates import Position, Template

_SEED_BYTES = 32
_DIGEST_BYTES = 16


@dataclass(slots=True)
class _Remembered:
    """The last probes of one requester in one template space, at one position.

    Each position has its own: else whoever sends ten fingers in one search hides what
    varies among nine others, and makes one search for ten.

    Attributes:
        sketches: of unit length, a row each.
        moments: when each came, seconds; long ago where none did.
        digests: keyed hash of each; empty where none came.
        last: row of the last one.
    """

    sketches: NDArray[np.float32] = field(
        default_factory=lambda: np.zeros(
            (limits.PROBES_REMEMBERED, limits.SKETCH_DIRECTIONS), np.float32
        )
    )
    moments: list[float] = field(
        default_factory=lambda: [-math.inf] * limits.PROBES_REMEMBERED
    )
    digests: list[bytes] = field(
        default_factory=lambda: [b""] * limits.PROBES_REMEMBERED
    )
    last: int = -1

    def alike(
        self, sketch: NDArray[np.float32], least: float
    ) -> list[tuple[float, bytes]]:
        """Return moment and digest of those from a cosine on."""
        cosines = self.sketches @ sketch
        # In few steps of NumPy: each of those on as many rows gives the interpreter's
        # lock away, and everybody's calls wait until this thread has it again.
        near = np.flatnonzero(cosines >= least).tolist()
        return [(self.moments[row], self.digests[row]) for row in near]

    def add(self, sketch: NDArray[np.float32], now: float, digest: bytes) -> None:
        """Remember one, and forget the oldest."""
        self.last = (self.last + 1) % limits.PROBES_REMEMBERED
        self.sketches[self.last] = sketch
        self.moments[self.last] = now
        self.digests[self.last] = digest


class Resemblance:
    """What requesters have searched with of late; for the event loop's thread alone."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        """Remember nothing yet."""
        self._clock = clock
        seed = np.frombuffer(random_bytes(_SEED_BYTES), np.uint32)
        self._random = np.random.default_rng(seed)
        self._key = random_bytes(_SEED_BYTES)
        self._directions: dict[int, NDArray[np.float32]] = {}
        self._remembered: dict[tuple[Member, str], dict[Position, _Remembered]] = {}

    def note(
        self,
        requester: Member,
        probe: Template,
        outline: NDArray[np.float32],
        threshold: float,
    ) -> bool:
        """Remember a probe; say whether its requester's are too much alike.

        One that is sent again unchanged learns nothing anew, and counts once: unchanged
        in every bit. Beside a point at the threshold the smallest step tells a little
        of the template, and thousands of them all of it.

        Args:
            requester: who searches.
            probe: with what.
            outline: what `outlined` returned of it.
            threshold: least score from which templates of the space match.

        Returns:
            Whether auditors are to be told.

        Raises:
            ExhaustedError: the requester has searched with so many like it within a
                day that no more are answered.
        """
        name = requester, probe.space.name
        rings = self._remembered.setdefault(name, {})
        # Not by `setdefault`, which would make room for a thousand each time.
        if (own := rings.get(probe.position)) is None:
            own = rings[probe.position] = _Remembered()
        least = searched(probe.space).alike_from(threshold)
        sketch, digest = self._sketch(outline), self._digest(probe)
        now = self._clock.monotonic()
        begun = now - limits.ALIKE_SECONDS
        # Of all positions: a probe may be compared with others than its own.
        alike = [each for ring in rings.values() for each in ring.alike(sketch, least)]
        moments = [moment for moment, _ in alike if moment > begun]
        count = len(moments)
        if any(moment > begun and known == digest for moment, known in alike):
            return count > limits.ALIKE_ALERTED
        if count >= limits.ALIKE_TOLD:
            raise _too_many(min(moments) - begun)
        own.add(sketch, now, digest)
        return count >= limits.ALIKE_ALERTED

    def _digest(self, probe: Template) -> bytes:
        """Return what tells a probe from every other, and nothing of it."""
        data = probe.values.tobytes()
        return hashlib.blake2b(data, digest_size=_DIGEST_BYTES, key=self._key).digest()

    def _sketch(self, outline: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the projection of an outline, of unit length."""
        dimension = len(outline)
        if dimension not in self._directions:
            shape = limits.SKETCH_DIRECTIONS, dimension
            self._directions[dimension] = self._random.standard_normal(
                shape, np.float32
            )
        sketch: NDArray[np.float32] = self._directions[dimension] @ outline
        sketch /= np.sqrt(sketch @ sketch)
        return sketch


def outlined(probes: Sequence[Template]) -> list[NDArray[np.float32]]:
    """Return what is noted of probes, for `Resemblance.note`.

    On any thread: of the largest print it takes ten milliseconds.
    """
    return [searched(probe.space).outline(probe.values) for probe in probes]


def _too_many(seconds: float) -> ExhaustedError:
    """Return the error of a probe that is one variation too many."""
    return ExhaustedError(
        "PROBE_VARIED",
        f"you have searched with {limits.ALIKE_TOLD} probes like this one within a day,"
        " and no more are answered; auditors were told. Ask again tomorrow",
        retry_after=seconds,
    )
