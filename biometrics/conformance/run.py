"""The run, from a member's own files to its receipts: what a new member has to pass.

It asks as the member, with its certificates, and changes nothing that lasts; see
`enrolling` for the records that it makes and withdraws.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from biometrics.callers import Role
from biometrics.client import ExchangeClient, Profile
from biometrics.conformance.auditing import check_handed, check_log, check_receipt
from biometrics.conformance.connection import check_role, check_stranger, check_tls
from biometrics.conformance.enrolling import Enrolling, clock_told
from biometrics.conformance.searching import Searching
from biometrics.conformance.sheet import Sheet
from biometrics.conformance.system import (
    check_files,
    check_key_file,
    check_life,
    check_name,
    check_own_keys,
)
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from biometrics.client import MatchAnswer
    from biometrics.clock import Clock
    from biometrics.conformance.sheet import Result
    from biometrics.members import Member

# Those that a member takes part by; a witness is somebody's who has nothing else.
ROLES = (Role.CLIENT, Role.ENROLLER, Role.ADMINISTRATOR, Role.AUDITOR)
_OWN = "own system"
_PROOF = "proof"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a run is of.

    Attributes:
        member: whose systems.
        profiles: folder of `CODE-ROLE.toml`, a profile for each role.
        without: roles in which the member has no system.
        space: name of the template space to try; None for any.
        key: that the log and receipts are signed by, as the operator told it; empty to
            ask the exchange, which then proves less.
    """

    member: Member
    profiles: Path
    without: frozenset[Role] = field(default_factory=frozenset)
    space: str | None = None
    key: str = ""


def run(
    asked: Asked, *, clock: Clock, random_bytes: Callable[[int], bytes]
) -> list[Result]:
    """Make every check that can be made, and return what was found."""
    made = _Run(asked, clock, random_bytes)
    # 1. The member's own files.
    profiles = made.read_profiles()
    # 2. The connection, and what each role may do.
    reached = {
        role: profile
        for role, profile in profiles.items()
        if made.is_reached(role, profile)
    }
    # 3. What it does with it. 4. What proves that.
    with ExitStack() as clients:
        made.use(
            reached,
            {
                role: clients.enter_context(ExchangeClient(profile))
                for role, profile in reached.items()
            },
        )
    return made.sheet.results


class _Run:
    """A run under way."""

    def __init__(
        self, asked: Asked, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        """Begin with an empty sheet."""
        self.sheet = Sheet()
        self._asked = asked
        self._clock = clock
        self._random_bytes = random_bytes

    def read_profiles(self) -> dict[Role, Profile]:
        """Check the files of each role; return the profiles that can be used."""
        found = {}
        for role in ROLES:
            if role in self._asked.without:
                continue
            profile = self._profile(role)
            if profile is not None and self._has_good_files(role, profile):
                found[role] = profile
        if found:
            check = "each system has a key of its own"
            self.sheet.check(_OWN, check, partial(check_own_keys, found.values()))
        return found

    def _profile(self, role: Role) -> Profile | None:
        """Return the profile of a role, if it can be read."""
        path = self._asked.profiles / f"{self._asked.member}-{role}.toml"
        check = "its profile is there and can be read"
        if not path.is_file():
            told = (
                f"there is no `{path}`; write it, or say `--without {role}` where the"
                " member has no such system"
            )
            self.sheet.leave_out(role, check, told)
            return None
        try:
            return Profile.load(path)
        except ConfigurationError as error:
            self.sheet.leave_out(role, check, error.message)
            return None

    def _has_good_files(self, role: Role, profile: Profile) -> bool:
        """Check what a profile names; say whether it can be connected with."""
        check = "its certificate and key belong together"
        if not self.sheet.check(role, check, partial(check_files, profile)):
            return False
        member, now = self._asked.member, self._clock.now()
        for check, make in (
            ("its key file is its owner's alone", partial(check_key_file, profile)),
            (
                "its certificate names the member and this role",
                partial(check_name, profile, member, role),
            ),
            (
                "its certificate is good for a fitting time",
                partial(check_life, profile, now),
            ),
        ):
            self.sheet.check(role, check, make)
        return True

    def is_reached(self, role: Role, profile: Profile) -> bool:
        """Check how the exchange is reached in a role; say whether it is."""
        check = self.sheet.check
        if not check(role, "TLS 1.3 with the exchange", partial(check_tls, profile)):
            return False
        if role is Role.CLIENT:
            alone = "nobody is answered without a certificate"
            check(role, alone, partial(check_stranger, profile))
        rows = "it may call what its role may, and nothing else"
        return check(role, rows, partial(check_role, profile, role))

    def use(
        self,
        profiles: Mapping[Role, Profile],
        clients: Mapping[Role, ExchangeClient],
    ) -> None:
        """Check what each role is for."""
        sheet, auditor = self.sheet, clients.get(Role.AUDITOR)
        counting = auditor or clients.get(Role.ENROLLER)
        if counting is not None:
            right = partial(clock_told, counting, self._clock)
            sheet.check(_OWN, "its clock is right", right)
        if (administrator := clients.get(Role.ADMINISTRATOR)) is not None:
            seen = "its administrator sees how its galleries are"
            sheet.check("custody", seen, lambda: administrator.custody().state)
        if (enroller := clients.get(Role.ENROLLER)) is not None:
            enrolling = Enrolling(
                enroller, clock=self._clock, random_bytes=self._random_bytes
            )
            made = partial(enrolling.check, sheet, self._asked.space)
            sheet.attempt("enrolments", made)
        if auditor is not None:
            handed = "the log is handed to its auditor"
            sheet.check(_PROOF, handed, partial(check_handed, auditor))
        if (client := clients.get(Role.CLIENT)) is not None:
            searching = Searching(
                client,
                profiles[Role.CLIENT],
                member=self._asked.member,
                random_bytes=self._random_bytes,
            )
            today = self._clock.now().date()
            made = partial(searching.check, sheet, self._asked.space, today)
            sheet.attempt("searches", made)
            self._prove(searching.answer, auditor)

    def _prove(
        self, answer: MatchAnswer | None, auditor: ExchangeClient | None
    ) -> None:
        """Check what proves an answer."""
        sheet, key = self.sheet, self._asked.key
        if auditor is not None and not key:
            key = auditor.checkpoint().verifier_key
        check = "a receipt is checked offline"
        if answer is None or not key:
            told = "needs an answered search, and `--key` or an auditor's profile"
            sheet.leave_out(_PROOF, check, told)
            return
        sheet.check(_PROOF, check, partial(check_receipt, answer, key))
        if auditor is not None:
            there = "the log has what the receipt says"
            sheet.check(_PROOF, there, partial(check_log, answer, key, auditor))
