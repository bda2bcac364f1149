"""A disk that can lose its power: what is on it afterwards is drawn from a seed.

The product's own code runs unchanged on real files in memory. Beside them stands a
model of what a disk would have: the content of a file as of its last flush, and the
names in a folder as of the flush of that folder. What was written since may be there,
or not, or in part, in any order. `lose_power` draws one of the states that POSIX lets a
file system be in after that.

1. Python's calls (`os.fsync`, `link`, `rename`, `unlink`, `mkdir`, `rmdir`) and
   SQLite's flushes and deletions are told to the model; flushes do nothing else.
2. Each is an event, and at the moment before it the power can go. Between two events
   it need not: what was written by then may be lost at the next, and more.
3. Of a file that was not flushed each sector of 512 bytes is the old or the new one,
   and its size likewise; what it was never given in between is zeros. A sector is
   written whole, which SQLite takes for granted too ("Atomic Commit In SQLite", 2.0;
   "Powersafe Overwrite").
4. Of a name that was not flushed, with its folder, each thing that it stood for since
   may be what it stands for; a folder that is not there takes all that is in it along.

Why so: a fault in the order of flushes shows in no run of a test, and `kill -9` leaves
the system's memory whole. FoundationDB and TigerBeetle have written their own store to
be able to simulate it. Here SQLite is the store, and stays as it is: only what reaches
the system is seen, as by ALICE (Pillai et al., "All File Systems Are Not Created
Equal", OSDI 2014) and by SQLite's own tests of crashes. `apsw` would bring another
SQLite than the one that the exchange runs on, and an interface that SQLAlchemy does not
speak; to write down what a process asks of the system takes `ptrace` or FUSE, which CI
may not have.

What is not simulated: old blocks that a file system keeps elsewhere; a disk that lies
about its flushes; sectors that are torn within.
"""

from __future__ import annotations

import os
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

SECTOR: Final = 512
# What is left of what was not flushed: nothing, all, or each part by chance.
SHARES: Final = (0.0, 1.0, 0.5, 0.1, 0.9)
# SQLite's memory between processes is void after a loss of power.
VOLATILE: Final = "-shm"
# The names of these SQLite flushes with the first flush of what is in them.
_NAMED_BY_FLUSH: Final = ("-wal", "-journal")

# By path from the root: a file's content, or None for a folder.
Image = dict[str, bytes | None]
_Key = tuple[int, int]


@dataclass(slots=True)
class _File:
    """A file, held open so that its number is nobody else's, even without a name."""

    number: int
    durable: bytes = b""

    def content(self) -> bytes:
        """Return what is in it now."""
        return os.pread(self.number, os.fstat(self.number).st_size, 0)


@dataclass(slots=True)
class _Folder:
    """What each name in a folder stands for: durably, and since the last flush.

    It is held open as files are, and goes by its number wherever it is moved to.
    """

    number: int
    durable: dict[str, _Key] = field(default_factory=dict)
    since: dict[str, set[_Key | None]] = field(default_factory=dict)

    def now(self) -> dict[str, os.stat_result]:
        """Return what its names stand for now; none where it was removed."""
        return {
            entry.name: entry.stat(follow_symlinks=False)
            for entry in os.scandir(self.number)
            if not entry.name.endswith(VOLATILE)
        }


