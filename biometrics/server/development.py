"""Signers to try the exchange with, and no others: both keys lie on one computer.

`biometrics init` makes two for each member; the demo, the tests and the benchmarks
sign with them. Who runs an exchange for members lists keys that it never sees.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

from biometrics.disclosure import parse_version
from biometrics.server.samples import SIGNERS
from biometrics.settings import read_text
from biometrics.signing import Note, SigningKey, statement_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from biometrics.members import Member

FOLDER: Final = "signing"
_OFFICES: Final = ("first", "second")
_OWNER_ONLY: Final = 0o600
_PRIVATE: Final = 0o700


def write_signers(
    root: Path,
    members: Iterable[Member],
    domain: str,
    random_bytes: Callable[[int], bytes],
) -> None:
    """Make two signing keys of each member, and the list that names them.

    Args:
        root: folder of the exchange.
        members: for whom.
        domain: its trust domain, in which the names of the keys are.
        random_bytes: where keys come from.
    """
    (root / FOLDER).mkdir(_PRIVATE)
    text = SIGNERS
    for member in members:
        for office in _OFFICES:
            key = SigningKey.generate(f"{domain}/{member}/{office}", random_bytes)
            write_secret(root / FOLDER / f"{member}-{office}.key", key.text)
            text += (
                f'\n[[signer]]\nholder = "{member}"\n'
                f'name = "{office} office of {member} (development only)"\n'
                f"key = {json.dumps(key.verifier.text)}\n"
            )
    (root / "signers.toml").write_text(text, "utf-8")


def write_agreement(root: Path, text: str) -> None:
    """Write an agreement into an exchange of `write_signers`, signed by both keys.

    Raises:
        ConfigurationError: it is no version of anybody's agreement.
    """
    version = parse_version(text, "agreement")
    statement = statement_of(version.holder, version.revision, text.encode())
    signatures = [
        SigningKey.parse(
            read_text(root / FOLDER / f"{version.holder}-{office}.key").strip()
        ).sign(statement)
        for office in _OFFICES
    ]
    path = root / "agreements" / f"{version.holder}.toml"
    path.write_bytes(text.encode())
    path.with_suffix(".note").write_bytes(Note(statement, tuple(signatures)).data)


def write_secret(path: Path, text: str) -> None:
    """Write a key that was never readable by others; it must not exist yet."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(handle, "w") as file:
        file.write(f"{text}\n")
