"""ReviewService: freezes under review, and alerts."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from biometrics import limits
from biometrics.callers import CALLER, Role
from biometrics.delivery import delivered
from biometrics.errors import Fault, InvalidRequestError, RefusedError
from biometrics.store import AlertKind, Side, Verdict
from biometrics.v1 import review_pb2 as v1
from biometrics.v1 import review_pb2_grpc
from biometrics.wire import caught, read_word, write_word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    import grpc

    from biometrics.members import Member
    from biometrics.store import AlertRow, FreezeRow, ReviewTable

    Context = grpc.aio.ServicerContext[Any, Any]

# Who speaks for which side: the requester's administrator, and the holder's auditor.
_SIDES = {Role.ADMINISTRATOR: Side.REQUESTER, Role.AUDITOR: Side.AUDITOR}


class ReviewService(review_pb2_grpc.ReviewServiceServicer):
    """What two members decide together; see `review.proto` for the contract."""

    def __init__(
        self,
        *,
        reviews: ReviewTable,
        drifted: Callable[[], Sequence[str]],
        workers: Executor,
    ) -> None:
        """Read and write `reviews`, on `workers`; `drifted` names template spaces."""
        self._reviews = reviews
        self._drifted = drifted
        self._workers = workers

    async def ListReviews(
        self, request: v1.ListReviewsRequest, context: Context
    ) -> v1.ListReviewsResponse:
        """List the freezes that the caller's member is a side of."""
        member = CALLER.get().member
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self._workers, self._reviews.freezes, member)
        return v1.ListReviewsResponse(reviews=[_review(row, member) for row in rows])

    async def DecideReview(
        self, request: v1.DecideReviewRequest, context: Context
    ) -> v1.DecideReviewResponse:
        """Say what one side thinks of a freeze."""
        caller = CALLER.get()
        faults: list[Fault] = []
        with caught(faults, ""):
            case_id = _read_case(request.case_id)
        with caught(faults, ""):
            verdict = read_word(Verdict, v1.Verdict, request.verdict, "verdict")
        if faults:
            raise InvalidRequestError.of(faults)
        side = _SIDES.get(caller.role)
        if side is None:
            raise RefusedError(
                "NO_SIDE",
                "a review is decided by the requester's administrator and the holder's"
                " auditor",
            )
        decided = self._reviews.decide(case_id, caller.member, side, verdict)
        return v1.DecideReviewResponse(decided=await delivered(decided))

    async def ListAlerts(
        self, request: v1.ListAlertsRequest, context: Context
    ) -> v1.ListAlertsResponse:
        """List what gave cause for alerts."""
        member = CALLER.get().member
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(self._workers, self._reviews.alerts, member)
        alerts = _alerts(rows, member)
        # Of a calibration everybody is told: it is what all agreements rest on.
        alerts += [
            v1.Alert(kind=v1.ALERT_KIND_DRIFT, space=space, count=1)
            for space in self._drifted()
        ]
        return v1.ListAlertsResponse(alerts=alerts)


def _read_case(text: str) -> bytes:
    """Return the bytes that name a freeze."""
    try:
        case_id = bytes.fromhex(text)
    except ValueError:
        case_id = b""
    if len(case_id) != limits.CASE_BYTES:
        told = (
            f"must be {2 * limits.CASE_BYTES} hexadecimal digits, from ListReviews or"
            " `biometrics reviews list`"
        )
        fault = Fault(field="case_id", reason="WRONG_CASE", message=told)
        raise InvalidRequestError.of([fault])
    return case_id


def _review(row: FreezeRow, member: Member) -> v1.Review:
    """Return what a member is shown of a freeze."""
    is_named = row.is_named or row.holder == member
    said = {
        side: v1.Verdict.ValueType(write_word(v1.Verdict, verdict))
        for side, verdict in row.said.items()
    }
    return v1.Review(
        case_id=row.case_id.hex(),
        holder=row.holder.code if is_named else "",
        requester=row.requester.code,
        search_count=row.searches,
        lapse_day=row.lapses_at.date().isoformat() if row.lapses_at else "",
        requester_verdict=said.get(Side.REQUESTER, v1.VERDICT_UNSPECIFIED),
        auditor_verdict=said.get(Side.AUDITOR, v1.VERDICT_UNSPECIFIED),
    )


def _alerts(rows: list[AlertRow], member: Member) -> list[v1.Alert]:
    """Return what a member is shown: by agreement as a holder, and else the sum.

    A count that goes up with a search tells its requester what the answer keeps back:
    that a frozen record would have matched, or that a match was near the threshold. It
    is told of neither, but that it looks like enumeration. How often it varies a probe
    depends on its own probes alone.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        if row.holder == member:
            counts[row.kind, row.holder.code, row.requester.code] += row.count
        elif row.kind in {AlertKind.FROZEN, AlertKind.VARIED}:
            counts[row.kind, "", row.requester.code] += row.count
        elif row.kind is AlertKind.ENUMERATION:
            counts[row.kind, "", row.requester.code] = 1
    return [
        v1.Alert(
            kind=v1.AlertKind.Value(f"ALERT_KIND_{kind.upper().replace('-', '_')}"),
            holder=holder,
            requester=requester,
            count=count,
        )
        for (kind, holder, requester), count in sorted(counts.items())
    ]
