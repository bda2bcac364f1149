"""The parts of whoever holds records: enrolment, custody, and follow-ups."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.server.custodian import Custodian
from biometrics.server.follow_ups import FollowUps
from biometrics.server.rotation import Rotation
from biometrics.server.tending import Tending
from biometrics.signing import SigningKey
from enrolment.dispose import Disposal
from enrolment.enrol import Enrolment
from enrolment.protect import LateProtection
from enrolment.register import Register
from enrolment.replace import Replacement
from enrolment.service import EnrolmentService
from enrolment.withdraw import Withdrawal

if TYPE_CHECKING:
    from biometrics.server.ground import Ground
    from biometrics.server.matching import Matching

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What holders do with their records, and what is done for them.

    Attributes:
        enrolment: takes records in, changes them and takes them out.
        disposal: takes out what has expired.
        key: signs what the exchange states of keys.
        tending: ends rotations and destructions that were begun.
        custodian: closes, opens, rotates and destroys galleries.
        follow_ups: of matches, between two members.
    """

    enrolment: EnrolmentService
    disposal: Disposal
    key: SigningKey
    tending: Tending
    custodian: Custodian
    follow_ups: FollowUps


def make_holding(ground: Ground, matching: Matching) -> Holding:
    """Make what holders need; nothing of it runs yet."""
    store, vault, clock = ground.store, ground.vault, ground.clock
    key = SigningKey(f"{ground.config.trust_domain}/erasure", vault.signing_seed())
    log.info("what the exchange states is signed by %s", key.verifier.text)
    rotation = Rotation(
        store=store,
        vault=vault,
        access=matching.access,
        spaces=ground.spaces,
        clock=clock,
        random_bytes=ground.random_bytes,
        key=key,
    )
    tending = Tending(
        store=store, vault=vault, access=matching.access, rotation=rotation
    )
    holding = Holding(
        enrolment=make_enrolment(ground, matching),
        disposal=Disposal(
            members=ground.roll,
            rows=store.register,
            records=store.records,
            precedence=ground.precedence,
            vault=vault,
            workers=matching.workers,
            clock=clock,
        ),
        key=key,
        tending=tending,
        custodian=Custodian(
            store=store,
            vault=vault,
            access=matching.access,
            tending=tending,
            clock=clock,
            random_bytes=ground.random_bytes,
        ),
        follow_ups=FollowUps(
            rows=store.follow_ups,
            agreements=ground.in_force.agreements,
            vault=vault,
            slots=matching.slots,
            workers=matching.workers,
            clock=clock,
        ),
    )
    store.follow_ups.keep_only(ground.config.members).result()
    return holding


def make_enrolment(ground: Ground, matching: Matching) -> EnrolmentService:
    """Make what takes records in, changes them and takes them out."""
    store, vault = ground.store, ground.vault
    return EnrolmentService(
        enrolment=Enrolment(
            records=store.records,
            replies=store.answers,
            journal_end=store.journal.end,
            precedence=ground.precedence,
            vault=vault,
            index=matching.follower,
            workers=matching.workers,
            random_bytes=ground.random_bytes,
        ),
        withdrawal=Withdrawal(
            records=store.records, vault=vault, index=matching.follower
        ),
        replacement=Replacement(
            records=store.records,
            whole=store.whole,
            vault=vault,
            spaces=ground.spaces,
            index=matching.follower,
            workers=matching.workers,
        ),
        protection=LateProtection(records=store.records, vault=vault),
        register=Register(
            rows=store.register,
            vault=vault,
            states=ground.galleries,
            workers=matching.workers,
            clock=ground.clock,
        ),
        spaces=ground.spaces,
        clock=ground.clock,
    )
