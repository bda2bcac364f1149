"""Galleries' codes on disk, sealed, so that a start need not open every template.

FOLDER/XAA/face-512/manifest          what the gallery consists of, and up to when
FOLDER/XAA/face-512/<name>.segment    ids and codes of some of its rows

The store is the truth and these are a copy of what follows from it: whatever is wrong
with a file, the gallery is made anew from the store. A segment never changes; the
manifest names those that count and replaces the one before as a whole. It is bound to
the change in the journal up to which it reaches, so that neither a database nor files
put back from another time go with the other.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics.errors import ConfigurationError, InvalidRequestError, SealError
from biometrics.files import cannot_write, make_durable, write_new
from biometrics.members import Member
from biometrics.sealed import FileKind, SealedFile
from matcher.engine import Segment, layout
from matcher.galleries import GalleryName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from biometrics.custody import CodesKey
    from matcher.engine import Coding

log = logging.getLogger(__name__)

NAME_BYTES: Final = 16
SHARDS: Final = "shards"  # lower case, as no member's code is
_MANIFEST: Final = "manifest"
_SEGMENT: Final = ".segment"
_UNFINISHED: Final = ".new"
_MAX_MANIFEST_BYTES: Final = 1 << 28  # a quarter removed of a hundred million rows
# Names of files that were written here, but for the manifest in force.
_OWN: Final = re.compile(r"[0-9a-f]{32}\.segment(\.new)?|manifest\.new")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A gallery's codes at one position of the journal.

    Attributes:
        identity: of the template space and its vectors; see `kinds.coded_as`.
        position: every change up to here is in it, and none after.
        change: record id of that change; empty at position 0.
        parts: by position on the body, segments with the rows that are alive.
        key: of the codes; the rotation that they were made by is of the same.
    """

    identity: str
    position: int
    change: bytes
    parts: Mapping[str, Sequence[tuple[Segment, NDArray[np.bool_]]]]
    key: CodesKey = field(repr=False)


class StaleError(Exception):
    """Files that cannot be used; the message says why."""


