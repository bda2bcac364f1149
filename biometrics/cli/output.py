"""What commands print: answers to stdout, everything else to stderr.

Nothing that came over the wire or out of a file is taken for markup, and its
control characters do not reach the terminal.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sys
import textwrap
from typing import TYPE_CHECKING, Final

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from biometrics.errors import ExchangeError, Fault

# Of what is not for a terminal, where COLUMNS does not say otherwise.
_FILE_WIDTH: Final = 240


def clean(text: str) -> str:
    """Return a text without control characters, which could drive a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def print_json(document: object) -> None:
    """Print the one JSON document of a command; moments and days as ISO 8601."""
    typer.echo(json.dumps(document, indent=2, default=plain))


def plain(value: object) -> str:
    """Return a day or a moment, which JSON has no form for, as ISO 8601."""
    if isinstance(value, dt.date):  # and so a moment
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def print_line(text: str) -> None:
    """Print one line of an answer."""
    typer.echo(clean(text))


def print_note(text: str) -> None:
    """Print one line that is not the answer."""
    typer.echo(clean(text), err=True)


def print_prose(text: str) -> None:
    """Print an answer for people to read: a terminal's lines end between words."""
    if not sys.stdout.isatty():
        print_line(text)
        return
    typer.echo(
        textwrap.fill(
            clean(text), _width(), break_long_words=False, break_on_hyphens=False
        )
    )


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    texts: Collection[str] = (),
) -> None:
    """Print a table for people; nothing in it is ever cut.

    Args:
        columns: their names.
        rows: a value for each column. Numbers stand to the right, a list's texts on
            lines of their own, a tuple's in one line.
        texts: columns that give way first where a terminal is narrow. The others
            hold what a user may have to type, and are folded last.
    """
    table = Table(box=SIMPLE, pad_edge=False, show_edge=False)
    cells = [tuple(row) for row in rows]
    if not cells:
        print_line("none")
        return
    for number, name in enumerate(columns):
        table.add_column(
            Text(name, no_wrap=False, overflow="fold"),
            justify="right" if _is_numeric(row[number] for row in cells) else "left",
            no_wrap=name not in texts,
        )
    for row in cells:
        # The column may not shrink; the text in it may still be folded.
        table.add_row(
            *(Text(_cell(value), no_wrap=False, overflow="fold") for value in row)
        )
    Console(file=sys.stdout, width=_width()).print(table)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 row` or `2,000 rows`."""
    ending = "es" if noun.endswith("ch") else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{ending}"


def print_error(error: ExchangeError, *, as_json: bool = False) -> None:
    """Print an error to stderr.

    Args:
        error: what ended the command.
        as_json: one JSON document on one line, for programs; else one line, and one
            more for each of several faults.
    """
    if as_json:
        typer.echo(json.dumps({"error": _error_document(error)}), err=True)
        return
    if len(error.faults) <= 1:
        print_note(f"error: {error.message}")
        return
    print_note(f"error: {_headline(error)}")
    for fault in error.faults:
        print_note(f"  {fault.field}: {fault.message}")


def drop_output() -> None:
    """Turn output away from where it cannot be written.

    Python flushes what is left when it exits, and makes a failure of that the code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):  # a stand-in has no descriptor
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def fault_documents(faults: Iterable[Fault]) -> list[dict[str, str]]:
    """Return faults for JSON."""
    return [
        {"field": fault.field, "reason": fault.reason, "message": fault.message}
        for fault in faults
    ]


def _error_document(error: ExchangeError) -> dict[str, object]:
    """Return an error for JSON."""
    return {
        "reason": error.reason,
        "message": error.message,
        "faults": fault_documents(error.faults),
    }


def _headline(error: ExchangeError) -> str:
    """Return what an error says before it lists its faults."""
    count = f"{len(error.faults)} things are wrong:"
    first = error.faults[0]
    if first.message not in error.message:
        return f"{error.message}; {count}"
    before = error.message.partition(first.message)[0]
    before = before.rstrip("`: ").removesuffix(first.field).rstrip("`: ")
    return f"{before}`: {count}" if before.startswith("`") else count


def _width() -> int:
    """Return the columns of the terminal, of COLUMNS, or else of a file."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return Console(file=sys.stdout).width
    return _FILE_WIDTH


def _is_numeric(values: Iterable[object]) -> bool:
    """Say whether a column has numbers and nothing else."""
    found = list(values)
    return bool(found) and all(isinstance(value, int) for value in found)


def _cell(value: object) -> str:
    """Return a value as it stands in a table."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return "\n".join(clean(str(line)) for line in value if line)
    if isinstance(value, tuple):
        return clean(", ".join(value)) or "-"
    return clean(str(value)) or "-"
