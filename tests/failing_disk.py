"""A disk that fails when it is told to, under the SQLite that this process has loaded.

The methods of the system's own VFS are replaced in place: SQLite itself meets the
error, in every connection that was opened since, and does what it does after a real
one. What the kernel does with pages that it failed to write is not simulated.

Source: SQLite, "The SQLite OS Interface or VFS".
"""

from __future__ import annotations

import ctypes
import ctypes.util
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

OK, FULL, IOERR_WRITE, IOERR_FSYNC = 0, 13, 778, 1034
POINTER = ctypes.c_void_p
OPEN = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, POINTER, POINTER, ctypes.c_int, POINTER)
WRITE = ctypes.CFUNCTYPE(
    ctypes.c_int, POINTER, POINTER, ctypes.c_int, ctypes.c_longlong
)
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_int)
DELETE = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_char_p, ctypes.c_int)


class Vfs(ctypes.Structure):
    """The head of `sqlite3_vfs`."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("path_size", ctypes.c_int),
        ("next", POINTER),
        ("name", ctypes.c_char_p),
        ("data", POINTER),
        ("open", OPEN),
        ("delete", DELETE),
    )


class Methods(ctypes.Structure):
    """`sqlite3_io_methods`, up to version 3."""

    _fields_ = (
        ("version", ctypes.c_int),
        ("close", POINTER),
        ("read", POINTER),
        ("write", WRITE),
        ("truncate", POINTER),
        ("sync", SYNC),
        ("others", POINTER * 13),
    )


class File(ctypes.Structure):
    """`sqlite3_file`."""

    _fields_ = (("methods", ctypes.POINTER(Methods)),)


# SQLite may call what was replaced for as long as a file is open.
_ALIVE: list[Any] = []


class FailingDisk:
    """Fails flushes or writes while it is told to; else passes all on."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Get in between SQLite and the system."""
        library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
        self._vfs = library.sqlite3_vfs_find(None).contents
        self._open = OPEN(ctypes.cast(self._vfs.open, POINTER).value)
        self._kept: dict[int, Methods] = {}
        _ALIVE.append(self)
        self.fails_to: str | None = None
        self.failed = 0
        replaced = OPEN(self._opened)
        _ALIVE.append(replaced)
        self._vfs.open = replaced

    def remove(self) -> None:
        """Get out of the way of what is opened from now on."""
        self._vfs.open = self._open

    @contextmanager
    def failing_to(self, what: str) -> Iterator[None]:
        """Fail to `flush`, to `write`, or to `write whole`: a part, and it is full."""
        self.fails_to = what
        try:
            yield
        finally:
            self.fails_to = None

    def _opened(self, vfs: int, name: int, file: int, *more: int) -> int:
        """Open as the system does, and replace the methods of the file."""
        code: int = self._open(vfs, name, file, *more)
        opened = File.from_address(file)
        if code == OK and opened.methods:
            address = ctypes.addressof(opened.methods.contents)
            if address not in self._kept:
                self._kept[address] = self._replaced(opened.methods.contents)
            opened.methods = ctypes.pointer(self._kept[address])
        return code

    def _replaced(self, methods: Methods) -> Methods:
        """Return methods that fail when they are to."""
        copied = Methods.from_buffer_copy(methods)
        write = WRITE(ctypes.cast(methods.write, POINTER).value)
        sync = SYNC(ctypes.cast(methods.sync, POINTER).value)

        def failing_write(file: int, data: int, size: int, offset: int) -> int:
            if self.fails_to == "write":
                self.failed += 1
                return IOERR_WRITE
            if self.fails_to == "write whole":
                self.failed += 1
                write(file, data, size // 2, offset)
                return FULL
            return int(write(file, data, size, offset))

        def failing_sync(file: int, flags: int) -> int:
            if self.fails_to == "flush":
                self.failed += 1
                return IOERR_FSYNC
            return int(sync(file, flags))

        copied.write, copied.sync = WRITE(failing_write), SYNC(failing_sync)
        _ALIVE.extend([copied.write, copied.sync, write, sync])
        return copied


def library() -> ctypes.CDLL | None:
    """Return the SQLite that Python uses, where it is a library of the system's."""
    import sqlite3  # noqa: PLC0415 - which loads it

    with open("/proc/self/maps", encoding="ascii") as maps:  # noqa: PTH123 - no file
        paths = {line.split()[-1] for line in maps if "libsqlite3" in line}
    if len(paths) != 1:
        return None
    found = ctypes.CDLL(paths.pop())
    found.sqlite3_libversion.restype = ctypes.c_char_p
    is_same = found.sqlite3_libversion().decode() == sqlite3.sqlite_version
    return found if is_same else None
