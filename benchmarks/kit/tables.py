"""Figures printed, in one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Column", "progress", "show"]

_WIDTH: Final = 240  # of a file; tables take what they need of it


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the field of a row, what stands above it, and how it is written.

    Attributes:
        field: of a row; a row without it has an empty cell.
        heading: with the unit; lines of it are not broken further.
        shape: a format of numbers, such as `,.2f`; empty for text, which stands left.
    """

    field: str
    heading: str
    shape: str = ""


def progress(text: str) -> None:
    """Tell what is being done, apart from the figures."""
    Console(stderr=True).print(text, style="dim", markup=False)


def show(
    title: str,
    columns: Sequence[Column],
    rows: Iterable[dict[str, Any]],
    measured: str,
    note: str = "",
) -> None:
    """Print a table, above it how it was measured, and a note below it.

    Where the output is no terminal, nothing is cut, so that a file can be read.
    """
    table = Table(caption=note or None)
    table.caption_justify = "left"
    for column in columns:
        justify = "right" if column.shape else "left"
        table.add_column(column.heading, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(each.field), each.shape) for each in columns))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    console.print(title, style="italic", markup=False, highlight=False)
    console.print(measured, style="dim", markup=False, highlight=False)
    console.print(table)


def _cell(value: Any, shape: str) -> str:
    """Return what stands in a cell."""
    if value is None:
        return ""
    return format(value, shape) if shape and not isinstance(value, str) else str(value)
