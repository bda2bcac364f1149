"""The composition root: every part is made here, in the order in which it starts.

`Exchange.start` reads from top to bottom what the exchange consists of; nothing is
looked up by name and nothing is made elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from grpc_health.v1 import health_pb2_grpc  # type: ignore[import-untyped]

from biometrics import limits
from biometrics.audit import ReceiptIssuer, Scribe
from biometrics.callers import Role
from biometrics.custody import FileKeyProvider, Vault
from biometrics.precedence import Precedence
from biometrics.sealing import SUITE
from biometrics.server.admission import InTurn
from biometrics.server.audit import AuditService
from biometrics.server.chores import (
    keep_disposing,
    keep_ending_epochs,
    keep_ending_follow_ups,
    keep_erasing,
    keep_looking,
    keep_trusting,
)
from biometrics.server.custodian import Custodian
from biometrics.server.custody import CustodyService
from biometrics.server.directory import AgreementService, SpaceService
from biometrics.server.doors import Door, make_doors, make_hatch
from biometrics.server.follow_up_service import FollowUpService
from biometrics.server.follow_ups import FollowUps
from biometrics.server.health import Cause, Health
from biometrics.server.hour import Hour
from biometrics.server.in_force import InForce
from biometrics.server.interceptors import Identity, Shown, TakingPart, chain
from biometrics.server.membership import Memberships, Settings
from biometrics.server.methods import METHODS, SERVICES, SHOWN, check_table
from biometrics.server.metrics import Gauges, Metrics
from biometrics.server.policy import (
    read_auditors,
    read_calibrated,
    read_signers,
    read_witnesses,
    unaudited,
)
from biometrics.server.rates import Rates
from biometrics.server.region import RegionService
from biometrics.server.reviews import ReviewService
from biometrics.server.roll import Roll
from biometrics.server.rotation import Rotation
from biometrics.server.site import site_of
from biometrics.server.stages import Stages, begin_tracing, end_tracing
from biometrics.server.tending import Tending
from biometrics.server.tls import Trusted, trust_notes
from biometrics.server.told import tell
from biometrics.server.unlocking import Unlocking
from biometrics.signing import SigningKey, sealing_key_note
from biometrics.slots import Slots
from biometrics.store import open_store
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
from enrolment.dispose import Disposal
from enrolment.enrol import Enrolment
from enrolment.protect import LateProtection
from enrolment.register import Register
from enrolment.replace import Replacement
from enrolment.service import EnrolmentService
from enrolment.withdraw import Withdrawal
from matcher.access import Access
from matcher.alike import Resemblance
from matcher.confirm import Confirmation
from matcher.duplicates import Duplicates
from matcher.follower import Follower
from matcher.galleries import Galleries, GalleryName
from matcher.match import Matcher
from matcher.schedule import Scanner
from matcher.segments import SegmentFiles
from matcher.service import DuplicateService, MatchService

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.store import Store
    from matcher.shares import Standing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A running exchange.

    Attributes:
        port: where it listens.
        admin_port: where it serves administrators; the same where that is not apart.
        store: its database; open until it is stopped.
        trusted: its certificates, and whose it believes.
        verifier: the key that what it states is to be checked by.
        settings: what of its settings is taken up while it runs.
        shards: how it is about each shard; there may be none.
    """

    port: int
    admin_port: int
    store: Store
    trusted: Trusted
    verifier: str
    settings: Settings
    shards: Callable[[], Sequence[Standing]]
    _health: Health
    _doors: tuple[Door, ...]
    _follower: Follower
    _parts: AsyncExitStack

    @classmethod
    async def start(  # noqa: PLR0915 - everything that there is, on one page
        cls,
        config: Config,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> Self:
        """Start everything; on return searches of loaded galleries are answered.

        Raises:
            ConfigurationError: a file or setting is wrong, or the port is taken.
        """
        # What the operator has decided.
        spaces, calibrations = read_calibrated(config.spaces, config.calibrations)
        check_table(SERVICES)
        trusted = Trusted(config, clock)
        for note in trust_notes(config):
            log.warning("%s", note)
        async with AsyncExitStack() as parts:
            # What can be seen of it.
            hour = Hour(clock)
            metrics = Metrics(hour)
            tracing = begin_tracing(config.traces)
            parts.push_async_callback(end_tracing, tracing)
            # Whether anything can be called; nothing yet.
            health = Health(s.full_name for s in SERVICES)
            # The store, who takes part, and the keys that open what is in it.
            auditors = read_auditors(config.auditors)
            store = parts.enter_context(
                open_store(
                    config.database,
                    clock,
                    scribe=Scribe(auditors, random_bytes),
                    on_failure=partial(health.pause, Cause.STORAGE),
                    on_recovery=partial(health.go_on, Cause.STORAGE),
                )
            )
            galleries = Galleries()
            galleries.count(store.journal.templates_by_space())
            roll = Roll()
            memberships = Memberships(store, roll, galleries, config)
            tell(memberships.begun())
            exchange_key = FileKeyProvider(config.exchange_key, random_bytes)
            vault = Vault(exchange_key, {}, store.keys, clock, random_bytes)
            unlocking = Unlocking(store, vault, galleries, random_bytes)
            for member in roll:
                unlocking.admit(member, config)
            log_key = SigningKey(f"{config.trust_domain}/log", vault.log_seed())
            log.info("log and receipts are signed by %s", log_key.verifier.text)
            for text in unaudited(roll, config.auditors):
                log.warning("%s", text)
            store.log.note_members(roll)
            # What the members have decided.
            rates = Rates(spaces, calibrations, galleries.comparisons)
            in_force = put_in_force(config, store, clock, rates=rates, roll=roll)
            precedence = Precedence()
            # The matcher.
            workers = parts.enter_context(
                ThreadPoolExecutor(limits.WORKER_THREADS, "worker")
            )
            files = SegmentFiles(config.segments, random_bytes)
            site = parts.enter_context(
                site_of(
                    config,
                    store,
                    vault=vault,
                    spaces=spaces,
                    galleries=galleries,
                    files=files,
                )
            )
            follower = Follower(
                journal=store.journal,
                index=site.index,
                files=files,
                galleries=galleries,
                on_failure=health.lose,
            )
            confirmation = Confirmation(
                journal=store.journal,
                vault=vault,
                spaces=spaces,
                galleries=galleries,
                engine=site.engine,
                follower=follower,
            )
            scanner = parts.enter_context(
                Scanner(
                    engine=site.engine,
                    confirmation=confirmation,
                    comparing=site.comparing,
                    threads=site.threads,
                    scanned=metrics.scanned,
                )
            )
            slots = Slots(config.slot_seconds)
            matcher = Matcher(
                agreements=in_force.agreements,
                calibrations=calibrations,
                galleries=galleries,
                precedence=precedence,
                scanner=scanner,
                slots=slots,
                answers=store.answers,
                receipts=ReceiptIssuer(log_key),
                budget=store.budget,
                resemblance=Resemblance(clock, random_bytes),
                vault=vault,
                workers=workers,
                clock=clock,
                timed=Stages(metrics.took, tracing).timed,
                random_bytes=random_bytes,
            )
            # Enrolment.
            enrolment = EnrolmentService(
                enrolment=Enrolment(
                    records=store.records,
                    replies=store.answers,
                    journal_end=store.journal.end,
                    precedence=precedence,
                    vault=vault,
                    index=follower,
                    workers=workers,
                    random_bytes=random_bytes,
                ),
                withdrawal=Withdrawal(
                    records=store.records, vault=vault, index=follower
                ),
                replacement=Replacement(
                    records=store.records,
                    whole=store.whole,
                    vault=vault,
                    spaces=spaces,
                    index=follower,
                    workers=workers,
                ),
                protection=LateProtection(records=store.records, vault=vault),
                register=Register(
                    rows=store.register,
                    vault=vault,
                    states=galleries,
                    workers=workers,
                    clock=clock,
                ),
                spaces=spaces,
                clock=clock,
            )
            # Custody.
            access = Access(
                galleries=galleries,
                follower=follower,
                loading=site.loading,
                scanner=scanner,
                keeper=site.keeper,
            )
            key = SigningKey(f"{config.trust_domain}/erasure", vault.signing_seed())
            log.info("what the exchange states is signed by %s", key.verifier.text)
            rotation = Rotation(
                store=store,
                vault=vault,
                access=access,
                spaces=spaces,
                clock=clock,
                random_bytes=random_bytes,
                key=key,
            )
            tending = Tending(
                store=store, vault=vault, access=access, rotation=rotation
            )
            custodian = Custodian(
                store=store,
                vault=vault,
                access=access,
                tending=tending,
                clock=clock,
                random_bytes=random_bytes,
            )
            disposal = Disposal(
                members=roll,
                rows=store.register,
                records=store.records,
                precedence=precedence,
                vault=vault,
                workers=workers,
                clock=clock,
            )
            # Follow-ups.
            follow_ups = FollowUps(
                rows=store.follow_ups,
                agreements=in_force.agreements,
                vault=vault,
                slots=slots,
                workers=workers,
                clock=clock,
            )
            store.follow_ups.keep_only(config.members).result()
            # The edge.
            in_turn = InTurn(METHODS, config.slot_seconds, metrics.waited)
            known = (config.trust_domain, roll, trusted.authorities, clock)
            guarded = partial(
                chain,
                tracing=tracing,
                taking_part=TakingPart(roll),
                in_turn=in_turn,
                metrics=metrics,
                unseal=vault.unseal,
                clock=clock,
                random_bytes=random_bytes,
            )
            servicers = (
                partial(
                    match_pb2_grpc.add_MatchServiceServicer_to_server,
                    MatchService(matcher=matcher, spaces=spaces),
                ),
                partial(
                    duplicate_pb2_grpc.add_DuplicateServiceServicer_to_server,
                    DuplicateService(
                        duplicates=Duplicates(
                            whole=store.whole,
                            vault=vault,
                            spaces=spaces,
                            calibrations=calibrations,
                            galleries=galleries,
                            scanner=scanner,
                            workers=workers,
                            clock=clock,
                        )
                    ),
                ),
                partial(
                    enrolment_pb2_grpc.add_EnrolmentServiceServicer_to_server,
                    enrolment,
                ),
                partial(
                    custody_pb2_grpc.add_CustodyServiceServicer_to_server,
                    CustodyService(
                        custodian=custodian,
                        verifier=key.verifier.text,
                        sealing_key=lambda member: sealing_key_note(
                            vault.sealing_key(member), SUITE, key
                        ),
                    ),
                ),
                partial(
                    agreement_pb2_grpc.add_AgreementServiceServicer_to_server,
                    AgreementService(
                        agreements=in_force.agreements, rates=rates, clock=clock
                    ),
                ),
                partial(
                    review_pb2_grpc.add_ReviewServiceServicer_to_server,
                    ReviewService(reviews=store.reviews, workers=workers),
                ),
                partial(
                    followup_pb2_grpc.add_FollowUpServiceServicer_to_server,
                    FollowUpService(follow_ups=follow_ups),
                ),
                partial(
                    space_pb2_grpc.add_SpaceServiceServicer_to_server,
                    SpaceService(rates=rates),
                ),
                partial(
                    audit_pb2_grpc.add_AuditServiceServicer_to_server,
                    AuditService(
                        log=store.log,
                        cosignatures=store.cosignatures,
                        key=log_key,
                        witnesses=read_witnesses(config.witnesses),
                        clock=clock,
                    ),
                ),
                partial(
                    region_pb2_grpc.add_RegionServiceServicer_to_server,
                    RegionService(
                        name=config.name,
                        members=roll,
                        names=lambda: settings.names,
                        methods=METHODS,
                        agreements=in_force.agreements,
                        rates=rates,
                        galleries=galleries,
                        sizes=partial(sizes, store, roll),
                        hour=hour,
                        clock=clock,
                    ),
                ),
                partial(health_pb2_grpc.add_HealthServicer_to_server, health),
            )
            doors = make_doors(
                config,
                trusted,
                lambda roles: guarded(
                    identity=Identity(*known), methods=METHODS, roles=roles
                ),
                servicers,
            )
            guards = guarded(
                identity=Shown(*known), methods=SHOWN, roles=frozenset(Role)
            )
            doors += make_hatch(config.console_socket, guards, servicers)
            metrics.watch(
                Gauges(
                    serving=health.is_serving,
                    waiting=in_turn.waiting,
                    at_once=in_turn.at_once,
                    overruns=lambda: slots.overruns,
                    behind=lambda: store.journal.end() - site.index.position,
                    galleries=partial(sizes, store, roll),
                    calibrations=rates.used,
                    shards=site.shards,
                    certificate_seconds=lambda: seconds_left(trusted.trust.end, clock),
                    revocation_seconds=lambda: (
                        None
                        if (end := trusted.authorities().lists_end) is None
                        else seconds_left(end, clock)
                    ),
                )
            )
            if config.metrics_listen is not None:
                parts.callback(metrics.serve(config.metrics_listen))
            # Start: first the index, then the doors.
            if not store.register.is_whole():
                log.warning("rows of the database are missing: codes are made anew")
                files.discard_all()
            follower.start()
            parts.callback(follower.stop)
            await asyncio.to_thread(follower.wait_until_loaded)
            site.index.verify(
                {
                    GalleryName(member, row.space): row.templates
                    for member in roll
                    for row in store.register.galleries(member)
                }
            )
            site.keeper.start()
            parts.callback(site.keeper.stop)
            parts.push_async_callback(access.stop)
            parts.push_async_callback(tending.stop)
            tending.begin(*roll)
            settings = Settings(
                config,
                store=store,
                roll=roll,
                memberships=memberships,
                unlocking=unlocking,
                auditors=auditors,
                in_force=in_force,
            )
            for door in doors:
                await door.server.start()
            for keeping in (
                keep_erasing(store),
                keep_disposing(disposal),
                keep_ending_epochs(custodian, roll),
                keep_ending_follow_ups(store),
                keep_looking(settings, limits.AGREEMENTS_LOOK_SECONDS),
                keep_trusting(trusted, health),
            ):
                parts.callback(asyncio.create_task(keeping).cancel)
            health.set_all(serving=True)
            return cls(
                port=doors[0].port,
                admin_port=doors[config.admin_listen is not None].port,
                store=store,
                trusted=trusted,
                verifier=key.verifier.text,
                settings=settings,
                shards=site.shards,
                _health=health,
                _doors=doors,
                _follower=follower,
                _parts=parts.pop_all(),
            )

    async def stop(self) -> None:
        """Drain: take no new call, finish those that run, then close every part."""
        self._health.drain()
        await asyncio.gather(
            *(door.server.stop(limits.DRAIN_SECONDS) for door in self._doors)
        )
        await self._parts.aclose()


def sizes(store: Store, members: Iterable[Member]) -> dict[Member, int]:
    """Return how many templates each member has."""
    return {
        member: sum(row.templates for row in store.register.galleries(member))
        for member in members
    }


def seconds_left(end: dt.datetime, clock: Clock) -> float:
    """Return how long it is until a moment."""
    return (end - clock.now()).total_seconds()


def put_in_force(
    config: Config, store: Store, clock: Clock, *, rates: Rates, roll: Roll
) -> InForce:
    """Return the agreements in force: those of before, and what was signed since.

    Raises:
        ConfigurationError: the list of signers is wrong.
    """
    signers = read_signers(config.signers)
    log.info("those who sign agreements: SHA-256 %s", signers.fingerprint)
    for each in rates.calibrations:
        log.info(
            "calibration of %s: %s, of %s; SHA-256 %s",
            *(each.space, each.basis, each.dated, each.digest),
        )
    for text in rates.outgrown():
        log.warning("%s", text)
    in_force = InForce(
        config.agreements,
        members=roll,
        signers=signers,
        keep=store.agreements.keep,
        clock=clock,
        unkept=rates.unkept,
    )
    tell(in_force.restore(store.agreements.last()))
    tell(in_force.look())
    return in_force
