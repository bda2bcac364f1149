"""What holders let requesters learn, as one table of all of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from biometrics.client.results.region import RegionInfo, UseInfo

# What tells more stands first; a cell shows the most that is told.
_LEVELS: Final = ("reference", "holder", "presence")


@dataclass(frozen=True, slots=True)
class Cell:
    """What one holder tells one requester: the most, and for how many purposes."""

    level: str = ""
    purposes: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One holder."""

    holder: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Holders down, requesters across."""

    requesters: tuple[str, ...]
    rows: tuple[Row, ...]


def matrix_of(region: RegionInfo) -> Matrix:
    """Return the table; every member is in it, whether or not it agreed to anything."""
    codes = tuple(each.member for each in region.members)
    cells = {(p.holder, p.requester): _cell(p.uses) for p in region.permissions}
    return Matrix(
        requesters=codes,
        rows=tuple(
            Row(holder, tuple(cells.get((holder, each), Cell()) for each in codes))
            for holder in codes
        ),
    )


def _cell(uses: tuple[UseInfo, ...]) -> Cell:
    """Return the most that is told."""
    told = {each.level for each in uses}
    level = next((each for each in _LEVELS if each in told), "")
    return Cell(level, len({each.purpose for each in uses}))
