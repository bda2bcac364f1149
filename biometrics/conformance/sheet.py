"""What a run found, check by check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable


class State(StrEnum):
    """What came of a check."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_MADE = "not made"  # something that it needs is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check.

    Attributes:
        about: the part of the system.
        check: what has to be so.
        state: whether it is.
        told: what was found, or what there is to do.
    """

    about: str
    check: str
    state: State
    told: str


class NotSoError(Exception):
    """Something is not as it has to be; the text says what, and what to do."""


class Sheet:
    """Collects results; what fails stops nothing else."""

    def __init__(self) -> None:
        """Begin with none."""
        self.results: list[Result] = []

    def check(self, about: str, check: str, make: Callable[[], str]) -> bool:
        """Make a check, and say whether it passed.

        Args:
            about: the part of the system.
            check: what has to be so.
            make: returns what was found; raises NotSoError, or an ExchangeError.
        """
        try:
            told, state = make(), State.PASSED
        except NotSoError as error:
            told, state = str(error), State.FAILED
        except ExchangeError as error:
            told, state = f"{error.reason}: {error.message}", State.FAILED
        except Exception as error:  # noqa: BLE001 - the run goes on, whatever it is
            told, state = f"ended in `{type(error).__name__}`: {error}", State.FAILED
        self.results.append(Result(about=about, check=check, state=state, told=told))
        return state is State.PASSED

    def attempt(self, about: str, make: Callable[[], object]) -> None:
        """Do what makes checks of its own; one that cannot be begun has failed."""
        try:
            make()
        except ExchangeError as error:
            told = f"{error.reason}: {error.message}"
            state = State.FAILED
            self.results.append(
                Result(about=about, check="can be tried", state=state, told=told)
            )

    def leave_out(self, about: str, check: str, told: str) -> None:
        """Note a check that cannot be made."""
        state = State.NOT_MADE
        self.results.append(Result(about=about, check=check, state=state, told=told))


def refused(ask: Callable[[], object], *reasons: str) -> str:
    """Return the reason with which something is refused, which has to be one of some.

    Raises:
        NotSoError: it is answered, or refused for another reason.
    """
    wanted = " or ".join(reasons)
    try:
        ask()
    except ExchangeError as error:
        if error.reason in reasons:
            return error.reason
        raise NotSoError(
            f"has to be refused as {wanted}, and is as {error.reason}: {error.message}"
        ) from error
    raise NotSoError(f"has to be refused as {wanted}, and is answered")
