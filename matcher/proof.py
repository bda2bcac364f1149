"""What the log is told of a search, and what the requester gets to show for it.

A holder learns that an agreement was used, by whom, for what, in which hour and how
often; the requester, what it asked. Neither is told an outcome: that is committed to,
and the opening of the commitment is in the requester's receipt alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from biometrics.audit import (
    OPENING_BYTES,
    Kind,
    Mention,
    answer_text,
    commitment,
    origin_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from biometrics.audit import ReceiptIssuer
    from biometrics.calibration import FpirClass
    from biometrics.disclosure import Agreements, Answer, Permission, Purpose
    from biometrics.members import Member
    from biometrics.store import Appended
    from biometrics.templates import TemplateSpace

_SEVERAL: Final = "several"  # no template space: names have a dash or a digit


@dataclass(frozen=True, slots=True)
class Looked:
    """Where was looked for one person.

    Attributes:
        gallery: name of the template space, or that there are several.
        promised: what each holder that was to be searched promises of errors.
        searched: the holders with whose records was compared.
    """

    gallery: str
    promised: Mapping[Member, str]
    searched: frozenset[Member]

    @classmethod
    def in_galleries(
        cls,
        spaces: Sequence[TemplateSpace],
        promised: Mapping[Member, str],
        searched: frozenset[Member],
    ) -> Self:
        """Return where was looked with templates of these spaces."""
        names = {space.name for space in spaces}
        gallery = _SEVERAL if len(names) > 1 else spaces[0].name
        return cls(gallery, promised, searched)


def promise_of(permission: Permission, established: Collection[FpirClass]) -> str:
    """Return what is promised of errors, and whether a calibration supports it."""
    fpir = permission.promise.fpir
    return f"{fpir}" if fpir in established else f"{fpir}:not-established"


@dataclass(frozen=True, slots=True)
class Committed:
    """Answers, committed to.

    Attributes:
        items: what stands for each in the log.
        openings: what shows that it does, 32 random bytes each.
    """

    items: tuple[bytes, ...]
    openings: tuple[bytes, ...]

    @classmethod
    def to(
        cls, answers: Sequence[Answer], random_bytes: Callable[[int], bytes]
    ) -> Committed:
        """Commit to answers."""
        openings = tuple(random_bytes(OPENING_BYTES) for _ in answers)
        items = (
            commitment(answer_text(answer), opening)
            for answer, opening in zip(answers, openings, strict=True)
        )
        return cls(tuple(items), openings)

    def receipts(self, appended: Appended, issuer: ReceiptIssuer) -> list[bytes]:
        """Return the receipt of each answer, for its place in the log."""
        return issuer.issue(
            appended.written,
            appended.index,
            origin_of(issuer.name, appended.life),
            items=self.items,
            openings=self.openings,
        )


def mentions(  # noqa: PLR0917 - one line at its one caller
    requester: Member,
    purpose: Purpose,
    agreements: Agreements,
    looked: Sequence[Looked],
    items: tuple[bytes, ...],
) -> Iterator[Mention]:
    """Yield what the requester and each holder are told of a request.

    Args:
        requester: who asked.
        purpose: why.
        agreements: in force when it was decided.
        looked: where, for each person.
        items: commitments to the answers.
    """
    galleries = sorted({each.gallery for each in looked})
    yield Mention(
        member=requester,
        kind=Kind.SEARCH,
        gallery=_SEVERAL if len(galleries) > 1 else "".join(galleries),
        purpose=purpose.value,
        agreement=agreements.digest,
        fpir=" ".join(sorted({p for each in looked for p in each.promised.values()})),
        count=len(looked),
        items=items,
    )
    counts = Counter(
        (holder, each.gallery, each.promised[holder])
        for each in looked
        for holder in each.searched
    )
    for (holder, gallery, promised), count in sorted(counts.items()):
        yield Mention(
            member=holder,
            kind=Kind.SEARCHED,
            gallery=gallery,
            other=requester.code,
            purpose=purpose.value,
            agreement=agreements.digest_of(holder),
            fpir=promised,
            count=count,
            items=items,
        )
