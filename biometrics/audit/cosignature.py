"""Keys of witnesses, and what a witness states by them: a timestamped cosignature.

    public key:  <name>+<key id>+<base64 of 0x04 and the public key>
    secret key:  PRIVATE+KEY+<name>+<key id>+<base64 of 0x04 and the seed>

A cosignature is a line below a checkpoint. It states that at its time this was the
largest tree that the witness had seen of the log, and that every one that it had seen
before is the beginning of it.

Source: C2SP, "tlog-cosignature", for Ed25519.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from biometrics.errors import InvalidRequestError
from biometrics.signing import Signature
from biometrics.signing.keys import (
    key_id_of,
    no_key,
    read_key,
    refuse_wrong_name,
    write_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.signing import Note

_KIND: Final = b"\x04"  # type of the signature: C2SP, "signed-note"
_SEED_BYTES: Final = 32
_TIME_BYTES: Final = 8
_SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - how every secret key begins


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness.

    Attributes:
        name: not empty, without space or plus; best an address, such as
            `exchange.example/XAA/witness`.
        public: 32 bytes, of Ed25519; it signs nothing but cosignatures.
    """

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a public key.

        Raises:
            InvalidRequestError: it is none, or its id is not that of name and key.
        """
        key = cls(*read_key(text, _KIND, "a public key of a witness"))
        if key.text != text:
            raise no_key("a public key of a witness")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes; with the name they say which key cosigned."""
        return key_id_of(self.name, _KIND + self.public)

    @property
    def text(self) -> str:
        """The key as `parse` reads it."""
        return write_key(self.name, self.key_id, _KIND + self.public)

    def cosigned(self, note: Note) -> Cosignature | None:
        """Return this witness's cosignature of a checkpoint; None if there is none.

        Raises:
            InvalidRequestError: there is a line that claims to be one and is not, or
                there are two.
        """
        named = (self.name, self.key_id)
        lines = [s for s in note.signatures if (s.name, s.key_id) == named]
        if not lines:
            return None
        if len(lines) > 1:
            raise InvalidRequestError(
                "REPEATED_COSIGNATURE",
                f"`{self.name}` stands below it {len(lines)} times: a witness cosigns"
                " once, and counts once",
            )
        (line,) = lines
        time = int.from_bytes(line.value[:_TIME_BYTES], "big")
        if not self._has_signed(line.value, _stated(note.text, time)):
            raise InvalidRequestError(
                "FORGED_COSIGNATURE",
                f"what stands below it as of `{self.name}` is no cosignature by that"
                " key: it is forged, damaged, or of another checkpoint",
            )
        return Cosignature(line, time)

    def _has_signed(self, value: bytes, stated: bytes) -> bool:
        """Say whether a time and a signature behind it are this key's."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        try:
            key.verify(value[_TIME_BYTES:], stated)
        except InvalidSignature:
            return False
        return not value[0] >> 7  # a time has 63 bits


@dataclass(frozen=True, slots=True)
class Cosignature:
    """That a witness has cosigned.

    Attributes:
        line: which stands below the checkpoint.
        time: when, in seconds since 1970.
    """

    line: Signature
    time: int


class WitnessSecret:
    """The secret key of a witness; it is in no message."""

    __slots__ = ("_private", "_seed", "public")

    def __init__(self, name: str, seed: bytes) -> None:
        """Hold the key that the 32 bytes of `seed` make.

        Raises:
            InvalidRequestError: the name cannot be a key's.
        """
        refuse_wrong_name(name)
        self._seed = seed
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.public = WitnessKey(name, public)

    @classmethod
    def generate(cls, name: str, random_bytes: Callable[[int], bytes]) -> Self:
        """Make a new key.

        Raises:
            InvalidRequestError: the name cannot be a key's.
        """
        return cls(name, random_bytes(_SEED_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a secret key.

        Raises:
            InvalidRequestError: it is none, or its id is not that of name and key.
        """
        what = "a secret key of a witness"
        if not text.startswith(_SECRET):
            raise no_key(what)
        key = cls(*read_key(text.removeprefix(_SECRET), _KIND, what))
        if key.text != text:
            raise no_key(what)
        return key

    @property
    def text(self) -> str:
        """The secret key as `parse` reads it."""
        key = self.public
        return _SECRET + write_key(key.name, key.key_id, _KIND + self._seed)

    def cosign(self, text: str, time: int) -> Signature:
        """Return the line below a checkpoint.

        Args:
            text: of the checkpoint, without signatures.
            time: now, in seconds since 1970.
        """
        value = self._private.sign(_stated(text, time))
        return Signature(
            name=self.public.name,
            key_id=self.public.key_id,
            value=time.to_bytes(_TIME_BYTES, "big") + value,
        )


def _stated(text: str, time: int) -> bytes:
    """Return what is signed: the checkpoint behind two lines of its own."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()
