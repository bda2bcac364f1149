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
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from biometrics.audit.tree import HASH_BYTES
from biometrics.errors import InvalidRequestError
from biometrics.signing import Note

if TYPE_CHECKING:
    from biometrics.signing import SigningKey, VerifierKey

_LINES: Final = 3
_FIRST: Final = "1"
_BORN_BYTES: Final = 8
# Those that were restored before logs had names of their own have a number alone.
_RESTORED: Final = re.compile(r"\.[0-9]{1,9}(-(?P<born>[0-9a-f]{16}))?\Z")
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
        checkpoint = cls.of(note.text)
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
    def of(cls, text: str) -> Self:
        """Return a checkpoint's text as a value; it has one writing.

        Raises:
            InvalidRequestError: it is none.
        """
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


def origin_of(name: str, life: str) -> str:
    """Return the name of a log: that of its key, and which one it is.

    What a restore has lost is lost to the tree as well. So the log is another one
    then, which goes on from what is left; nobody takes it for the one before.

    Args:
        name: of the key.
        life: `1`, and after a restore what `next_life` returned.
    """
    return name if life == _FIRST else f"{name}.{life}"


def next_life(life: str, first: bytes) -> str:
    """Return the life of a log that goes on from another, as `2-0011223344556677`.

    Args:
        life: of the one before.
        first: hash of the first leaf of its own. Two restores of one backup have two.
    """
    number, _, _ = life.partition("-")
    return f"{int(number) + 1}-{first[:_BORN_BYTES].hex()}"


def born_of(origin: str) -> bytes:
    """Return how the hash of a log's first leaf of its own begins; empty of the first.

    Args:
        origin: of a log of some key.
    """
    found = _RESTORED.search(origin)
    return bytes.fromhex(found["born"] or "") if found else b""


def is_of(origin: str, key: VerifierKey) -> bool:
    """Say whether a log is one of a key's."""
    life = origin.removeprefix(key.name)
    return origin == key.name or (
        life != origin and _RESTORED.fullmatch(life) is not None
    )


def _no_checkpoint() -> InvalidRequestError:
    """Return the error of a note that is no checkpoint."""
    return InvalidRequestError("NOT_A_CHECKPOINT", "is no checkpoint of a log")
