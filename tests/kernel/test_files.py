"""Files are there whole and durable, or not at all."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from biometrics.files import (
    cannot_read,
    cannot_write,
    create_file,
    put_file,
    write_new,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_file_is_its_owners_and_replaces_nothing(tmp_path: Path) -> None:
    """Neither one that is there, nor is a draft left of the attempt."""
    path = tmp_path / "key"
    create_file(path, b"first")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for write in (lambda: create_file(path, b"x"), lambda: write_new(path, [b"x"])):
        with pytest.raises(FileExistsError):
            write()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("key", b"first")
    ]


KILLED = """
import os, pathlib, signal
from biometrics import files

path = pathlib.Path({path!r})
os.{call} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
files.{write}
"""


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize(
    "write", ["create_file(path, b'secret')", "put_file(path, b'secret', 0o600)"]
)
def test_a_kill_leaves_nothing_of_a_draft(tmp_path: Path, write: str, call: str):
    """It may be a key, and nobody would look for it."""
    path = str(tmp_path / "key")
    code = KILLED.format(path=path, call=call, write=write)
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_nameless_files_does_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A draft has a name there, and none is left of what went well or did not."""
    system_open = os.open

    def refusing(path: object, flags: int, *rest: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return system_open(path, flags, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("os.open", refusing)
    path = tmp_path / "key"
    create_file(path, b"first")
    with pytest.raises(FileExistsError):
        create_file(path, b"x")
    assert path.read_bytes() == b"first"
    put_file(path, b"second", 0o644)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("key", b"second")
    ]


def test_what_the_system_refuses_is_told_of_the_file(tmp_path: Path):
    """Under one reason each, whatever the file was for."""
    path = tmp_path / "none" / "key"
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory")
    taken = FileExistsError(errno.EEXIST, "File exists")
    written, there, read = (
        cannot_write(path, gone, "; nothing was left behind"),
        cannot_write(path, taken),
        cannot_read(path, gone),
    )
    why = "no such file or directory"
    assert (written.reason, written.message) == (
        "CANNOT_WRITE",
        f"`{path}` cannot be written: {why}; nothing was left behind",
    )
    assert (there.reason, there.message) == (
        "FILE_EXISTS",
        f"`{path}` exists and is not overwritten; name another",
    )
    assert (read.reason, read.message) == (
        "UNREADABLE_FILE",
        f"`{path}` cannot be read: {why}",
    )


def test_what_is_put_is_flushed_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flush that fails leaves what was there."""
    path = tmp_path / "note"
    put_file(path, b"first", 0o644)
    put_file(path, b"second", 0o644)

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        put_file(path, b"third", 0o644)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("note", b"second")
    ]
