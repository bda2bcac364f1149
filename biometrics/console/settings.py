"""Settings of the console: `console.toml`, read strictly.

    version = 1
    listen = "127.0.0.1:7445"
    socket = "console/socket"   # = [console] of exchange.toml
    certificate = "pki/server.pem"          # of the console's port, and its chain
    key = "pki/server.key"
    authority = "pki/authority.pem"         # who signs client certificates

Paths are relative to the file. Browsers reach it by the names in its certificate, and
by no other.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from biometrics import limits
from biometrics.errors import Fault
from biometrics.settings import (
    Address,
    Document,
    FileName,
    SettingsFile,
    configuration_error,
    is_too_long,
    read_text,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Where the console is reached, and where it asks.

    Attributes:
        listen: host and port, for HTTPS.
        socket: of the exchange.
        certificate: PEM file of the port's certificate, and its chain.
        key: PEM file of its private key.
        authority: PEM file of whoever signs client certificates.
    """

    listen: str
    socket: Path
    certificate: Path
    key: Path
    authority: Path


class _File(SettingsFile):
    """The whole file."""

    listen: Address
    socket: FileName
    certificate: FileName
    key: FileName
    authority: FileName


def read_settings(path: Path) -> ConsoleSettings:
    """Return the settings in the file at `path`.

    Raises:
        ConfigurationError: with every fault at once.
    """
    document = Document.parse(read_text(path), path.name)
    file = document.read_as(_File)
    settings = ConsoleSettings(
        listen=file.listen,
        socket=path.parent / file.socket,
        certificate=path.parent / file.certificate,
        key=path.parent / file.key,
        authority=path.parent / file.authority,
    )
    if faults := list(_faults(document, settings)):
        raise configuration_error(faults)
    return settings


def _faults(document: Document, settings: ConsoleSettings) -> Iterator[Fault]:
    """Yield what is wrong with the files that are named."""
    for name in ("certificate", "key", "authority"):
        file: Path = getattr(settings, name)
        if not file.is_file():
            told = f"there is no file `{file}`; make it or correct the path"
            yield document.fault((name,), "MISSING_FILE", told)
    if settings.key.is_file() and settings.key.stat().st_mode & stat.S_IRWXO:
        told = f"everybody can read `{settings.key}`; run `chmod 600` on it"
        yield document.fault(("key",), "OPEN_KEY", told)
    if is_too_long(settings.socket):
        told = (
            f"`{settings.socket}` is too long for a socket, which has"
            f" {limits.CONSOLE_SOCKET_BYTES} bytes; name a shorter path"
        )
        yield document.fault(("socket",), "LONG_SOCKET", told)
