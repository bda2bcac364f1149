"""The progress bar of a bulk load, on the operator's terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Task

    from biometrics.cli.load import Load


class _RateColumn(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last moments."""
        return Text(f"{task.speed or 0:,.0f}/s", style="progress.data.speed")


class LoadProgress:
    """A bar with count, rate, time left and refusals; a context manager.

    It goes to stderr, and nowhere if that is no terminal.
    """

    def __init__(self, total: int) -> None:
        """Prepare a bar for `total` records."""
        self._bar = Progress(
            TextColumn("enrolling"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[refused]} refused"),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task("enrolling", total=total, refused=0)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    def show(self, load: Load) -> None:
        """Show how far a load is."""
        self._bar.update(
            self._task, completed=load.acknowledged, refused=f"{load.refused:,}"
        )
