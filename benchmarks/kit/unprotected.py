"""An exchange that protects nobody: what all protections together are measured against.

The exchange's own composition, with another matcher. Whoever has a certificate is told
of every holder, at once: no agreement is asked, no record is masked, nothing is counted
against a budget or a quota, nothing is stored or logged, no receipt is signed, and no
answer waits for a slot. TLS, the caller's identity, admission, scan and confirmation
are what they are.

It takes what `biometrics` takes, and is in the benchmarks alone:

    python -m benchmarks.kit.unprotected serve --config FOLDER/exchange.toml
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from biometrics.calibration import FpirClass
from biometrics.cli.app import main
from biometrics.disclosure import Answer, Band, HolderAnswer, Outcome
from biometrics.server import matching
from matcher.galleries import Shelf
from matcher.question import Question

if TYPE_CHECKING:
    from matcher.fusion import Aims
    from matcher.galleries import Galleries
    from matcher.question import Encode, Search
    from matcher.schedule import Scanner

__all__ = ["UnprotectedMatcher"]


class UnprotectedMatcher:
    """Answers searches, and nothing else."""

    def __init__(
        self,
        *,
        galleries: Galleries,
        aims: Aims,
        scanner: Scanner,
        **_protections: Any,
    ) -> None:
        """Take the parts of `matcher.match.Matcher` that find matches."""
        self._galleries = galleries
        self._aims = aims
        self._scanner = scanner

    async def match(self, search: Search, encode: Encode) -> bytes:
        """Return the encoded answers to all questions."""
        answers = [
            await self._answer(each)
            for each in search.questions
            if isinstance(each, Question)
        ]
        return encode(answers)([b""] * len(answers))

    async def _answer(self, question: Question) -> Answer:
        """Search everybody's galleries for one person."""
        (probe,) = question.templates()
        space = probe.space.name
        (band,) = self._aims.at(question.spaces).rules[FpirClass.THOUSANDTH].bands
        bands = {
            Shelf(gallery.holder, space, probe.position): Band.without(band.threshold)
            for gallery in self._galleries.known()
            if gallery.space == space
        }
        confirmed = await self._scanner.search(probe, bands)
        matched = {hit.holder for hit in confirmed.hits}
        outcomes = {
            shelf.holder: Outcome.MATCH if shelf.holder in matched else Outcome.NO_MATCH
            for shelf in bands
        }
        return Answer(
            regional=Outcome.MATCH if matched else Outcome.NO_MATCH,
            holders=tuple(
                HolderAnswer(holder=holder, outcome=outcome, reference=b"")
                for holder, outcome in sorted(outcomes.items())
            ),
        )


if __name__ == "__main__":
    matching.Matcher = UnprotectedMatcher  # type: ignore[assignment,misc]
    main()
