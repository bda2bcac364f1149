"""The matcher's parts, from the galleries in memory to an answer."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.audit import ReceiptIssuer
from biometrics.errors import UnavailableError
from biometrics.server.site import site_of
from biometrics.server.stages import Stages
from biometrics.slots import Slots
from biometrics.turns import Turns
from matcher.access import Access
from matcher.alike import Resemblance
from matcher.canary_probes import CanaryProbes
from matcher.confirm import Confirmation
from matcher.duplicates import Duplicates
from matcher.follower import Follower
from matcher.fusion import Aims
from matcher.galleries import GalleryName
from matcher.match import Matcher
from matcher.opening import Opener
from matcher.schedule import Scanner
from matcher.segments import SegmentFiles
from matcher.weighing import Weighing

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AsyncExitStack

    from biometrics.members import Member
    from biometrics.server.ground import Ground
    from biometrics.server.site import Site
    from biometrics.store import RecordReader

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """What searches, and what it searches in.

    Attributes:
        workers: threads for what would hold up the event loop.
        site: the galleries in memory, wherever that is.
        files: their codes on disk.
        follower: brings the journal's changes to the index.
        access: opens and closes the galleries of a member.
        scanner: compares probes with them.
        slots: when an answer leaves.
        matcher: answers searches.
        duplicates: finds who of one's own resemble one another.
        probes: searches for nobody.
    """

    workers: ThreadPoolExecutor
    site: Site
    files: SegmentFiles
    follower: Follower
    access: Access
    scanner: Scanner
    slots: Slots
    matcher: Matcher
    duplicates: Duplicates
    probes: CanaryProbes

    async def start(self, ground: Ground, parts: AsyncExitStack) -> None:
        """Load every gallery; on return they are searched, and follow the journal.

        What is to be stopped goes to `parts`.
        """
        store = ground.store
        if not store.register.is_whole():
            log.warning("rows of the database are missing: codes are made anew")
            self.files.discard_all()
        self.follower.start()
        parts.callback(self.follower.stop)
        await asyncio.to_thread(self.follower.wait_until_loaded)
        ground.abreast.begin(self.follower)
        verify = partial(self._verify, store.register, ground.roll)
        if store.front_ends is None:
            await asyncio.to_thread(verify)
        else:
            await asyncio.to_thread(self.follower.catch_up)
            await asyncio.to_thread(store.while_still, verify)
        self.site.keeper.start()
        parts.callback(self.site.keeper.stop)
        parts.push_async_callback(self.access.stop)

    def _verify(self, register: RecordReader, members: Iterable[Member]) -> None:
        """Compare what was loaded with what was counted, while nobody writes.

        Raises:
            UnavailableError: what was written a moment ago is not followed yet.
        """
        if not self.follower.catch_up():
            raise UnavailableError(
                "STILL_LOADING",
                "what others write cannot be followed fast enough; start again",
            )
        self.site.index.verify(
            {
                GalleryName(member, row.space): row.templates
                for member in members
                for row in register.galleries(member)
            }
        )


def make_matching(ground: Ground, parts: AsyncExitStack) -> Matching:
    """Make the matcher; what is to be closed goes to `parts`."""
    store, vault, spaces = ground.store, ground.vault, ground.spaces
    galleries = ground.galleries
    workers = parts.enter_context(ThreadPoolExecutor(limits.WORKER_THREADS, "worker"))
    # Galleries in memory, and their codes on disk.
    files = SegmentFiles(ground.config.segments, ground.random_bytes)
    if store.front_ends is not None:
        parts.enter_context(files.held())
    site = parts.enter_context(
        site_of(
            ground.config,
            store,
            vault=vault,
            spaces=spaces,
            galleries=galleries,
            files=files,
        )
    )
    ground.settings.share_out_by(site.share_out)
    follower = Follower(
        journal=store.journal,
        index=site.index,
        files=files,
        galleries=galleries,
        start=ground.start,
        on_failure=ground.health.lose,
        followed=ground.abreast.heard,
    )
    # What a search compares, and decides.
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
            scanned=ground.metrics.scanned,
        )
    )
    slots = Slots(ground.config.slot_seconds)
    matcher = Matcher(
        abreast=ground.abreast.abreast,
        agreements=ground.in_force.agreements,
        aims=Aims(ground.calibrations, galleries.comparisons),
        galleries=galleries,
        precedence=ground.precedence,
        scanner=scanner,
        weighing=Weighing(
            journal=store.journal,
            opener=Opener(
                journal=store.journal, vault=vault, spaces=spaces, galleries=galleries
            ),
        ),
        slots=slots,
        answers=store.answers,
        receipts=ReceiptIssuer(ground.log_key),
        budget=store.budget,
        resemblance=Resemblance(ground.clock, ground.random_bytes),
        outlining=Turns(limits.OUTLINED_AT_ONCE),
        vault=vault,
        workers=workers,
        clock=ground.clock,
        timed=Stages(ground.metrics.took, ground.tracing).timed,
        random_bytes=ground.random_bytes,
    )
    duplicates = Duplicates(
        whole=store.whole,
        vault=vault,
        spaces=spaces,
        calibrations=ground.calibrations,
        galleries=galleries,
        scanner=scanner,
        abreast=ground.abreast.abreast,
        workers=workers,
        clock=ground.clock,
    )
    probes = CanaryProbes(
        spaces=spaces,
        calibrations=ground.calibrations,
        galleries=galleries,
        scanner=scanner,
        precedence=ground.precedence,
        random_bytes=ground.random_bytes,
    )
    # How a holder closes and opens its own.
    access = Access(
        galleries=galleries,
        follower=follower,
        loading=site.loading,
        scanner=scanner,
        keeper=site.keeper,
        others=ground.abreast.obeyed,
        settled=ground.abreast.settled,
    )
    return Matching(
        workers=workers,
        site=site,
        files=files,
        follower=follower,
        access=access,
        scanner=scanner,
        slots=slots,
        matcher=matcher,
        duplicates=duplicates,
        probes=probes,
    )
