"""Progress bars, on the operator's terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from rich.progress import TaskID

    from biometrics.cli.load import Load
    from biometrics.clock import Clock


class LoadProgress:
    """A bar with share, count, rate, time left and refusals; a context manager.

    How many records there are is not known before they are read, how many bytes is.
    It goes to stderr, and nowhere if that is no terminal.
    """

    def __init__(
        self, doing: str, total_bytes: int, clock: Clock, noun: str = "records"
    ) -> None:
        """Prepare a bar for files of `total_bytes`, which hold what `noun` says."""
        self._clock = clock
        self._begun = clock.monotonic()
        self._bar = Progress(
            TextColumn(doing),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[records]:,} " + noun),
            TextColumn("{task.fields[rate]:,.1f}/s"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[refused]:,} refused"),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task(
            doing, total=total_bytes, records=0, rate=0.0, refused=0
        )

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    def show(self, load: Load) -> None:
        """Show how far a load is."""
        seconds = self._clock.monotonic() - self._begun
        self._bar.update(
            self._task,
            completed=load.bytes_read,
            records=load.settled,
            rate=load.settled / seconds if seconds else 0.0,
            refused=load.refused,
        )


class ShareProgress:
    """A bar with what is done, how far it is, and the time left; a context manager.

    It goes to stderr, and nowhere if that is no terminal.
    """

    def __init__(self) -> None:
        """Prepare a bar."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()

    def show(self, doing: str, share: float) -> None:
        """Show what is done, and how much of it is."""
        self._bar.update(self._task, description=doing, completed=share)


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
