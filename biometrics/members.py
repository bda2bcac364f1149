"""The members of the exchange and their codes.

Codes are ISO 3166-1 alpha-3, or `UNHCR`, `IOM`, `UNODC`. The user-assigned codes
XAA to XZZ portray nobody: demos, samples and tests use them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from biometrics.errors import InvalidRequestError, RefusedError

# The Bali Process on People Smuggling, Trafficking in Persons and Related
# Transnational Crime: 45 states and territories and three UN bodies.
STATES: Final = frozenset(
    """
    AFG BGD BTN BRN KHM CHN PRK HKG IND IDN IRN IRQ JPN JOR LAO MAC MYS MDV MNG MMR
    NPL PAK PHL KOR SGP LKA SYR THA TLS TUR ARE VNM AUS FJI KIR NRU NCL NZL PLW PNG
    WSM SLB TON VUT USA
    """.split()  # noqa: SIM905 - 45 quoted codes would be harder to check
)
BODIES: Final = frozenset({"UNHCR", "IOM", "UNODC"})
_USER_ASSIGNED = re.compile(r"X[A-Z]{2}")


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """A state or body in the exchange, by its code.

    Raises:
        InvalidRequestError: the code is not one of the region's, nor XAA to XZZ.
    """

    code: str

    def __post_init__(self) -> None:
        """Accept only codes that exist."""
        if self.code in STATES or self.code in BODIES:
            return
        if not _USER_ASSIGNED.fullmatch(self.code):
            raise InvalidRequestError(
                "UNKNOWN_MEMBER",
                f"`{self.code[:16]}` is no member code of the exchange; use ISO 3166-1"
                " alpha-3, UNHCR, IOM or UNODC",
            )

    def __hash__(self) -> int:
        """Return that of the code, which remembers it; members are looked up often."""
        return hash(self.code)

    def __str__(self) -> str:
        """Return the code."""
        return self.code


class Membership(StrEnum):
    """How it is about a member. Values are in settings and rows: never change one."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # asks nobody and is asked by nobody, until it is resumed
    LEFT = "left"  # for good


def suspended(member: Member) -> RefusedError:
    """Return the error of what a suspended member's systems may not do."""
    return RefusedError(
        "MEMBER_SUSPENDED",
        f"`{member}` is suspended: it searches nobody, enrols nothing and is searched"
        " by nobody until the operator of the exchange resumes it; its administrators"
        " and auditors are served",
    )
