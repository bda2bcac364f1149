"""An export of the log in a folder, as the exchange has served it.

    log.pub                 the key that signs checkpoints and receipts
    checkpoint              the newest one
    seen                    the newest one that was verified
    cosigned/...            those that witnesses have cosigned, by how many leaves
    tile/entries/...        leaves, in bundles of 256
    tile/0/..., tile/1/...  hashes, likewise
    own/entries.jsonl       entries of the member's own, sealed
    own/keys.jsonl          their keys, sealed to the member's auditor

Bundles and tiles are those of the C2SP's tlog-tiles: other tools read them too.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.audit.leaf import LEAF_BYTES
from biometrics.audit.tiles import WIDTH, path_of, split, tile_root
from biometrics.audit.tree import leaf_hash
from biometrics.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

KEY: Final = "log.pub"
CHECKPOINT: Final = "checkpoint"
SEEN: Final = "seen"
COSIGNED: Final = "cosigned"
OWN_ENTRIES: Final = "own/entries.jsonl"
OWN_KEYS: Final = "own/keys.jsonl"
_LENGTH_BYTES: Final = 2
# What comes of reading a line of JSON that is something else.
_NO_LINE: Final = (KeyError, TypeError, ValueError, OverflowError, binascii.Error)


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """An entry of the member's own, sealed, with its place.

    Attributes:
        index: of its leaf.
        slot: where it stands below the leaf.
        path: from there to the root of the leaf.
        key_id: which key it is sealed by.
        sealed: itself.
    """

    index: int
    slot: int
    path: tuple[bytes, ...] = field(repr=False)
    key_id: bytes
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A key of entries of the member's own.

    Attributes:
        key_id: by which entries name it.
        hour: since 1970, in which it sealed.
        handed: itself, sealed to the member's auditor; empty if to nobody.
    """

    key_id: bytes
    hour: int
    handed: bytes = field(repr=False)


