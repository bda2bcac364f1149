"""Tells a simulated disk what this process does to its files."""

from __future__ import annotations

import ctypes
import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from failing_disk import DELETE, OK, OPEN, POINTER, SYNC, File, Methods, Vfs, library

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulation.disk import Disk


class Watch:
    """Tells the disk that is under test what this process does to its files.

    There is one in a process, and one disk at a time under it.
    """

    def __init__(self) -> None:
        """Watch nothing yet."""
        self.disk: Disk | None = None
        self._alive: list[Any] = []
        self._replaced: dict[int, Methods] = {}
        self._paths: dict[int, Path] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Stand between the process and the system."""
        loaded = library()
        assert loaded is not None
        with ExitStack() as stack:
            for name in ("link", "rename", "replace"):
                self._patch(stack, name, at=1)
            for name in ("unlink", "remove", "rmdir", "mkdir"):
                self._patch(stack, name, at=0)
            stack.enter_context(patch("os.fsync", self._fsync))
            stack.enter_context(self._sqlite(loaded))
            yield

    def _patch(self, stack: ExitStack, name: str, *, at: int) -> None:
        """Tell of a call of `os` that changes what a name stands for."""
        real = getattr(os, name)

        def told(*args: Any, dir_fd: int | None = None, **more: Any) -> None:
            if dir_fd is not None:
                more["dir_fd"] = dir_fd
            path = _path(args[at], dir_fd)
            disk = self.disk
            if disk is None or not disk.holds(path):
                real(*args, **more)
                return
            disk.before(name, path)
            real(*args, **more)
            disk.renamed(path)
            if at == 1 and name != "link":
                disk.renamed(_path(args[0], None))

        stack.enter_context(patch(f"os.{name}", told))

    def _fsync(self, number: int) -> None:
        """Flush a file or a folder to the disk of the model, and nowhere else."""
        path = Path(f"/proc/self/fd/{number}").readlink()
        disk = self.disk
        if disk is not None and disk.holds(path):
            disk.before("flush", path)
            if path.exists():
                disk.flushed(path)
            else:
                disk.flushed_number(number)

    @contextmanager
    def _sqlite(self, loaded: ctypes.CDLL) -> Iterator[None]:
        """Get in between SQLite and the system."""
        loaded.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
        vfs = loaded.sqlite3_vfs_find(None).contents
        opened, deleted = (
            OPEN(ctypes.cast(vfs.open, POINTER).value),
            DELETE(ctypes.cast(vfs.delete, POINTER).value),
        )

        def opening(of: int, name: int, file: int, *more: int) -> int:
            code: int = opened(of, name, file, *more)
            one = File.from_address(file)
            if code == OK and one.methods and name:
                self._paths[file] = Path(os.fsdecode(ctypes.string_at(name)))
                address = ctypes.addressof(one.methods.contents)
                if address not in self._replaced:
                    self._replaced[address] = self._methods(one.methods.contents)
                one.methods = ctypes.pointer(self._replaced[address])
            return code

        def deleting(of: int, name: bytes, flushes: int) -> int:
            path, disk = Path(os.fsdecode(name)), self.disk
            if disk is None or not disk.holds(path):
                return int(deleted(of, name, flushes))
            disk.before("unlink", path)
            code = int(deleted(of, name, flushes))
            disk.renamed(path)
            if flushes:
                disk.flushed(path.parent)
            return code

        new = OPEN(opening), DELETE(deleting)
        self._alive += [*new, opened, deleted]
        vfs.open, vfs.delete = new
        yield
        vfs.open, vfs.delete = opened, deleted

    def _methods(self, methods: Methods) -> Methods:
        """Return a file's methods, of which the flush is the model's."""
        copied = Methods.from_buffer_copy(methods)
        real = SYNC(ctypes.cast(methods.sync, POINTER).value)

        def syncing(file: int, flags: int) -> int:
            path, disk = self._paths.get(file), self.disk
            if path is None or disk is None or not disk.holds(path):
                return int(real(file, flags))
            disk.before("flush", path)
            disk.flushed(path)
            return OK

        copied.sync = SYNC(syncing)
        self._alive += [copied.sync, real, copied]
        return copied


def _path(given: Any, folder: int | None) -> Path:
    """Return the whole path of what a call names."""
    path = Path(os.fsdecode(given))
    if folder is not None:
        return Path(f"/proc/self/fd/{folder}").readlink() / path
    return Path(os.path.abspath(path))  # noqa: PTH100 - follows no link
