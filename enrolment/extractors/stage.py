"""Pictures become templates between what reads files and what cuts batches.

Several records are on their way at once, and come out in their order. A picture that
is refused refuses its record, and nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.templates import Modality, Position
from enrolment.extractors.workers import Workers
from enrolment.formats.finger import FingerView, code_of
from enrolment.formats.source import Found, PictureSample, Unreadable, VectorSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

    from biometrics.errors import Fault
    from enrolment.bulk import Read
    from enrolment.extractors.answer import Answer
    from enrolment.extractors.choice import Choice
    from enrolment.extractors.extractor import Extracted

_AHEAD: Final = 2  # pictures read for each process, so that none waits for a file


@dataclass(slots=True)
class _OnItsWay:
    """A record, and what its pictures become."""

    read: Read
    answers: dict[int, Future[Answer]] = field(default_factory=dict)


class Extraction:
    """Extracts the pictures among records; a context manager.

    Attributes:
        pictures: how many were extracted or refused.
        shown: of the first ones, if wanted: the preview, which picture it is, and why
            it is refused.
    """

    def __init__(
        self, choose: Callable[[], Choice], processes: int, *, sheet: bool = False
    ) -> None:
        """Start nothing before the first picture.

        Args:
            choose: returns the extractor, or raises what speaks against extracting.
            processes: how many.
            sheet: whether previews are wanted.
        """
        self.processes = processes
        self.pictures = 0
        self.shown: list[tuple[NDArray[np.uint8] | None, str, str]] = []
        self._choose = choose
        self._room = limits.MAX_SHEET_PICTURES if sheet else 0
        self._is_shown = sheet
        self._workers: Workers | None = None

    def __enter__(self) -> Self:
        """Return the extraction."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        if self._workers is not None:
            self._workers.__exit__()

    def __call__(self, items: Iterator[Read]) -> Iterator[Read]:
        """Yield the same records in the same order, templates in pictures' place.

        Raises:
            ConfigurationError: there are pictures, and their extractor is not there.
            InvalidRequestError: there are pictures, and no extractor makes what is
                wanted of them.
        """
        ahead: deque[_OnItsWay] = deque()
        pictures = 0
        for read in items:
            begun = self._begin(read)
            if not ahead and not begun.answers:  # as of a file without pictures
                yield read
                continue
            ahead.append(begun)
            pictures += len(begun.answers)
            # Records without pictures do not wait behind others for long.
            while ahead and (
                pictures > _AHEAD * self.processes or not ahead[0].answers
            ):
                pictures -= len(ahead[0].answers)
                yield self._end(ahead.popleft())
        while ahead:
            yield self._end(ahead.popleft())

    def _begin(self, read: Read) -> _OnItsWay:
        """Have the pictures of a record extracted."""
        begun = _OnItsWay(read)
        if isinstance(read.item, Found):
            for place, sample in enumerate(read.item.samples):
                if isinstance(sample, PictureSample):
                    if self._workers is None:
                        self._workers = Workers(self._choose(), self.processes)
                    begun.answers[place] = self._workers.submit(
                        sample.data, preview=self._room > 0
                    )
                    self._room -= 1
        return begun

    def _end(self, begun: _OnItsWay) -> Read:
        """Return the record with templates in its pictures' place."""
        item = begun.read.item
        if not begun.answers or not isinstance(item, Found):
            return begun.read
        samples = list(item.samples)
        faults: list[Fault] = []
        for place, answer in begun.answers.items():
            told = answer.result()
            self._note(told)
            faults += [fault.under(f"templates[{place}]") for fault in told.faults]
            sample = samples[place]
            if told.extracted is not None and isinstance(sample, PictureSample):
                samples[place] = _template(told.extracted, sample)
        done: Found | Unreadable
        if faults:
            done = Unreadable(
                number=item.number, reference=item.reference, faults=tuple(faults)
            )
        else:
            done = replace(item, samples=tuple(samples))
        return replace(begun.read, item=done)

    def _note(self, told: Answer) -> None:
        """Count a picture, and keep its preview if it is one of the first."""
        self.pictures += 1
        if self._is_shown and len(self.shown) < limits.MAX_SHEET_PICTURES:
            refused = told.faults[0].reason if told.faults else ""
            self.shown.append((told.preview, f"picture {self.pictures}", refused))


def _template(
    extracted: Extracted, picture: PictureSample
) -> VectorSample | FingerView:
    """Return the template, with what the file says of the picture."""
    sample = extracted.sample
    if isinstance(sample, FingerView):
        return replace(
            sample,
            position_code=_finger(picture.position),
            quality=sample.quality if picture.quality is None else picture.quality,
        )
    return replace(
        sample,
        space=picture.space,
        position=picture.position,
        quality=sample.quality if picture.quality is None else picture.quality,
    )


def _finger(word: str | None) -> int:
    """Return the code of a finger; 0 if it is not known which, or is none."""
    if word is None or Position(word).modality is not Modality.FINGERPRINT:
        return 0
    return code_of(word)
