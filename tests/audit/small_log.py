"""A log as an exchange keeps it, and what its members' auditors have of it."""

from __future__ import annotations

import datetime as dt
import json
import secrets
import shutil
from typing import TYPE_CHECKING

from biometrics.audit import (
    AuditorSecret,
    Checkpoint,
    Kind,
    Mention,
    ReceiptIssuer,
    Scribe,
    commitment,
    origin_of,
)
from biometrics.audit.pages import CHECKPOINT, KEY, OwnEntry, OwnKey, Pages
from biometrics.clock import ManualClock
from biometrics.members import Member
from biometrics.signing import SigningKey
from biometrics.store import Disclosed, open_store

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.store import Appended

XAA, XBB, XCC = Member("XAA"), Member("XBB"), Member("XCC")
START = dt.datetime(2030, 1, 1, 12, tzinfo=dt.UTC)
NAME = "exchange.test/log"


class SmallLog:
    """A store whose log has answers in it: XBB asks, XAA and XCC are asked."""

    def __init__(self, folder: Path, like: SmallLog | None = None) -> None:
        """Open it in a folder that is there; a copy of a closed one if there is one."""
        self.folder = folder
        self.key = like.key if like else SigningKey.generate(NAME, secrets.token_bytes)
        self.secrets = (
            like.secrets
            if like
            else {m: AuditorSecret.generate(m, secrets.token_bytes) for m in (XAA, XBB)}
        )
        self.clock = ManualClock(START)
        if like:
            shutil.copy(like.folder / "log.sqlite", folder)
        auditors = {m: secret.public for m, secret in self.secrets.items()}
        self.store = open_store(
            folder / "log.sqlite",
            self.clock,
            scribe=Scribe(auditors, secrets.token_bytes),
        )
        self.receipts: list[Path] = list(like.receipts) if like else []

    def answer(self, *texts: str, holders: tuple[Member, ...] = (XAA, XCC)) -> None:
        """Answer a request by these texts, and keep its receipts."""
        openings = [secrets.token_bytes(32) for _ in texts]
        items = tuple(map(commitment, texts, openings))
        given: list[bytes] = []

        def make_body(appended: Appended) -> bytes:
            given[:] = ReceiptIssuer(self.key).issue(
                appended.written,
                appended.index,
                origin_of(NAME, appended.life),
                items=items,
                openings=openings,
            )
            return b"answer"

        asked = Mention(
            member=XBB,
            kind=Kind.SEARCH,
            gallery="tiny",
            purpose="visa",
            count=len(texts),
            items=items,
        )
        told = (
            Mention(
                member=holder,
                kind=Kind.SEARCHED,
                gallery="tiny",
                other="XBB",
                purpose="visa",
                items=items,
            )
            for holder in holders
        )
        self.store.answers.commit(
            XBB,
            secrets.token_bytes(16),
            secrets.token_bytes(32),
            make_body,
            Disclosed(mentions=(asked, *told)),
        ).result(30)
        for text, receipt in zip(texts, given, strict=True):
            path = self.folder / f"receipt-{len(self.receipts)}.json"
            document = {"answer": text, "receipt": receipt.decode()}
            path.write_text(json.dumps(document))
            self.receipts.append(path)

    def checkpoint(self) -> bytes:
        """Return the newest checkpoint."""
        head = self.store.log.head()
        origin = origin_of(NAME, head.life)
        return Checkpoint(origin=origin, size=head.size, root=head.root).signed_by(
            self.key
        )

    def export(self, folder: Path, member: Member) -> Path:
        """Export all of it for a member, anew."""
        pages, size = Pages(folder), self.store.log.head().size
        pages.write(KEY, self.key.verifier.text.encode())
        pages.add_leaves(0, self.store.log.leaves(0, size))
        pages.add_own_entries(
            OwnEntry(p.index, p.slot, p.path, p.key_id, p.sealed)
            for p in self.store.log.own(member, 0, size)
        )
        pages.write_own_keys(
            OwnKey(k.key.key_id, k.key.hour, k.key.handed)
            for k in self.store.log.keys(member, 0, 500)
        )
        pages.write(CHECKPOINT, self.checkpoint())
        return folder


def sign(key: SigningKey, leaves: list[bytes], root: bytes) -> bytes:
    """Return a checkpoint over leaves."""
    return Checkpoint(origin=NAME, size=len(leaves), root=root).signed_by(key)
