"""Enrolments, in the member's own gallery, of records of nobody that are withdrawn.

Each record is of a random vector, under a reference that begins with `conformance-`. It
is excluded from those who may search, but for the moment in which that is tried, and
expires within a day: what a run that is killed leaves goes by itself. References stay
known as withdrawn.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.client import Chunk, Record
from biometrics.conformance.nobody import draw
from biometrics.conformance.sheet import NotSoError, refused
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from biometrics.client import ExchangeClient, SpaceInfo
    from biometrics.clock import Clock
    from biometrics.conformance.sheet import Sheet

PREFIX: Final = "conformance-"
_ABOUT: Final = "enrolments"
_BASIS: Final = "conformance run: a random vector, of nobody"
_BULK: Final = 3


class Enrolling:
    """Enrolments of one member's enroller."""

    def __init__(
        self,
        exchange: ExchangeClient,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Ask by `exchange`."""
        self._exchange = exchange
        self._clock = clock
        self._random_bytes = random_bytes
        self._random = np.random.default_rng(int.from_bytes(random_bytes(8), "big"))
        self._excluded: tuple[str, ...] = ()
        self._made: list[str] = []

    def check(self, sheet: Sheet, name: str | None) -> None:
        """Make every check of enrolments, and withdraw what was enrolled.

        Args:
            sheet: for what is found.
            name: of the template space; by default the first.
        """
        spaces = [s for s in self._exchange.spaces() if name in (None, s.name)]
        if not spaces:
            sheet.leave_out(_ABOUT, "a record is enrolled", f"no space `{name}`")
            return
        self._excluded = tuple(
            sorted({p.requester for p in self._exchange.permissions()} - {"*"})
        )
        try:
            for check, make in (
                ("a record is enrolled once, however often it is sent", self._once),
                ("a stream of records is acknowledged one by one", self._bulk),
                ("a record is protected late", self._protected),
                ("what was withdrawn is gone, and stays so", self._withdrawn),
            ):
                sheet.check(_ABOUT, check, partial(make, spaces[0]))
        finally:
            sheet.check(_ABOUT, "nothing of the run is left", self._clear)

    def _once(self, space: SpaceInfo) -> str:
        """Enrol a record several times; return what each said."""
        record = self._record(space)
        request_id = uuid.UUID(bytes=self._random_bytes(16), version=4)
        said = [
            self._exchange.enrol(record, request_id=given).status
            for given in (request_id, request_id, None)
        ]
        if said[0] != said[1] or said[2] != "already-enrolled":
            raise NotSoError(f"a record that is sent again is {', '.join(said)}")
        other = self._record(space, record.reference)
        told = refused(lambda: self._refusal(other), "REFERENCE_TAKEN")
        return f"{', '.join(said)}; another under its reference is {told}"

    def _refusal(self, record: Record) -> None:
        """Raise what a record is refused with, if it is one by one."""
        outcome = self._exchange.enrol(record)
        for fault in outcome.faults:
            raise ExchangeError(fault.reason, fault.message)

    def _bulk(self, space: SpaceInfo) -> str:
        """Enrol by the stream; return how many were acknowledged."""
        records = tuple(self._record(space) for _ in range(_BULK))
        chunks = [Chunk(records=(record,)) for record in records]
        said = [
            outcome.status
            for each in self._exchange.enrol_many(chunks)
            for outcome in each.outcomes
        ]
        if said != ["enrolled"] * _BULK:
            raise NotSoError(f"{_BULK} records are {', '.join(said)}")
        return f"{_BULK} records in {len(chunks)} messages"

    def _protected(self, _space: SpaceInfo) -> str:
        """Take exclusions of a record away and set them again."""
        reference = self._made[0]
        self._exchange.protect(reference, exclude_nobody=True)
        if not self._excluded:
            return "nobody may search: nobody to exclude"
        done = self._exchange.protect(reference, excluded=self._excluded)
        if done.added != self._excluded:
            raise NotSoError(f"{', '.join(done.added) or 'nobody'} is excluded")
        return f"excluded: {', '.join(done.added)}"

    def _withdrawn(self, space: SpaceInfo) -> str:
        """Withdraw a record; return what is left of it."""
        reference = self._made[0]
        receipt = self._exchange.withdraw(reference)
        if not receipt.removed:
            raise NotSoError("the withdrawal has removed nothing")
        if any(each.reference == reference for each in self._exchange.records()):
            raise NotSoError("a record that was withdrawn is listed")
        other = self._record(space, reference)
        told = refused(lambda: self._refusal(other), "REFERENCE_WITHDRAWN")
        return f"not listed; enrolled again it is {told}"

    def _clear(self) -> str:
        """Withdraw whatever this run has enrolled; return how many there were."""
        for reference in self._made:
            self._exchange.withdraw(reference)
        left = [
            each.reference
            for each in self._exchange.records()
            if each.reference in self._made
        ]
        if left:
            raise NotSoError(f"{len(left)} records are left; withdraw them")
        return f"{len(self._made)} records were enrolled, and are withdrawn"

    def _record(self, space: SpaceInfo, reference: str = "") -> Record:
        """Return a record of nobody, which is withdrawn at the end."""
        template = draw(space, self._random)
        quality = space.least_quality.get(template.position)
        if not reference:
            reference = f"{PREFIX}{self._random_bytes(16).hex()}"
            self._made.append(reference)
        return Record(
            reference=reference,
            templates=(replace(template, quality=quality),),
            excluded=self._excluded,
            legal_basis=_BASIS,
            expires_at=self._clock.now() + dt.timedelta(days=1),
        )


def clock_told(exchange: ExchangeClient, clock: Clock) -> str:
    """Return how far this computer's clock is from the exchange's.

    Raises:
        NotSoError: it is too far.
    """
    begun = time.monotonic()
    before = clock.now()
    there = exchange.summary().counted_at
    took = time.monotonic() - begun
    off = (there - before).total_seconds() - took / 2
    if abs(off) > limits.CLOCK_OFF_SECONDS + took / 2:
        raise NotSoError(
            f"this computer's clock is {abs(off):.0f} seconds"
            f" {'behind' if off > 0 else 'ahead of'} the exchange's: have it set by a"
            " time server"
        )
    return f"{abs(off):.1f} seconds off"
