"""Restores what `backup` wrote: a data backup into a database that is not there yet.

What is refused, before anything is written: a backup that is damaged or not whole, one
that was made under another exchange's key, one of the other kind of database, and a
database that has something in it. A stop at any point, by `kill -9` too, leaves the
whole database or none.

A backup is older than what was withdrawn after it. So a restore takes a list of
restrictions of a later moment, and carries it out before anybody can search; or it has
to be told that there is none.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from biometrics.audit import Kind, Mention, Scribe
from biometrics.clock import SystemClock
from biometrics.custody import FileKeyProvider, open_index_key
from biometrics.errors import ConfigurationError, SealError
from biometrics.files import cannot_write, create_file
from biometrics.server.backup import (
    DATABASE,
    EXCHANGE_KEY,
    FORMAT,
    MANIFEST,
    SEAL,
    Manifest,
    RestrictionsEnd,
    RestrictionsHead,
    digest_of,
    is_sealed,
    key_files,
    kind_of,
    opened_seal,
    read_head,
)
from biometrics.server.config import read_config
from biometrics.server.policy import read_auditors
from biometrics.store.backups import restoring
from biometrics.store.follow_up_tables import end_all
from biometrics.store.keys import index_key_of
from biometrics.store.log import begin_anew
from biometrics.store.moment import Moment, moment_of
from biometrics.store.restrictions import carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from biometrics.custody import IndexKey, KeyProvider
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.store.rows import LiveRecord

_MOST_MANIFEST_BYTES: Final = 4 * 1024 * 1024
_MOST_SEAL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: of the backup.
        restricted_until: moment of the list that was carried out; None without one.
        carried_out: what the list changed, by kind.
    """

    manifest: Manifest
    restricted_until: dt.datetime | None
    carried_out: Counter[str] = field(default_factory=Counter)


def restore_data(path: Path, folder: Path, restrictions: Path | None) -> Restored:
    """Restore a data backup, whole or not at all.

    Args:
        path: of `exchange.toml`, whose keys are there and whose database is not.
        folder: of the backup.
        restrictions: a list written after the backup; None to go without, and have
            everybody back who was withdrawn since.

    Raises:
        ConfigurationError: what is refused, and why.
        ExchangeError: the database cannot be written.
    """
    config = read_config(path)
    exchange = FileKeyProvider(config.exchange_key)
    # 1. The backup is this exchange's, whole, and of this kind of database.
    manifest = _read_manifest(folder, exchange)
    _refuse_other_kind(manifest, config)
    _refuse_damaged(folder, manifest)
    # 2. The list is this exchange's, whole, and later.
    head = None if restrictions is None else _read_head(restrictions, manifest)
    if restrictions is not None:
        _refuse_changed(restrictions, exchange)
    restored = Restored(manifest, None if head is None else _moment(head.taken_at))
    # 3. Fill the database; it is there when this block ends.
    with restoring(
        config.database, folder / DATABASE, manifest.schema_revision
    ) as connection:
        _refuse_other_moment(moment_of(connection), manifest)
        attesting = _Attesting(partial(index_key_of, connection), exchange)
        for document in _documents(restrictions):
            if carry_out(connection, document, attesting, secrets.token_bytes):
                restored.carried_out[document["kind"]] += 1
        # 4. What was used up since the backup is not known: no reference is good.
        end_all(connection)
        # 5. What members have seen of the log after the backup is lost to it.
        begin_anew(
            connection,
            Scribe(read_auditors(config.auditors), secrets.token_bytes),
            SystemClock(),
            [
                Mention(
                    member=member,
                    kind=Kind.RESTORATION,
                    count=restored.carried_out.total(),
                    items=(manifest.taken_at.encode(),),
                )
                for member in config.members
            ],
        )
    return restored


class _Attesting:
    """Believes and attests records by the index keys that are in the database."""

    def __init__(
        self, wrapped: Callable[[Member], bytes | None], exchange: KeyProvider
    ) -> None:
        self._wrapped = wrapped
        self._exchange = exchange
        self._keys: dict[Member, IndexKey] = {}

    def check(self, member: Member, row: LiveRecord) -> None:
        """Refuse a row that is not its record's own."""
        self._key(member).check_record(row.attested, row.record_tag)

    def protect(
        self, member: Member, row: LiveRecord, excluded: frozenset[Member]
    ) -> bytes:
        """Return the tag of a record that excludes others than before."""
        return self._key(member).record_tag(row.attested._replace(excluded=excluded))

    def _key(self, member: Member) -> IndexKey:
        """Return a member's index key; it has one, or no record."""
        if member not in self._keys:
            self._keys[member] = open_index_key(
                member,
                self._wrapped(member) or b"",
                self._exchange,
                secrets.token_bytes,
            )
        return self._keys[member]


