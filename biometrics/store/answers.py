"""Stores what searches were answered, and the references that were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.audit import Kind, Mention
from biometrics.store.failures import translated
from biometrics.store.membership import may_tell
from biometrics.store.protection import are_unchanged, has_expired
from biometrics.store.rows import Reply

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    import sqlalchemy as sa

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.budget import Budget
    from biometrics.store.log import Appended, Log
    from biometrics.store.references import References
    from biometrics.store.replies import Replies
    from biometrics.store.rows import Disclosed
    from biometrics.store.writer import Writer


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
        clock: Clock,
    ) -> None:
        """Write by `writer`, read by `engine`, judge by `clock` what has expired."""
        self._writer = writer
        self._log = log
        self._engine = engine
        self._replies = replies
        self._references = references
        self._budget = budget
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
    ) -> Future[bytes | None]:
        """Store an answer, its leaf in the log and its references in one transaction.

        Only while every record that it tells of is there, protected as it was when
        that was decided, and not expired: so no answer tells of a record whose
        withdrawal, or whose protection from the requester, was durable before the
        answer was, and none is stored from the moment of a record's expiry on; nor does
        any tell of a holder whose galleries were closed before it, or of or to a member
        that was suspended before it. What it takes from
        the leak budget and from quotas is counted with it, if as much is left.

        Args:
            member: the requester.
            request_id: 16 bytes.
            digest: 32 bytes, of the request.
            make_body: makes the answer, sealed, from its leaf. Runs in the writer's
                thread and MUST NOT write.
            disclosed: what the answer tells of, and what is logged of that.

        Returns:
            The body that is durable: another one than was made if the same request
            was answered meanwhile, and then nothing of this answer was stored or
            logged. None if a record was changed meanwhile, or has expired, and then it
            is to be decided anew.
            Raises ConflictError or StorageError as `RecordWriter.enrol`.
        """

        def operation(connection: sa.Connection) -> bytes | None:
            told = disclosed.records
            if has_expired(told, self._clock.now()) or not (
                may_tell(connection, member, disclosed.searched)
                and are_unchanged(connection, told)
                and self._budget.has_room(connection, member, disclosed.taken)
            ):
                return self._replies.find_or_clear(
                    connection, member, request_id, digest
                )
            mark = self._log.mark()
            appended = self._log.append(
                connection,
                *disclosed.mentions or [Mention(member=member, kind=Kind.SEARCH)],
            )
            body = make_body(appended)
            reply = Reply(request_id=request_id, digest=digest, body=body)
            if not self._replies.add_new(connection, member, reply):
                found = self._replies.find_or_clear(
                    connection, member, request_id, digest
                )
                if found is not None:
                    self._log.undo(mark)  # a replay counts once
                    return found
                self._replies.add(connection, member, reply)
            if disclosed.references:
                self._references.add(connection, disclosed.references)
            self._budget.take(connection, member, disclosed.taken)
            return body

        return self._writer.submit(operation)
