"""Backups: of data, of keys, and of what holders took back; three places, on purpose.

A data backup is a folder, and opens nothing:

    manifest.json     what it is, of when, and the SHA-256 of every other file
    manifest.seal     the manifest's SHA-256, wrapped by the exchange's key
    database/         every row, as at one moment; see `biometrics.store.backups`
    settings/         exchange.toml and the files of policy that it names

A key backup is a folder of key-encryption keys in the clear. It opens every data backup
that was made under them: whoever has both has everything.

A list of restrictions is a file of lines of JSON, sealed likewise: what was withdrawn,
protected and agreed, and whose galleries were locked or destroyed, up to the moment it
was written. A data backup knows nothing of what happened after it; the list, written
every few minutes, keeps a restore from bringing back people whom their holders took
out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tomllib
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from biometrics.custody import FileKeyProvider, KeyFile
from biometrics.errors import ConfigurationError
from biometrics.files import cannot_write, make_durable, write_new
from biometrics.server.config import read_config
from biometrics.store.backups import restrictions_of, write_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from biometrics.clock import Clock
    from biometrics.custody import KeyProvider
    from biometrics.members import Member
    from biometrics.server.config import Config

MANIFEST: Final = "manifest.json"
SEAL: Final = "manifest.seal"
DATABASE: Final = "database"
SETTINGS: Final = "settings"
EXCHANGE_KEY: Final = "exchange.key"
FORMAT: Final = 1
# What the digests are wrapped for. Every other context begins with a length.
_MANIFEST_CONTEXT: Final = b"biometrics backup manifest 1"
_RESTRICTIONS_CONTEXT: Final = b"biometrics backup restrictions 1"
_DISTRIBUTION: Final = "regional-biometrics-exchange"
_OWNER_ONLY: Final = 0o700

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Document(BaseModel):
    """What a backup says of itself: strict, no unknown key, frozen."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: int
    program: str
    kind: str
    position: Annotated[int, Field(ge=0)]
    taken_at: str


class Manifest(_Document):
    """What a data backup is.

    Attributes:
        format: of this file.
        program: version that wrote it.
        kind: of database, `sqlite` or `postgresql`.
        position: of the journal's last change.
        taken_at: a moment after the copy was read, ISO 8601 in UTC.
        schema_revision: of the tables.
        change: record id of the last change; empty if there is none.
        files: SHA-256 by path, of every other file but the seal.
    """

    schema_revision: str
    change: str
    files: dict[str, _Digest]


class RestrictionsHead(_Document):
    """The first line of a list of restrictions; `taken_at` is before it was read."""


