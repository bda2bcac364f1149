"""AgreementService and SpaceService: what the exchange has on file."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from biometrics.calibration import FpirClass
from biometrics.callers import CALLER
from biometrics.disclosure import Level, Purpose, explain, permit
from biometrics.errors import Fault, InvalidRequestError, RefusedError
from biometrics.members import Member
from biometrics.templates import Modality
from biometrics.v1 import (
    agreement_pb2,
    agreement_pb2_grpc,
    match_pb2,
    space_pb2,
    space_pb2_grpc,
    template_pb2,
)
from biometrics.wire import (
    caught,
    read_number_token,
    read_page_size,
    read_word,
    write_word,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection

    import grpc

    from biometrics.calibration import Calibration
    from biometrics.clock import Clock
    from biometrics.disclosure import Clause
    from biometrics.server.in_force import InForce
    from biometrics.server.rates import Rates
    from biometrics.signing import SignedVersion
    from biometrics.templates import TemplateSpace


class AgreementService(agreement_pb2_grpc.AgreementServiceServicer):
    """The agreements that the caller is a party to; see `agreement.proto`."""

    def __init__(self, *, in_force: InForce, rates: Rates, clock: Clock) -> None:
        """Read what is `in_force`, and what of it is kept in `rates`."""
        self._in_force = in_force
        self._rates = rates
        self._clock = clock

    async def ListAgreements(
        self,
        request: agreement_pb2.ListAgreementsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> agreement_pb2.ListAgreementsResponse:
        """List the agreements in which the caller is the holder or the requester."""
        member = CALLER.get().member
        clauses = self._in_force.agreements().party(member)
        size = read_page_size(request.page_size)
        start = read_number_token(request.page_token)
        end = start + size
        return agreement_pb2.ListAgreementsResponse(
            agreements=[_agreement(clause) for clause in clauses[start:end]],
            next_page_token=str(end) if end < len(clauses) else "",
            own_version=_version(self._in_force.version_of(member)),
        )

    async def ListPermissions(
        self,
        request: agreement_pb2.ListPermissionsRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> agreement_pb2.ListPermissionsResponse:
        """List what the caller lets others learn today."""
        holder, agreements = CALLER.get().member, self._in_force.agreements()
        today = self._clock.now().date()
        requesters = {
            clause.requester
            for clause in agreements.party(holder)
            if clause.holder == holder and clause.requester is not None
        }
        response = agreement_pb2.ListPermissionsResponse(day=today.isoformat())
        for requester, modality, purpose in product(
            sorted(requesters), Modality, Purpose
        ):
            permission = permit(
                agreements,
                holder=holder,
                requester=requester,
                purpose=purpose,
                modality=modality,
                today=today,
            )
            if permission is not None:
                response.permissions.append(
                    agreement_pb2.Permission(
                        requester=requester.code,
                        modality=_modality(modality),
                        purpose=_purpose(purpose),
                        level=_level(permission.level),
                    )
                )
        return response

    async def ExplainAgreement(
        self,
        request: agreement_pb2.ExplainAgreementRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> agreement_pb2.ExplainAgreementResponse:
        """Say whether one search would be permitted, and which line decides."""
        faults: list[Fault] = []
        with caught(faults, "holder"):
            holder = Member(request.holder)
        with caught(faults, "requester"):
            requester = Member(request.requester)
        with caught(faults, ""):
            purpose = read_word(Purpose, match_pb2.Purpose, request.purpose, "purpose")
        with caught(faults, ""):
            modality = read_word(
                Modality, template_pb2.Modality, request.modality, "modality"
            )
        if faults:
            raise InvalidRequestError.of(faults)
        caller = CALLER.get().member
        if caller not in (holder, requester):
            raise RefusedError(
                "NOT_A_PARTY",
                "only the holder and the requester may ask about an agreement",
            )
        explanation = explain(
            self._in_force.agreements(),
            holder=holder,
            requester=requester,
            purpose=purpose,
            modality=modality,
            today=self._clock.now().date(),
            established=self._rates.in_any(modality),
        )
        permission = explanation.permission
        told = [explanation.text]
        if permission is not None:
            told += self._rates.shortfalls(permission.clause, modality)
        # The requester is told nothing of it: it would be what others agreed.
        own = self._in_force.version_of(holder) if caller == holder else None
        if caller == holder and own is None:
            told.append(
                f"no version of the agreement of {holder} is in force: none was signed"
                " by two who are listed, or it has lapsed since; the server's log says"
            )
        return agreement_pb2.ExplainAgreementResponse(
            permitted=permission is not None,
            level=_level(permission.level if permission else None),
            decided_by=explanation.decided_by,
            explanation="; ".join(told),
            own_version=_version(own),
        )


class SpaceService(space_pb2_grpc.SpaceServiceServicer):
    """The template spaces of the exchange; see `space.proto`."""

    def __init__(self, *, rates: Rates) -> None:
        """List the spaces of `rates`."""
        self._rates = rates

    async def ListSpaces(
        self,
        request: space_pb2.ListSpacesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> space_pb2.ListSpacesResponse:
        """List every template space."""
        return space_pb2.ListSpacesResponse(
            spaces=[
                _space(
                    space,
                    self._rates.calibrations.of(space.name),
                    self._rates.established(space),
                )
                for space in self._rates.spaces
            ]
        )


def _version(signed: SignedVersion | None) -> agreement_pb2.AgreementVersion | None:
    """Return the message of a version; None where there is none."""
    if signed is None:
        return None
    return agreement_pb2.AgreementVersion(
        revision=signed.version.revision,
        sha256=signed.digest.hex(),
        signers=[signer.name for signer in signed.signers],
    )


def _agreement(clause: Clause) -> agreement_pb2.Agreement:
    """Return the message of one clause."""
    return agreement_pb2.Agreement(
        holder=clause.holder.code,
        requester=clause.requester.code if clause.requester else "*",
        effect=agreement_pb2.ClauseEffect.ValueType(
            write_word(agreement_pb2.ClauseEffect, clause.effect)
        ),
        purposes=map(_purpose, sorted(clause.purposes)),
        modalities=map(_modality, sorted(clause.modalities)),
        level=_level(clause.level),
        valid_from=_day(clause.valid_from),
        valid_until=_day(clause.valid_until),
        legal_basis=clause.legal_basis,
        fpir_class=_fpir(clause.promise.fpir)
        if clause.level
        else space_pb2.FPIR_CLASS_UNSPECIFIED,
        measured_only=clause.promise.measured_only,
        quota_per_day=clause.quota_per_day if clause.level else 0,
    )


def _modality(modality: Modality) -> template_pb2.Modality.ValueType:
    """Return the number of a modality."""
    number = write_word(template_pb2.Modality, modality)
    return template_pb2.Modality.ValueType(number)


def _purpose(purpose: Purpose) -> match_pb2.Purpose.ValueType:
    """Return the number of a purpose."""
    return match_pb2.Purpose.ValueType(write_word(match_pb2.Purpose, purpose))


def _level(level: Level | None) -> agreement_pb2.DisclosureLevel.ValueType:
    """Return the number of a level; unspecified where there is none."""
    if level is None:
        return agreement_pb2.DISCLOSURE_LEVEL_UNSPECIFIED
    number = write_word(agreement_pb2.DisclosureLevel, level)
    return agreement_pb2.DisclosureLevel.ValueType(number)


def _fpir(fpir: FpirClass) -> space_pb2.FpirClass.ValueType:
    """Return the number of a class."""
    return space_pb2.FpirClass.Value(
        f"FPIR_CLASS_{fpir.value.upper().replace('-', '_')}"
    )


def _day(day: dt.date | None) -> str:
    """Return a day as the contract writes it."""
    return day.isoformat() if day else ""


def _space(
    space: TemplateSpace, calibration: Calibration, established: Collection[FpirClass]
) -> space_pb2.Space:
    """Return the message of one template space; no threshold is told."""
    return space_pb2.Space(
        name=space.name,
        modality=_modality(space.modality),
        extractor=space.extractor,
        extractor_version=space.extractor_version,
        positions=[
            template_pb2.Position.ValueType(write_word(template_pb2.Position, position))
            for position in sorted(space.positions)
        ],
        dimension=space.dimension,
        data_type=template_pb2.DATA_TYPE_FLOAT32,
        threshold_basis=space_pb2.ThresholdBasis.ValueType(
            write_word(space_pb2.ThresholdBasis, calibration.basis)
        ),
        metric=space_pb2.Metric.ValueType(write_word(space_pb2.Metric, space.metric)),
        quality_scale=space.quality_scale,
        is_fused=calibration.weights is not None,
        least_qualities=[
            space_pb2.LeastQuality(
                position=template_pb2.Position.ValueType(
                    write_word(template_pb2.Position, position)
                ),
                quality=space.least_quality[position],
            )
            for position in sorted(space.least_quality)
        ],
        identity=space.identity,
        normalisation=space_pb2.Normalisation.ValueType(
            write_word(space_pb2.Normalisation, space.normalisation)
        ),
        calibration_day=calibration.dated.isoformat(),
        calibration_sha256=calibration.digest,
        established_fpir_classes=[_fpir(c) for c in FpirClass if c in established],
    )
