"""What a caller hands to the exchange, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One biometric template, as the extractor gave it.

    Attributes:
        space: name of the template space.
        position: word such as `face` or `right-thumb`.
        vector: one-dimensional, of any floating-point type; neither centred nor
            normalised, since the space says how that is done.
        quality: 0 to 100, or None.
    """

    space: str
    position: str
    vector: ArrayLike = field(repr=False, compare=False)
    quality: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One person to search for, who must not learn of it, and where else to look.

    Attributes:
        template: the person's.
        further: templates of other parts of the same person's body: other fingers, a
            face. All decide together; only holders are asked that permit all.
        excluded_holders: member codes, such as that of the state the person fled: it
            is compared with no record of theirs, also where the search names them.
        fallback_positions: words of other positions of the space that the template is
            compared with as well, where the order of capture is in doubt. Each makes
            false positives that much more frequent. Not beside `further`.
    """

    template: Template
    further: tuple[Template, ...] = ()
    excluded_holders: tuple[str, ...] = ()
    fallback_positions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One subject's record.

    Attributes:
        reference: the holder's own, opaque, without personal data.
        templates: one or more.
        excluded: member codes that must never learn of the record.
        legal_basis: of the enrolment.
        expires_at: aware moment from which no search finds the record, or None.
    """

    reference: str = field(repr=False)
    templates: tuple[Template, ...]
    excluded: tuple[str, ...] = ()
    legal_basis: str = ""
    expires_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Records that are sent in one message and answered by one response.

    Attributes:
        records: 1 to `limits.MAX_RECORDS_PER_CHUNK`.
        request_id: UUID, or None for a random one. Within one load the chunk keeps
            it, however often it is sent.
        start: where its first record stands in the caller's source; comes back
            with the outcome and means nothing to the exchange.
    """

    records: tuple[Record, ...]
    request_id: uuid.UUID | str | None = None
    start: int = 0