class RestrictionsEnd(BaseModel):
    """The last line: how many there are, and the seal of everything before."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    count: int
    seal: str


def back_up_data(
    path: Path, folder: Path, *, clock: Clock, random_bytes: Callable[[int], bytes]
) -> Manifest:
    """Write a data backup, beside a running exchange or not, whole or not at all.

    Args:
        path: of `exchange.toml`.
        folder: to be made; what is there already is not overwritten.
        clock: for the moment.
        random_bytes: for the name under which it is written.

    Raises:
        ConfigurationError: the folder cannot be made, or the settings are wrong.
        ExchangeError: the database cannot be read.
    """
    config = read_config(path)
    exchange = FileKeyProvider(config.exchange_key)
    with _new_folder(folder, random_bytes) as draft:
        # 1. What the operator and the signers have written.
        _copy_settings(path, config, draft / SETTINGS)
        # 2. Every row, as at one moment.
        (draft / DATABASE).mkdir(_OWNER_ONLY)
        moment = write_copy(config.database, draft / DATABASE)
        # 3. What it all is, and that it was made under this exchange's key.
        files = sorted(each for each in draft.rglob("*") if each.is_file())
        manifest = Manifest(
            format=FORMAT,
            program=version(_DISTRIBUTION),
            kind=kind_of(config),
            position=moment.position,
            taken_at=clock.now().isoformat(),
            schema_revision=moment.schema,
            change=moment.change.hex(),
            files={str(f.relative_to(draft)): digest_of(f).hex() for f in files},
        )
        text = manifest.model_dump_json(indent=1).encode()
        write_new(draft / MANIFEST, [text])
        write_new(draft / SEAL, [_seal(exchange, text, _MANIFEST_CONTEXT)])
    return manifest


def back_up_keys(
    path: Path, folder: Path, *, random_bytes: Callable[[int], bytes]
) -> list[str]:
    """Write a key backup, whole or not at all.

    Args:
        path: of `exchange.toml`.
        folder: to be made, in no data backup.
        random_bytes: for the name under which it is written.

    Returns:
        The codes of members whose key is not at hand, and not in it.

    Raises:
        ConfigurationError: a file is no key, or the folder cannot be made.
    """
    config = read_config(path)
    if any((parent / MANIFEST).exists() for parent in folder.absolute().parents):
        raise ConfigurationError(
            "KEYS_BESIDE_DATA",
            f"`{folder}` lies in a data backup, which is worth something only as long"
            " as the keys are elsewhere; name a folder on another medium",
        )
    files = dict(key_files(config))
    missing = [m.code for m in config.members if not _is_there(files, m)]
    with _new_folder(folder, random_bytes) as draft:
        for name, key in files.items():
            if name == EXCHANGE_KEY or key.exists():
                FileKeyProvider(key)  # or it is no key, and that is told
                write_new(draft / name, [key.read_bytes()])
    return missing


def back_up_restrictions(path: Path, file: Path, *, clock: Clock) -> int:
    """Write the list of restrictions, in place of an earlier one; return its length.

    Args:
        path: of `exchange.toml`.
        file: to be written; it is replaced as a whole.
        clock: for the moment.

    Raises:
        ConfigurationError: the file cannot be written, or is something else.
        ExchangeError: the database cannot be read.
    """
    config = read_config(path)
    exchange = FileKeyProvider(config.exchange_key)
    if file.exists():
        read_head(file)  # what is no such list is not replaced
    draft = file.with_name(f".{file.name}.draft")
    count, digest = 0, hashlib.sha256()
    taken_at = clock.now().isoformat()
    with _told(file), restrictions_of(config.database) as (moment, documents):
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as stream:
            head = RestrictionsHead(
                format=FORMAT,
                program=version(_DISTRIBUTION),
                kind=kind_of(config),
                position=moment.position,
                taken_at=taken_at,
            )
            for line in _lines(head, documents):
                stream.write(line)
                digest.update(line)
                count += 1
            count -= 1  # without the head
            seal = exchange.wrap(digest.digest(), _RESTRICTIONS_CONTEXT)
            end = RestrictionsEnd(count=count, seal=seal.hex())
            stream.write(end.model_dump_json().encode() + b"\n")
        make_durable(draft)
        draft.replace(file)
        make_durable(file.absolute().parent)
    return count


def kind_of(config: Config) -> str:
    """Return of which kind the exchange's database is."""
    return "postgresql" if isinstance(config.database, str) else "sqlite"


def key_files(config: Config) -> Iterator[tuple[str, Path]]:
    """Yield the name of each key in a key backup, and where the exchange has it."""
    yield EXCHANGE_KEY, config.exchange_key
    for member, source in config.members.items():
        if isinstance(source, KeyFile):  # no other is the exchange's to copy
            yield f"{member}.key", source.path


def _is_there(files: Mapping[str, Path], member: Member) -> bool:
    """Say whether a member's key is a file that is at hand."""
    path = files.get(f"{member}.key")
    return path is not None and path.exists()


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def is_sealed(exchange: KeyProvider, text: bytes, seal: bytes) -> bool:
    """Say whether a manifest is the one that was sealed.

    Raises:
        SealError: it was not sealed by this key.
    """
    return exchange.unwrap(seal, _MANIFEST_CONTEXT) == hashlib.sha256(text).digest()


