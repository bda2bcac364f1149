"""What a search consists of, for whoever measures where its time goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum


class Stage(StrEnum):
    """A part of a search; between them it waits for the end of a slot."""

    COMPARE = "compare"  # waits for the scanner, scans, confirms, reads what is left
    STORE = "store"  # answer and leaf become durable, with those of others


# Enter it for as long as the stage lasts.
Timed = Callable[[Stage], AbstractContextManager[None]]
