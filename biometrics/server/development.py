"""Signers to try the exchange with, and no others: both keys lie on one computer.

`biometrics init` makes two for each member; the demo, the tests and the benchmarks
sign with them. Who runs an exchange for members lists keys that it never sees.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from biometrics.disclosure import parse_version
from biometrics.server.samples import SIGNERS
from biometrics.signing import (
    Note,
    SigningKey,
    create_signing_key,
    read_signing_key,
    statement_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from biometrics.members import Member

FOLDER: Final = "signing"
_OFFICES: Final = ("first", "second")
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
            create_signing_key(root / FOLDER / f"{member}-{office}.key", key)
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
        read_signing_key(root / FOLDER / f"{version.holder}-{office}.key").sign(
            statement
        )
        for office in _OFFICES
    ]
    path = root / "agreements" / f"{version.holder}.toml"
    path.write_bytes(text.encode())
    path.with_suffix(".note").write_bytes(Note(statement, tuple(signatures)).data)
