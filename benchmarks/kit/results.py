"""Figures kept in a file as soon as they are measured, so that a run can go on later.

The file is JSON: the question, the command as it was typed, the date, the project's
commit, the machine, the settings, all options, how long it took, and the rows. Every
row has a key, the values of some of its fields; a run with `--resume` measures only
keys that the file lacks. A file that does not answer the same question is never
replaced, nor a picture that stands beside no such file.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.kit import tables
from benchmarks.kit.command import FOLDER
from benchmarks.kit.machine import commit, fingerprint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.kit.tables import Column

__all__ = ["QUICK", "Results", "command", "medians", "shown"]

PICTURES: Final = FOLDER.with_name("pictures")
QUICK: Final = "--quick: to see that it runs, not what it finds"
# Of options: no setting of a figure, or a place.
_APART: Final = ("json", "resume", "plot", "quick", "root", "postgres", "shared")
_EARLIER: Final = ("command", "date", "commit", "machine", "seconds", "peak_mib")


class Results:
    """The rows of one benchmark, and the file they are kept in if there is one."""

    def __init__(
        self,
        question: str,
        *,
        key: Sequence[str],
        settings: dict[str, Any],
        options: argparse.Namespace,
    ) -> None:
        """Begin a run, or go on with one.

        Args:
            question: that the rows answer.
            key: fields that tell a row from all others.
            settings: what the rows have in common, as JSON takes it.
            options: of the benchmark's `benchmarks.kit.command.Parser`.
        """
        self._path, self._key = options.json, tuple(key)
        self._begun = time.monotonic()
        self.is_quick = options.quick
        self._head = {
            "question": question,
            "command": command(),
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "commit": commit(),
            "machine": fingerprint(),
            "settings": json.loads(json.dumps(settings)),
            "options": shown(options),
        }
        self.rows: list[dict[str, Any]] = []
        kept = self._kept()
        if getattr(options, "plot", False) and kept is None and self.picture().exists():
            raise SystemExit(
                f"`{self.picture()}` is not ours: give --json another name"
            )
        if options.resume and kept is not None:
            self._go_on(kept)

    def has(self, **key: Any) -> bool:
        """Say whether a row with that key, or with that part of it, is kept."""
        return any(
            all(row.get(name) == value for name, value in key.items())
            for row in self.rows
        )

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        """Keep rows, each instead of the one with its key, and write the file."""
        for row in rows:
            named = {name: row.get(name) for name in self._key}
            self.rows = [old for old in self.rows if not _is(old, named)]
            self.rows.append(row)
        self._write()

    def show(
        self,
        title: str,
        columns: Sequence[Column],
        rows: Iterable[dict[str, Any]] | None = None,
        note: str = "",
    ) -> None:
        """Print rows, by default all, under a title that says how they were measured.

        Args:
            title: of the table.
            columns: of the table.
            rows: that are shown.
            note: below the table.
        """
        if self.is_quick:
            title = f"{title} ({QUICK})"
        measured = self._head["options"] | self._head["settings"]
        told = ", ".join(f"{name} {_said(value)}" for name, value in measured.items())
        tables.show(title, columns, self.rows if rows is None else rows, told, note)

    def picture(self, part: str = "") -> Path:
        """Return where a picture goes: among the committed ones, or beside the file.

        Args:
            part: added to the file's name, where there are several.
        """
        assert self._path is not None, "a picture needs a file"
        folder = self._path.parent
        if folder.resolve() == FOLDER.resolve():
            folder = folder.with_name(PICTURES.name)
        return folder / f"{self._path.stem}{part}.png"

    def _kept(self) -> dict[str, Any] | None:
        """Return what the file has, none if there is no file yet."""
        if self._path is None:
            return None
        if not self._path.parent.is_dir():
            raise SystemExit(
                f"`{self._path}`: there is no folder `{self._path.parent}`"
                " (benchmarks are run from the project's root)"
            )
        if not self._path.exists():
            return None
        try:
            kept = json.loads(self._path.read_bytes())
            is_ours = kept["question"] == self._head["question"]
            is_whole = {"settings", "machine", "rows"} <= kept.keys()
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            is_ours = is_whole = False
        if not (is_ours and is_whole):
            raise SystemExit(
                f"`{self._path}` has no figures of this benchmark, or is cut short,"
                " and is left as it is: give --json another name"
            )
        return dict(kept)

    def _go_on(self, kept: dict[str, Any]) -> None:
        """Take the rows of the file, if it was measured in the same way."""
        if kept["settings"] != self._head["settings"]:
            raise SystemExit(
                f"settings differ from those in `{self._path}`: give --json another"
            )
        self.rows = kept["rows"]
        # A run may go on on another machine, and at another commit.
        before = {name: kept[name] for name in _EARLIER if name in kept}
        self._head["earlier"] = [*kept.get("earlier", []), before]

    def _write(self) -> None:
        """Replace the file as a whole: it is never half written."""
        if self._path is None:
            return
        took = {
            "seconds": round(time.monotonic() - self._begun, 1),
            "peak_mib": _peak_mib(),
        }
        beside = self._path.with_name(self._path.name + ".new")
        text = json.dumps(self._head | took | {"rows": self.rows}, indent=1)
        beside.write_text(text + "\n", "utf-8")
        beside.replace(self._path)


def command() -> str:
    """Return the command as it was typed, less what names a place or has a password.

    Absolute paths are cut to their last part, and of a URL there is nothing.
    """
    python, *arguments = sys.orig_argv
    return " ".join([Path(python).name, *map(_public, arguments)])


def _public(argument: str) -> str:
    """Return an argument as others may read it."""
    if "://" in argument:
        return "URL"
    return Path(argument).name if argument.startswith("/") else argument


def _is(row: dict[str, Any], key: dict[str, Any]) -> bool:
    """Say whether a row has a key."""
    return all(row.get(name) == value for name, value in key.items())


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Return the median of each figure of some rounds, and the rounds themselves."""
    fields = rounds[0].keys()
    middle = {name: statistics.median(each[name] for each in rounds) for name in fields}
    return middle | {"rounds": list(rounds)}


def shown(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options that make the figures, as JSON takes them."""
    made = {name: v for name, v in vars(options).items() if name not in _APART}
    return dict(json.loads(json.dumps(made, default=lambda path: path.name)))


def _said(value: Any) -> str:
    """Return a setting as it stands above a table."""
    if isinstance(value, list):
        return " ".join(map(_said, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name} {_said(each)}" for name, each in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def _peak_mib() -> int:
    """Return the most memory held by this process, or by one of it that has ended."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(each).ru_maxrss for each in whose) // 1024
