"""Key files: who may read them, what is in them, and what is refused."""

import os
from pathlib import Path

import pytest

from biometrics.custody import FileKeyProvider, create_key_file
from biometrics.errors import ConfigurationError, SealError

DIGITS = "0f" * 32


def write(folder: Path, text: str | bytes, mode: int = 0o600):
    """Write a file of that mode and return its path."""
    path = folder / "some.key"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return path


def refusal(path: Path):
    """Return the reason for which a key file is refused, and check its text."""
    with pytest.raises(ConfigurationError) as refused:
        FileKeyProvider(path)
    assert str(path) in refused.value.message
    return refused.value.reason


def test_a_created_file_holds_a_key_that_wraps(tmp_path: Path):
    """A file made by `create_key_file` is read back, by as many as have it."""
    create_key_file(tmp_path / "a.key", os.urandom)
    first, second = (FileKeyProvider(tmp_path / "a.key") for _ in range(2))
    wrapped = first.wrap(b"k" * 32, b"context")
    assert second.unwrap(wrapped, b"context") == b"k" * 32
    assert first.wrap(b"k" * 32, b"context") != wrapped


def test_only_the_owner_can_use_a_created_file(tmp_path: Path):
    """The mode is 0600 under the most careless umask, and nothing else is left."""
    before = os.umask(0)
    try:
        create_key_file(tmp_path / "a.key", os.urandom)
    finally:
        os.umask(before)
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_file_is_never_overwritten(tmp_path: Path):
    """A key that exists stays, because all that it wraps would be lost."""
    create_key_file(tmp_path / "a.key", os.urandom)
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(ConfigurationError) as refused:
        create_key_file(tmp_path / "a.key", os.urandom)
    assert refused.value.reason == "FILE_EXISTS"
    assert (tmp_path / "a.key").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    """Neither writing nor reading makes folders, and both say so."""
    path = tmp_path / "nowhere" / "a.key"
    with pytest.raises(ConfigurationError) as refused:
        create_key_file(path, os.urandom)
    assert refused.value.reason == "CANNOT_WRITE"
    assert refusal(path) == "KEY_FILE_UNREACHABLE"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int):
    """Any right of the group's or of others is too much."""
    assert refusal(write(tmp_path, DIGITS, mode)) == "KEY_FILE_EXPOSED"


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("text", [DIGITS, DIGITS + "\n", "# note\n" + DIGITS + "\n"])
def test_a_key_with_or_without_a_comment_is_read(
    tmp_path: Path, text: str | bytes, mode: int
):
    """64 digits, one comment line before them or none, and a line end or none."""
    wrapped = FileKeyProvider(write(tmp_path, DIGITS)).wrap(b"k", b"")
    path = write(tmp_path, text)
    path.chmod(mode)
    assert FileKeyProvider(path).unwrap(wrapped, b"") == b"k"


@pytest.mark.parametrize(
    "text",
    [
        "",
        DIGITS[:-1],
        DIGITS[:-2],
        DIGITS + "00",
        DIGITS.upper(),
        "z" * 64,
        " " + DIGITS,
        DIGITS + "\n\n",
        DIGITS + "\n" + DIGITS,
        "# one\n# two\n" + DIGITS,
        "# " + "long" * 400 + "\n" + DIGITS,
        bytes(range(128, 192)),
    ],
)
def test_anything_else_is_no_key_file(tmp_path: Path, text: str | bytes):
    """A key of another length or form is refused, and not shown."""
    path = write(tmp_path, text)
    assert refusal(path) == "NOT_A_KEY_FILE"
    with pytest.raises(ConfigurationError) as refused:
        FileKeyProvider(path)
    assert DIGITS[:16] not in str(refused.value)


def test_a_folder_or_pipe_is_no_key_file(tmp_path: Path):
    """What is no regular file is refused at once; a pipe is not waited for."""
    tmp_path.chmod(0o700)
    assert refusal(tmp_path) == "NOT_A_KEY_FILE"
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert refusal(tmp_path / "pipe") == "NOT_A_KEY_FILE"


def test_unwraps_in_the_same_context_alone(tmp_path: Path):
    """A wrapped key moved to another context, or under another key, is refused."""
    create_key_file(tmp_path / "a.key", os.urandom)
    create_key_file(tmp_path / "b.key", os.urandom)
    provider = FileKeyProvider(tmp_path / "a.key")
    wrapped = provider.wrap(b"k" * 32, b"context")
    with pytest.raises(SealError):
        provider.unwrap(wrapped, b"other")
    with pytest.raises(SealError):
        FileKeyProvider(tmp_path / "b.key").unwrap(wrapped, b"context")
