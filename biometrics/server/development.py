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
        keys = make_signing_keys(root, member, domain, random_bytes)
        for name, key in keys.items():
            text += (
                f'\n[[signer]]\nholder = "{member}"\nname = "{name}"\n'
                f"key = {json.dumps(key)}\n"
            )
    (root / "signers.toml").write_text(text, "utf-8")


def make_signing_keys(
    root: Path, member: Member, domain: str, random_bytes: Callable[[int], bytes]
) -> dict[str, str]:
    """Make a member's two signing keys, unless they are there.

    Returns:
        The keys that verify their signatures, by the names of their offices.
    """
    (root / FOLDER).mkdir(_PRIVATE, exist_ok=True)
    keys = {}
    for office in _OFFICES:
        path = root / FOLDER / f"{member}-{office}.key"
        if not path.exists():
            key = SigningKey.generate(f"{domain}/{member}/{office}", random_bytes)
            create_signing_key(path, key)
        name = f"{office} office of {member} (development only)"
        keys[name] = read_signing_key(path).verifier.text
    return keys


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
    note = Note(statement, tuple(signatures)).data
    for place, data in ((path, text.encode()), (path.with_suffix(".note"), note)):
        draft = place.with_name(f".{place.name}.draft")
        draft.write_bytes(data)
        draft.replace(place)
