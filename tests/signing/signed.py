"""Keys that are the same in every run, a list of signers, and what they sign."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from biometrics.members import Member
from biometrics.signing import Note, SigningKey, parse_signers, statement_of

if TYPE_CHECKING:
    from collections.abc import Sequence

XAA, XBB = Member("XAA"), Member("XBB")


def key(name: str) -> SigningKey:
    """Return the key of a name."""
    return SigningKey(f"exchange.test/{name}", hashlib.sha256(name.encode()).digest())


FIRST, SECOND, THIRD = key("XAA/first"), key("XAA/second"), key("XAA/third")
OTHER, STRANGER = key("XBB/first"), key("stranger")


def table(holder: Member, name: str, signing: SigningKey) -> str:
    """Return one `[[signer]]`."""
    text = json.dumps(signing.verifier.text)
    return f'[[signer]]\nholder = "{holder}"\nname = "{name}"\nkey = {text}\n'


LIST = "version = 1\n" + "".join(
    (
        table(XAA, "Ministry", FIRST),
        table(XAA, "Parliament", SECOND),
        table(XAA, "Court", THIRD),
        table(XBB, "Ministry", OTHER),
        table(XBB, "Parliament", key("XBB/second")),
    )
)
SIGNERS = parse_signers(LIST.encode(), "signers.toml")

PERMIT = """
[[permit]]
requester = "XBB"
purposes = ["visa"]
modalities = ["face"]
level = "holder"
valid_from = 2020-01-01
valid_until = 2099-12-31
legal_basis = "treaty"
"""


def toml(revision: int = 1, *, dated: str = "2026-01-01T00:00:00Z", more: str = ""):
    """Return a file of XAA's."""
    head = f'version = 1\nholder = "XAA"\nrevision = {revision}\ndated = {dated}\n'
    return (head + more).encode()


def note(data: bytes, revision: int, keys: Sequence[SigningKey]) -> bytes:
    """Return the note of a file of XAA's, signed by each of `keys`."""
    statement = statement_of(XAA, revision, data)
    return Note(statement, tuple(each.sign(statement) for each in keys)).data
