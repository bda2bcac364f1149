"""Cosigns what the exchange offers: the one step that a witness does time and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.findings import kept_proof, other_log
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.pages import KEY, Pages
from biometrics.audit.witness import Remembered, Witness, goes_on
from biometrics.cli.log_export import ServedTiles, log_key
from biometrics.cli.output import print_line, print_note
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.audit.cosignature import WitnessSecret
    from biometrics.audit.memory import Memory
    from biometrics.client import ExchangeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a person has said once; a witness left running is told neither.

    Attributes:
        follow: another log that is to be cosigned from now on; empty for none.
        adopt: whether to go on from what the exchange shows of one's own.
    """

    follow: str = ""
    adopt: bool = False


def cosign(  # noqa: PLR0917 - who, what, and what is allowed
    exchange: ExchangeClient,
    memory: Memory,
    witness: Witness,
    allowed: Allowed,
    now: int,
) -> None:
    """Cosign what the exchange offers; durable here, then there, on return.

    Args:
        exchange: by an auditor's or a witness's certificate.
        memory: of the witness.
        witness: itself.
        allowed: what a person has said.
        now: in seconds since 1970.

    Raises:
        InvalidRequestError: it cannot be cosigned; where that proves that the log has
            shown two histories, the proof is kept.
        ConfigurationError: the memory is lost, damaged or behind.
    """
    told, tiles = exchange.checkpoint(), ServedTiles(exchange)
    # 1. It is of the log that is followed.
    checkpoint = Checkpoint.parse(told.offered, witness.key)
    origin, followed = checkpoint.origin, memory.origin
    if followed not in {"", origin}:
        _hand_over(memory, witness, checkpoint, tiles, allowed)
    # 2. It goes on from what was cosigned last.
    before = _remembered(memory, witness, origin)
    if allowed.adopt:
        before = _adopted(witness, before, told.cosigned, origin)
    found = witness.look(before, told.offered, told.cosigned, tiles, now)
    if isinstance(found, Misbehaviour):
        path = memory.keep(found.name, found.data)
        error = kept_proof()
        raise InvalidRequestError(error.reason, f"`{path}` {error.message}")
    # 3. What is remembered leaves only once it is on the disk.
    memory.write(origin, found.note)
    exchange.add_cosignature(found.note)
    print_line(f"{checkpoint.size:,} leaves of {origin} cosigned")


def witness_of(
    exchange: ExchangeClient, folder: Path, given: str | None, secret: WitnessSecret
) -> Witness:
    """Return the witness of the exchange's log, and hold to that log's key.

    Args:
        exchange: is asked for the key where nobody has given it.
        folder: of the witness.
        given: the key of the log; the exchange is believed the first time if None.
        secret: by which it cosigns.

    Raises:
        ConfigurationError: the key is none, or not the one of before.
    """
    key = log_key(folder, given)
    if key is None:
        key = VerifierKey.parse(exchange.checkpoint().verifier_key)
        print_note(f"compare `{folder / KEY}` with the key that you were given")
    Pages(folder).write(KEY, f"{key.text}\n".encode())
    return Witness(key, secret)


def _remembered(memory: Memory, witness: Witness, origin: str) -> Remembered | None:
    """Return what was cosigned last of a log."""
    note = memory.read(origin)
    if note is None:
        return None
    try:
        found = witness.remember(note)
    except InvalidRequestError as error:
        raise ConfigurationError(
            "MEMORY_DAMAGED",
            f"`{memory.where(origin)}` {error.message}: it is damaged, or another"
            " witness's. Bring back the folder of this key; if there is none, move that"
            " file away, and `--adopt` what the exchange shows",
        ) from error
    if found.checkpoint.origin != origin:
        raise ConfigurationError(
            "MEMORY_DAMAGED", f"`{memory.where(origin)}` is of another log"
        )
    return found


def _adopted(
    witness: Witness, before: Remembered | None, shown: tuple[bytes, ...], origin: str
) -> Remembered | None:
    """Return the later of what is remembered and what the exchange shows of one's own.

    It is no less to go on from: whatever one's own key has cosigned went on from what
    is remembered.
    """
    latest = witness.latest(shown, origin)
    if latest is None or (
        before is not None and before.checkpoint.size >= latest.checkpoint.size
    ):
        return before
    return latest


def _hand_over(  # noqa: PLR0917 - from what, to what
    memory: Memory,
    witness: Witness,
    checkpoint: Checkpoint,
    tiles: ServedTiles,
    allowed: Allowed,
) -> None:
    """Follow another log, if a person has said so, and tell what is lost."""
    origin, followed = checkpoint.origin, memory.origin
    if allowed.follow != origin:
        error = other_log(followed, origin)
        raise InvalidRequestError(
            error.reason,
            f"{error.message}. This witness cosigns the other one once a person says"
            f" so: `--follow {origin}`",
        )
    before = _remembered(memory, witness, followed)
    if before is not None and not goes_on(before.checkpoint, checkpoint, tiles):
        print_note(
            f"`{origin}` does not begin with the {before.checkpoint.size} leaves of"
            f" `{followed}` that this witness has cosigned: some are lost, or replaced."
            f" `{memory.where(followed)}` is the proof of what there was; keep it"
        )