def restore_keys(path: Path, folder: Path) -> list[str]:
    """Restore the keys of a key backup that are not there yet.

    Args:
        path: of `exchange.toml`.
        folder: of the backup.

    Returns:
        The names of those that were written. A stop leaves some of them: each is whole,
        and the same again writes the rest.

    Raises:
        ConfigurationError: there is another key in the place of one, which is not
            overwritten, and then nothing was written; or a file cannot be.
    """
    config = read_config(path, is_whole=False)
    if not (folder / EXCHANGE_KEY).is_file():
        raise ConfigurationError(
            "NOT_A_KEY_BACKUP",
            f"`{folder}` has no `{EXCHANGE_KEY}`; name a folder that `biometrics backup"
            " keys` wrote",
        )
    due: list[tuple[str, Path, bytes]] = []
    for name, place in key_files(config):
        kept = folder / name
        if not kept.exists():
            continue
        FileKeyProvider(kept)  # or it is no key, and that is told
        content = kept.read_bytes()
        if not place.exists():
            due.append((name, place, content))
        elif place.read_bytes() != content:
            raise ConfigurationError(
                "FILE_EXISTS",
                f"`{place}` is another key than the backup's, and is not overwritten:"
                " what it wraps would be lost; move it away first",
            )
    for _, place, content in due:
        _write_key(place, content)
    return [name for name, _, _ in due]


def _read_manifest(folder: Path, exchange: KeyProvider) -> Manifest:
    """Return what a backup is, if this exchange's key sealed it."""
    text = _read(folder / MANIFEST, _MOST_MANIFEST_BYTES)
    seal = _read(folder / SEAL, _MOST_SEAL_BYTES)
    try:
        is_own = is_sealed(exchange, text, seal)
    except SealError as error:
        raise ConfigurationError(
            "FOREIGN_BACKUP",
            f"`{folder}` was made under another exchange's key, or its seal is damaged;"
            " restore the key that it was made with first: `biometrics restore keys`",
        ) from error
    if not is_own:
        raise _damaged(folder, f"`{MANIFEST}` was changed")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise _other_format(folder) from error
    if manifest.format != FORMAT:
        raise _other_format(folder)
    return manifest


def _refuse_other_kind(manifest: Manifest, config: Config) -> None:
    """Refuse to restore one kind of database into the other."""
    if manifest.kind != kind_of(config):
        raise ConfigurationError(
            "OTHER_DATABASE",
            f"the backup is of a database of kind `{manifest.kind}`, and `[store]"
            f" database` names one of kind `{kind_of(config)}`; name one of the same",
        )


def _refuse_damaged(folder: Path, manifest: Manifest) -> None:
    """Refuse a backup that lacks a file, has another one, or was changed."""
    there = {
        str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file()
    }
    if lost := sorted(set(manifest.files) - there):
        raise _damaged(folder, f"`{lost[0]}` is missing")
    for name, digest in manifest.files.items():
        if digest_of(folder / name).hex() != digest:
            raise _damaged(folder, f"`{name}` is not what was written")


def _refuse_other_moment(found: Moment, manifest: Manifest) -> None:
    """Refuse files that are not of the moment that the manifest says."""
    if (found.position, found.change.hex()) != (manifest.position, manifest.change):
        raise ConfigurationError(
            "BACKUP_DAMAGED", "the database in the backup is of another moment than it"
        )


def _read_head(file: Path, manifest: Manifest) -> RestrictionsHead:
    """Return the head of a list that is later than a backup."""
    head = read_head(file)
    is_later = _moment(head.taken_at) >= _moment(manifest.taken_at)
    if head.position < manifest.position or not is_later:
        raise ConfigurationError(
            "RESTRICTIONS_TOO_OLD",
            f"`{file}` was written before the backup was, and cannot say what was"
            " withdrawn since; name a later one",
        )
    return head


def _refuse_changed(file: Path, exchange: KeyProvider) -> None:
    """Refuse a list that is cut off, was changed, or is another exchange's."""
    digest, last, count = hashlib.sha256(), b"", -1
    with file.open("rb") as stream:
        for line in stream:
            if last:
                digest.update(last)
                count += 1
            last = line
    try:
        end = RestrictionsEnd.model_validate_json(last)
        is_own = opened_seal(exchange, end) == digest.digest() and end.count == count
    except (ValueError, SealError):
        is_own = False
    if not is_own:
        raise ConfigurationError(
            "RESTRICTIONS_DAMAGED",
            f"`{file}` is cut off or changed, or another exchange's; name one that"
            " `biometrics backup restrictions` wrote for this one",
        )


def _documents(file: Path | None) -> Iterator[dict[str, Any]]:
    """Yield what a list says, between its head and its end."""
    if file is None:
        return
    with file.open("rb") as stream:
        stream.readline()
        for line in stream:
            document = json.loads(line)
            if "kind" in document:
                yield document


def _moment(text: str) -> dt.datetime:
    """Return a moment that `isoformat` wrote."""
    return dt.datetime.fromisoformat(text)


def _read(path: Path, most: int) -> bytes:
    """Return a small file of a backup."""
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise ConfigurationError(
            "NOT_A_BACKUP",
            f"`{path}` cannot be read, {error.strerror}: the folder is no data backup,"
            " or one that is not whole; name another",
        ) from error


def _damaged(folder: Path, what: str) -> ConfigurationError:
    """Return the error of a backup that is not as it was written."""
    return ConfigurationError(
        "BACKUP_DAMAGED",
        f"`{folder}` is damaged: {what}; nothing was restored, name another backup",
    )


def _other_format(folder: Path) -> ConfigurationError:
    """Return the error of a backup that this program cannot read."""
    return ConfigurationError(
        "UNKNOWN_FORMAT",
        f"`{folder}` is of another format than {FORMAT}; restore it by the version that"
        " wrote it",
    )


def _write_key(place: Path, content: bytes) -> None:
    """Write a key file whole or not at all, for its owner only."""
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_file(place, content)
    except OSError as error:
        raise cannot_write(place, error) from error
