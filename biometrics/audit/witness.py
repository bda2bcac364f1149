"""What a witness cosigns, and what it refuses to. Pure: the caller reads and writes.

1. The checkpoint is signed by the log, and of the log that is followed.
2. Nobody has taken back what this witness remembers: the exchange shows no cosignature
   by its own key that is later, and time has not gone backwards.
3. The checkpoint is no smaller than the last one, and begins with it.

A witness MUST make what `look` returns durable before anybody sees it: whoever forgets
what it has cosigned can be shown another history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.findings import rolled_back
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.tiles import span_hash
from biometrics.audit.tree import check_consistency, consistency, prove
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.signing import Note

if TYPE_CHECKING:
    from collections.abc import Iterable

    from biometrics.audit.cosignature import WitnessSecret
    from biometrics.audit.tiles import Tiles
    from biometrics.signing import VerifierKey


@dataclass(frozen=True, slots=True)
class Remembered:
    """The last checkpoint of a log that a witness has cosigned.

    Attributes:
        note: itself, signed by the log and by the witness.
        checkpoint: what it says.
        time: when it was cosigned, in seconds since 1970.
    """

    note: bytes
    checkpoint: Checkpoint
    time: int


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness of one exchange's logs.

    Attributes:
        key: by which the exchange signs its logs.
        secret: by which the witness cosigns.
    """

    key: VerifierKey
    secret: WitnessSecret

    def remember(self, note: bytes) -> Remembered:
        """Read what this witness has cosigned.

        Raises:
            InvalidRequestError: the log has not signed it, or the witness has not.
        """
        checkpoint = Checkpoint.parse(note, self.key)
        cosigned = self.secret.public.cosigned(Note.parse(note))
        if cosigned is None:
            raise InvalidRequestError(
                "NOT_COSIGNED", f"is not cosigned by `{self.secret.public.name}`"
            )
        return Remembered(note, checkpoint, cosigned.time)

    def latest(self, shown: Iterable[bytes], origin: str) -> Remembered | None:
        """Return the latest of what the exchange shows that this witness has cosigned.

        Args:
            shown: cosigned checkpoints; what is not of this witness is passed over.
            origin: of which log.
        """
        found: Remembered | None = None
        for note in shown:
            try:
                each = self.remember(note)
            except InvalidRequestError:
                continue
            if each.checkpoint.origin == origin and (
                found is None or _order(each) > _order(found)
            ):
                found = each
        return found

    def look(  # noqa: PLR0917 - what is known, and what is shown
        self,
        before: Remembered | None,
        offered: bytes,
        shown: Iterable[bytes],
        tiles: Tiles,
        now: int,
    ) -> Remembered | Misbehaviour:
        """Cosign a checkpoint, or prove that the log has shown two histories.

        Args:
            before: what this witness has cosigned last, of this log; None at first.
            offered: by the exchange, to be cosigned.
            shown: cosigned checkpoints that it has.
            tiles: of the tree, as the exchange serves them.
            now: in seconds since 1970.

        Returns:
            What is to be remembered, and then to be submitted; or the proof.

        Raises:
            InvalidRequestError: it is forged, of another log, or smaller than before;
                or the exchange does not prove that it goes on from that.
            ConfigurationError: the witness has forgotten what it had cosigned, or its
                clock is wrong.
        """
        # 1. The checkpoint.
        checkpoint = Checkpoint.parse(offered, self.key)
        # 2. What is remembered.
        self._refuse_forgotten(before, self.latest(shown, checkpoint.origin), now)
        # 3. That it goes on.
        if before is not None:
            known = before.checkpoint
            if known.size > checkpoint.size:
                raise rolled_back(known.size, checkpoint.size)
            if not goes_on(known, checkpoint, tiles):
                return Misbehaviour.of(before.note, offered, self.key, tiles)
        line = self.secret.cosign(checkpoint.text, now)
        signatures = (*Note.parse(offered).signatures, line)
        return Remembered(Note(checkpoint.text, signatures).data, checkpoint, now)

    def _refuse_forgotten(
        self, before: Remembered | None, latest: Remembered | None, now: int
    ) -> None:
        """Refuse to go on from less than this witness has cosigned."""
        name = self.secret.public.name
        if latest is not None and (before is None or _order(latest) > _order(before)):
            raise ConfigurationError(
                "MEMORY_BEHIND",
                f"`{name}` has cosigned {latest.checkpoint.size} leaves, and remembers"
                f" {0 if before is None else before.checkpoint.size}: its folder is"
                " lost or an old copy, or another folder is used with its key. Bring"
                " the newest one back; if there is none, `--adopt` goes on from what"
                " the exchange shows of it",
            )
        if before is not None and now < before.time:
            raise ConfigurationError(
                "CLOCK_BEHIND",
                f"`{name}` has cosigned {before.time - now} s from now: this"
                " computer's clock is wrong, or was; set it, or wait",
            )


def goes_on(known: Checkpoint, checkpoint: Checkpoint, tiles: Tiles) -> bool:
    """Say whether a tree begins with one that is known, by the pages of the log.

    Args:
        known: the smaller one.
        checkpoint: the larger one, or one of the same size.
        tiles: of its tree.
    """
    if known.size > checkpoint.size:
        return False
    if not known.size:
        return True  # whatever there is goes on from nothing
    proof = prove(
        consistency(known.size, checkpoint.size),
        lambda span: span_hash(tiles, checkpoint.size, span),
    )
    after = checkpoint.size, checkpoint.root
    try:
        check_consistency((known.size, known.root), after, proof)
    except InvalidRequestError:
        return False
    return True


def _order(each: Remembered) -> tuple[int, int]:
    """Return by what a later cosignature is told from an earlier one."""
    return each.checkpoint.size, each.time
