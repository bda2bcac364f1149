"""Edits of `exchange.toml` and of the list of signers, by a program.

Comments and all else stay as they are. What is written is checked as a start would
check it, and is there whole or not at all; two programs do it one after the other.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from biometrics.errors import ConfigurationError
from biometrics.files import make_durable
from biometrics.members import Membership
from biometrics.settings import header_lines, quoted
from biometrics.signing.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from biometrics.members import Member

_STANDING: Final = "standing"


@contextmanager
def editing(folder: Path) -> Iterator[None]:
    """Keep other programs that edit here waiting."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def with_table(text: str, name: str, table: Mapping[str, str]) -> str:
    """Return a file with one more `[[name]]` at its end.

    Raises:
        ConfigurationError: it is written so that none can be added.
    """
    lines = "".join(f"{key} = {quoted(value)}\n" for key, value in table.items())
    ended = text if text.endswith("\n") or not text else f"{text}\n"
    made = f"{ended}\n[[{name}]]\n{lines}"
    wanted = tomllib.loads(text)
    wanted = wanted | {name: [*wanted.get(name, []), dict(table)]}
    return _made(made, wanted)


def with_standing(text: str, member: Member, membership: Membership) -> str:
    """Return settings that say how it is about a member.

    Raises:
        ConfigurationError: they have no table of it, or are written so that it cannot
            be edited.
    """
    wanted = tomllib.loads(text)
    rows: list[dict[str, Any]] = wanted.get("member", [])
    numbers = [n for n, row in enumerate(rows) if row.get("code") == member.code]
    starts = header_lines(text).get("member", ())
    if len(numbers) != 1 or len(starts) != len(rows):
        raise ConfigurationError(
            "NO_SUCH_MEMBER",
            f"there is no `[[member]]` of {member} in the settings; `biometrics members"
            " list` shows who has one",
        )
    (number,) = numbers
    rows[number].pop(_STANDING, None)
    if membership is not Membership.ACTIVE:
        rows[number][_STANDING] = membership.value
    lines = text.splitlines(keepends=True)
    first = starts[number]  # of what stands below the header
    last = next(
        (n for n in range(first, len(lines)) if lines[n].lstrip().startswith("[")),
        len(lines),
    )
    own = [line for line in lines[first:last] if not _says(line, _STANDING)]
    if membership is not Membership.ACTIVE:
        own.insert(0, f"{_STANDING} = {quoted(membership)}\n")
    return _made("".join([*lines[:first], *own, *lines[last:]]), wanted)


def put(path: Path, text: str, check: Callable[[Path], object]) -> None:
    """Put a text in the place of a file, once it has passed a check.

    Args:
        path: of the file.
        text: all of it.
        check: reads the draft, which lies beside the file; raises what is wrong.

    Raises:
        ConfigurationError: it is not good, or cannot be written; nothing was changed.
    """
    draft = path.with_name(f".{path.name}.draft")
    replace_file(draft, text.encode())
    try:
        check(draft)
        shutil.copymode(path, draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    make_durable(path.parent)


def _says(line: str, key: str) -> bool:
    """Say whether a line gives a key its value."""
    return line.partition("=")[0].strip() == key


def _made(text: str, wanted: Mapping[str, object]) -> str:
    """Return a text that says what is wanted.

    Raises:
        ConfigurationError: it does not.
    """
    try:
        is_so = tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        is_so = False
    if not is_so:
        raise ConfigurationError(
            "CANNOT_EDIT",
            "each `[[member]]` and `[[signer]]` must be a table of its own, with a key"
            " a line; write them so",
        )
    return text
