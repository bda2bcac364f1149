"""Whose captures the demo takes: a synthetic population's, or those of a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment import estimate
from enrolment.formats.arrays import read_npz
from enrolment.synthetic import Population, synthesise

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DEFAULT_RECORDS: Final = 20_000
SAMPLES: Final = 4
LEAST_SUBJECTS: Final = 2 * estimate.LEAST_SUBJECTS  # half of them estimate
# Of the synthetic subjects, so many at most estimate centring and threshold.
MOST_CALIBRATION_SUBJECTS: Final = 6000
MOST_SEARCHES: Final = 3000  # that estimate the threshold
LEAST_FPIR: Final = 1e-3
GREATEST_FPIR: Final = 0.5
_BLOCK_ROWS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Captures:
    """Embeddings, and the truth about them.

    Attributes:
        source: where they come from, for errors.
        embedding: float32 (n, d), as an extractor gave them.
        subject: int32 (n,), who each row is of.
        estimating: bool (n,), whether a row estimates centring and threshold; the
            others are enrolled and searched with.
        records: most rows that are enrolled; None for all.
        records_each: most rows of a subject that one holder enrols; None for all.
    """

    source: str
    embedding: NDArray[np.float32]
    subject: NDArray[np.int32]
    estimating: NDArray[np.bool_]
    records: int | None
    records_each: int | None

    @property
    def target_fpir(self) -> float:
        """False positive identification rate at which the threshold is to be.

        No lower than what so many searches can show: by the rule of three, none in n
        supports 3 / n at 95 % (Jovanovic and Levy, The American Statistician 51, 1997).
        """
        searches = min(MOST_SEARCHES, int(self.estimating.sum()))
        return min(max(LEAST_FPIR, 3 / searches), GREATEST_FPIR)

    def estimate(self, gallery_size: int) -> tuple[NDArray[np.float64], float]:
        """Estimate centring and threshold for a gallery of so many records.

        Raises:
            InvalidRequestError: the rows are too much alike for that.
        """
        half = self.estimating
        try:
            centre, threshold = estimate.estimate_space(
                self.embedding[half],
                self.subject[half],
                gallery_size=gallery_size,
                fpir=self.target_fpir,
                searches=MOST_SEARCHES,
            )
        except InvalidRequestError as error:
            told = f"`{self.source}`: {error.message}"
            raise InvalidRequestError(error.reason, told) from error
        self.check_rows(centre)
        return centre, threshold

    def check_rows(self, centre: NDArray[np.float64]) -> None:
        """Refuse rows from which no template can be made.

        Raises:
            InvalidRequestError: with the first of them, by file and row.
        """
        norms = np.concatenate(
            [
                np.linalg.norm(block.astype(np.float64) - centre, axis=1)
                for block in np.array_split(
                    self.embedding, len(self.embedding) // _BLOCK_ROWS + 1
                )
            ]
        )
        wrong = np.flatnonzero(~(np.isfinite(norms) & (norms >= limits.MIN_NORM)))
        if not len(wrong):
            return
        faults = [
            _row_fault(f"{self.source}:embedding[{row}]", float(norms[row]))
            for row in wrong[: limits.MAX_FAULTS_TOLD]
        ]
        if more := len(wrong) - len(faults):
            message = f"rows that cannot be used either: {more}"
            faults.append(Fault(field="more", reason="MORE_FAULTS", message=message))
        raise InvalidRequestError.of(faults)


def _row_fault(where: str, norm: float) -> Fault:
    """Return what is wrong with a row of this norm."""
    if math.isfinite(norm):
        reason, what = "ZERO_VECTOR", "is zero, or zero after centring"
    else:
        reason, what = "NOT_FINITE", "has NaN or infinity"
    message = f"the row {what}; the extractor failed: leave it out or capture again"
    return Fault(field=where, reason=reason, message=message)


def synthetic_captures(seed: int, records: int | None) -> Captures:
    """Draw a population of which so many records are enrolled; None for the usual."""
    wanted = DEFAULT_RECORDS if records is None else records
    half = min(wanted, MOST_CALIBRATION_SUBJECTS)
    gallery = synthesise(
        Population(seed=seed, subjects=half + round(1.25 * wanted), samples=SAMPLES)
    )
    return Captures(
        source="the synthetic population",
        embedding=gallery.embedding,
        subject=gallery.subject,
        estimating=gallery.subject < half,
        records=wanted,
        records_each=1,
    )


def read_captures(path: Path, seed: int, records: int | None) -> Captures:
    """Read a user's own embeddings; a half of the subjects, by chance, estimates.

    Raises:
        InvalidRequestError: the file cannot be read, or does not do for a pilot.
    """
    file = read_npz(path, texts=("subject",))
    names, number = np.unique(np.array(file.texts("subject")), return_inverse=True)
    if len(names) < LEAST_SUBJECTS:
        raise InvalidRequestError(
            "TOO_FEW_SUBJECTS",
            f"`{path}` needs {LEAST_SUBJECTS} subjects or more; it has {len(names)}",
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    captures = Captures(
        source=str(path),
        embedding=np.concatenate([block for _, block in file.rows(_BLOCK_ROWS)]),
        subject=number.astype(np.int32),
        estimating=np.isin(number, shuffled[: len(names) // 2]),
        records=records,
        records_each=None,
    )
    captures.check_rows(np.zeros(file.dimension))
    return captures