class SegmentFiles:
    """Reads and writes the sealed files of galleries; for each one thread at a time."""

    def __init__(self, folder: Path, random_bytes: Callable[[int], bytes]) -> None:
        """Keep files in `folder`."""
        self._folder = folder
        self._random_bytes = random_bytes
        # By origin: what is removed stands in the manifest.
        self._names: dict[GalleryName, dict[object, bytes]] = {}
        self._is_distrusted = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes that hold it out of the folder, until the block ends.

        Raises:
            ConfigurationError: another one holds it, or it cannot be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            place = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise cannot_write(self._folder, error) from error
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise ConfigurationError(
                "SEGMENTS_IN_USE",
                f"`{self._folder}` has the codes of another front end that runs: give"
                " each its own, by [store] segments",
            ) from error
        finally:
            os.close(place)

    def galleries(self) -> Iterator[GalleryName]:
        """Yield each gallery that has files."""
        for path in sorted(self._folder.glob(f"*/*/{_MANIFEST}")):
            with suppress(InvalidRequestError):  # a folder of something else
                holder = Member(path.parent.parent.name)
                yield GalleryName(holder, path.parent.name)

    def save(self, gallery: GalleryName, snapshot: Snapshot) -> None:
        """Replace what is kept of a gallery, whole or not at all.

        Raises:
            OSError: it could not be written; what was kept before still counts.
        """
        key = snapshot.key
        folder = self._of(gallery)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for made in (folder.parent, folder):
            made.mkdir(exist_ok=True, mode=0o700)
        known = self._names.get(gallery, {})
        names: dict[object, bytes] = {}
        entries = []
        try:
            for position, segment, alive in _rows(snapshot):
                name = known.get(segment.origin)
                if name is None or not _path(folder, name).exists():
                    name = self._write_segment(folder, key, position, segment)
                names[segment.origin] = name
                entries.append(_entry(position, name, segment, alive))
        except OSError:
            # What no manifest names would fill the disk a little more with every try.
            with suppress(OSError):
                _sweep(folder, known.values())
            raise
        self._names[gallery] = known | names  # from here on either manifest may count
        self._write_manifest(folder, key, snapshot, entries)
        self._names[gallery] = names
        _sweep(folder, names.values())

    def load(
        self,
        gallery: GalleryName,
        identity: str,
        codings: Mapping[str, Coding],
        change_at: Callable[[int], bytes | None],
        *,
        key: CodesKey,
    ) -> Snapshot | None:
        """Return what is kept of a gallery, or None if that is nothing.

        Args:
            gallery: whose.
            identity: of the template space and its vectors today.
            codings: how the gallery is coded, by position on the body.
            change_at: record id of the change at a position of the journal.
            key: of the gallery's codes today.

        Raises:
            StaleError: the files are damaged, incomplete, of another gallery, version
                or epoch, or do not go with the journal.
        """
        folder = self._of(gallery)
        data = None if self._is_distrusted else _read_manifest(folder)
        if data is None:
            return None
        manifest = _manifest(key, data)
        if manifest["version"] != _version(identity):
            raise StaleError("they are of another version of codes or template space")
        position, change = manifest["position"], bytes.fromhex(manifest["change"])
        if (change_at(position) if position else b"") != change:
            raise StaleError("they do not go with the journal of the database")
        parts: dict[str, list[tuple[Segment, NDArray[np.bool_]]]] = {}
        names: dict[object, bytes] = {}
        for entry in manifest["segments"]:
            if (coding := codings.get(entry["position"])) is None:
                raise StaleError("the space no longer has one of their positions")
            segment = _read_segment(folder, key, coding, entry)
            names[segment.origin] = bytes.fromhex(entry["name"])
            parts.setdefault(entry["position"], []).append((segment, segment.alive))
        for of_position in parts.values():
            _check_order([segment for segment, _ in of_position])
        self._names[gallery] = names
        return Snapshot(
            identity=identity, position=position, change=change, parts=parts, key=key
        )

    def forget(self, holder: Member) -> None:
        """Hold nothing of a holder's galleries in memory; their files stay."""
        for gallery in [g for g in self._names if g.holder == holder]:
            del self._names[gallery]

    def discard(self, gallery: GalleryName) -> None:
        """Delete what is kept of a gallery."""
        self._names.pop(gallery, None)
        shutil.rmtree(self._of(gallery), ignore_errors=True)

    def discard_of(self, holder: Member) -> bool:
        """Delete everything that is kept of a holder; say whether it is gone."""
        self.forget(holder)
        folder = self._folder / holder.code
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make_durable(self._folder)
        return not folder.exists()

    def discard_all(self) -> None:
        """Delete everything that is kept; what cannot be is not read either."""
        self._is_distrusted = True
        for gallery in list(self.galleries()):
            self.discard(gallery)

    def discard_shards(self) -> None:
        """Delete what shards have kept below the folder while there were any."""
        shutil.rmtree(self._folder / SHARDS, ignore_errors=True)

    def _of(self, gallery: GalleryName) -> Path:
        return self._folder / gallery.holder.code / gallery.space

    def _write_segment(
        self, folder: Path, key: CodesKey, position: str, segment: Segment
    ) -> bytes:
        """Write a segment under a new name; return that."""
        name = self._random_bytes(NAME_BYTES)
        file = _segment_file(position, name)
        content = np.concatenate([a.reshape(-1) for a in segment.arrays()])
        _write(_path(folder, name), key.seal(file, content))
        return name

    def _write_manifest(
        self, folder: Path, key: CodesKey, snapshot: Snapshot, entries: list[Any]
    ) -> None:
        name = self._random_bytes(NAME_BYTES)
        file = SealedFile(kind=FileKind.MANIFEST, position="", name=name)
        manifest = {
            "version": _version(snapshot.identity),
            "position": snapshot.position,
            "change": snapshot.change.hex(),
            "segments": entries,
        }
        text = json.dumps(manifest).encode()
        _write(folder / _MANIFEST, [name, *key.seal(file, text)])


