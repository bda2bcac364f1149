"""How a version gets its two signatures: one person proposes, another approves.

Both work on `CODE.toml` and the `CODE.note` beside it, wherever these are: on the
exchange's computer or on a signer's own. A running exchange goes on with the version
before until both have signed.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics.disclosure import parse_version
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.settings import Document, decode_text, read_bytes, read_text
from biometrics.signing.agreements import signers_of, statement_of
from biometrics.signing.files import replace_file
from biometrics.signing.note import Note

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from biometrics.disclosure import Version
    from biometrics.signing.keys import SigningKey
    from biometrics.signing.signers import Signer, Signers

_REVISION: Final = re.compile(r"^revision (\d{1,7})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What was signed, and by whom so far."""

    version: Version
    statement: str
    signers: tuple[Signer, ...]


def propose(path: Path, key: SigningKey, signers: Signers, now: dt.datetime) -> Signed:
    """Make the file at `path` a new revision, and sign it as the first.

    Its `revision` becomes one more than it and the note beside it have, and its `dated`
    is now; nothing else in it changes. Signatures of before go.

    Args:
        path: `CODE.toml`, as it was edited; it need not have been signed before.
        key: of one who is listed for the holder.
        signers: the list.
        now: the time.

    Raises:
        ConfigurationError: the file is not valid, or the key is not listed for its
            holder; nothing was changed.
    """
    text = read_text(path)
    document = Document.parse(text, path.name)
    before = document.content.get("revision")
    own = before if isinstance(before, int) else 0
    revision = 1 + max(own, _revision_of(path.with_suffix(".note")))
    text = restate(text, path.name, revision, now.replace(microsecond=0))
    version = _version(text, path)
    signer = _signer(key, version, signers)
    data = text.encode()
    statement = statement_of(version.holder, revision, data)
    replace_file(path, data)
    note = Note(statement, (key.sign(statement),))
    replace_file(path.with_suffix(".note"), note.data)
    return Signed(version=version, statement=statement, signers=(signer,))


def approve(
    path: Path, key: SigningKey, signers: Signers, *, digest: bytes | None = None
) -> Signed:
    """Sign what another has proposed; the file itself stays as it is.

    Args:
        path: `CODE.toml`, with the note of the proposal beside it.
        key: of another who is listed for the holder.
        signers: the list.
        digest: 32 bytes, SHA-256 of the file that is meant; None for any.

    Raises:
        ConfigurationError: nothing was proposed, the file was changed since, it is not
            the one that is meant, the key is not listed for its holder, or whoever has
            it has signed; nothing was changed.
    """
    data = read_bytes(path)
    found_digest = hashlib.sha256(data).digest()
    if digest not in {None, found_digest}:
        raise ConfigurationError(
            "OTHER_SHA256",
            f"`{path}` has the SHA-256 {found_digest.hex()}, which is not the one that"
            " you name; ask whoever proposed it which file is meant",
        )
    version = _version(decode_text(data, path.name), path)
    signer = _signer(key, version, signers)
    beside = path.with_suffix(".note")
    try:
        note = Note.parse(read_bytes(beside))
    except InvalidRequestError as error:
        raise ConfigurationError(
            error.reason, f"`{beside}` {error.message}; propose the file again"
        ) from error
    if note.text != statement_of(version.holder, version.revision, data):
        raise ConfigurationError(
            "CHANGED_SINCE_SIGNED",
            f"`{path}` is not the file that was proposed; have it proposed again",
        )
    found = signers_of(note, version.holder, source=path.name, signers=signers)
    if not found:
        raise ConfigurationError(
            "NOT_PROPOSED",
            f"nobody who is listed for {version.holder} has proposed `{path}`; propose"
            " it, and have another approve it",
        )
    if signer in found:
        raise ConfigurationError(
            "ALREADY_SIGNED",
            f"`{signer.name}` has signed this revision; another of those who are listed"
            f" for {version.holder} must approve it",
        )
    more = Note(note.text, (*note.signatures, key.sign(note.text)))
    replace_file(beside, more.data)
    return Signed(version=version, statement=note.text, signers=(*found, signer))


def restate(text: str, source: str, revision: int, dated: dt.datetime) -> str:
    """Return the text of a version with another revision and date, and all else alike.

    Raises:
        ConfigurationError: they stand where they cannot be found.
    """
    dated_text = dated.isoformat().replace("+00:00", "Z")
    # The keys of the file itself stand before its first table.
    tables = re.search(r"^[ \t]*\[", text, re.MULTILINE)
    start = tables.start() if tables else len(text)
    head, rest = text[:start], text[start:]
    for key in ("revision", "dated"):
        head = re.sub(rf"(?m)^[ \t]*{key}[ \t]*=.*\n?", "", head)
    lines = f"revision = {revision}\ndated = {dated_text}\n"
    head, count = re.subn(
        r"(?m)^([ \t]*holder[ \t]*=.*)(\n|\Z)", rf"\1\n{lines}", head, count=1
    )
    stated = head + rest
    wanted = dict(tomllib.loads(text)) | {"revision": revision, "dated": dated}
    try:
        is_so = count == 1 and tomllib.loads(stated) == wanted
    except tomllib.TOMLDecodeError:
        is_so = False
    if not is_so:
        raise ConfigurationError(
            "CANNOT_RESTATE",
            f"`{source}`: `holder`, `revision` and `dated` must each stand on a line of"
            " its own, before the first clause; write them so",
        )
    return stated


def _revision_of(note: Path) -> int:
    """Return the revision that a note is about; 0 where it does not say."""
    if not note.is_file():
        return 0
    said = _REVISION.search(read_bytes(note).decode(errors="replace"))
    return int(said[1]) if said else 0


def _version(text: str, path: Path) -> Version:
    """Return the version in a file that must have its holder's name.

    Raises:
        ConfigurationError: with every fault at once.
    """
    version = parse_version(text, path.name)
    if path.name != f"{version.holder}.toml":
        raise ConfigurationError(
            "WRONG_NAME",
            f"`{path.name}` is of {version.holder}; name the file"
            f" `{version.holder}.toml`, as the exchange does",
        )
    return version


def _signer(key: SigningKey, version: Version, signers: Signers) -> Signer:
    """Return who signs with a key.

    Raises:
        ConfigurationError: nobody who is listed for the holder.
    """
    for signer in signers.of(version.holder):
        if signer.key == key.verifier:
            return signer
    raise ConfigurationError(
        "NOT_A_SIGNER",
        f"`{key.verifier.name}` is not listed to sign for {version.holder}; use the key"
        " of one who is, or have the list of signers changed",
    )
