"""What the exit codes of every command mean."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from biometrics.errors import Kind

if TYPE_CHECKING:
    from biometrics.errors import ExchangeError


class Exit(IntEnum):
    """How a command ended."""

    # Done. A search that was answered is done, whatever the answer.
    OK = 0
    # Not, or not fully, done: records were refused, a load was stopped, the thing
    # asked for is not there, the output cannot be written, or there is a defect.
    UNFINISHED = 1
    # Wrong usage, wrong input, or a wrong file of the operator's.
    USAGE = 2
    # The exchange does not know the caller, or refuses it.
    REFUSED = 3
    # The exchange cannot be reached or cannot answer now: try again later.
    UNAVAILABLE = 4


_EXITS: Final = {
    Kind.INVALID: Exit.USAGE,
    Kind.CONFIGURATION: Exit.USAGE,
    Kind.REFUSED: Exit.REFUSED,
    Kind.UNAUTHENTICATED: Exit.REFUSED,
    Kind.UNAVAILABLE: Exit.UNAVAILABLE,
    Kind.DEADLINE: Exit.UNAVAILABLE,
    Kind.EXHAUSTED: Exit.UNAVAILABLE,
    Kind.NOT_FOUND: Exit.UNFINISHED,
    Kind.CONFLICT: Exit.UNFINISHED,
    Kind.PRECONDITION: Exit.UNFINISHED,
    Kind.DEFECT: Exit.UNFINISHED,
}


def exit_of(error: ExchangeError) -> Exit:
    """Return the exit code of a command that ended with an error."""
    return _EXITS[error.kind]