def _rows(
    snapshot: Snapshot,
) -> Iterator[tuple[str, Segment, NDArray[np.bool_]]]:
    """Yield each segment with its position and which of its rows are alive."""
    for position, parts in snapshot.parts.items():
        for segment, alive in parts:
            yield position, segment, alive


def _segment_file(position: str, name: bytes) -> SealedFile:
    return SealedFile(kind=FileKind.SEGMENT, position=position, name=name)


def _path(folder: Path, name: bytes) -> Path:
    return folder / (name.hex() + _SEGMENT)


def _version(identity: str) -> list[str]:
    """Return what codes depend on beside the vectors and the secret seed."""
    return [layout(), identity]


def _entry(
    position: str, name: bytes, segment: Segment, alive: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return what a manifest says of a segment."""
    return {
        "position": position,
        "name": name.hex(),
        "rows": len(segment),
        "removed": segment.ids[~alive].tolist(),
    }


def _read_manifest(folder: Path) -> bytes | None:
    """Return a manifest as it is stored, or None where nothing is kept."""
    try:
        return _read(folder / _MANIFEST, _MAX_MANIFEST_BYTES)
    except FileNotFoundError as error:
        if any(folder.glob(f"*{_SEGMENT}")):
            raise StaleError("there is no manifest") from error
        return None
    except OSError as error:
        raise StaleError(f"the manifest cannot be read: {error.strerror}") from error


def _read(path: Path, most: int) -> bytes:
    """Return what a file holds, which whoever can write there may have put there.

    Raises:
        StaleError: it is no file, or larger than what could have been written.
        OSError: it cannot be read.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            raise StaleError("one of them is no file")
        if status.st_size > most:
            raise StaleError("one of them is larger than it can be")
        with os.fdopen(number, "rb", closefd=False) as stream:
            return stream.read(most)
    finally:
        os.close(number)


def _manifest(key: CodesKey, data: bytes) -> dict[str, Any]:
    """Open a manifest; what was sealed was well formed."""
    name, sealed = data[:NAME_BYTES], data[NAME_BYTES:]
    if len(name) != NAME_BYTES:
        raise StaleError("the manifest is cut off")
    file = SealedFile(kind=FileKind.MANIFEST, position="", name=name)
    try:
        manifest: dict[str, Any] = json.loads(key.open(file, sealed))
    except SealError as error:
        raise StaleError(
            "the manifest is damaged, of another gallery, or of another key"
        ) from error
    return manifest


def _read_segment(
    folder: Path, key: CodesKey, coding: Coding, entry: dict[str, Any]
) -> Segment:
    """Open a segment that a manifest names."""
    name = bytes.fromhex(entry["name"])
    try:
        most = key.sealed_bytes(Segment.size(coding, entry["rows"]))
        sealed = _read(_path(folder, name), most)
        content = key.open(_segment_file(entry["position"], name), sealed)
    except SealError as error:
        raise StaleError("a segment is damaged, or of another gallery") from error
    except OSError as error:
        raise StaleError(f"a segment cannot be read: {error.strerror}") from error
    segment = Segment.of_bytes(coding, entry["rows"], content)
    removed = np.array(entry["removed"], np.int64)
    segment.alive[segment.rows_of(removed)] = False
    return segment


def _check_order(segments: Sequence[Segment]) -> None:
    """Refuse segments that have rows in common, or are not in their order."""
    if any(after.ids[0] <= before.ids[-1] for before, after in pairwise(segments)):
        raise StaleError("their segments do not go together")


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file whole or not at all; it is durable on return."""
    unfinished = path.with_name(path.name + _UNFINISHED)
    unfinished.unlink(missing_ok=True)  # of a stop, or a link to somewhere else
    write_new(unfinished, pieces)
    unfinished.replace(path)
    make_durable(path.parent)


def _sweep(folder: Path, names: Iterable[bytes]) -> None:
    """Delete what no longer counts, and nothing that was not written here."""
    kept = {name.hex() + _SEGMENT for name in names}
    for path in folder.iterdir():
        if _OWN.fullmatch(path.name) and path.name not in kept and not path.is_dir():
            path.unlink()
    make_durable(folder)
