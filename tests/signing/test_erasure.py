"""A certificate of erasure says what is no more, and what is not promised."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from biometrics.members import Member
from biometrics.signing import Erased, Note, SigningKey, erasure_note

BEGUN = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
KEY = SigningKey("exchange.test/erasure", bytes(range(32)))
ERASED = Erased(
    number=3,
    holder=Member("XAA"),
    kind="rotation",
    begun_at=BEGUN,
    deleted_at=BEGUN + dt.timedelta(seconds=7),
    erased_at=BEGUN + dt.timedelta(seconds=8),
    records=12,
    keys=(("face-512", 1, b"\x8c" * 32), ("REFERENCES", 1, b"\x1f" * 32)),
)


def test_it_names_holder_moments_records_and_keys() -> None:
    """Each in a line of its own, at the head of the note, which the exchange signed."""
    note = Note.parse(erasure_note(ERASED, KEY))
    assert note.text.splitlines()[:10] == [
        "biometrics.exchange erasure",
        "number 3",
        "holder XAA",
        "by rotation",
        "begun 2026-03-01T12:00:00Z",
        "deleted 2026-03-01T12:00:07Z",
        "erased 2026-03-01T12:00:08Z",
        "records 12",
        f"key face-512 epoch 1 commitment {'8c' * 32}",
        f"key REFERENCES epoch 1 commitment {'1f' * 32}",
    ]
    assert KEY.verifier.has_signed(note.text, note.signatures[0])


@pytest.mark.parametrize("kind", ["rotation", "destruction"])
def test_it_says_what_is_not_promised(kind: str) -> None:
    """Backups above all, whatever it is for."""
    text = replace(ERASED, kind=kind).text
    assert f"by {kind}\n" in text
    assert "Not promised: backups." in text


def test_a_changed_word_is_found() -> None:
    """The signature is of every word."""
    note = Note.parse(erasure_note(ERASED, KEY))
    other = note.text.replace("records 12", "records 13")
    assert not KEY.verifier.has_signed(other, note.signatures[0])
