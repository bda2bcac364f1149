"""What the operator is told of files that are looked at time and again."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What came into force or did not, and whether that is a warning."""

    text: str
    is_warning: bool


def tell(told: Iterable[Told]) -> None:
    """Log what the operator is told."""
    for each in told:
        log.log(logging.WARNING if each.is_warning else logging.INFO, "%s", each.text)
