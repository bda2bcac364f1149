"""Files of signers: secret keys that nobody else may read, and what is replaced whole.

What is written is durable before it has its name.
"""

from __future__ import annotations

import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.files import READABLE, cannot_write, create_file, put_file
from biometrics.settings import read_text
from biometrics.signing.keys import SigningKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def create_signing_key(path: Path, key: SigningKey) -> None:
    """Write a new signing key, for its owner alone.

    Raises:
        ConfigurationError: the file exists, or cannot be written.
    """
    create_secret_file(path, key.text)


def create_secret_file(path: Path, text: str) -> None:
    """Write a secret of one line into a new file, for its owner alone.

    Raises:
        ConfigurationError: the file exists, or cannot be written.
    """
    with _told(path):
        create_file(path, f"{text}\n".encode())


def read_signing_key(path: Path) -> SigningKey:
    """Return the signing key in a file.

    Raises:
        ConfigurationError: it is not there, is no signing key, or others can read it.
    """
    text = read_secret_file(path)
    try:
        return SigningKey.parse(text)
    except InvalidRequestError as error:
        raise ConfigurationError(error.reason, f"`{path}` {error.message}") from error


def read_secret_file(path: Path) -> str:
    """Return the one line of a file that only its owner can read.

    Raises:
        ConfigurationError: it is not there, or others can read it.
    """
    text = read_text(path).strip()
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigurationError(
            "KEY_FILE_EXPOSED",
            f"`{path}` can be read by others than its owner; find out who may have,"
            " make a new key where somebody may, and give the file mode 0600",
        )
    return text


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written.
    """
    with _told(path):
        put_file(path, data, READABLE)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell an error of the operating system as one of the signer's files."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error
