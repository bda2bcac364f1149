"""What is done time and again while an exchange runs; each ends by being cancelled."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.delivery import delivered
from biometrics.errors import ExchangeError, GalleryLockedError
from biometrics.server.health import Cause
from biometrics.server.told import tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from biometrics.members import Member
    from biometrics.server.custodian import Custodian
    from biometrics.server.health import Health
    from biometrics.server.membership import SettingsInForce
    from biometrics.server.tls import Trusted
    from biometrics.store import Store
    from enrolment.dispose import Disposal
    from matcher.canary_probes import CanaryProbes

log = logging.getLogger(__name__)


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


async def keep_ending_follow_ups(store: Store) -> None:
    """End follow-ups whose time is over, time and again."""
    while True:
        try:
            ended = await delivered(
                store.follow_ups.end_due(limits.MAX_FOLLOW_UPS_LISTED)
            )
        except ExchangeError as error:
            ended = 0
            log.warning("follow-ups are not ended yet: %s", error.reason)
        if ended < limits.MAX_FOLLOW_UPS_LISTED:
            await asyncio.sleep(limits.FOLLOW_UP_LOOK_SECONDS)


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


async def keep_probing(probes: CanaryProbes) -> None:
    """Search for nobody, time and again."""
    while True:
        await asyncio.sleep(limits.CANARY_PROBE_SECONDS)
        try:
            drifted = await probes.search()
        except ExchangeError as error:
            log.info("a canary probe was not searched with: %s", error.reason)
            continue
        for space in drifted:
            log.error(
                "calibration of %s: canary probes, which are nobody, match more often"
                " than is promised; look for captures that failed, and calibrate again",
                space,
            )


async def keep_looking(at: SettingsInForce, seconds: float) -> None:
    """Take up members and agreements that are new, time and again."""
    async for _ in looks(at, seconds):
        pass


async def looks(at: SettingsInForce | Trusted, seconds: float) -> AsyncIterator[None]:
    """Look for what is new, time and again; yield after each look."""
    while True:
        await asyncio.sleep(seconds)
        try:
            tell(await asyncio.to_thread(at.look))
        except Exception:  # a prohibition that was signed must not wait for ever
            log.exception("the look for what is new failed, and is made again")
        yield


async def keep_trusting(trusted: Trusted, health: Health) -> None:
    """Take up certificates that are new; be called as long as they are good."""
    async for _ in looks(trusted, limits.CERTIFICATES_LOOK_SECONDS):
        (health.go_on if trusted.is_good() else health.pause)(Cause.CERTIFICATES)
