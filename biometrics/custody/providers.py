"""Key-encryption keys, which wrap all others, and where they are kept."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final, Protocol

from biometrics.custody.owned import read_owned
from biometrics.custody.xaes import KEY_BYTES, NONCE_BYTES, Xaes
from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write, create_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_HEADER: Final = b"# key of a biometrics exchange: keep it secret, back it up apart\n"
# One comment line or none, then the key.
_FORM: Final = re.compile(rb"(?:#[^\n]*\n)?([0-9a-f]{64})\n?")


class KeyProvider(Protocol):
    """A key-encryption key, wherever it is. It never leaves through here."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return a key, wrapped; it unwraps in exactly this context.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
        """

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return a key that `wrap` wrapped.

        Raises:
            GalleryLockedError: the key-encryption key is not at hand.
            SealError: damaged, wrapped by another key or in another context.
        """

    def check(self) -> None:
        """Return if the key-encryption key is at hand.

        Raises:
            GalleryLockedError: it is not; the message says what there is to do.
        """

    def drop(self) -> None:
        """Forget what is in memory only for as long as the member is unlocked."""


class FileKeyProvider:
    """A key-encryption key out of a file that only its owner can read.

    It is held in memory for as long as the provider exists, locked or not.
    """

    def __init__(
        self, path: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        """Read the key.

        Args:
            path: a file as `create_key_file` writes it.
            random_bytes: where nonces come from.

        Raises:
            ConfigurationError: it is not there, is no key file, or others can read it.
        """
        self._path = path
        self._xaes = Xaes(read_key_file(path))
        self._random_bytes = random_bytes

    def __repr__(self) -> str:
        """Return where the key is, not what it is."""
        return f"FileKeyProvider({str(self._path)!r})"

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return a key, sealed by XAES-256-GCM and bound to the context."""
        return self._xaes.seal(self._random_bytes(NONCE_BYTES), key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return a key that `wrap` wrapped.

        Raises:
            SealError: damaged, wrapped by another key or in another context.
        """
        return self._xaes.open(wrapped, context)

    def check(self) -> None:
        """It is at hand."""

    def drop(self) -> None:
        """Keep it: the file is there as well."""


def create_key_file(path: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Write a new key; on return it is durable, and before that it is not there.

    Raises:
        ConfigurationError: the file exists already, or cannot be written.
    """
    text = _HEADER + random_bytes(KEY_BYTES).hex().encode() + b"\n"
    try:
        create_file(path, text)
    except OSError as error:
        lost = ": what its key wraps would be lost"
        raise cannot_write(path, error, lost) from error


def read_key_file(path: Path) -> bytes:
    """Return the key in a file as `create_key_file` writes it.

    Raises:
        ConfigurationError: it is not there, is no key file, or others can read it.
    """
    text = read_owned(path, "key file")
    form = _FORM.fullmatch(text)
    if form is None:
        raise ConfigurationError(
            "NOT_A_KEY_FILE",
            f"`{path}` is no key file; it must hold {KEY_BYTES} bytes as"
            f" {2 * KEY_BYTES} lower-case hexadecimal digits, after at most one line"
            " that begins with `#`; restore it from a backup",
        )
    return bytes.fromhex(form[1].decode())
