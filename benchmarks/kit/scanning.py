"""The exchange's own scanner, asked for candidates alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from biometrics.templates import Kind
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from matcher.engine import Engine

__all__ = ["Probe", "Shelf", "scanner_of"]


class Shelf(str):
    """The name of a gallery that is a holder's only one."""

    __slots__ = ()

    @property
    def holder(self) -> str:
        """Whose it is."""
        return self


class _Space(NamedTuple):
    """What the scanner asks of a template space."""

    kind: Kind = Kind.VECTOR


class Probe(NamedTuple):
    """What the scanner asks of a template."""

    values: NDArray[Any]
    space: _Space = _Space()


class _Nothing:
    """Confirms nothing: what was found is the answer."""

    def rows(self, _: object) -> None:
        """Read nothing."""

    def confirm(
        self,
        _: object,
        _thresholds: object,
        found: dict[Any, list[int]],
        _rows: None,
    ) -> dict[Any, list[int]]:
        """Return what was found."""
        return found


def scanner_of(engine: Engine[str], threads: int) -> Scanner:
    """Return a scanner whose answers are its candidates."""
    return Scanner(engine=engine, confirmation=_Nothing(), threads=threads)
