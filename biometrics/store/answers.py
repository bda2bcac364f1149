"""Stores what searches were answered, and the references that were given.

All answers that wait for one flush are checked and stored by as few statements as one:
each statement gives the interpreter's lock away, and waits for it among all threads
that scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.audit import Kind, Mention
from biometrics.errors import ConflictError
from biometrics.store.failures import translated
from biometrics.store.protection import has_expired, tags_of
from biometrics.store.writer import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    import sqlalchemy as sa

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.answer_rows import Disclosed, NewReference
    from biometrics.store.budget import Budget
    from biometrics.store.log import Appended, Log
    from biometrics.store.membership import ShutOut
    from biometrics.store.references import References
    from biometrics.store.replies import Replies
    from biometrics.store.writer import Writer


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that waits to be stored; see `AnswerWriter.commit`."""

    member: Member
    request_id: bytes
    digest: bytes
    make_body: Callable[[Appended], bytes]
    disclosed: Disclosed


class AnswerWriter:
    """Makes answers durable before they leave; hundreds a second share a flush."""

    def __init__(  # noqa: PLR0913 - whatever has a part in an answer
        self,
        writer: Writer,
        engine: sa.Engine,
        replies: Replies,
        references: References,
        *,
        log: Log,
        budget: Budget,
        shut_out: ShutOut,
        clock: Clock,
    ) -> None:
        """Write by `writer`, read by `engine`, judge by `clock` what has expired."""
        self._writer = writer
        self._log = log
        self._engine = engine
        self._replies = replies
        self._references = references
        self._budget = budget
        self._shut_out = shut_out
        self._clock = clock

    def find(self, member: Member, request_id: bytes, digest: bytes) -> bytes | None:
        """Return the body stored for a request, or None.

        Raises:
            ConflictError: the request with that id was another one.
            StorageError: it cannot be read now.
        """
        with translated(), self._engine.connect() as connection:
            return self._replies.find(connection, member, request_id, digest)

    def commit(  # noqa: PLR0917 - one line at its one caller
        self,
        member: Member,
        request_id: bytes,
        digest: bytes,
        make_body: Callable[[Appended], bytes],
        disclosed: Disclosed,
        within: float = 0.0,
    ) -> Future[bytes | None]:
        """Store an answer, its leaf in the log and its references in one transaction.

        Only while every record that it tells of is there, protected as it was when
        that was decided, and not expired: so no answer tells of a record whose
        withdrawal, or whose protection from the requester, was durable before the
        answer was, and none is stored from the moment of a record's expiry on; nor does
        any tell of a holder whose galleries were closed before it, or of or to a member
        that was suspended before it, or by an agreement that another front end has put
        a newer one in the place of. What it takes from
        the leak budget and from quotas is counted with it, if as much is left.

        Args:
            member: the requester.
            request_id: 16 bytes.
            digest: 32 bytes, of the request.
            make_body: makes the answer, sealed, from its leaf. Runs in the writer's
                thread and MUST NOT write.
            disclosed: what the answer tells of, and what is logged of that.
            within: seconds for which it may wait for other answers.

        Returns:
            The body that is durable: another one than was made if the same request
            was answered meanwhile, and then nothing of this answer was stored or
            logged. None if a record was changed meanwhile, or has expired, and then it
            is to be decided anew.
            Raises ConflictError or StorageError as `RecordWriter.enrol`.
        """
        answer = _Answer(member, request_id, digest, make_body, disclosed)
        return self._writer.join(self._store, answer, within=within)

    def _store(
        self, connection: sa.Connection, answers: Sequence[_Answer]
    ) -> list[Outcome[bytes | None]]:
        """Store answers, each as if those before it were durable already.

        Within the writer's transaction nothing can change what is read here.
        """
        page = self._replies.page(
            connection, [(a.member, a.request_id) for a in answers]
        )
        account = self._budget.account(
            connection, [(a.member, a.disclosed.taken) for a in answers]
        )
        stands = self._standing(connection, answers)
        outcomes: list[Outcome[bytes | None]] = []
        given: list[NewReference] = []
        for answer in answers:
            member, tells = answer.member, answer.disclosed
            try:
                body = page.find(member, answer.request_id, answer.digest)
            except ConflictError as error:
                outcomes.append(Outcome(error=error))
                continue
            # A replay is what it was; it counts once.
            if (
                body is None
                and stands(answer)
                and account.has_room(member, tells.taken)
            ):
                body = self._made(connection, answer)
                page.add(member, answer.request_id, answer.digest, body)
                account.take(member, tells.taken)
                given += tells.references
            outcomes.append(Outcome(body))
        page.write(connection)
        self._references.add(connection, given)
        account.write(connection)
        return outcomes

    def _standing(
        self, connection: sa.Connection, answers: Sequence[_Answer]
    ) -> Callable[[_Answer], bool]:
        """Return what says whether all that an answer tells of stands unchanged."""
        shut = self._shut_out.read(connection)
        seen = {r.template_id for a in answers for r in a.disclosed.records}
        tags = tags_of(connection, seen)
        now = self._clock.now()

        def stands(answer: _Answer) -> bool:
            told = answer.disclosed.records
            return (
                answer.member not in shut.members
                and shut.holders.isdisjoint(answer.disclosed.searched)
                and all(map(shut.is_last, answer.disclosed.mentions))
                and not has_expired(told, now)
                and all(tags.get(r.template_id) == r.record_tag for r in told)
            )

        return stands

    def _made(self, connection: sa.Connection, answer: _Answer) -> bytes:
        """Append an answer's leaf to the log; return the answer with its receipts."""
        told = answer.disclosed.mentions
        nothing = [Mention(member=answer.member, kind=Kind.SEARCH)]
        return answer.make_body(self._log.append(connection, *told or nothing))
