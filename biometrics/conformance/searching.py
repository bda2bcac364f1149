"""Searches: what a client relies on. The probes are random and of nobody."""

from __future__ import annotations

import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.client import Probe
from biometrics.client.messages import RequestMaker
from biometrics.conformance.connection import Connection
from biometrics.conformance.nobody import draw, wrong
from biometrics.conformance.sheet import NotSoError, refused
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from biometrics.client import (
        AgreementInfo,
        ExchangeClient,
        MatchAnswer,
        Profile,
        SpaceInfo,
    )
    from biometrics.conformance.sheet import Sheet
    from biometrics.members import Member

_MATCH: Final = "/biometrics.v1.MatchService/Match"
_ABOUT: Final = "searches"


class Searching:
    """Searches of one member's client."""

    def __init__(
        self,
        exchange: ExchangeClient,
        profile: Profile,
        *,
        member: Member,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Ask by `exchange`, and by a connection of `profile` of its own."""
        self._exchange = exchange
        self._profile = profile
        self._member = member
        self._random = np.random.default_rng(int.from_bytes(random_bytes(8), "big"))
        self._requests = RequestMaker(random_bytes)
        self.answer: MatchAnswer | None = None

    def check(self, sheet: Sheet, name: str | None, today: dt.date) -> None:
        """Make every check of searches.

        Args:
            sheet: for what is found.
            name: of the template space to search in; by default the first in which an
                agreement permits a search.
            today: the day.
        """
        spaces = [s for s in self._exchange.spaces() if name in (None, s.name)]
        found = self._permitted(spaces, today)
        if found is None:
            told = (
                f"no agreement permits a search by {self._member} today, in"
                f" {name or 'any space'} (`biometrics agreements list`); have a holder"
                " sign one that names you, of galleries that are still empty if need be"
            )
            sheet.leave_out(_ABOUT, "a search is answered", told)
            return
        space, clause = found
        purpose = clause.purposes[0]
        sheet.check(
            _ABOUT,
            "agreements say how many searches are permitted",
            lambda: _quota(clause),
        )
        with Connection(self._profile) as line:
            for check, make in (
                ("a search is answered, with a receipt", self._answered),
                ("answers are of one size, and replays of the same bytes", self._same),
                ("deadlines are kept", self._deadlines),
                ("what is wrong is told by field and reason", self._errors),
            ):
                sheet.check(_ABOUT, check, partial(make, line, space, purpose))

    def _permitted(
        self, spaces: Sequence[SpaceInfo], today: dt.date
    ) -> tuple[SpaceInfo, AgreementInfo] | None:
        """Return a space and a clause by which a search is permitted."""
        for clause in self._exchange.agreements():
            is_own = clause.requester in (self._member.code, "*")
            is_named = clause.level in ("holder", "reference")
            is_valid = (
                (clause.valid_from or today) <= today <= (clause.valid_until or today)
            )
            if not (is_own and is_named and is_valid and clause.effect == "permit"):
                continue
            for space in spaces:
                if space.modality in clause.modalities and self._explained(
                    clause, space
                ):
                    return space, clause
        return None

    def _explained(self, clause: AgreementInfo, space: SpaceInfo) -> bool:
        """Say whether nothing else forbids what a clause permits."""
        if clause.holder == self._member.code:
            return False
        return self._exchange.explain(
            holder=clause.holder,
            requester=self._member.code,
            purpose=clause.purposes[0],
            modality=space.modality,
        ).permitted

    def _answered(self, _line: Connection, space: SpaceInfo, purpose: str) -> str:
        """Return the answer to a search, with its receipt."""
        self.answer = self._exchange.match(self._probe(space), purpose=purpose)
        if not self.answer.receipt:
            raise NotSoError("the answer has no receipt")
        told = ", ".join(f"{h.holder} {h.outcome}" for h in self.answer.holders)
        return f"{told or self.answer.regional}, in `{space.name}` for {purpose}"

    def _same(self, line: Connection, space: SpaceInfo, purpose: str) -> str:
        """Return how long answers are, and that a replay is one."""
        one, other = self._probe(space), self._probe(space)
        request_id = uuid.UUID(bytes=self._random.bytes(16), version=4)
        first = line.ask(_MATCH, self._requests.match(one, purpose, (), request_id))
        again = line.ask(_MATCH, self._requests.match(one, purpose, (), request_id))
        another = line.ask(_MATCH, self._requests.match(other, purpose, (), None))
        if first != again:
            raise NotSoError("a search that is sent again is answered otherwise")
        if len(first) != len(another):
            raise NotSoError(f"answers have {len(first)} and {len(another)} bytes")
        told = refused(
            lambda: line.ask(
                _MATCH, self._requests.match(other, purpose, (), request_id)
            ),
            "REQUEST_ID_REUSED",
        )
        return f"{len(first)} bytes; another search under the same id is {told}"

    def _deadlines(self, line: Connection, space: SpaceInfo, purpose: str) -> str:
        """Return what comes of searches without a deadline, and with a short one."""
        request = self._requests.match(self._probe(space), purpose, (), None)
        told = refused(
            lambda: line.ask(_MATCH, request, has_deadline=False), "DEADLINE_REQUIRED"
        )
        short = refused(
            lambda: line.ask(_MATCH, request, seconds=limits.SHORT_DEADLINE_SECONDS),
            *("DEADLINE_EXCEEDED", "DEADLINE_TOO_SHORT"),
        )
        return f"{told}, {short}"

    def _errors(self, _line: Connection, space: SpaceInfo, purpose: str) -> str:
        """Return how wrong probes are refused."""
        probe = self._probe(space).template
        told = []
        for changes, reason in (
            *wrong(space),
            ({"space": "no-such-space"}, "UNKNOWN_SPACE"),
        ):
            try:
                self._exchange.match(
                    replace(probe, **changes),  # type: ignore[arg-type]
                    purpose=purpose,
                )
            except ExchangeError as error:
                if error.reason != reason or not any(f.field for f in error.faults):
                    raise NotSoError(
                        f"{reason} is told as {error.reason}, of no field: details of"
                        " errors do not arrive; something in between drops trailers"
                    ) from error
                told.append(reason)
            else:
                raise NotSoError(f"a search that is {reason} is answered")
        return ", ".join(told)

    def _probe(self, space: SpaceInfo) -> Probe:
        """Return a probe of nobody."""
        return Probe(template=draw(space, self._random))


def _quota(clause: AgreementInfo) -> str:
    """Return how many searches a clause permits on one day.

    Raises:
        NotSoError: it does not say.
    """
    if clause.quota_per_day < 1:
        raise NotSoError(f"{clause.holder} permits searches and none a day")
    return (
        f"{clause.holder}: {clause.quota_per_day:,} a day; more are RESOURCE_EXHAUSTED,"
        " QUOTA_SPENT"
    )
