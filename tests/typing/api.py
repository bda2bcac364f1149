"""The SDK as a member's developer types it: checked by mypy, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from biometrics.client import (
    AsyncExchangeClient,
    Chunk,
    CustodyInfo,
    ExchangeClient,
    FollowUpTicket,
    MatchAnswer,
    Probe,
    ProbeRefusal,
    Profile,
    ProtectOutcome,
    ReceivedFollowUp,
    Record,
    Template,
)

if TYPE_CHECKING:
    import datetime as dt

vector = np.zeros(512, np.float32)
probe = Template(space="faces", position="face", vector=vector, quality=80)
record = Record(reference="case-1", templates=(probe,), excluded=("XBB",))

with ExchangeClient(Profile.load("XAA-client.toml")) as exchange:
    answer: MatchAnswer = exchange.match(probe, purpose="visa", deadline=2.0)
    named: list[str] = [each.holder for each in answer.holders]
    results: tuple[MatchAnswer | ProbeRefusal, ...] = exchange.match_many(
        [probe, Probe(template=probe, excluded_holders=("XBB",))],
        purpose="visa",
        holders=["XAA"],
    )
    since: dt.datetime = exchange.lock()
    custody: CustodyInfo = exchange.custody()
    certificates: list[bytes] = [each.certificate for each in exchange.erasures()]
    done: ProtectOutcome = exchange.protect("case-1", excluded=["XBB", "XCC"])
    ticket = FollowUpTicket.parse("PRIVATE+FOLLOW-UP+...")
    until: dt.datetime = exchange.request_follow_up(ticket)
    sealed: bytes = exchange.read_follow_up(ticket)
    waiting: tuple[ReceivedFollowUp, ...] = exchange.received_follow_ups()
    for told in exchange.enrol_many([Chunk(records=(record,))]):
        statuses: list[str] = [each.status for each in told.outcomes]


async def search() -> MatchAnswer:
    """Ask without blocking."""
    async with AsyncExchangeClient(Profile.load("XAA-client.toml")) as exchange:
        return await exchange.match(probe, purpose="border-check")
