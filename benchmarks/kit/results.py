"""Figures kept in a file as soon as they are measured, so that a run can go on later.

The file is JSON: the question, the command as it was typed, the date, the machine, the
settings, and the rows. Every row has a key, the values of some of its fields; a run
with `--resume` measures only keys that the file lacks.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.kit.machine import fingerprint

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

__all__ = ["FOLDER", "Results", "add_arguments", "command"]

FOLDER: Final = Path("benchmarks/results")


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """Add `--json` and `--resume`.

    Args:
        parser: of a benchmark.
        name: of the benchmark, for the file that `--json` alone writes.
    """
    default = FOLDER / f"{name}.json"
    parser.add_argument(
        "--json",
        type=Path,
        nargs="?",
        const=default,
        metavar="FILE",
        help=f"keep the figures in a file, without a name in {default}",
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip what the file has already"
    )


class Results:
    """The rows of one benchmark, and the file they are kept in if there is one."""

    def __init__(
        self,
        question: str,
        *,
        key: Sequence[str],
        settings: dict[str, Any],
        path: Path | None = None,
        resume: bool = False,
    ) -> None:
        """Begin a run, or go on with one.

        Args:
            question: that the rows answer.
            key: fields that tell a row from all others.
            settings: what the rows have in common, as JSON takes it.
            path: of the file; none keeps the rows in memory only.
            resume: whether to keep the rows that the file has.
        """
        self._path, self._key = path, tuple(key)
        self._head = {
            "question": question,
            "command": command(),
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "machine": fingerprint(),
            "settings": json.loads(json.dumps(settings)),
        }
        self.rows: list[dict[str, Any]] = []
        if resume:
            self._go_on()

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

    def _go_on(self) -> None:
        """Take the rows of the file, if it was measured in the same way."""
        if self._path is None:
            raise SystemExit("--resume needs --json FILE")
        if not self._path.exists():
            return
        kept = json.loads(self._path.read_text("utf-8"))
        if kept["settings"] != self._head["settings"]:
            raise SystemExit("settings differ from those in the file: give another")
        self.rows = kept["rows"]
        earlier = [*kept.get("earlier", []), {"machine": kept["machine"]}]
        self._head["earlier"] = earlier  # a run may go on on another machine

    def _write(self) -> None:
        """Replace the file as a whole: it is never half written."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_name(self._path.name + ".new")
        text = json.dumps(self._head | {"rows": self.rows}, indent=1)
        beside.write_text(text + "\n", "utf-8")
        beside.replace(self._path)


def command() -> str:
    """Return the command as it was typed, absolute paths cut to their last part."""
    python, *arguments = sys.orig_argv
    shown = (Path(each).name if each.startswith("/") else each for each in arguments)
    return " ".join([Path(python).name, *shown])


def _is(row: dict[str, Any], key: dict[str, Any]) -> bool:
    """Say whether a row has a key."""
    return all(row.get(name) == value for name, value in key.items())
