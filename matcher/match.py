"""The main path of a search: nine steps, in the order of the design.

Steps 1 (identify) and 2 (authorise by caller and method) are decided by the
server's interceptors before anything here runs. What depends on an agreement is
an honest refusal, decided before the probe is read; what depends on a person's
data is NO_MATCH and cannot be told from one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from biometrics import limits
from biometrics.callers import ENDS
from biometrics.delivery import delivered
from biometrics.disclosure import (
    Answer,
    Level,
    Outcome,
    Tally,
    decide,
)
from biometrics.errors import (
    ExchangeError,
    InvalidRequestError,
    RefusedError,
    UnavailableError,
)
from biometrics.members import Member, suspended
from biometrics.stages import Stage
from matcher.alike import outlined
from matcher.budget import Spending, refuse_spent
from matcher.galleries import GalleryState, Shelf
from matcher.kinds import searched
from matcher.plans import Plan, Wanted, plan
from matcher.proof import Committed, Looked, mentions
from matcher.question import Question
from matcher.telling import Asked, all_disclosed, disclosed, learnable, told

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import (
        Awaitable,
        Callable,
        Coroutine,
        Iterable,
        Mapping,
        Sequence,
    )
    from concurrent.futures import Executor

    import numpy as np
    from numpy.typing import NDArray

    from biometrics.audit import ReceiptIssuer
    from biometrics.clock import Clock
    from biometrics.custody import Vault
    from biometrics.disclosure import (
        Agreements,
        Band,
        Permission,
        Purpose,
        SearchPlan,
        Standing,
    )
    from biometrics.precedence import Precedence
    from biometrics.slots import Slots
    from biometrics.stages import Timed
    from biometrics.store import AnswerWriter, Appended, Budget, Disclosed
    from biometrics.templates import Template, TemplateSpace
    from biometrics.turns import Turns
    from matcher.alike import Resemblance
    from matcher.confirm import Confirmed
    from matcher.fusion import Aim, Aims
    from matcher.galleries import Galleries
    from matcher.question import Encode, Refusal, Search
    from matcher.schedule import Scanner
    from matcher.weighing import Weighing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rules:
    """What one request is decided by, all its questions alike."""

    agreements: Agreements
    now: dt.datetime
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Planned:
    """A question, whom it may be asked of, and from which scores on that matches."""

    question: Question
    plan: Plan
    aim: Aim


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of a question, before it is decided who may learn it.

    Attributes:
        planned: the question.
        outcomes: whether each holder could be searched.
        confirmed: what was found.
        is_varied: whether the requester sends many probes like this one.
    """

    planned: Planned
    outcomes: Mapping[Member, Outcome]
    confirmed: Confirmed
    is_varied: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An answer, all that it tells of, and where was looked for it."""

    answer: Answer
    disclosed: Disclosed
    looked: Looked


@dataclass(frozen=True, slots=True)
class Decided:
    """What is to be answered to a request, and all that it tells of."""

    body: Callable[[Sequence[bytes]], bytes]
    committed: Committed
    disclosed: Disclosed


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """Answers searches.

    Attributes:
        abreast: returns once all that is durable is in effect, whoever wrote it.
        agreements: returns those in force at the moment.
        aims: from where on a search matches.
        galleries: who can be searched.
        precedence: holds up bulk loads during steps 5 and 6.
        scanner: steps 5 and 6.
        weighing: step 6 of a probe that has several templates.
        slots: when what was decided is stored, and when it is answered.
        answers: step 8, and the answers to replays.
        receipts: signs for what is in the log.
        budget: what is left to the requester.
        resemblance: what it has searched with of late.
        outlining: members' turns at making prints ready for that.
        vault: keys that tell replays apart and seal stored answers.
        workers: threads for blocking work.
        clock: the time.
        timed: measures stages.
        random_bytes: where references come from.
    """

    abreast: Callable[[], Awaitable[None]]
    agreements: Callable[[], Agreements]
    aims: Aims
    galleries: Galleries
    precedence: Precedence
    scanner: Scanner
    weighing: Weighing
    slots: Slots
    answers: AnswerWriter
    receipts: ReceiptIssuer
    budget: Budget
    resemblance: Resemblance
    outlining: Turns
    vault: Vault
    workers: Executor
    clock: Clock
    timed: Timed
    random_bytes: Callable[[int], bytes]

    async def match(
        self,
        search: Search,
        encode: Encode,
    ) -> bytes:
        """Answer every question of a search, once.

        Args:
            search: the request.
            encode: writes the results, in the order of the questions.

        Returns:
            The encoded response. It is durable, with its references and its leaf in
            the log, before it is returned; a replay returns the same bytes.

        Raises:
            ConflictError: the request id stands for another request.
            UnavailableError: the exchange cannot answer now; nothing was stored.
        """
        return await self.slots.release(self._match(search, encode))

    async def _match(self, search: Search, encode: Encode) -> bytes:
        """Answer every question, whenever that is done; see `match`."""
        index = self.vault.index(search.requester)
        key = (search.requester, search.request_id, index.digest(search.content))
        try:
            for _ in range(limits.MAX_DECISIONS_PER_SEARCH):
                # Whether it is stored by some moment can be asked as well: by another
                # request under the same id.
                decided = await self.slots.release(self._decided(search, encode))
                # 8. Log: what is answered is durable first, in one transaction with its
                #    leaf in the log. It finds out a replay, and keeps what it has; or
                #    that a record was protected or withdrawn since it was
                #    read, or has expired, and keeps nothing: then all is decided anew,
                #    by the rules of that moment.
                with self.timed(Stage.STORE):
                    stored = await delivered(
                        self.answers.commit(
                            *key,
                            self._sealing(search, decided),
                            decided.disclosed,
                            # It leaves at the end of the slot anyway.
                            within=self.slots.seconds * limits.GATHERED_SHARE_OF_SLOT,
                        )
                    )
                if stored is not None:
                    break
            else:
                raise _changing()
        except ExchangeError:
            # A replay is answered as it was, whatever could not be done again.
            kept = await self._in_worker(self.answers.find, *key)
            if kept is None:
                raise
            stored = kept
        # 9. Answer.
        return index.open_reply(search.request_id, stored)

    def _sealing(self, search: Search, decided: Decided) -> Callable[[Appended], bytes]:
        """Return what makes the answer, with its receipts, once it is in the log."""
        index = self.vault.index(search.requester)

        def sealed(appended: Appended) -> bytes:
            body = decided.body(decided.committed.receipts(appended, self.receipts))
            return index.seal_reply(search.request_id, body)

        return sealed

    async def _decided(self, search: Search, encode: Encode) -> Decided:
        """Decide all questions, by the rules of this moment."""
        await self.abreast()
        if self.galleries.is_suspended(search.requester):
            raise suspended(search.requester)
        # One version of the agreements and one moment for all questions.
        rules = Rules(self.agreements(), self.clock.now(), search.purpose)
        planned = [self._planned(search, rules, each) for each in search.questions]
        self._refuse_spent(search.requester, rules, planned)
        # One stage: only what was found asks what the budget has left, and a time of
        # its own would tell that something was.
        with self.timed(Stage.COMPARE):
            compared = await self._results(search.requester, planned)
            spending = await self._spending(search.requester, rules, compared)
        results = [
            self._found(rules, spending, each) if isinstance(each, Compared) else each
            for each in compared
        ]
        answered = [each for each in compared if isinstance(each, Compared)]
        taken = spending.taken(
            [each.planned.plan.uses for each in answered],
            [h for each in answered if each.is_varied for h in each.outcomes],
            self.random_bytes,
        )
        body = encode([r.answer if isinstance(r, Found) else r for r in results])
        found = [result for result in results if isinstance(result, Found)]
        committed = Committed.to([each.answer for each in found], self.random_bytes)
        logged = mentions(
            search.requester,
            search.purpose,
            rules.agreements,
            [each.looked for each in found],
            committed.items,
        )
        tells = all_disclosed([each.disclosed for each in found], logged, taken)
        return Decided(body, committed, tells)

    def _refuse_spent(
        self, requester: Member, rules: Rules, planned: Sequence[Planned | Refusal]
    ) -> None:
        """Refuse a request for which a quota has no room."""
        uses = [each.plan.uses for each in planned if isinstance(each, Planned)]
        spent, renews = self.budget.spent(requester)
        refuse_spent(uses, spent, now=rules.now, renews=renews)

    async def _spending(
        self, requester: Member, rules: Rules, compared: Sequence[Compared | Refusal]
    ) -> Spending:
        """Return what the requester may still learn of the records found."""
        confirmed = [each.confirmed for each in compared if isinstance(each, Compared)]
        records = {h.record_id for c in confirmed for h in (*c.hits, *c.misses)}
        standings: Mapping[bytes, Standing] = {}
        if records:
            read = self.budget.standings
            standings = await self._in_worker(read, requester, records)
        return Spending(requester, rules.now, Tally(standings))

    async def _results(
        self, requester: Member, planned: Sequence[Planned | Refusal]
    ) -> list[Compared | Refusal]:
        """Return what came of each question, or why it is refused.

        Probes that wait together share a pass over each gallery.
        """
        return await _all([self._result(requester, each) for each in planned])

    async def _result(
        self, requester: Member, planned: Planned | Refusal
    ) -> Compared | Refusal:
        """Return what came of one question, or why it is refused."""
        if not isinstance(planned, Planned):
            return planned
        try:
            return await self._compared(requester, planned)
        except (InvalidRequestError, RefusedError) as refusal:
            return refusal

    def _planned(
        self, search: Search, rules: Rules, question: Question | Refusal
    ) -> Planned | Refusal:
        """Return whom one question may be asked of, or why it is refused."""
        if not isinstance(question, Question):
            return question
        # 2. Authorise by the agreements; knows nothing of any gallery's content. What
        #    they promise of errors is kept at the threshold for all comparisons that
        #    the exchange can make in the space, whomever the requester names.
        aim = self.aims.at(question.spaces)
        wanted = Wanted(
            requester=search.requester,
            purpose=search.purpose,
            modalities=question.modalities,
            today=rules.now.date(),
            holders=search.holders,
            excluded=question.excluded,
            established=aim.established,
        )
        try:
            return Planned(question, plan(rules.agreements, wanted), aim)
        except RefusedError as refusal:
            return refusal

    async def _compared(self, requester: Member, planned: Planned) -> Compared:
        """Search for one person."""
        question, permissions = planned.question, planned.plan.search.permissions
        # 3. Admit the probe, unless it is one of too many that are alike.
        probes = question.templates()
        outlines = await self._outlined(requester, probes)
        noted = [
            self.resemblance.note(requester, probe, outline, lowest)
            for probe, outline, lowest in zip(
                probes, outlines, planned.aim.lowest, strict=True
            )
        ]
        # 4. Plan: which galleries can be asked, each at the threshold of its promise,
        #    and what is near it.
        rules = {p.holder: planned.aim.rules[p.promise.fpir] for p in permissions}
        moment = self.galleries.moment()
        outcomes = self._standings(permissions, question.spaces)
        asked = [h for h, outcome in outcomes.items() if outcome is Outcome.NO_MATCH]
        shelves = [
            {
                Shelf(holder, probe.space.name, position): rules[holder].bands[part]
                for holder in asked
                if self.galleries.has(holder, probe.space.name)
                for position in (probe.position, *question.fallback)
            }
            for part, probe in enumerate(probes)
        ]
        # 5. Scan. 6. Confirm. Then ask again whether those that were searched still can
        #    be: a gallery that was locked since may not have been compared, also if it
        #    is open again.
        with self.precedence.searching():
            found = await _all([*map(self._confirmed, probes, shelves)])
            (confirmed, *more) = found
            if more:
                weigh = self.weighing.weigh
                confirmed = await self._in_worker(weigh, probes, rules, found)
        again = self._standings(permissions, question.spaces)
        outcomes |= {holder: again[holder] for holder in asked}
        closed = self.galleries.closed_since(moment).intersection(asked)
        outcomes |= dict.fromkeys(closed | confirmed.failed, Outcome.UNAVAILABLE)
        return Compared(planned, outcomes, confirmed, any(noted))

    async def _outlined(
        self, requester: Member, probes: Sequence[Template]
    ) -> list[NDArray[np.float32]]:
        """Return what is noted of the templates of one person.

        Of prints on a worker, and of each member in turn: a batch of the largest takes
        seconds, in which nobody else would be answered.
        """
        if not any(searched(probe.space).has_sets for probe in probes):
            return outlined(probes)
        async with self.outlining.turn(requester, ENDS.get(None)):
            return await self._in_worker(outlined, probes)

    def _found(self, rules: Rules, spending: Spending, compared: Compared) -> Found:
        """Return what the requester learns of one question."""
        planned, outcomes = compared.planned, compared.outcomes
        question, search = planned.question, planned.plan.search
        # 7. Decide: drop what this requester may not learn, and say the rest. What it
        #    has felt for too often is dropped on the same path.
        requester, confirmed = spending.requester, compared.confirmed
        hidden = spending.hidden(confirmed, search)
        learnt = learnable(confirmed.hits, requester, rules.now, hidden)
        outcome = told(outcomes, learnt)
        answer = decide(search, outcome, self._references(search), question.fallback)
        searched = frozenset(
            h for h, outcome in outcomes.items() if outcome is Outcome.NO_MATCH
        )
        # A reference of several modalities is followed up as one of the first of them.
        asked = Asked(requester, rules.purpose, question.modalities[0])
        tells = disclosed(answer, learnt, asked, rules.now, searched=searched)
        promised = planned.plan.promised
        looked = Looked.in_galleries(question.spaces, promised, searched)
        return Found(answer, tells, looked)

    async def _confirmed(
        self, probe: Template, shelves: Mapping[Shelf, Band]
    ) -> Confirmed:
        """Scan and confirm, until nothing that was found is moved in between.

        A record that was replaced after the scan and before its template was read is
        found as what it was or as what it is, and never as neither.
        """
        for _ in range(limits.MAX_DECISIONS_PER_SEARCH):
            confirmed = await self.scanner.search(probe, shelves)
            if not confirmed.moved:
                return confirmed
        raise _changing()

    def _standings(
        self, permissions: Iterable[Permission], spaces: Sequence[TemplateSpace]
    ) -> dict[Member, Outcome]:
        """Return the outcome at each holder before any record is compared."""
        return {each.holder: self._standing(each, spaces) for each in permissions}

    def _standing(
        self, permission: Permission, spaces: Sequence[TemplateSpace]
    ) -> Outcome:
        """Return the outcome at a holder before any record is compared.

        One that is not named counts only if all templates can be compared there: else
        what is asked of a group would be asked of the few who hold that one modality.
        """
        holder = permission.holder
        if self.galleries.is_suspended(holder):
            return Outcome.UNAVAILABLE
        there = [self._gallery(holder, space.name) for space in spaces]
        if Outcome.UNAVAILABLE in there:
            return Outcome.UNAVAILABLE
        if permission.level is Level.PRESENCE and Outcome.NOT_COMPARABLE in there:
            return Outcome.NOT_COMPARABLE
        if Outcome.NO_MATCH in there:
            return Outcome.NO_MATCH
        return Outcome.NOT_COMPARABLE

    def _gallery(self, holder: Member, space: str) -> Outcome:
        """Return the outcome in one gallery before any record is compared."""
        state = self.galleries.state(holder, space)
        if state is GalleryState.DESTROYED:
            return Outcome.NOT_COMPARABLE
        if state is not GalleryState.READY:
            return Outcome.UNAVAILABLE
        if not self.galleries.has(holder, space):
            return Outcome.NOT_COMPARABLE
        return Outcome.NO_MATCH

    def _references(self, plan: SearchPlan) -> dict[Member, bytes]:
        """Draw a reference for every holder that gives one, whatever it answers."""
        return {
            permission.holder: self.random_bytes(limits.REFERENCE_BYTES)
            for permission in plan.permissions
            if permission.level is Level.REFERENCE
        }

    async def _in_worker(self, work: Callable[..., T], *args: object) -> T:
        """Run blocking work on a worker thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.workers, work, *args)


async def _all(work: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Return what comes of all; once one fails nobody waits for the others."""
    if len(work) == 1:  # so it is of most requests: nobody to share with
        return [await work[0]]
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _changing() -> UnavailableError:
    """Return the error of a search whose records do not stay as they are."""
    return UnavailableError(
        "RECORDS_CHANGING",
        "records are being changed faster than they can be searched; send the request"
        " again",
        retry_after=limits.BUSY_RETRY_SECONDS,
    )
