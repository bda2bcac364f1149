"""The demo's progress bars: one for each step, on the terminal's stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from rich.progress import TaskID


class StepProgress:
    """A bar for each step; a context manager."""

    def __init__(self) -> None:
        """Prepare; nothing is shown where stderr is no terminal."""
        self._bars = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
        )
        self._steps: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Show the bars."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        self._bars.stop()

    def show(self, step: str, done: int, of: int) -> None:
        """Show how far a step is."""
        if step not in self._steps:
            self._steps[step] = self._bars.add_task(step, total=of)
        self._bars.update(self._steps[step], completed=done, total=of)
