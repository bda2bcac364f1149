"""What is asked: one request of one member, with one or more persons to search for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biometrics.errors import InvalidRequestError, RefusedError
from biometrics.templates import Modality

if TYPE_CHECKING:
    from biometrics.disclosure import Answer, Purpose
    from biometrics.members import Member
    from biometrics.templates import Position, Template, TemplateSpace

# Writes the results of all questions as the response, or refuses the request as a
# whole. What it returns completes that by the receipts of those that were answered.
Encode = Callable[[Sequence["Answer | Refusal"]], Callable[[Sequence[bytes]], bytes]]

# Why one question is not answered. Any other error ends the request, so that a
# passing failure is never stored as an answer.
Refusal = InvalidRequestError | RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One person to search for.

    Attributes:
        spaces: that the templates of the probe name, in their order; one at least.
        excluded: holders with whose records it is never compared.
        fallback: positions beside its own that it is compared with; of one template.
        templates: reads the probe; raises InvalidRequestError.
    """

    spaces: tuple[TemplateSpace, ...]
    excluded: frozenset[Member]
    fallback: tuple[Position, ...]
    templates: Callable[[], tuple[Template, ...]]

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Those of its templates, each once, in the order in which they are listed."""
        if len(self.spaces) == 1:
            return (self.spaces[0].modality,)
        there = {space.modality for space in self.spaces}
        return tuple(modality for modality in Modality if modality in there)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A request, parsed: the questions of one requester for one purpose.

    Attributes:
        requester: who asks; from the certificate.
        request_id: 16 bytes of its UUID.
        content: the request as it came, to tell a replay from another request.
        purpose: why it is asked.
        holders: whom to search; empty for everyone that the agreements permit.
        questions: whom to search for, or why that cannot be read.
    """

    requester: Member
    request_id: bytes
    content: bytes
    purpose: Purpose
    holders: frozenset[Member]
    questions: tuple[Question | Refusal, ...]
