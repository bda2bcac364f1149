"""Where a member's key-encryption key comes from, as the exchange's settings say.

    key = "keys/XAA.key"       a file that the exchange can read
    key = "handed-over"        the member keeps it, and hands it over to unlock
    key = "pkcs11:token=exchange;object=XAA?module-path=/usr/lib/...so&pin-source=/..."

The last is a URI of RFC 7512.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import unquote

from biometrics.custody.handed import HandedKeyProvider
from biometrics.custody.providers import FileKeyProvider
from biometrics.custody.token import TokenKeyProvider
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


HANDED_OVER: Final = "handed-over"
_SCHEME: Final = "pkcs11:"
_PATH_PARTS: Final = ("token", "object")
_QUERY_PARTS: Final = ("module-path", "pin-source")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file of the exchange's."""

    path: Path

    def open(self, random_bytes: Callable[[int], bytes]) -> FileKeyProvider:
        """Return the key of the file.

        Raises:
            ConfigurationError: it is not there, is no key file, or others can read it.
        """
        return FileKeyProvider(self.path, random_bytes)


@dataclass(frozen=True, slots=True)
class HandedKey:
    """Memory, for as long as the member has handed it over."""

    def open(self, random_bytes: Callable[[int], bytes]) -> HandedKeyProvider:
        """Return the place for a key that is handed over."""
        return HandedKeyProvider(random_bytes)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A PKCS#11 token; see `TokenKeyProvider`."""

    module: Path
    token: str
    label: str
    pin_file: Path

    @classmethod
    def parse(cls, text: str, folder: Path) -> Self:
        """Read a URI.

        Args:
            text: as in the settings.
            folder: where relative paths are taken from.

        Raises:
            ConfigurationError: it is no such URI, or lacks a part or has one more.
        """
        path, _, query = text.removeprefix(_SCHEME).partition("?")
        parts = _parts(path, ";", _PATH_PARTS) | _parts(query, "&", _QUERY_PARTS)
        return cls(
            module=folder / parts["module-path"],
            token=parts["token"],
            label=parts["object"],
            pin_file=folder / parts["pin-source"].removeprefix("file:"),
        )

    def open(self, random_bytes: Callable[[int], bytes]) -> TokenKeyProvider:
        """Return the key on the token.

        Raises:
            ConfigurationError: the token's module cannot be loaded.
        """
        return TokenKeyProvider(
            module=self.module,
            token=self.token,
            label=self.label,
            pin_file=self.pin_file,
            random_bytes=random_bytes,
        )


KeySource = KeyFile | HandedKey | TokenKey


def parse_source(text: str, folder: Path) -> KeySource:
    """Return where a key comes from.

    Args:
        text: as in the settings.
        folder: where relative paths are taken from.

    Raises:
        ConfigurationError: it is a URI that cannot be used.
    """
    if text == HANDED_OVER:
        return HandedKey()
    if text.startswith(_SCHEME):
        return TokenKey.parse(text, folder)
    return KeyFile(folder / text)


def _parts(text: str, between: str, known: tuple[str, ...]) -> dict[str, str]:
    """Return the parts of one half of a URI: those that are known, each once."""
    pairs = [each.partition("=") for each in text.split(between)]
    found = {name: unquote(value) for name, _, value in pairs if value}
    if len(found) != len(pairs) or found.keys() != set(known):
        raise ConfigurationError(
            "WRONG_KEY_URI",
            "must be `pkcs11:token=LABEL;object=LABEL?module-path=FILE&pin-source=FILE`"
            " with each part once and no other; write `%3B` for a semicolon in a label",
        )
    return found
