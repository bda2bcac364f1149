"""How it is about one's own keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodyInfo:
    """Whether one's own galleries are open.

    Attributes:
        state: `open`, `locked` or `destroyed`.
        since: when that was last changed; None if it never was.
        is_busy: whether a rotation or a destruction is under way.
        items_left: of that, how many values or records.
        trouble: what keeps it from going on; empty if nothing does.
    """

    state: str
    since: dt.datetime | None
    is_busy: bool
    items_left: int
    trouble: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureInfo:
    """Keys of one's own galleries that are no more.

    Attributes:
        number: ascending.
        kind: `rotation` or `destruction`.
        deleted_at: when they were deleted.
        records: how many withdrawn or destroyed records they and earlier ones opened.
        certificate: signed note; empty until it is issued.
        verifier_key: by which the exchange says that it is signed; compare it with your
            own copy.
    """

    number: int
    kind: str
    deleted_at: dt.datetime
    records: int
    certificate: bytes = field(repr=False)
    verifier_key: str
