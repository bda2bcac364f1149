"""The one family of errors, and nothing else.

    ExchangeError                       kind, reason, message, faults, retry_after
    |-- InvalidRequestError             INVALID_ARGUMENT      hostile or mistaken input
    |-- UnauthenticatedError            UNAUTHENTICATED       who are you?
    |-- RefusedError                    PERMISSION_DENIED     you may not
    |-- NotFoundError                   NOT_FOUND
    |-- ConflictError                   ALREADY_EXISTS
    |-- PreconditionError               FAILED_PRECONDITION   not in this state
    |-- ExhaustedError                  RESOURCE_EXHAUSTED    over a bound or quota
    |-- DeadlineError                   DEADLINE_EXCEEDED
    |-- UnavailableError                UNAVAILABLE           try again later
    |   |-- StorageError                the database cannot be read or written
    |   `-- GalleryLockedError          a member's keys are not at hand
    |-- DefectError                     INTERNAL              ours to mend
    |   `-- SealError                   a sealed value does not open: damaged or moved
    `-- ConfigurationError              a file of the operator's; never crosses the wire

`biometrics.server.status` translates the family to `google.rpc.Status`, and
`biometrics.client` back. A message says what is wrong, where, and what to do; it
is lower case, has no full stop, puts values in backticks and carries no personal
data: never a template, a score or a holder's reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


# Of a write whose connection was lost while it was made durable.
OUTCOME_UNKNOWN: Final = "OUTCOME_UNKNOWN"


class Kind(Enum):
    """What sort of failure it is; values are the canonical gRPC codes."""

    INVALID = 3
    DEADLINE = 4
    NOT_FOUND = 5
    CONFLICT = 6
    REFUSED = 7
    EXHAUSTED = 8
    PRECONDITION = 9
    DEFECT = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16
    CONFIGURATION = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a request, a record or a file.

    Attributes:
        field: path of the field, such as `record.templates[0].data`.
        reason: upper snake case, stable, for programs.
        message: for people.
    """

    field: str
    reason: str
    message: str

    def under(self, prefix: str) -> Fault:
        """Return the same fault, seen from one level further out."""
        field = ".".join(part for part in (prefix, self.field) if part)
        return Fault(field=field, reason=self.reason, message=self.message)


class ExchangeError(Exception):
    """Base of every error that this package raises on purpose.

    Attributes:
        kind: the sort of failure.
        reason: upper snake case, stable, for programs.
        message: for people.
        faults: every fault of a refused input at once.
        retry_after: seconds after which a retry makes sense, or None.
    """

    kind: ClassVar[Kind] = Kind.DEFECT

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        faults: Sequence[Fault] = (),
        retry_after: float | None = None,
    ) -> None:
        """Keep what the caller is told."""
        super().__init__(reason, message)  # all that another process makes it from
        self.reason = reason
        self.message = message
        self.faults = tuple(faults)
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return what people are told."""
        return self.message


class InvalidRequestError(ExchangeError):
    """The input is not one that can be acted on."""

    kind = Kind.INVALID

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> InvalidRequestError:
        """Return one error for all faults; the first gives the reason."""
        told = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        return cls(faults[0].reason, told, faults=faults)


class UnauthenticatedError(ExchangeError):
    """The caller did not show who it is."""

    kind = Kind.UNAUTHENTICATED


class RefusedError(ExchangeError):
    """The caller may not do this."""

    kind = Kind.REFUSED


class NotFoundError(ExchangeError):
    """There is no such thing of the caller's own."""

    kind = Kind.NOT_FOUND


class ConflictError(ExchangeError):
    """It exists already, with other content."""

    kind = Kind.CONFLICT


class PreconditionError(ExchangeError):
    """The exchange is not in a state in which this can be done."""

    kind = Kind.PRECONDITION


class ExhaustedError(ExchangeError):
    """A bound or a quota is used up."""

    kind = Kind.EXHAUSTED


class DeadlineError(ExchangeError):
    """The caller's deadline does not leave the time."""

    kind = Kind.DEADLINE


class UnavailableError(ExchangeError):
    """It cannot be done now; the same call may go through later."""

    kind = Kind.UNAVAILABLE


class StorageError(UnavailableError):
    """The database cannot be read or written now."""


class GalleryLockedError(UnavailableError):
    """The keys of a member's galleries are not at hand."""


class DefectError(ExchangeError):
    """A defect or damage on our side."""

    kind = Kind.DEFECT


class SealError(DefectError):
    """A sealed value does not open: damaged, moved, or under another key."""


class ConfigurationError(ExchangeError):
    """A file or setting of the operator's is wrong; never crosses the wire."""

    kind = Kind.CONFIGURATION
