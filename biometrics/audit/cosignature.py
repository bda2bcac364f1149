"""Keys of witnesses, and what a witness states by them: a timestamped cosignature.

The kind of both is 0x04: see `biometrics.signing.ed25519`. They sign nothing else.

A cosignature is a line below a checkpoint. It states that at its time this was the
largest tree that the witness had seen of the log, and that every one that it had seen
before is the beginning of it.

Source: C2SP, "tlog-cosignature", for Ed25519.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics.errors import InvalidRequestError
from biometrics.signing import Signature
from biometrics.signing.ed25519 import PublicKey, SecretKey

if TYPE_CHECKING:
    from biometrics.signing import Note

_TIME_BYTES: Final = 8


class WitnessKey(PublicKey):
    """The public key of a witness."""

    __slots__ = ()

    kind = b"\x04"  # type of the signature: C2SP, "signed-note"
    what = "a public key of a witness"

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
        if not self.verifies(value[_TIME_BYTES:], stated):
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


class WitnessSecret(SecretKey[WitnessKey]):
    """The secret key of a witness."""

    __slots__ = ()

    of = WitnessKey
    what = "a secret key of a witness"

    def cosign(self, text: str, time: int) -> Signature:
        """Return the line below a checkpoint.

        Args:
            text: of the checkpoint, without signatures.
            time: now, in seconds since 1970.
        """
        value = self.value_of(_stated(text, time))
        return Signature(
            name=self.public.name,
            key_id=self.public.key_id,
            value=time.to_bytes(_TIME_BYTES, "big") + value,
        )


def _stated(text: str, time: int) -> bytes:
    """Return what is signed: the checkpoint behind two lines of its own."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()
