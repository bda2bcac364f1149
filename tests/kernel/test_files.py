"""Files are there whole and durable, or not at all."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from biometrics.files import create_file, put_file, write_new

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