class Disk:
    """The disk under some folders below a root.

    Attributes:
        events: how many there were.
        trace: what they were, without what is random in names.
        image: what was left when the power went, or None while it is on.
    """

    def __init__(self, root: Path, folders: tuple[str, ...], random: Generator) -> None:
        """Take everything that is there for durable."""
        self._tops = {name: root / name for name in folders}
        self._random = random
        self._files: dict[_Key, _File] = {}
        self._folders: dict[_Key, _Folder] = {}
        self._lock = threading.RLock()
        self.events = 0
        self.trace: list[str] = []
        self.image: Image | None = None
        self._goes_at = 0
        self._on_loss: Callable[[], None] = lambda: None
        for top in self._tops.values():
            self._folder(top)
        self._look_around()
        for folder in self._folders.values():
            self._keep_names(folder)
        for one in self._files.values():
            one.durable = one.content()

    def go_at(self, event: int, on_loss: Callable[[], None]) -> None:
        """Have the power go before an event; `on_loss` is called at that moment."""
        self._goes_at = event
        self._on_loss = on_loss

    def lose_power(self) -> None:
        """Have it go now, if it has not."""
        with self._lock:
            if self.image is None:
                self._on_loss()
                self._look_around()
                self.image = self._drawn()

    def close(self) -> None:
        """Let go of the files."""
        for one in (*self._files.values(), *self._folders.values()):
            os.close(one.number)
        self._files.clear()
        self._folders.clear()

    def holds(self, path: Path) -> bool:
        """Say whether a path is on this disk."""
        return any(top == path or top in path.parents for top in self._tops.values())

    def before(self, what: str, path: Path) -> None:
        """Note that something is about to happen; the power may go first."""
        with self._lock:
            if self.image is not None:
                return
            self.events += 1
            self.trace.append(f"{what} {_kind(path)}")
            if self.events == self._goes_at:
                self.lose_power()

    def renamed(self, path: Path) -> None:
        """Note that a name in the folder of a path stands for something else now."""
        with self._lock:
            if self.image is None and path.parent.is_dir():
                self._look(self._folder(path.parent))

    def flushed(self, path: Path) -> None:
        """Note that a file, or the names in a folder, are on the disk."""
        with self._lock:
            if self.image is not None:
                return
            if path.is_dir():
                self._keep_names(self._folder(path))
                return
            folder, key = self._folder(path.parent), _key(path.stat())
            self._look(folder)
            is_new = folder.durable.get(path.name) != key
            if is_new and path.name.endswith(_NAMED_BY_FLUSH):
                self._keep_names(folder)
            self._flushed(key)

    def flushed_number(self, number: int) -> None:
        """Note that an open file is on the disk that has no name, any more or yet."""
        with self._lock:
            if self.image is not None:
                return
            key = _key(os.fstat(number))
            if key not in self._files:
                flags = os.O_RDONLY | os.O_CLOEXEC
                self._files[key] = _File(os.open(f"/proc/self/fd/{number}", flags))
            self._flushed(key)

    def _flushed(self, key: _Key) -> None:
        if (one := self._files.get(key)) is not None:
            one.durable = one.content()

    def _folder(self, path: Path) -> _Folder:
        """Return the folder at a path."""
        key = _key(path.stat())
        if key not in self._folders:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._folders[key] = _Folder(number)
        return self._folders[key]

    def _look_around(self) -> None:
        """See what all names stand for, in folders that are new as well."""
        seen: set[_Key] = set()
        while fresh := self._folders.keys() - seen:
            for key in fresh:
                self._look(self._folders[key])
            seen |= fresh

    def _look(self, folder: _Folder) -> None:
        """See what the names in a folder stand for."""
        now = folder.now()
        for name, status in now.items():
            key = _key(status)
            if key in self._files or key in self._folders:
                continue
            # Closed only at the end: closing it would take SQLite's locks.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            number = os.open(name, flags, dir_fd=folder.number)
            if stat.S_ISDIR(status.st_mode):
                self._folders[key] = _Folder(number)
            else:
                self._files[key] = _File(number)
        for name in {*folder.durable, *folder.since, *now}:
            at_first = {folder.durable.get(name)}
            key_now = _key(now[name]) if name in now else None
            folder.since.setdefault(name, at_first).add(key_now)

    def _keep_names(self, folder: _Folder) -> None:
        """Make the names in a folder durable as they are now."""
        self._look(folder)
        folder.durable = {name: _key(status) for name, status in folder.now().items()}
        folder.since = {name: {key} for name, key in folder.durable.items()}

    def _drawn(self) -> Image:
        """Return one of the states that the disk may be in now."""
        image: Image = {}
        share = float(self._random.choice(SHARES))
        for name, top in self._tops.items():
            self._draw_folder(name, self._folder(top), share, image)
        return image

    def _draw_folder(
        self, path: str, folder: _Folder, share: float, image: Image
    ) -> None:
        """Draw what each name in a folder stands for, and what is in that."""
        image[path] = None
        now = {name: _key(status) for name, status in folder.now().items()}
        for name in sorted(folder.since):
            key = now.get(name)
            options = sorted(folder.since[name] - {key}, key=str)
            if options and self._random.random() >= share:
                key = options[int(self._random.integers(len(options)))]
            if key in self._files:
                one = self._files[key]
                content = self._torn(one.durable, one.content(), share)
                image[f"{path}/{name}"] = content
            elif key in self._folders:
                below = self._folders[key]
                self._draw_folder(f"{path}/{name}", below, share, image)

    def _torn(self, old: bytes, new: bytes, share: float) -> bytes:
        """Return a file of which each sector is as it was flushed, or as it is now."""
        if old == new:
            return new
        size = len(new) if self._random.random() < share else len(old)
        longest = max(len(old), len(new))
        width = -(-longest // SECTOR) * SECTOR
        sectors = [
            np.frombuffer(each.ljust(width, b"\0"), np.uint8).reshape(-1, SECTOR)
            for each in (old, new)
        ]
        is_new = self._random.random(width // SECTOR) < share
        return np.where(is_new[:, None], sectors[1], sectors[0]).tobytes()[:size]


def restore(root: Path, image: Image) -> None:
    """Put files and folders below a root as an image has them, and nothing else."""
    for top in {Path(name).parts[0] for name in image}:
        _clear(root / top)
    for name, content in image.items():
        path = root / name
        if content is None:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        else:
            path.write_bytes(content)
            path.chmod(0o600)


def image_of(root: Path, folders: tuple[str, ...]) -> Image:
    """Return all files and folders below some folders as an image."""
    image: Image = {}
    for name in folders:
        for path in (root / name, *sorted((root / name).rglob("*"))):
            if not path.name.endswith(VOLATILE):
                at = str(path.relative_to(root))
                image[at] = None if path.is_dir() else path.read_bytes()
    return image


def _clear(folder: Path) -> None:
    if folder.is_dir():
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()


def _key(status: os.stat_result) -> _Key:
    return status.st_dev, status.st_ino


def _kind(path: Path) -> str:
    """Return what a path is, without what is random in its name."""
    name = path.name
    if name.endswith(" (deleted)"):  # as Linux shows what has no name
        return "nameless"
    if name.startswith("."):  # a draft, with digits at its end
        return name.rpartition(".")[0]
    return "segment" if ".segment" in name else name
