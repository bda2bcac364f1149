"""Both sides of a follow-up, on a shelf; every step is the store's own."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from store.shelf import XAA, XBB, Shelf, digest, request

from biometrics import limits
from biometrics.errors import RefusedError, SealError
from biometrics.signing import Note, SigningKey
from biometrics.store import (
    Agreed,
    Disclosed,
    FollowUpState,
    FollowUpTable,
    NearSearch,
    NewFollowUp,
    NewReference,
    Refusal,
    RequestKey,
    Taken,
    Terms,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from biometrics.members import Member
    from biometrics.store.rows import LiveRecord

TERMS = Terms(holder=XAA, requester=XBB, purpose="visa", modality="face")
SEALED = b"s" * limits.FOLLOW_UP_SEALED_BYTES
KEY = SigningKey("exchange.test/XBB/desk", bytes(range(32)))


class Gate:
    """Permits and believes all, until it is told otherwise."""

    def __init__(self) -> None:
        """Permit and believe."""
        self.permits = self.believes = True

    def permit(self, _terms: Terms) -> Agreed:
        """Return two digests."""
        if not self.permits:
            raise RefusedError("NOT_PERMITTED", "no")
        return Agreed(digest("agreement"), digest("agreements"))

    def check(self, _holder: Member, _row: LiveRecord) -> None:
        """Believe a row."""
        if not self.believes:
            raise SealError("RECORD_CHANGED", "changed")


class Desk:
    """Both sides of a follow-up about the record of one word."""

    def __init__(self, shelf: Shelf, word: str = "A") -> None:
        """Begin with nothing given."""
        self.shelf = shelf
        self.word = word
        self.text = f"asked about {word}\n"
        self.gate = Gate()

    @property
    def table(self) -> FollowUpTable:
        """The store's part."""
        return self.shelf.store.follow_ups

    def key(self, named: str = "") -> RequestKey:
        """Return what tells a request; a fresh one without a name."""
        return RequestKey(
            request(named) if named else self.shelf.fresh(), digest(named)
        )

    def give(self, terms: Terms = TERMS, records: str = "") -> None:
        """Give a reference, as an answer does."""
        given = NewReference(
            reference_digest=digest(self.word),
            holder=terms.holder,
            requester=terms.requester,
            purpose=terms.purpose,
            modality=terms.modality,
            records={
                request(f"record {word} "): digest(word)
                for word in records or [self.word]
            },
            expires_at=self.shelf.clock.now() + dt.timedelta(days=30),
        )
        self.commit(Disclosed(references=(given,)), terms.requester)

    def commit(self, disclosed: Disclosed, requester: Member = XBB) -> None:
        """Answer a search."""
        self.shelf.store.answers.commit(
            requester,
            self.shelf.fresh(),
            digest("asked"),
            lambda _: b"answer",
            disclosed,
        ).result(30)

    def begin(self, terms: Terms = TERMS, named: str = "") -> Future[bytes]:
        """Submit a request; the reply is when it expires, or nothing."""
        new = NewFollowUp(
            follow_up_id=digest(self.text),
            reference_digest=digest(self.word),
            terms=terms,
            note=Note(self.text, (KEY.sign(self.text),)).data,
        )
        return self.table.request(
            new,
            request=self.key(named),
            gate=self.gate,
            make_reply=lambda at: b"" if at is None else at.isoformat().encode(),
        )

    def ask(self, terms: Terms = TERMS, named: str = "") -> str:
        """Ask and wait."""
        return self.begin(terms, named).result(30).decode()

    def confirming(self, holder: Member = XAA, named: str = "") -> Future[bytes]:
        """Submit a confirmation."""
        return self.table.confirm(
            digest(self.text),
            holder,
            confirmation=b"confirmed",
            request=self.key(named),
            gate=self.gate,
            make_reply=lambda at: at.isoformat().encode(),
        )

    def confirm(self, holder: Member = XAA, named: str = "") -> bytes:
        """Confirm and wait."""
        return self.confirming(holder, named).result(30)

    def refuse(self, holder: Member = XAA, named: str = "") -> bytes:
        """Refuse and wait."""
        return self.table.refuse(
            digest(self.text),
            holder,
            refusal=Refusal.BASIS_INSUFFICIENT,
            request=self.key(named),
            gate=self.gate,
            make_reply=lambda: b"refused",
        ).result(30)

    def release(self, holder: Member = XAA, named: str = "") -> bytes:
        """Release and wait."""
        return self.table.release(
            digest(self.text),
            holder,
            payload=SEALED,
            request=self.key(named),
            gate=self.gate,
            make_reply=lambda at: at.isoformat().encode(),
        ).result(30)

    def reading(self, requester: Member = XBB, named: str = "") -> Future[bytes]:
        """Submit a reading."""
        return self.table.read(
            digest(self.text),
            requester,
            request=self.key(named),
            gate=self.gate,
            make_reply=lambda payload: payload,
        )

    def read(self, requester: Member = XBB, named: str = "") -> bytes:
        """Read and wait."""
        return self.reading(requester, named).result(30)

    def go(self, steps: int) -> None:
        """Give, ask, confirm and release: the first of these."""
        for step in (self.give, self.ask, self.confirm, self.release)[:steps]:
            step()

    def state(self) -> FollowUpState:
        """Return how far it is."""
        (row,) = (
            row
            for row in self.table.requested(XBB)
            if row.follow_up_id == digest(self.text)
        )
        return row.state

    def waiting(self) -> list[FollowUpState]:
        """Return how far what its holder is shown of it is."""
        return [
            each.row.state
            for each in self.table.received(XAA, self.gate)
            if each.row.follow_up_id == digest(self.text)
        ]

    def kept(self) -> tuple[object, ...]:
        """Return what is stored of what was confirmed and released."""
        with self.shelf.reading.connect() as connection:
            (row,) = connection.exec_driver_sql(
                "SELECT confirmation, payload FROM follow_up"
            )
        return tuple(row)

    def freeze(self) -> None:
        """Freeze the record for the requester."""
        near = NearSearch(
            record_id=request(f"record {self.word} "),
            holder=XAA,
            is_named=True,
            told=0,
            freezes=True,
            case_id=digest(self.word)[: limits.CASE_BYTES],
        )
        self.commit(Disclosed(taken=Taken(near=(near,))))
