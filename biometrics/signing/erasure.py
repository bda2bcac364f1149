"""Certificates of erasure: a note that the exchange signs once keys are no more.

    biometrics.exchange erasure
    number 3
    holder XAA
    by rotation
    begun 2026-03-01T12:00:00Z
    deleted 2026-03-01T12:00:07Z
    erased 2026-03-01T12:00:08Z
    records 12
    key face-512 epoch 1 commitment 8c1f...

and then in words what is said by that, and what is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics.signing.note import Note

if TYPE_CHECKING:
    import datetime as dt

    from biometrics.members import Member
    from biometrics.signing.keys import SigningKey

# What the text is, so that no other note can pass for it.
_KIND: Final = "biometrics.exchange erasure"
_SAID: Final = {
    "rotation": (
        "Whatever the holder had withdrawn before `begun`, `records` in all, was under"
        " these keys or earlier ones alone. They were deleted; what the holder has left"
        " is under newer ones."
    ),
    "destruction": (
        "All that the holder had enrolled, `records` in all, was under these keys or"
        " earlier ones alone. They were deleted, with everything that they opened."
    ),
}
_NOT_SAID: Final = """\
At `erased` the exchange held them neither in memory nor in a row, and its database had
taken their bytes out of its files as far as it does: SQLite wholly; PostgreSQL keeps
them in its write-ahead log and its copies for as long as it keeps those.
Not promised: backups. Until they are past their retention, whoever has one that is
older than `deleted` and the holder's key-encryption key can open what was in it.
References that were given to requesters stay, as random numbers, until they expire.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What a certificate says.

    Attributes:
        number: of the erasure.
        holder: whose keys they were.
        kind: `rotation` or `destruction`.
        begun_at: from when on nothing more was sealed under them.
        deleted_at: when they were deleted.
        erased_at: when their bytes had left.
        records: how many only they opened.
        keys: gallery, epoch and commitment of each.
    """

    number: int
    holder: Member
    kind: str
    begun_at: dt.datetime
    deleted_at: dt.datetime
    erased_at: dt.datetime
    records: int
    keys: tuple[tuple[str, int, bytes], ...]

    @property
    def text(self) -> str:
        """What is signed."""
        keys = "".join(
            f"key {gallery} epoch {epoch} commitment {commitment.hex()}\n"
            for gallery, epoch, commitment in self.keys
        )
        return (
            f"{_KIND}\nnumber {self.number}\nholder {self.holder}\nby {self.kind}\n"
            f"begun {_moment(self.begun_at)}\ndeleted {_moment(self.deleted_at)}\n"
            f"erased {_moment(self.erased_at)}\nrecords {self.records}\n{keys}"
            f"{_SAID[self.kind]}\n{_NOT_SAID}"
        )


def erasure_note(erased: Erased, key: SigningKey) -> bytes:
    """Return the certificate of an erasure, signed."""
    return Note(erased.text, (key.sign(erased.text),)).data


def _moment(moment: dt.datetime) -> str:
    """Return a moment in UTC, to the second."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
