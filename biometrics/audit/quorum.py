"""Up to where enough witnesses have cosigned a log, and how lately. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.errors import InvalidRequestError
from biometrics.signing import Note

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from biometrics.audit.checkpoint import Checkpoint
    from biometrics.audit.policy import Policy

_HOUR = 3600


@dataclass(slots=True)
class Mark:
    """A checkpoint that the leaves of an export are held against.

    Attributes:
        where: it stands, for people.
        note: itself, signed by the log.
        checkpoint: what it says.
        root: of as many leaves of the export; None until there are so many.
    """

    where: str
    note: bytes
    checkpoint: Checkpoint
    root: bytes | None = None

    @property
    def holds(self) -> bool:
        """Whether the export begins with it."""
        return self.root == self.checkpoint.root

    @property
    def is_forked(self) -> bool:
        """Whether the export has another beginning."""
        return self.root is not None and not self.holds


@dataclass(frozen=True, slots=True)
class Witnessed:
    """Up to where enough witnesses have cosigned.

    Attributes:
        checkpoint: which they have.
        names: who they are, by the policy's names.
        time: of the oldest of these cosignatures, in seconds since 1970.
    """

    checkpoint: Checkpoint
    names: tuple[str, ...]
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a verifier wants to see of witnesses.

    Attributes:
        policy: of whom.
        earliest: cosignatures before do not count, in seconds since 1970: an exchange
            that hides all that is new has old ones to show.
        latest: cosignatures after do not count either: their witness's clock is wrong.
    """

    policy: Policy
    earliest: int
    latest: int

    def cosigners(
        self, note: bytes
    ) -> tuple[dict[str, int], list[InvalidRequestError]]:
        """Return when which witness has cosigned a checkpoint, and what is forged."""
        parsed, found, errors = Note.parse(note), {}, []
        for name, key in self.policy.witnesses.items():
            try:
                cosignature = key.cosigned(parsed)
            except InvalidRequestError as error:
                errors.append(error)
                continue
            if cosignature is not None:
                found[name] = cosignature.time
        return found, errors

    def newest(
        self, cosigned: Iterable[tuple[Checkpoint, Mapping[str, int]]]
    ) -> Witnessed | None:
        """Return the largest checkpoint that enough witnesses have cosigned lately.

        Args:
            cosigned: checkpoints of one history, with when who has cosigned.

        Raises:
            InvalidRequestError: there is none.
        """
        ordered = sorted(cosigned, key=lambda each: each[0].size, reverse=True)
        for checkpoint, times in ordered:
            lately = {
                n: t for n, t in times.items() if self.earliest <= t <= self.latest
            }
            if self.policy.is_met(lately.keys()):
                time = min(lately.values())
                return Witnessed(checkpoint, tuple(sorted(lately)), time)
        for checkpoint, times in ordered:
            if self.policy.is_met(times.keys()):
                raise self._old(checkpoint, min(times.values()))
        raise self._none(ordered)

    def _old(self, checkpoint: Checkpoint, time: int) -> InvalidRequestError:
        """Return the error of a quorum that is not of these days."""
        hours = (self.latest - time) // _HOUR
        told = f"{hours} h ago" if hours >= 0 else "by clocks that are ahead"
        return InvalidRequestError(
            "COSIGNATURES_OLD",
            f"enough witnesses cosigned {checkpoint.size} leaves, but {told}: they have"
            " stopped, or the exchange shows you an old log; export again, ask them,"
            " or allow older ones by `--max-age`",
        )

    def _none(
        self, ordered: list[tuple[Checkpoint, Mapping[str, int]]]
    ) -> InvalidRequestError:
        """Return the error of what too few have cosigned; says who how much."""
        told = []
        for name in self.policy.witnesses:
            sizes = [checkpoint.size for checkpoint, times in ordered if name in times]
            told.append(f"`{name}` has {sizes[0] if sizes else 'cosigned none'}")
        return InvalidRequestError(
            "NO_QUORUM",
            f"too few of your witnesses have cosigned one and the same checkpoint of"
            f" this history ({', '.join(told)}): some are behind or stopped, or were"
            " shown another one; ask them",
        )
