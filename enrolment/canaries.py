"""Canaries: records that are nobody's, and that nobody is told of.

Whoever finds one has its template from where only the exchange keeps it, or goes
through the gallery. So each is told to its holder's auditor as an alert, and answered
as nobody: a match would be a false one, about a person who was searched in good faith.

The exchange draws them, and gives their templates to nobody, the holder included. A
holder that chose them could plant the face of a person whom it is looking for, and see
by the alerts who has searched for that person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from biometrics.nobody import draw_nobody
from enrolment.admission import Record
from enrolment.wire import Enrolling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from enrolment.wire import Planting

_REFERENCE_BYTES = 16


def draw(
    asked: Planting, random_bytes: Callable[[int], bytes]
) -> tuple[Sequence[str], Enrolling]:
    """Return canaries that are to be enrolled, after their references."""
    references = [random_bytes(_REFERENCE_BYTES).hex() for _ in range(asked.count)]
    records = [
        Record(
            reference=reference,
            templates=(draw_nobody(asked.space, asked.position, random_bytes),),
            excluded=frozenset(),
            legal_basis="",
            expires_at=None,
            content=b"canary " + reference.encode(),
            is_canary=True,
        )
        for reference in references
    ]
    return references, Enrolling(
        holder=asked.holder,
        request_id=asked.request_id,
        count=asked.count,
        read=lambda part: [*records[part]],
    )