def opened_seal(exchange: KeyProvider, end: RestrictionsEnd) -> bytes:
    """Return the digest of the list of restrictions that was sealed.

    Raises:
        SealError: it was not sealed by this key.
    """
    return exchange.unwrap(bytes.fromhex(end.seal), _RESTRICTIONS_CONTEXT)


def read_head(file: Path) -> RestrictionsHead:
    """Return the first line of a list of restrictions.

    Raises:
        ConfigurationError: it cannot be read, or is something else.
    """
    try:
        with file.open("rb") as stream:
            head = RestrictionsHead.model_validate_json(stream.readline(4096))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "NOT_A_LIST", f"`{file}` is no list of restrictions; name another file"
        ) from error
    return head


def _lines(
    head: RestrictionsHead, documents: Iterable[dict[str, Any]]
) -> Iterator[bytes]:
    """Yield the lines of a list, but for its end."""
    yield head.model_dump_json().encode() + b"\n"
    for document in documents:
        yield json.dumps(document).encode() + b"\n"


def _seal(exchange: KeyProvider, text: bytes, context: bytes) -> bytes:
    """Return the digest of a text, wrapped by the exchange's key."""
    return exchange.wrap(hashlib.sha256(text).digest(), context)


def _copy_settings(path: Path, config: Config, folder: Path) -> None:
    """Copy what the exchange is set to; no key, and nothing of TLS."""
    folder.mkdir(_OWNER_ONLY)
    (folder / "agreements").mkdir(_OWNER_ONLY)
    for name, source in (
        ("exchange.toml", path),
        ("spaces.toml", config.spaces),
        ("signers.toml", config.signers),
        *(
            (f"agreements/{each.name}", each)
            for each in sorted(config.agreements.iterdir())
            if each.suffix in {".toml", ".note"} and each.is_file()
        ),
        *(
            (f"calibrations/{each.name}", each)
            for each in sorted(config.calibrations.glob("*.toml"))
        ),
        *(
            (name, config.spaces.parent / name)
            for name in _array_files(config.spaces)
            if _is_below(name) and (config.spaces.parent / name).is_file()
        ),
        *(
            (name, path.parent / name)
            for each in (*config.auditors.values(), *config.witnesses.values())
            if _is_below(name := os.path.relpath(each, path.parent))
        ),
    ):
        (folder / name).parent.mkdir(_OWNER_ONLY, parents=True, exist_ok=True)
        write_new(folder / name, [source.read_bytes()])


def _array_files(spaces: Path) -> list[str]:
    """Return the files of centres and spreads that the file of spaces names."""
    tables = tomllib.loads(spaces.read_text("utf-8")).get("space", [])
    keys = ("centre_file", "spread_file")
    return [each[key] for each in tables for key in keys if each.get(key)]


def _is_below(name: str) -> bool:
    """Say whether a file lies with the settings; others are for who put them there."""
    return not Path(name).is_absolute() and ".." not in Path(name).parts


@contextmanager
def _new_folder(folder: Path, random_bytes: Callable[[int], bytes]) -> Iterator[Path]:
    """Give a folder to be filled, that gets its name as the last step.

    Raises:
        ConfigurationError: it is there already, or cannot be written; nothing is left.
    """
    target = folder.absolute()
    if os.path.lexists(target):
        raise ConfigurationError(
            "BACKUP_EXISTS",
            f"`{folder}` is there, and nothing is overwritten; name a folder that is"
            " not there yet",
        )
    draft = target.with_name(f".{target.name}.{random_bytes(8).hex()}")
    with _told(folder):
        try:
            draft.mkdir(_OWNER_ONLY)
            yield draft
            for each in sorted(draft.rglob("*")):
                if each.is_dir():
                    make_durable(each)
            make_durable(draft)
            draft.rename(target)
            make_durable(target.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Tell an error of the operating system as one of the operator's files."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, "; nothing was left behind") from error
