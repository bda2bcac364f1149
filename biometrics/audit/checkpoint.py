"""Checkpoints: a signed note of how many leaves a log has, and of their root.

    exchange.test/log
    1234
    base64 of the root

    — exchange.test/log base64 of key id and signature

Source: C2SP, "tlog-checkpoint".
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from biometrics.audit.tree import HASH_BYTES
from biometrics.errors import InvalidRequestError
from biometrics.signing import Note

if TYPE_CHECKING:
    from biometrics.signing import SigningKey, VerifierKey

_LINES: Final = 3
_MOST_DIGITS: Final = 19  # of a size that a database can count


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A moment of a log.

    Attributes:
        origin: name of the log.
        size: how many leaves it has.
        root: 32 bytes, of its tree.
    """

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed_by(self, key: SigningKey) -> bytes:
        """Return it as a signed note."""
        return Note(self.text, (key.sign(self.text),)).data

    @classmethod
    def parse(cls, data: bytes, key: VerifierKey) -> Self:
        """Read a checkpoint that the log's key has signed.

        Raises:
            InvalidRequestError: it is none, of another log, or not signed by that key.
        """
        note = Note.parse(data)
        checkpoint = cls._of(note.text)
        if not any(
            (each.name, each.key_id) == (key.name, key.key_id)
            and key.has_signed(note.text, each)
            for each in note.signatures
        ):
            raise InvalidRequestError(
                "NOT_SIGNED",
                f"is not signed by `{key.name}`: it is of another log, or forged",
            )
        if not is_of(checkpoint.origin, key):
            raise InvalidRequestError(
                "FOREIGN_LOG",
                f"is of the log `{checkpoint.origin}`, which is not one of"
                f" `{key.name}`",
            )
        return checkpoint

    @classmethod
    def _of(cls, text: str) -> Self:
        """Return a checkpoint's text as a value; it has one writing."""
        lines = text.split("\n")
        try:
            origin, size, encoded = lines[:_LINES]
            found = cls(
                origin=origin,
                size=int(size[:_MOST_DIGITS]),
                root=base64.b64decode(encoded, validate=True),
            )
        except (ValueError, binascii.Error) as error:
            raise _no_checkpoint() from error
        if found.text != text or len(found.root) != HASH_BYTES or found.size < 0:
            raise _no_checkpoint()
        return found


def origin_of(name: str, life: int) -> str:
    """Return the name of a log: that of its key, and how often it was restored.

    What a restore has lost is lost to the tree as well. So the log is another one
    then, which goes on from what is left; nobody takes it for the one before.

    Args:
        name: of the key.
        life: 1, and one more with every restore.
    """
    return name if life == 1 else f"{name}.{life}"


def is_of(origin: str, key: VerifierKey) -> bool:
    """Say whether a log is one of a key's."""
    return origin == key.name or (
        origin.startswith(f"{key.name}.") and origin[len(key.name) + 1 :].isdigit()
    )


def _no_checkpoint() -> InvalidRequestError:
    """Return the error of a note that is no checkpoint."""
    return InvalidRequestError("NOT_A_CHECKPOINT", "is no checkpoint of a log")
