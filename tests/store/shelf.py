"""A store with one key in it, and records that are told apart by short words."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from biometrics.clock import ManualClock
from biometrics.members import Member
from biometrics.sealed import NewGalleryKey, Sealed
from biometrics.store import open_store
from biometrics.store.rows import NewProtection, NewRecord, NewTemplate
from biometrics.store.values import join_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    import sqlalchemy as sa
    from store.places import Place

    from biometrics.store.rows import Committed, EnrolResult

XAA = Member("XAA")
XBB = Member("XBB")
XCC = Member("XCC")
START = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)


def digest(word: str) -> bytes:
    """Return 32 bytes that stand for a word."""
    return hashlib.sha256(word.encode()).digest()


def request(word: str) -> bytes:
    """Return 16 bytes that stand for a word."""
    return digest(word)[:16]


def told(results: Sequence[EnrolResult]) -> bytes:
    """Return results as a reply."""
    return " ".join(result.value for result in results).encode()


class Shelf:
    """An open store and its clock."""

    def __init__(self, place: Place, *, front_end: bytes | None = None) -> None:
        """Open or make the store at a place, for itself or beside others."""
        self.place = place
        self.clock = ManualClock(START)
        self.store = open_store(place.where, self.clock, front_end=front_end)
        self._words = itertools.count()
        self._name = (front_end or b"").hex()
        self.key_id = self.store.keys.add_gallery_key(
            NewGalleryKey(
                member=XAA,
                gallery="face-a",
                epoch=1,
                wrapped=b"w" * 72,
                commitment=b"c" * 32,
                created_at=START,
            )
        ).key_id

    @property
    def path(self) -> Path:
        """Where a file is; there is none of PostgreSQL."""
        assert isinstance(self.place.where, Path)
        return self.place.where

    @property
    def reading(self) -> sa.Engine:
        """The connections of the store that read."""
        return self.store._database.reading

    @property
    def writing(self) -> sa.Engine:
        """The connection of the store that writes."""
        return self.store._database.writing

    def fresh(self) -> bytes:
        """Return a request id that was not used before."""
        return request(f"fresh {self._name} {next(self._words)}")

    def sealed(self, word: str) -> Sealed:
        """Return a sealed value that stands for a word."""
        return Sealed(
            key_id=self.key_id,
            wrapped_key=b"key of " + digest(word) * 2,
            ciphertext=b"ciphertext of " + digest(word) * 2,
        )

    def record(
        self,
        reference: str,
        *,
        content: str = "",
        spaces: Sequence[str] = ("face-a",),
        excluded: frozenset[Member] = frozenset(),
        expires_at: dt.datetime | None = None,
    ) -> NewRecord:
        """Return a record with one template in each of `spaces`."""
        return NewRecord(
            record_id=request(f"record {reference} {content}"),
            lookup=digest(reference),
            content_digest=digest(f"content {content}"),
            sealed_reference=self.sealed(f"reference {reference}"),
            generation=1,
            excluded=excluded,
            legal_basis="article 5",
            expires_at=expires_at,
            attest=lambda _first: digest(f"protection {reference}"),
            templates=tuple(
                NewTemplate(
                    space=space,
                    position="face",
                    modality="face",
                    sample=sample,
                    quality=50 + sample,
                    sealed=self.sealed(f"template {reference} {sample}"),
                )
                for sample, space in enumerate(spaces)
            ),
        )

    def begin_enrol(
        self,
        *records: NewRecord,
        member: Member = XAA,
        request_id: bytes | None = None,
        body: str = "enrol",
    ) -> Future[Committed]:
        """Submit records; the reply tells their results."""
        return self.store.records.enrol(
            member,
            records,
            request_id=request_id or self.fresh(),
            digest=digest(body),
            make_reply=told,
        )

    def enrol(self, *references: str, member: Member = XAA) -> Committed:
        """Enrol plain records and wait."""
        records = [self.record(reference) for reference in references]
        return self.begin_enrol(*records, member=member).result(30)

    def withdraw(
        self,
        reference: str,
        *,
        member: Member = XAA,
        request_id: bytes | None = None,
    ) -> Committed:
        """Withdraw a record and wait; the reply is the moment."""
        return self.store.records.withdraw(
            member,
            digest(reference),
            request_id=request_id or self.fresh(),
            digest=digest("withdraw"),
            check=lambda _row: None,
            make_reply=lambda removed: removed.at.isoformat().encode(),
        ).result(30)

    def begin_protect(
        self,
        reference: str,
        *excluded: Member,
        member: Member = XAA,
        request_id: bytes | None = None,
    ) -> Future[Committed]:
        """Submit a protection, attested by a word; the reply tells what changed."""
        word = f"{reference} from {join_members(excluded)}"
        return self.store.records.protect(
            member,
            digest(reference),
            request_id=request_id or self.fresh(),
            digest=digest(f"protect {word}"),
            attest=lambda _row: NewProtection(
                excluded=frozenset(excluded), record_tag=digest(word)
            ),
            make_reply=lambda done: (
                f"{done.at.isoformat()} +{join_members(done.added)}"
                f" -{join_members(done.removed)}"
            ).encode(),
        )

    def protect(self, reference: str, *excluded: Member) -> str:
        """Set whom a record excludes, and wait; return the reply."""
        return self.begin_protect(reference, *excluded).result(30).reply.decode()

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        statement = f"SELECT count(*) FROM {table}"  # noqa: S608 - of the test's own
        with self.reading.connect() as connection:
            return int(connection.exec_driver_sql(statement).scalar_one())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the writer, so that all that is submitted meanwhile is one group."""
        begun, go_on = threading.Event(), threading.Event()

        def hold(_: object) -> None:
            begun.set()
            go_on.wait(30)

        held = self.store._writer.submit(hold)
        begun.wait(30)
        try:
            yield
        finally:
            go_on.set()
            held.result(30)
