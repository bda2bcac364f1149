"""What commands print: answers to stdout, everything else to stderr.

Nothing that came over the wire or out of a file is taken for markup, and its
control characters do not reach the terminal.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from biometrics.errors import ExchangeError

_FILE_WIDTH: Final = 240  # of a table that is not for a terminal


def clean(text: str) -> str:
    """Return a text without control characters, which could drive a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_json(document: object) -> None:
    """Print the one JSON document of a command; moments and days as ISO 8601."""
    typer.echo(json.dumps(document, indent=2, default=_plain))


def print_line(text: str) -> None:
    """Print one line of an answer."""
    typer.echo(clean(text))


def print_note(text: str) -> None:
    """Print one line that is not the answer."""
    typer.echo(clean(text), err=True)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table for people."""
    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    terminal = sys.stdout.isatty()
    Console(file=sys.stdout, width=None if terminal else _FILE_WIDTH).print(table)


def print_error(error: ExchangeError) -> None:
    """Print an error to stderr: one line, and one more for each of several faults."""
    if len(error.faults) <= 1:
        print_note(f"error: {error.message}")
        return
    print_note(f"error: {_headline(error)}")
    for fault in error.faults:
        print_note(f"  {fault.field}: {fault.message}")


def _headline(error: ExchangeError) -> str:
    """Return what an error says before it lists its faults."""
    count = f"{len(error.faults)} things are wrong:"
    first = error.faults[0]
    if first.message not in error.message:
        return f"{error.message}; {count}"
    before = error.message.partition(first.message)[0]
    before = before.rstrip("`: ").removesuffix(first.field).rstrip("`: ")
    return f"{before}`: {count}" if before.startswith("`") else count


def _plain(value: object) -> str:
    """Return what JSON has no form for as a text."""
    if isinstance(value, dt.date):  # and so a moment
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _cell(value: object) -> str:
    """Return a value as it stands in a table."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return clean(", ".join(value)) or "-"
    return clean(str(value)) or "-"
