"""What an exchange stands on: decisions, what is seen of it, the store, and keys."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from biometrics.audit import Scribe
from biometrics.custody import FileKeyProvider, Vault
from biometrics.precedence import Precedence
from biometrics.server.abreast import Abreast
from biometrics.server.health import Cause, Health
from biometrics.server.hour import Hour
from biometrics.server.in_force import InForce
from biometrics.server.membership import Memberships, SettingsInForce
from biometrics.server.methods import SERVICES, check_table
from biometrics.server.metrics import Metrics
from biometrics.server.policy import (
    read_auditors,
    read_calibrated,
    read_witnesses,
    unaudited,
)
from biometrics.server.rates import Rates
from biometrics.server.roll import Roll
from biometrics.server.stages import begin_tracing, end_tracing
from biometrics.server.tls import Trusted, trust_notes
from biometrics.server.told import tell
from biometrics.server.unlocking import Unlocking
from biometrics.signing import SigningKey, read_signers
from biometrics.store import NAME_BYTES, open_store
from matcher.galleries import Galleries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AsyncExitStack

    from biometrics.audit.cosignature import WitnessKey
    from biometrics.calibration import Calibrations
    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.server.config import Config
    from biometrics.server.traces import Tracing
    from biometrics.store import Store
    from biometrics.templates import TemplateSpaces

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every other part is made of.

    Attributes:
        config: what the operator has decided.
        clock: tells the time.
        random_bytes: where keys, numbers and names come from.
        spaces: of templates.
        calibrations: from where two templates match, in each space.
        trusted: the exchange's certificates, and whose it believes.
        hour: the last hour, as members are shown it.
        metrics: figures for the operator.
        tracing: of calls, if anybody is sent them.
        health: whether anything can be called; nothing, at first.
        store: the database.
        galleries: how it is about each.
        roll: who is a member.
        vault: opens what is in the store.
        log_key: signs the log, and receipts.
        rates: which threshold counts today.
        in_force: what the members have agreed.
        witnesses: whose cosignatures of the log are kept.
        precedence: searches go before enrolments.
        settings: what of the settings is taken up while the exchange runs.
        abreast: what other front ends do, if there are others.
        start: the journal's end before any gallery was opened.
    """

    config: Config
    clock: Clock
    random_bytes: Callable[[int], bytes]
    spaces: TemplateSpaces
    calibrations: Calibrations
    trusted: Trusted
    hour: Hour
    metrics: Metrics
    tracing: Tracing | None
    health: Health
    store: Store
    galleries: Galleries
    roll: Roll
    vault: Vault
    log_key: SigningKey
    rates: Rates
    in_force: InForce
    witnesses: Mapping[Member, WitnessKey]
    precedence: Precedence
    settings: SettingsInForce
    abreast: Abreast
    start: int

    def sizes(self) -> dict[Member, int]:
        """Return how many templates each member has."""
        return {
            member: sum(row.templates for row in self.store.register.galleries(member))
            for member in self.roll
        }


def lay(
    config: Config,
    *,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
    parts: AsyncExitStack,
) -> Ground:
    """Read what was decided, and open the store; what is to be closed goes to `parts`.

    Raises:
        ConfigurationError: a file or setting is wrong.
    """
    # What the operator has decided.
    spaces, calibrations = read_calibrated(config.spaces, config.calibrations)
    check_table(SERVICES)
    trusted = Trusted(config, clock)
    for note in trust_notes(config):
        log.warning("%s", note)
    # What can be seen of it.
    hour = Hour(clock)
    metrics = Metrics(hour)
    tracing = begin_tracing(config.traces)
    parts.push_async_callback(end_tracing, tracing)
    # Whether anything can be called; nothing yet.
    health = Health(s.full_name for s in SERVICES)
    # The store, who takes part, and the keys that open what is in it.
    auditors = read_auditors(config.auditors)
    witnesses = read_witnesses(config.witnesses)
    store = parts.enter_context(
        open_store(
            config.database,
            clock,
            scribe=Scribe(auditors, random_bytes),
            front_end=random_bytes(NAME_BYTES) if config.is_shared else None,
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
    # What is closed from here on is closed by whoever follows the journal.
    start = store.journal.end()
    if store.front_ends is not None:
        store.front_ends.reach(vault.shown(), start, start)
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
    return Ground(
        config=config,
        clock=clock,
        random_bytes=random_bytes,
        spaces=spaces,
        calibrations=calibrations,
        trusted=trusted,
        hour=hour,
        metrics=metrics,
        tracing=tracing,
        health=health,
        store=store,
        galleries=galleries,
        roll=roll,
        vault=vault,
        log_key=log_key,
        rates=rates,
        in_force=in_force,
        witnesses=witnesses,
        precedence=Precedence(),
        settings=SettingsInForce(
            config,
            store=store,
            roll=roll,
            memberships=memberships,
            unlocking=unlocking,
            auditors=auditors,
            witnesses=witnesses,
            in_force=in_force,
        ),
        abreast=Abreast(store, vault, galleries, in_force, roll),
        start=start,
    )


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
