"""The edge: what is served, to whom, and what the operator is shown of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2_grpc  # type: ignore[import-untyped]

from biometrics.callers import Role
from biometrics.sealing import SUITE
from biometrics.server.admission import InTurn
from biometrics.server.audit import AuditService
from biometrics.server.custody import CustodyService
from biometrics.server.directory import AgreementService, SpaceService
from biometrics.server.doors import Door, make_doors, make_hatch
from biometrics.server.follow_up_service import FollowUpService
from biometrics.server.interceptors import Identity, Shown, TakingPart, chain
from biometrics.server.methods import METHODS, SHOWN
from biometrics.server.metrics import Gauges
from biometrics.server.region import RegionService
from biometrics.server.reviews import ReviewService
from biometrics.signing import sealing_key_note
from biometrics.v1 import (
    agreement_pb2_grpc,
    audit_pb2_grpc,
    custody_pb2_grpc,
    duplicate_pb2_grpc,
    enrolment_pb2_grpc,
    followup_pb2_grpc,
    match_pb2_grpc,
    region_pb2_grpc,
    review_pb2_grpc,
    space_pb2_grpc,
)
from matcher.service import DuplicateService, MatchService

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    import grpc.aio

    from biometrics.clock import Clock
    from biometrics.server.ground import Ground
    from biometrics.server.holding import Holding
    from biometrics.server.matching import Matching

    Servicers = tuple[Callable[[grpc.aio.Server], None], ...]


def make_edge(ground: Ground, matching: Matching, holding: Holding) -> tuple[Door, ...]:
    """Return the doors, closed yet: see `make_doors`; the console's last, if any.

    Raises:
        ConfigurationError: a port or the socket cannot be had.
    """
    in_turn = InTurn(
        METHODS,
        ground.config.slot_seconds,
        rows=matching.scanner.rows,
        waited=ground.metrics.waited,
    )
    known = (
        ground.config.trust_domain,
        ground.roll,
        ground.trusted.authorities,
        ground.clock,
    )
    guarded = partial(
        chain,
        tracing=ground.tracing,
        taking_part=TakingPart(ground.roll),
        in_turn=in_turn,
        metrics=ground.metrics,
        unseal=ground.vault.unseal,
        clock=ground.clock,
        random_bytes=ground.random_bytes,
    )
    servicers = make_servicers(ground, matching, holding)
    doors = make_doors(
        ground.config,
        ground.trusted,
        lambda roles: guarded(identity=Identity(*known), methods=METHODS, roles=roles),
        servicers,
    )
    guards = guarded(identity=Shown(*known), methods=SHOWN, roles=frozenset(Role))
    doors += make_hatch(ground.config.console_socket, guards, servicers)
    ground.metrics.watch(make_gauges(ground, matching, in_turn))
    return doors


def make_servicers(ground: Ground, matching: Matching, holding: Holding) -> Servicers:
    """Return what adds each service to a server."""
    store, clock, roll = ground.store, ground.clock, ground.roll
    return (
        partial(
            match_pb2_grpc.add_MatchServiceServicer_to_server,
            MatchService(matcher=matching.matcher, spaces=ground.spaces),
        ),
        partial(
            duplicate_pb2_grpc.add_DuplicateServiceServicer_to_server,
            DuplicateService(duplicates=matching.duplicates),
        ),
        partial(
            enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server,
            holding.enrolment,
        ),
        partial(
            custody_pb2_grpc.add_CustodyServiceServicer_to_server,
            CustodyService(
                custodian=holding.custodian,
                verifier=holding.key.verifier.text,
                sealing_key=lambda member: sealing_key_note(
                    ground.vault.sealing_key(member), SUITE, holding.key
                ),
            ),
        ),
        partial(
            agreement_pb2_grpc.add_AgreementServiceServicer_to_server,
            AgreementService(in_force=ground.in_force, rates=ground.rates, clock=clock),
        ),
        partial(
            review_pb2_grpc.add_ReviewServiceServicer_to_server,
            ReviewService(
                reviews=store.reviews,
                drifted=matching.probes.drifted,
                workers=matching.workers,
            ),
        ),
        partial(
            followup_pb2_grpc.add_FollowUpServiceServicer_to_server,
            FollowUpService(follow_ups=holding.follow_ups),
        ),
        partial(
            space_pb2_grpc.add_SpaceServiceServicer_to_server,
            SpaceService(rates=ground.rates),
        ),
        partial(
            audit_pb2_grpc.add_AuditServiceServicer_to_server,
            AuditService(
                log=store.log,
                cosignatures=store.cosignatures,
                key=ground.log_key,
                witnesses=ground.witnesses,
                clock=clock,
            ),
        ),
        partial(
            region_pb2_grpc.add_RegionServiceServicer_to_server,
            RegionService(
                name=ground.config.name,
                members=roll,
                names=lambda: ground.settings.names,
                methods=METHODS,
                agreements=ground.in_force.agreements,
                rates=ground.rates,
                galleries=ground.galleries,
                sizes=ground.sizes,
                hour=ground.hour,
                clock=clock,
            ),
        ),
        partial(health_pb2_grpc.add_HealthServicer_to_server, ground.health),
    )


def make_gauges(ground: Ground, matching: Matching, in_turn: InTurn) -> Gauges:
    """Return what is read when the operator looks."""
    trusted, clock, journal = ground.trusted, ground.clock, ground.store.journal
    return Gauges(
        serving=ground.health.is_serving,
        waiting=in_turn.waiting,
        at_once=in_turn.at_once,
        overruns=lambda: matching.slots.overruns,
        behind=lambda: journal.end() - matching.site.index.position,
        galleries=ground.sizes,
        calibrations=ground.rates.used,
        shards=matching.site.shards,
        canaries=lambda: matching.probes.drifts,
        certificate_seconds=lambda: _seconds_left(trusted.trust.end, clock),
        revocation_seconds=lambda: (
            None
            if (end := trusted.authorities().lists_end) is None
            else _seconds_left(end, clock)
        ),
    )


def _seconds_left(end: dt.datetime, clock: Clock) -> float:
    """Return how long it is until a moment."""
    return (end - clock.now()).total_seconds()
