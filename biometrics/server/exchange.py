"""The composition root: every part is made here, in the order in which it starts.

`Exchange.start` reads from top to bottom what the exchange consists of; nothing is
looked up by name and nothing is made elsewhere.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import secrets
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import uvloop
from grpc_health.v1 import health_pb2_grpc  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from biometrics import limits
from biometrics.audit import ReceiptIssuer, Scribe
from biometrics.clock import SystemClock
from biometrics.custody import FileKeyProvider, Vault
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    GalleryLockedError,
    SealError,
)
from biometrics.precedence import Precedence
from biometrics.sealing import SUITE
from biometrics.server.admission import InTurn
from biometrics.server.audit import AuditService
from biometrics.server.check import wrong_exchange_key
from biometrics.server.config import read_config
from biometrics.server.custodian import Custodian
from biometrics.server.custody import CustodyService
from biometrics.server.directory import AgreementService, SpaceService
from biometrics.server.doors import Door, make_doors
from biometrics.server.health import Health
from biometrics.server.in_force import InForce
from biometrics.server.interceptors import Identity, chain
from biometrics.server.methods import METHODS, SERVICES, check_table
from biometrics.server.metrics import Gauges, Metrics
from biometrics.server.policy import (
    read_auditors,
    read_calibrated,
    read_signers,
    unaudited,
)
from biometrics.server.rates import Rates
from biometrics.server.reviews import ReviewService
from biometrics.server.rotation import Rotation
from biometrics.server.tending import Tending
from biometrics.server.tls import Trusted, trust_notes
from biometrics.signing import SigningKey, sealing_key_note
from biometrics.slots import Slots
from biometrics.store import CustodyState, open_store
from biometrics.v1 import (
    agreement_pb2_grpc,
    audit_pb2_grpc,
    custody_pb2_grpc,
    duplicate_pb2_grpc,
    enrolment_pb2_grpc,
    match_pb2_grpc,
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
from matcher.engine import Engine
from matcher.follower import Follower
from matcher.galleries import Galleries, GalleryName, Shelf
from matcher.index import Index
from matcher.keeper import Keeper
from matcher.loading import Loading
from matcher.match import Matcher
from matcher.schedule import Scanner
from matcher.segments import SegmentFiles
from matcher.service import DuplicateService, MatchService

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from biometrics.clock import Clock
    from biometrics.custody import KeyProvider
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.server.in_force import Told
    from biometrics.store import Store

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
    """

    port: int
    admin_port: int
    store: Store
    trusted: Trusted
    verifier: str
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
            # Whether anything can be called; nothing yet.
            health = Health(s.full_name for s in SERVICES)
            # The store, and the keys that open what is in it.
            store = parts.enter_context(
                open_store(
                    config.database,
                    clock,
                    scribe=Scribe(read_auditors(config.auditors), random_bytes),
                    on_failure=health.pause,
                    on_recovery=health.go_on,
                )
            )
            vault, galleries = unlock(config, store, clock, random_bytes)
            log_key = SigningKey(f"{config.trust_domain}/log", vault.log_seed())
            log.info("log and receipts are signed by %s", log_key.verifier.text)
            for text in unaudited(config.members, config.auditors):
                log.warning("%s", text)
            store.log.note_members(config.members)
            # What the members have decided.
            rates = Rates(spaces, calibrations, galleries.comparisons)
            in_force = put_in_force(config, store, clock, rates)
            precedence = Precedence()
            # The matcher.
            workers = parts.enter_context(
                ThreadPoolExecutor(limits.WORKER_THREADS, "worker")
            )
            engine: Engine[Shelf] = Engine()
            index = Index(
                vault=vault, spaces=spaces, engine=engine, galleries=galleries
            )
            files = SegmentFiles(config.segments, random_bytes)
            follower = Follower(
                journal=store.journal,
                index=index,
                files=files,
                galleries=galleries,
                on_failure=health.lose,
            )
            keeper = Keeper(
                index=index, engine=engine, galleries=galleries, files=files
            )
            confirmation = Confirmation(
                journal=store.journal,
                vault=vault,
                spaces=spaces,
                galleries=galleries,
                engine=engine,
                follower=follower,
            )
            scanner = parts.enter_context(
                Scanner(engine=engine, confirmation=confirmation)
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
                loading=Loading(
                    index=index,
                    journal=store.journal,
                    register=store.register,
                    files=files,
                    vault=vault,
                    spaces=spaces,
                ),
                scanner=scanner,
                keeper=keeper,
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
                members=config.members,
                rows=store.register,
                records=store.records,
                precedence=precedence,
                vault=vault,
                workers=workers,
                clock=clock,
            )
            # The edge.
            metrics = Metrics()
            in_turn = InTurn(METHODS, config.slot_seconds, metrics.waited)
            identity = Identity(
                config.trust_domain, config.members, trusted.authorities, clock
            )
            doors = make_doors(
                config,
                trusted,
                lambda roles: chain(
                    identity=identity,
                    in_turn=in_turn,
                    metrics=metrics,
                    methods=METHODS,
                    roles=roles,
                    unseal=vault.unseal,
                    clock=clock,
                    random_bytes=random_bytes,
                ),
                (
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
                        space_pb2_grpc.add_SpaceServiceServicer_to_server,
                        SpaceService(rates=rates),
                    ),
                    partial(
                        audit_pb2_grpc.add_AuditServiceServicer_to_server,
                        AuditService(log=store.log, key=log_key),
                    ),
                    partial(health_pb2_grpc.add_HealthServicer_to_server, health),
                ),
            )
            metrics.watch(
                Gauges(
                    serving=health.is_serving,
                    waiting=in_turn.waiting,
                    at_once=in_turn.at_once,
                    overruns=lambda: slots.overruns,
                    behind=lambda: store.journal.end() - index.position,
                    galleries=partial(sizes, store, config.members),
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
            index.verify(
                {
                    GalleryName(member, row.space): row.templates
                    for member in config.members
                    for row in store.register.galleries(member)
                }
            )
            keeper.start()
            parts.callback(keeper.stop)
            parts.push_async_callback(access.stop)
            parts.push_async_callback(tending.stop)
            tending.begin(*config.members)
            for door in doors:
                await door.server.start()
            for keeping in (
                keep_erasing(store),
                keep_disposing(disposal),
                keep_ending_epochs(custodian, config.members),
                keep_looking(in_force, limits.AGREEMENTS_LOOK_SECONDS),
                keep_looking(trusted, limits.CERTIFICATES_LOOK_SECONDS),
            ):
                parts.callback(asyncio.create_task(keeping).cancel)
            health.set_all(serving=True)
            return cls(
                port=doors[0].port,
                admin_port=doors[-1].port,
                store=store,
                trusted=trusted,
                verifier=key.verifier.text,
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


async def keep_erasing(store: Store) -> None:
    """Take what was withdrawn out of the database's files, time and again."""
    while True:
        try:
            is_erased = await asyncio.to_thread(store.erase)
        except ExchangeError as error:
            is_erased = False
            log.warning("what was withdrawn is not erased yet: %s", error.reason)
        await asyncio.sleep(
            limits.ERASE_SECONDS if is_erased else limits.ERASE_RETRY_SECONDS
        )


async def keep_ending_epochs(custodian: Custodian, members: Iterable[Member]) -> None:
    """Retire the keys of what was withdrawn within a day, time and again."""
    while True:
        for member in members:
            try:
                await custodian.rotate_due(member)
            except GalleryLockedError:
                continue  # once it is unlocked
            except ExchangeError as error:
                log.warning("keys of %s are not rotated yet: %s", member, error.reason)
        await asyncio.sleep(limits.WITHDRAWAL_LOOK_SECONDS)


async def keep_disposing(disposal: Disposal) -> None:
    """Withdraw what has expired, time and again."""
    left = 0
    while True:
        try:
            swept = await disposal.sweep()
        except ExchangeError as error:
            log.warning("what has expired is not disposed of yet: %s", error.reason)
        except Exception:  # what is to come must not wait for ever
            log.exception("the sweep of what has expired failed, and is made again")
        else:
            if swept.disposed:
                log.info(
                    "records that had expired, and were withdrawn: %d", swept.disposed
                )
            if swept.left > left:
                log.error(
                    "rows of %d records say that they have expired and are not as they"
                    " were written: restore the database from a backup",
                    swept.left,
                )
            left = swept.left
        await asyncio.sleep(limits.DISPOSE_SECONDS)


def put_in_force(config: Config, store: Store, clock: Clock, rates: Rates) -> InForce:
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
        members=config.members,
        signers=signers,
        keep=store.agreements.keep,
        clock=clock,
        unkept=rates.unkept,
    )
    tell(in_force.restore(store.agreements.last()))
    tell(in_force.look())
    return in_force


async def keep_looking(at: InForce | Trusted, seconds: float) -> None:
    """Take up agreements or certificates that are new, time and again."""
    while True:
        await asyncio.sleep(seconds)
        try:
            tell(await asyncio.to_thread(at.look))
        except Exception:  # a prohibition that was signed must not wait for ever
            log.exception("the look for what is new failed, and is made again")


def tell(told: Iterable[Told]) -> None:
    """Log what came into force and what did not."""
    for each in told:
        log.log(logging.WARNING if each.is_warning else logging.INFO, "%s", each.text)


def unlock(
    config: Config,
    store: Store,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> tuple[Vault, Galleries]:
    """Return the vault with every member unlocked whose key is at hand.

    A member that has locked its galleries, or whose key is missing or does not fit,
    stays locked: its holders' outcome is UNAVAILABLE, and everybody else is served.

    Raises:
        ConfigurationError: the exchange's own key is missing or does not fit.
    """
    galleries = Galleries()
    galleries.count(store.journal.templates_by_space())
    providers: dict[Member, KeyProvider] = {}
    for member, source in config.members.items():
        try:
            providers[member] = source.open(random_bytes)
        except ConfigurationError as error:
            _stay_locked(galleries, member, error)
    closed = store.custody.closed()
    exchange = FileKeyProvider(config.exchange_key, random_bytes)
    vault = Vault(exchange, providers, store.keys, clock, random_bytes)
    for member in config.members:
        _know(config, store, vault, galleries, member)
        if (state := closed.get(member)) is not None:
            _stay_closed(galleries, member, state)
        elif member in providers:
            try:
                vault.unlock(member)
            except (GalleryLockedError, SealError) as error:
                _stay_locked(galleries, member, error)
    return vault, galleries


def _know(  # noqa: PLR0917 - the parts that there are by then
    config: Config, store: Store, vault: Vault, galleries: Galleries, member: Member
) -> None:
    """Have at hand what is needed of a member whether or not it is unlocked."""
    try:
        vault.index(member)  # made now, so that no call has to wait for it
    except SealError as error:
        raise wrong_exchange_key(config.exchange_key) from error
    for space in store.register.spaces(member):
        galleries.know(member, space)


def _stay_locked(galleries: Galleries, member: Member, error: ExchangeError) -> None:
    """Note and tell that a member's galleries cannot be opened."""
    galleries.lock(member)
    log.warning("galleries of %s stay locked: %s", member, error.message)


def _stay_closed(galleries: Galleries, member: Member, state: CustodyState) -> None:
    """Note and tell that a member has closed its galleries."""
    if state is CustodyState.DESTROYED:
        galleries.destroy(member)
    else:
        galleries.lock(member)
    log.info("galleries of %s stay closed: their member has %s them", member, state)


def run(path: Path) -> None:
    """Serve the exchange at `path` until SIGTERM, SIGINT or SIGHUP, then drain.

    Raises:
        ConfigurationError: a file or setting is wrong, or the port is taken.
    """
    config = read_config(path)
    # A core dump would hold every key that is at hand.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # There is a scanning thread for each core: NumPy's own would only compete with it.
    threadpool_limits(limits=1, user_api="blas")
    uvloop.run(_serve(config))


async def _serve(config: Config) -> None:
    """Serve until told to stop, then drain."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    # A terminal that closes sends SIGHUP; agreements need none. What is ignored
    # stays so: under `nohup` the exchange outlives its terminal.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, told.set)
    starting = asyncio.create_task(Exchange.start(config, clock=SystemClock()))
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        log.info("stopped before it was ready")
        starting.cancel()
        await asyncio.wait((starting,))
        return
    exchange = starting.result()
    host, _, _ = config.listen.rpartition(":")
    # What there is now stays: the collector of cycles need not look through it again
    # after every few hundred objects, of which each record that is enrolled makes some.
    gc.freeze()
    gc.set_threshold(limits.OBJECTS_BETWEEN_COLLECTIONS)
    log.info("ready on %s:%d as %s", host, exchange.port, config.name)
    await stopping
    log.info("draining")
    await exchange.stop()
    log.info("stopped")
