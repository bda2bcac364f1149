"""The services of the pocket exchange, over a script that a test writes.

They check what a client can get wrong, remember what they were sent, and fail when
they are told to. They compare nothing: a probe matches a record whose bytes are
equal.
"""
# gRPC fixes the names and the arguments of every method.
# ruff: noqa: ANN001, ANN401, D102, N802

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from biometrics.v1 import (
    agreement_pb2,
    agreement_pb2_grpc,
    enrolment_pb2,
    enrolment_pb2_grpc,
    match_pb2,
    match_pb2_grpc,
    space_pb2,
    space_pb2_grpc,
    template_pb2,
)
from tests.pocket_authority import FAR_AHEAD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WITHDRAWN_AT = dt.datetime(2026, 5, 4, 3, 2, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Failure:
    """What a call is to end with."""

    code: grpc.StatusCode
    message: str
    details: tuple[Any, ...] = ()

    async def abort(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """End the call."""
        if not self.details:
            await context.abort(self.code, self.message)
        packed = []
        for detail in self.details:
            message = AnyMessage()
            message.Pack(detail)
            packed.append(message)
        status = status_pb2.Status(
            code=self.code.value[0], message=self.message, details=packed
        )
        await context.abort_with_status(rpc_status.to_status(status))


def info(reason: str) -> error_details_pb2.ErrorInfo:
    """Return the detail that carries a reason."""
    return error_details_pb2.ErrorInfo(reason=reason, domain="biometrics.exchange")


@dataclass
class Script:
    """What the exchange was sent, and how it is to behave."""

    failures: list[Failure] = field(default_factory=list)  # of the next unary calls
    requests: list[Any] = field(default_factory=list)  # unary, as they came
    deadlines: list[float] = field(default_factory=list)  # seconds left, likewise
    chunk_ids: list[str] = field(default_factory=list)  # of chunks, as they came
    # After so many chunks of a stream it breaks: the last one is carried out, but
    # not acknowledged. One entry a stream; None or no entry: it does not break.
    breaks: list[int | None] = field(default_factory=list)
    break_with: Failure = field(
        default_factory=lambda: Failure(grpc.StatusCode.UNAVAILABLE, "draining")
    )
    acknowledgements_held: int = 0  # answer only when so many more chunks wait
    most_unanswered: int = 0
    foreign_ids: bool = False  # acknowledge chunks that were not sent
    short_outcomes: bool = False  # acknowledge with one outcome too few
    ends_early: bool = False  # end streams well, before everything is acknowledged
    deaf: bool = False  # take a chunk and say nothing
    records: dict[str, bytes] = field(default_factory=dict)
    replies: dict[str, bytes] = field(default_factory=dict)
    times_carried_out: dict[str, int] = field(default_factory=dict)
    page: int = 2
    pause: float = 0.0  # seconds that a unary call takes
    running: int = 0  # unary calls
    most_running: int = 0
    state: int = enrolment_pb2.GALLERY_STATE_READY


OWN_VERSION = agreement_pb2.AgreementVersion(
    revision=3, sha256="ab" * 32, signers=["Ministry", "Parliament"]
)


class PocketExchange(
    match_pb2_grpc.MatchServiceServicer,
    enrolment_pb2_grpc.EnrolmentServiceServicer,
    agreement_pb2_grpc.AgreementServiceServicer,
    space_pb2_grpc.SpaceServiceServicer,
):
    """The services, over a script."""

    def __init__(self, script: Script) -> None:
        """Follow `script`."""
        self.script = script

    async def _begin(self, request: Any, context: Any) -> None:
        self.script.requests.append(request)
        self.script.deadlines.append(context.time_remaining())
        if self.script.failures:
            await self.script.failures.pop(0).abort(context)
        self.script.running += 1
        self.script.most_running = max(self.script.running, self.script.most_running)
        await asyncio.sleep(self.script.pause)
        self.script.running -= 1

    def _answer(self, probe: match_pb2.Probe) -> match_pb2.MatchResponse:
        hit = probe.templates[0].data in self.script.records.values()
        outcome = match_pb2.OUTCOME_MATCH if hit else match_pb2.OUTCOME_NO_MATCH
        return match_pb2.MatchResponse(
            regional_outcome=outcome,
            answers=[
                match_pb2.HolderAnswer(
                    holder="XAB", outcome=outcome, reference=bytes(range(16)) * hit
                ),
                match_pb2.HolderAnswer(
                    holder="XAC", outcome=match_pb2.OUTCOME_UNAVAILABLE
                ),
                match_pb2.HolderAnswer(
                    holder="XAD", outcome=match_pb2.OUTCOME_NOT_COMPARABLE
                ),
            ],
            receipt_status=match_pb2.RECEIPT_STATUS_NOT_ISSUED,
            padding=bytes(8),
        )

    async def Match(self, request, context):
        await self._begin(request, context)
        return self._answer(request.probe)

    async def BatchMatch(self, request, context):
        await self._begin(request, context)
        response = match_pb2.BatchMatchResponse()
        for probe in request.probes:
            if len(probe.templates[0].data) == 4 * 16:
                response.results.add(answer=self._answer(probe))
            else:
                response.results.add(
                    refusal=match_pb2.ProbeRefusal(
                        reason="WRONG_DIMENSION", message="of another size"
                    )
                )
        return response

    def _enrol(
        self, script: Script, record: enrolment_pb2.Record
    ) -> enrolment_pb2.RecordOutcome:
        if len(record.templates[0].data) != 4 * 16 or not any(record.templates[0].data):
            return enrolment_pb2.RecordOutcome(
                outcome=enrolment_pb2.ENROL_OUTCOME_REFUSED,
                faults=[
                    enrolment_pb2.Fault(
                        field="templates[0].data",
                        reason="ZERO_VECTOR",
                        message="the vector is zero",
                    )
                ],
            )
        if record.reference in script.records:
            return enrolment_pb2.RecordOutcome(
                outcome=enrolment_pb2.ENROL_OUTCOME_ALREADY_ENROLLED
            )
        script.records[record.reference] = record.templates[0].data
        return enrolment_pb2.RecordOutcome(outcome=enrolment_pb2.ENROL_OUTCOME_ENROLLED)

    async def Enrol(self, request, context):
        await self._begin(request, context)
        outcome = self._enrol(self.script, request.record)
        return enrolment_pb2.EnrolResponse(outcome=outcome.outcome)

    def _carry_out(
        self, script: Script, request: enrolment_pb2.BulkEnrolRequest
    ) -> enrolment_pb2.BulkEnrolResponse:
        script.chunk_ids.append(request.request_id)
        if request.request_id not in script.replies:
            made = enrolment_pb2.BulkEnrolResponse(
                request_id=request.request_id,
                outcomes=[self._enrol(script, record) for record in request.records],
            )
            script.replies[request.request_id] = made.SerializeToString()
            times = script.times_carried_out.get(request.request_id, 0)
            script.times_carried_out[request.request_id] = times + 1
        reply = script.replies[request.request_id]
        response = enrolment_pb2.BulkEnrolResponse.FromString(reply)
        if script.foreign_ids:
            response.request_id = "00000000-0000-4000-8000-000000000000"
        if script.short_outcomes:
            del response.outcomes[-1]
        return response

    async def BulkEnrol(
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[enrolment_pb2.BulkEnrolResponse]:
        # Of this test: a stream may outlive the test that opened it.
        script = self.script
        script.deadlines.append(context.time_remaining())
        breaks_after = script.breaks.pop(0) if script.breaks else None
        held: list[enrolment_pb2.BulkEnrolResponse] = []
        taken = 0
        async for request in request_iterator:
            taken += 1
            held.append(self._carry_out(script, request))
            script.most_unanswered = max(script.most_unanswered, len(held))
            if breaks_after is not None and taken >= breaks_after:
                await script.break_with.abort(context)
            if script.ends_early:
                return
            if script.deaf:
                await asyncio.sleep(60)
            while len(held) > script.acknowledgements_held:
                yield held.pop(0)
        for response in held:
            yield response

    async def Withdraw(self, request, context):
        await self._begin(request, context)
        if request.reference not in self.script.records:
            await Failure(
                grpc.StatusCode.NOT_FOUND,
                "no record is enrolled under this reference",
                (info("NOT_ENROLLED"),),
            ).abort(context)
        response = enrolment_pb2.WithdrawResponse(
            reference=request.reference,
            reason=enrolment_pb2.DISPOSAL_REASON_WITHDRAWN,
        )
        response.removed_templates.add(
            space="faces-v1", position=template_pb2.POSITION_FACE, quality=70
        )
        response.withdraw_time.FromDatetime(WITHDRAWN_AT)
        return response

    async def Replace(self, request, context):
        await self._begin(request, context)
        response = enrolment_pb2.ReplaceResponse(sample=request.sample, generation=2)
        response.replace_time.FromDatetime(WITHDRAWN_AT)
        return response

    async def Protect(self, request, context):
        await self._begin(request, context)
        response = enrolment_pb2.ProtectResponse(
            added_requesters=request.excluded_requesters, removed_requesters=["XAF"]
        )
        if request.reference == "ref-same":
            response = enrolment_pb2.ProtectResponse()
        response.protect_time.FromDatetime(WITHDRAWN_AT)
        return response

    async def PlantCanaries(self, request, context):
        await self._begin(request, context)
        named = [f"{request.space}-{number}" for number in range(request.count)]
        return enrolment_pb2.PlantCanariesResponse(references=named)

    async def ListGalleries(self, request, context):
        await self._begin(request, context)
        count = len(self.script.records)
        return enrolment_pb2.ListGalleriesResponse(
            galleries=[
                enrolment_pb2.Gallery(
                    space="faces-v1",
                    record_count=count,
                    template_count=count,
                    state=self.script.state,
                )
            ]
        )

    async def SummariseRecords(self, request, context):
        await self._begin(request, context)
        month = enrolment_pb2.MonthCount(month="2026-05", record_count=2)
        later = enrolment_pb2.MonthCount(month="2031-01", record_count=3)
        response = enrolment_pb2.SummariseRecordsResponse(
            lasting_count=5,
            expired_count=1,
            expiring=[month, later],
            later_count=7,
            disposals=[
                enrolment_pb2.DisposalSummary(
                    reason=enrolment_pb2.DISPOSAL_REASON_EXPIRED, disposed=[month]
                )
            ],
        )
        response.count_time.FromDatetime(WITHDRAWN_AT)
        return response

    async def ListPermissions(self, request, context):
        await self._begin(request, context)
        return agreement_pb2.ListPermissionsResponse(
            day="2026-05-04",
            permissions=[
                agreement_pb2.Permission(
                    requester=requester,
                    modality=template_pb2.MODALITY_FACE,
                    purpose=purpose,
                    level=level,
                )
                for requester, purpose, level in (
                    (
                        "XAB",
                        match_pb2.PURPOSE_VISA,
                        agreement_pb2.DISCLOSURE_LEVEL_HOLDER,
                    ),
                    (
                        "XAD",
                        match_pb2.PURPOSE_BORDER_CHECK,
                        agreement_pb2.DISCLOSURE_LEVEL_REFERENCE,
                    ),
                )
            ],
        )

    async def ListRecords(self, request, context):
        await self._begin(request, context)
        names = sorted(self.script.records)
        start = int(request.page_token or 0)
        end = start + self.script.page
        response = enrolment_pb2.ListRecordsResponse(
            next_page_token=str(end) if end < len(names) else ""
        )
        for name in names[start:end]:
            record = response.records.add(
                reference=name,
                excluded_requesters=["XAD"],
                legal_basis="test",
                generation=1,
            )
            record.templates.add(
                space="faces-v1", position=template_pb2.POSITION_FACE, quality=0
            )
            record.templates.add(space="faces-v1", position=template_pb2.POSITION_FACE)
            record.enrol_time.FromDatetime(WITHDRAWN_AT)
            if start == 0:
                record.expire_time.FromDatetime(FAR_AHEAD)
                record.protect_time.FromDatetime(WITHDRAWN_AT)
        return response

    async def ListAgreements(self, request, context):
        await self._begin(request, context)
        return agreement_pb2.ListAgreementsResponse(
            agreements=[
                agreement_pb2.Agreement(
                    holder="XAA",
                    requester="XAB",
                    effect=agreement_pb2.CLAUSE_EFFECT_PERMIT,
                    purposes=[match_pb2.PURPOSE_BORDER_CHECK, match_pb2.PURPOSE_VISA],
                    modalities=[template_pb2.MODALITY_FACE],
                    level=agreement_pb2.DISCLOSURE_LEVEL_REFERENCE,
                    valid_from="2026-01-01",
                    valid_until="2026-12-31",
                    legal_basis="treaty [1]",
                ),
                agreement_pb2.Agreement(
                    holder="XAA",
                    requester="*",
                    effect=agreement_pb2.CLAUSE_EFFECT_FORBID,
                ),
            ],
            own_version=OWN_VERSION,
        )

    async def ExplainAgreement(self, request, context):
        await self._begin(request, context)
        permitted = request.requester == "XAB"
        return agreement_pb2.ExplainAgreementResponse(
            permitted=permitted,
            level=agreement_pb2.DISCLOSURE_LEVEL_HOLDER if permitted else 0,
            decided_by="XAA.toml:12" if permitted else "",
            explanation="permitted by the clause" if permitted else "no clause",
            own_version=OWN_VERSION if permitted else None,
        )

    async def ListSpaces(self, request, context):
        await self._begin(request, context)
        return space_pb2.ListSpacesResponse(
            spaces=[
                space_pb2.Space(
                    name="faces-v1",
                    modality=template_pb2.MODALITY_FACE,
                    extractor="test",
                    extractor_version="1",
                    positions=[template_pb2.POSITION_FACE],
                    dimension=16,
                    data_type=template_pb2.DATA_TYPE_FLOAT32,
                    metric=space_pb2.METRIC_COSINE,
                    normalisation=space_pb2.NORMALISATION_UNIT,
                    quality_scale="NFIQ 2",
                    least_qualities=[
                        space_pb2.LeastQuality(
                            position=template_pb2.POSITION_FACE, quality=40
                        )
                    ],
                    identity="faces-v1@00",
                    threshold_basis=space_pb2.THRESHOLD_BASIS_UNMEASURED,
                )
            ]
        )
