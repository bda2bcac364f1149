"""Who is calling: set by the server's identity step, read by the edges.

A call's caller lives in a context variable, so that no handler can be given
another one and none has to pass it through signatures fixed by gRPC.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from biometrics.errors import RefusedError

if TYPE_CHECKING:
    from biometrics.members import Member


class Role(StrEnum):
    """What a certificate is for; the fourth part of its SPIFFE URI's path."""

    CLIENT = "client"
    ENROLLER = "enroller"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"
    WITNESS = "witness"
    OFFICER = "officer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A member's system, as its certificate names it."""

    member: Member
    role: Role
    name: str


CALLER: ContextVar[Caller] = ContextVar("caller")
# The event loop's time at which the call's deadline is over.
ENDS: ContextVar[float] = ContextVar("ends")


def acting_as(claimed: str) -> Member:
    """Return the member that the caller acts as: always the one it is.

    Args:
        claimed: the member code in the request, or empty.

    Raises:
        RefusedError: the request names another member.
    """
    member = CALLER.get().member
    if claimed and claimed != member.code:
        raise RefusedError(
            "NOT_YOURSELF",
            f"the request names `{claimed[:16]}` but the certificate is for"
            f" `{member}`; a member acts only as itself",
        )
    return member