class Pages:
    """A folder with an export; reads and writes it."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not be there yet."""
        self.folder = folder

    def read(self, name: str) -> bytes | None:
        """Return a small file of it; None if it is not there.

        Raises:
            ConfigurationError: it cannot be read, or is too long.
        """
        path = self.folder / name
        try:
            with path.open("rb") as file:
                data = file.read(limits.MAX_EXPORT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(path, error.strerror or "?") from error
        if len(data) > limits.MAX_EXPORT_BYTES:
            raise _unreadable(path, "it is too long")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Put a file in its place, whole; it is not flushed to the disk.

        Whatever is written here was brought from the exchange, and is checked before it
        is believed: what a loss of power takes or spoils is told as damaged, and can be
        brought again. What must not be forgotten is written by `replace_file`: see
        `biometrics.audit.memory`.
        """
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        draft.write_bytes(data)
        draft.replace(path)

    def write_cosigned(self, notes: Mapping[int, bytes]) -> None:
        """Write the checkpoints that witnesses have cosigned, in place of those there.

        Args:
            notes: by how many leaves they have.
        """
        for size, note in notes.items():
            self.write(f"{COSIGNED}/{size}", note)
        for name in self.cosigned():
            if name not in {f"{COSIGNED}/{size}" for size in notes}:
                (self.folder / name).unlink()

    def cosigned(self) -> list[str]:
        """Return the names of the checkpoints that witnesses have cosigned."""
        found = (self.folder / COSIGNED).glob("[0-9]*")
        return [f"{COSIGNED}/{path.name}" for path in sorted(found)]

    def leaves(self, size: int) -> Iterator[bytes]:
        """Yield the first leaves.

        Raises:
            InvalidRequestError: one of them is missing or damaged.
        """
        for number in range(-(-size // WIDTH)):
            yield from self.bundle(number, min(WIDTH, size - number * WIDTH))

    def bundle(self, number: int, width: int) -> list[bytes]:
        """Return the first leaves of a bundle.

        Raises:
            InvalidRequestError: one of them is missing or damaged.
        """
        name = path_of("entries", number, width)
        data = self.read(name)
        if data is None and width < WIDTH:  # it may have grown full since
            name = path_of("entries", number)
            data = self.read(name)
        size = _LENGTH_BYTES + LEAF_BYTES
        head = LEAF_BYTES.to_bytes(_LENGTH_BYTES, "big")
        found = [
            data[i + _LENGTH_BYTES : i + size]
            for i in range(0, len(data or b""), size)
            if data is not None and data[i : i + _LENGTH_BYTES] == head
        ]
        if data is None or len(data) != size * len(found) or len(found) < width:
            raise InvalidRequestError(
                "DAMAGED_PAGE",
                f"`{name}` is missing or damaged: the export is not whole, or the"
                " exchange has served something else; export into a new folder",
            )
        return found[:width]

    def add_leaves(self, first: int, leaves: Sequence[bytes]) -> None:
        """Append leaves, from a number on that is the first of a bundle."""
        for start in range(0, len(leaves), WIDTH):
            some = leaves[start : start + WIDTH]
            number = (first + start) // WIDTH
            head = LEAF_BYTES.to_bytes(_LENGTH_BYTES, "big")
            self.write(
                path_of("entries", number, len(some)),
                b"".join(head + leaf for leaf in some),
            )
            self._add_tile(0, number, [leaf_hash(leaf) for leaf in some])

    def _add_tile(self, level: int, number: int, hashes: Sequence[bytes]) -> None:
        """Write a tile of hashes, and what it adds to the one above."""
        self.write(path_of(str(level), number, len(hashes)), b"".join(hashes))
        if len(hashes) < WIDTH:
            return
        above, place = divmod(number, WIDTH)
        before = self.tile(level + 1, above, place) if place else []
        self._add_tile(level + 1, above, [*before, tile_root(hashes)])

    def tile(self, level: int, number: int, width: int) -> list[bytes]:
        """Return the first hashes of a tile.

        Raises:
            InvalidRequestError: they are not there, or damaged.
        """
        for name in (path_of(str(level), number, width), path_of(str(level), number)):
            data = self.read(name)
            if data is not None:
                hashes = split(data)
                if len(hashes) >= width:
                    return hashes[:width]
        raise InvalidRequestError(
            "DAMAGED_PAGE",
            f"`{path_of(str(level), number, width)}` is missing or damaged; export into"
            " a new folder",
        )

    def add_own_entries(self, entries: Iterable[OwnEntry]) -> None:
        """Append entries of the member's own."""
        self._append(
            OWN_ENTRIES,
            (
                {
                    "leaf": entry.index,
                    "slot": entry.slot,
                    "path": [_text(each) for each in entry.path],
                    "key": entry.key_id.hex(),
                    "sealed": _text(entry.sealed),
                }
                for entry in entries
            ),
        )

    def has_own_entries(self) -> bool:
        """Say whether it was exported for a member; it may have no entry yet."""
        return (self.folder / OWN_ENTRIES).is_file()

    def own_entries(self) -> Iterator[OwnEntry]:
        """Yield the entries of the member's own.

        Raises:
            InvalidRequestError: a line is none.
        """
        for line in self._lines(OWN_ENTRIES):
            try:
                yield OwnEntry(
                    index=int(line["leaf"]),
                    slot=int(line["slot"]),
                    path=tuple(_data(each) for each in line["path"]),
                    key_id=bytes.fromhex(line["key"]),
                    sealed=_data(line["sealed"]),
                )
            except _NO_LINE as error:
                raise _no_line(OWN_ENTRIES) from error

    def write_own_keys(self, keys: Iterable[OwnKey]) -> None:
        """Write the keys of the member's entries, in place of those there."""
        lines = (
            json.dumps(
                {"key": key.key_id.hex(), "hour": key.hour, "handed": _text(key.handed)}
            )
            for key in keys
        )
        self.write(OWN_KEYS, "".join(f"{line}\n" for line in lines).encode())

    def own_keys(self) -> Iterator[OwnKey]:
        """Yield the keys of the member's entries.

        Raises:
            InvalidRequestError: a line is none.
        """
        for line in self._lines(OWN_KEYS):
            try:
                yield OwnKey(
                    bytes.fromhex(line["key"]), int(line["hour"]), _data(line["handed"])
                )
            except _NO_LINE as error:
                raise _no_line(OWN_KEYS) from error

    def drop_own_entries(self, size: int) -> None:
        """Take out entries below leaves from `size` on, of an export that stopped."""
        kept = [entry for entry in self.own_entries() if entry.index < size]
        self.write(OWN_ENTRIES, b"")
        self.add_own_entries(kept)

    def _append(self, name: str, documents: Iterable[dict[str, object]]) -> None:
        """Append lines of JSON to a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="ascii") as file:
            for document in documents:
                file.write(json.dumps(document) + "\n")

    def _lines(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the lines of a file of JSON; none if it is not there."""
        path = self.folder / name
        try:
            with path.open("rb") as file:
                for line in file:
                    try:
                        yield json.loads(line)
                    except (ValueError, RecursionError) as error:
                        raise _no_line(name) from error
        except FileNotFoundError:
            return
        except OSError as error:
            raise _unreadable(path, error.strerror or "?") from error


def _text(data: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(data).decode()


def _data(text: str) -> bytes:
    """Return the bytes of a text."""
    return base64.b64decode(text, validate=True)


def _no_line(name: str) -> InvalidRequestError:
    """Return the error of a line that is damaged."""
    return InvalidRequestError(
        "DAMAGED_PAGE", f"`{name}` is damaged; export into a new folder"
    )


def _unreadable(path: Path, why: str) -> ConfigurationError:
    """Return the error of a file that cannot be read."""
    return ConfigurationError("UNREADABLE_FILE", f"`{path}` cannot be read: {why}")
