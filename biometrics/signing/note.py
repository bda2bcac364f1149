"""Signed notes: a text, and whose signatures stand below it.

    first line of the text
    another line

    — name of the key and base64 of its id and the signature

Pure: bytes in, values out; whether a signature is good is for whoever has the key.

Source: C2SP, "signed-note".
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final, Self

from biometrics import limits
from biometrics.errors import InvalidRequestError

_MARK: Final = "\N{EM DASH} "
_KEY_ID_BYTES: Final = 4


def is_key_name(text: str) -> bool:
    """Say whether a text can be the name of a key."""
    return (
        0 < len(text) <= limits.MAX_SIGNER_CHARACTERS
        and text.isprintable()
        and not any(letter.isspace() or letter == "+" for letter in text)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One line below a note.

    Attributes:
        name: of the key.
        key_id: 4 bytes; name and id say which key it claims to be of.
        value: the signature itself.
    """

    name: str
    key_id: bytes
    value: bytes

    @property
    def line(self) -> str:
        """The line, with its end."""
        value = base64.b64encode(self.key_id + self.value).decode()
        return f"{_MARK}{self.name} {value}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a line end, and what was signed below it."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a note; there is one writing of each, and any other is refused.

        Raises:
            InvalidRequestError: it is no signed note.
        """
        if len(data) > limits.MAX_NOTE_BYTES:
            raise _no_note(f"it is longer than {limits.MAX_NOTE_BYTES} bytes")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise _no_note(f"it is not UTF-8 at byte {error.start}") from error
        if any(letter < " " and letter != "\n" for letter in whole):
            raise _no_note("it contains a control character")
        text, blank, signed = whole.rpartition("\n\n")
        if not text or not blank or not signed.endswith("\n"):
            raise _no_note("a text, an empty line and signatures must stand in it")
        lines = signed[:-1].split("\n")
        if len(lines) > limits.MAX_NOTE_SIGNATURES:
            raise _no_note(f"it has more than {limits.MAX_NOTE_SIGNATURES} signatures")
        return cls(f"{text}\n", tuple(_signature(line) for line in lines))

    @property
    def data(self) -> bytes:
        """The note as `parse` reads it."""
        signed = "".join(signature.line for signature in self.signatures)
        return f"{self.text}\n{signed}".encode()


def _signature(line: str) -> Signature:
    """Return one signature's line as a value."""
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_note("a signature is not base64") from error
    signature = Signature(
        name=name, key_id=data[:_KEY_ID_BYTES], value=data[_KEY_ID_BYTES:]
    )
    # Base64 can write the same bytes in several ways, of which one is taken.
    if not is_key_name(name) or not signature.value or signature.line != f"{line}\n":
        raise _no_note("a line below its empty line is no signature")
    return signature


def _no_note(told: str) -> InvalidRequestError:
    """Return the error of what is no signed note."""
    return InvalidRequestError("NOT_A_NOTE", f"is no signed note: {told}")
