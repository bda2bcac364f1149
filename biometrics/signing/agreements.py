"""Signatures of agreements: a detached note beside the file says what was signed.

The note of `agreements/XAA.toml` is `agreements/XAA.note`. Its text is

    biometrics.exchange agreement
    holder XAA
    revision 3
    sha256 8c1f...

of the file's very bytes, and at least two listed signers of that holder signed it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.disclosure import parse_version
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.settings import decode_text
from biometrics.signing.note import Note

if TYPE_CHECKING:
    from biometrics.disclosure import Version
    from biometrics.members import Member
    from biometrics.signing.signers import Signer, Signers

# What the text is, so that no other note can pass for it.
_KIND: Final = "biometrics.exchange agreement"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVersion:
    """A version whose signatures were found good.

    Attributes:
        version: what it says.
        digest: SHA-256 of the file.
        data: the file, as it was signed.
        note: the note beside it.
        signers: two or more, in the order of the list of signers.
    """

    version: Version
    digest: bytes
    data: bytes
    note: bytes
    signers: tuple[Signer, ...]


def statement_of(holder: Member, revision: int, data: bytes) -> str:
    """Return what is signed: whose file it is, which one, and its SHA-256."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{_KIND}\nholder {holder}\nrevision {revision}\nsha256 {digest}\n"


def verify_version(
    data: bytes, note: bytes | None, *, holder: Member, source: str, signers: Signers
) -> SignedVersion:
    """Return the version in a file, if two listed signers of its holder signed it.

    What is not signed is not even read.

    Args:
        data: the TOML file.
        note: the file beside it; None where there is none.
        holder: whose file it must be.
        source: name of the TOML file, for messages and citations.
        signers: whose signatures count.

    Raises:
        ConfigurationError: it is not signed as it must be, or what was signed is no
            version of this holder's; one error for the first step that fails.
    """
    # 1. There is a note, and it is one.
    if note is None:
        raise _refused(source, "UNSIGNED", f"is not signed; {_sign_it(source)}")
    try:
        signed = Note.parse(note)
    except InvalidRequestError as error:
        told = f"the note beside it {error.message}; {_sign_it(source)}"
        raise _refused(source, error.reason, told) from error
    # 2. It is signed by enough of those who sign for this holder.
    found = signers_of(signed, holder, source=source, signers=signers)
    if len(found) < limits.SIGNATURES_REQUIRED:
        raise _refused(source, "TOO_FEW_SIGNATURES", _missing(found))
    # 3. It is about these bytes, and they are a version of this holder's.
    digest = hashlib.sha256(data).digest()
    if not signed.text.endswith(f"\nsha256 {digest.hex()}\n"):
        raise _refused(source, "CHANGED_SINCE_SIGNED", _changed(source))
    version = parse_version(decode_text(data, source), source, holder)
    if signed.text != statement_of(holder, version.revision, data):
        raise _refused(source, "CHANGED_SINCE_SIGNED", _changed(source))
    return SignedVersion(
        version=version, digest=digest, data=data, note=note, signers=found
    )


def signers_of(
    note: Note, holder: Member, *, source: str, signers: Signers
) -> tuple[Signer, ...]:
    """Return the holder's signers whose signature stands below a note, each once.

    Signatures of keys that are not listed for the holder count for nothing.

    Raises:
        ConfigurationError: nobody is listed for the holder, or a signature that names
            a listed key is not of that key.
    """
    listed = signers.of(holder)
    if not listed:
        told = f"nobody is listed to sign for {holder}; add two [[signer]] or more"
        raise _refused(source, "NO_SIGNERS", told)
    found = []
    for signer in listed:
        named = (signer.key.name, signer.key.key_id)
        claims = [each for each in note.signatures if (each.name, each.key_id) == named]
        if not all(signer.key.has_signed(note.text, each) for each in claims):
            told = f"the signature of `{signer.name}` is not good; {_sign_it(source)}"
            raise _refused(source, "WRONG_SIGNATURE", told)
        if claims:
            found.append(signer)
    return tuple(found)


def _missing(found: tuple[Signer, ...]) -> str:
    """Say how many signatures are missing, and whose is there."""
    there = " and ".join(f"`{signer.name}`" for signer in found) or "nobody"
    return (
        f"is signed by {there} of those listed, and {limits.SIGNATURES_REQUIRED}"
        " different ones must sign; have another sign it with `biometrics agreements"
        " approve`"
    )


def _changed(source: str) -> str:
    """Say that file and note do not belong together."""
    return f"is not the file that the note beside it is about; {_sign_it(source)}"


def _sign_it(source: str) -> str:
    """Say how a file gets its signatures."""
    return f"`biometrics agreements propose {source}` signs it as a new revision"


def _refused(source: str, reason: str, told: str) -> ConfigurationError:
    """Return the one error of a file."""
    return ConfigurationError(reason, f"`{source}`: {told}")
