"""Changes the records of members; each call is one operation of the writer."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from biometrics.audit import Kind, Mention
from biometrics.clock import from_microseconds, to_microseconds
from biometrics.errors import StorageError
from biometrics.store.custody import refuse_closed
from biometrics.store.enrolment import Moments, append, judge
from biometrics.store.entries import end_of
from biometrics.store.protection import protect
from biometrics.store.replacement import replace
from biometrics.store.rows import Added, Committed, Disposed, EnrolResult, Reply
from biometrics.store.withdrawal import dispose, remove

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import sqlalchemy as sa

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.store.journal import JournalHead
    from biometrics.store.log import Log
    from biometrics.store.replies import Replies
    from biometrics.store.rows import (
        LiveRecord,
        NewProtection,
        NewRecord,
        Protected,
        Removed,
    )
    from biometrics.store.writer import Writer

T = TypeVar("T", bound=Added | Committed | Disposed | None)


class RecordWriter:
    """Changes the records of members."""

    def __init__(
        self,
        writer: Writer,
        replies: Replies,
        head: JournalHead,
        *,
        log: Log,
        clock: Clock,
        has_room: Callable[[], bool],
    ) -> None:
        """Write by `writer`; `head` is advanced with every change made durable.

        Nothing is enrolled unless it `has_room`: what takes people out must still fit.
        """
        self._writer = writer
        self._replies = replies
        self._head = head
        self._log = log
        self._clock = clock
        self._has_room = has_room

    def add(self, member: Member, records: Sequence[NewRecord]) -> Future[Added]:
        """Enrol some records of a request whose answer `enrol` stores with the last.

        Args:
            member: the holder.
            records: as those of `enrol`.

        Returns:
            Resolves when they are durable; raises StorageError if they could not be
            written, and then none was.
        """

        def operation(connection: sa.Connection) -> Added:
            return self._add(connection, member, records)

        return self._submit(operation, weight=len(records))

    def enrol(
        self,
        member: Member,
        records: Sequence[NewRecord],
        *,
        request_id: bytes,
        digest: bytes,
        make_reply: Callable[[Sequence[EnrolResult]], bytes],
    ) -> Future[Committed]:
        """Enrol records: all that can be, and the answer, in one transaction.

        Args:
            member: the holder.
            records: at most `limits.MAX_RECORDS_PER_CHUNK`. Of two with one
                reference the second is judged as if it came later.
            request_id: 16 bytes.
            digest: 32 bytes, of the request.
            make_reply: makes the sealed body from one result a record, in their
                order. Runs in the writer's thread and MUST NOT write.

        Returns:
            Resolves when the change is durable, with the stored reply if the
            request was answered before. Raises ConflictError if its id was used
            for another request; StorageError if it could not be written, and then
            nothing of it was.
        """

        def operation(connection: sa.Connection) -> Committed:
            found = self._replies.find_or_clear(connection, member, request_id, digest)
            if found is not None:
                return _replay(connection, found)
            added = self._add(connection, member, records)
            body = make_reply(added.results)
            reply = Reply(request_id=request_id, digest=digest, body=body)
            self._replies.add(connection, member, reply)
            return Committed(
                reply=body,
                position=added.position,
                replayed=False,
                enrolled=added.enrolled,
            )

        return self._submit(operation, weight=len(records))

    def withdraw(
        self,
        member: Member,
        lookup: bytes,
        *,
        request_id: bytes,
        digest: bytes,
        check: Callable[[LiveRecord], None],
        make_reply: Callable[[Removed], bytes],
    ) -> Future[Committed]:
        """Withdraw a record: its keys and templates go, a tombstone stays.

        Args:
            member: the holder.
            lookup: keyed hash of the holder's reference.
            request_id: 16 bytes.
            digest: 32 bytes, of the request.
            check: raises if the row found is not the record's own; then nothing is
                written.
            make_reply: makes the sealed body from what was removed, now or before.
                Runs in the writer's thread and MUST NOT write.

        Returns:
            As `enrol`; raises NotFoundError if no such record was ever enrolled.
        """

        def operation(connection: sa.Connection) -> Committed:
            found = self._replies.find_or_clear(connection, member, request_id, digest)
            if found is not None:
                return _replay(connection, found)
            now = to_microseconds(self._clock.now())
            before = end_of(connection)
            removed, position = remove(connection, member, lookup, now=now, check=check)
            if position > before:  # it was there
                self._tell_log(connection, member, Kind.WITHDRAWAL, lookup)
            body = make_reply(removed)
            reply = Reply(request_id=request_id, digest=digest, body=body)
            self._replies.add(connection, member, reply)
            return Committed(reply=body, position=position, replayed=False)

        return self._submit(operation, weight=1)

    def replace(
        self,
        member: Member,
        record: NewRecord,
        *,
        before: bytes,
        request_id: bytes,
        digest: bytes,
        make_reply: Callable[[dt.datetime], bytes],
    ) -> Future[Committed | None]:
        """Put a record that was sealed anew in the place of what it was.

        Args:
            member: the holder.
            record: what it is from now on, as a whole.
            before: 32 bytes, its tag as it was read.
            request_id: 16 bytes.
            digest: 32 bytes, of the request.
            make_reply: makes the sealed body from the moment of the replacement. Runs
                in the writer's thread and MUST NOT write.

        Returns:
            As `enrol`; None if the record was changed since it was read, and then it
            is to be read and sealed again. Raises NotFoundError if it is no longer
            there, GalleryLockedError if it was sealed under keys that are not used now.
        """

        def operation(connection: sa.Connection) -> Committed | None:
            found = self._replies.find_or_clear(connection, member, request_id, digest)
            if found is not None:
                return _replay(connection, found)
            refuse_closed(connection, member, _keys_of([record]))
            now = to_microseconds(self._clock.now())
            position = replace(connection, member, record, before=before, now=now)
            if position is None:
                return None
            self._tell_log(connection, member, Kind.REPLACEMENT, record.lookup)
            body = make_reply(from_microseconds(now))
            reply = Reply(request_id=request_id, digest=digest, body=body)
            self._replies.add(connection, member, reply)
            return Committed(reply=body, position=position, replayed=False)

        return self._submit(operation, weight=1)

    def dispose(
        self, member: Member, lookup: bytes, *, check: Callable[[LiveRecord], None]
    ) -> Future[Disposed]:
        """Withdraw a record because it has expired; any other stays as it is.

        Args:
            member: the holder.
            lookup: keyed hash of the holder's reference.
            check: raises if the row found is not the record's own; then nothing is
                written.

        Returns:
            Resolves when it is durable; raises as `withdraw`, but for a record that
            was never enrolled, which is not disposed of.
        """

        def operation(connection: sa.Connection) -> Disposed:
            now = to_microseconds(self._clock.now())
            disposed = dispose(connection, member, lookup, now=now, check=check)
            if disposed.done:
                self._tell_log(connection, member, Kind.EXPIRY, lookup)
            return disposed

        return self._submit(operation, weight=1)

    def protect(
        self,
        member: Member,
        lookup: bytes,
        *,
        request_id: bytes,
        digest: bytes,
        attest: Callable[[LiveRecord], NewProtection],
        make_reply: Callable[[Protected], bytes],
    ) -> Future[Committed]:
        """Exclude other members from a record than before.

        Once it is durable, no answer is stored any more that tells them of it.

        Args:
            member: the holder.
            lookup: keyed hash of the holder's reference.
            request_id: 16 bytes.
            digest: 32 bytes, of the request.
            attest: returns whom to exclude, with the tag that attests them; raises
                if the rows found are not the record's own, and then nothing is
                written.
            make_reply: makes the sealed body from what was changed. Runs in the
                writer's thread and MUST NOT write.

        Returns:
            As `enrol`; raises NotFoundError if no such record was ever enrolled, or
            if it was withdrawn. The journal has no entry of it: who follows the
            journal has no part in what protects a record.
        """

        def operation(connection: sa.Connection) -> Committed:
            found = self._replies.find_or_clear(connection, member, request_id, digest)
            if found is not None:
                return _replay(connection, found)
            now = to_microseconds(self._clock.now())
            done = protect(connection, member, lookup, now=now, attest=attest)
            if done.added or done.removed:
                self._tell_log(connection, member, Kind.PROTECTION, lookup)
            body = make_reply(done)
            reply = Reply(request_id=request_id, digest=digest, body=body)
            self._replies.add(connection, member, reply)
            return Committed(reply=body, position=end_of(connection), replayed=False)

        return self._submit(operation, weight=1)

    def _add(
        self,
        connection: sa.Connection,
        member: Member,
        records: Sequence[NewRecord],
    ) -> Added:
        """Enrol what can be, within the writer's transaction.

        Raises:
            StorageError: the disk is nearly full.
        """
        refuse_closed(connection, member, _keys_of(records))
        results = judge(connection, member, records)
        fresh = [
            record
            for record, result in zip(records, results, strict=True)
            if result is EnrolResult.ENROLLED
        ]
        if not fresh:
            return Added(results, end_of(connection))
        if not self._has_room():
            raise StorageError(
                "STORAGE_FULL",
                "the database's disk is nearly full, and what is left is kept for"
                " withdrawals, protections and answers; nothing of this request was"
                " written, free space and send it again",
            )
        moments = Moments(enrolled_at=to_microseconds(self._clock.now()))
        enrolled = append(connection, member, fresh, moments)
        self._log.append(connection, *_enrolled(member, fresh))
        return Added(results, enrolled.last, enrolled)

    def _tell_log(
        self, connection: sa.Connection, member: Member, kind: Kind, lookup: bytes
    ) -> None:
        """Append to the log what became of a record of a member."""
        self._log.append(connection, Mention(member=member, kind=kind, items=(lookup,)))

    def _submit(
        self, operation: Callable[[sa.Connection], T], *, weight: int
    ) -> Future[T]:
        """Submit an operation; wake the journal's followers when it is durable."""
        future = self._writer.submit(operation, weight=weight)
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[T]) -> None:
        """Advance the head to a change that is durable."""
        if not future.cancelled() and future.exception() is None:
            done = future.result()
            if isinstance(done, (Added, Committed)):
                self._head.advance(done.position, done.enrolled)
            elif done is not None:
                self._head.advance(done.position)


def _enrolled(member: Member, records: Sequence[NewRecord]) -> Iterator[Mention]:
    """Yield what a member is told of a chunk, for each of its galleries."""
    galleries: dict[str, list[bytes]] = defaultdict(list)
    for record in records:
        # A record without templates is in no gallery, and is told all the same.
        for space in {each.space for each in record.templates} or {""}:
            galleries[space].append(record.lookup)
    for space, lookups in sorted(galleries.items()):
        yield Mention(
            member=member,
            kind=Kind.ENROLMENT,
            gallery=space,
            count=len(lookups),
            items=tuple(lookups),
        )


def _keys_of(records: Sequence[NewRecord]) -> Iterator[int]:
    """Yield the number of the key of everything that is sealed in some records."""
    for record in records:
        yield record.sealed_reference.key_id
        for template in record.templates:
            yield template.sealed.key_id


def _replay(connection: sa.Connection, body: bytes) -> Committed:
    """Return what was stored, at the journal's end."""
    return Committed(reply=body, position=end_of(connection), replayed=True)
