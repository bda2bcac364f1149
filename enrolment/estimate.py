"""A first centring and threshold for a template space, from a pilot's own captures.

Not a calibration: the basis of such a threshold is `unmeasured`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from biometrics import limits
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_SEARCHES: Final = 256
LEAST_SUBJECTS: Final = 4
_LEAST_TO_COMPARE: Final = 2  # in each half
# Maxima between these quantiles are fitted: below them the Gumbel distribution is a
# worse approximation; above them stand failed captures, look-alikes, and people
# whom the truth holds twice, which a calibration would review one by one.
_FITTED: Final = np.linspace(0.5, 0.97, 48)
# A template space wants a cosine inside (0, 1).
_LEAST_THRESHOLD: Final = 0.01
_GREATEST_THRESHOLD: Final = 0.99


def estimate_space(
    embedding: NDArray[np.floating],
    subject: NDArray[np.integer],
    *,
    gallery_size: int,
    fpir: float = 1e-3,
    searches: int = 3000,
) -> tuple[NDArray[np.float64], float]:
    """Estimate centring and threshold of a template space.

    The centre is the mean. The threshold is a quantile of the distribution of *search
    maxima*: the greatest score of each non-mated search against a gallery (Gumbel
    distributed, by extreme-value theory), with its location moved by `scale *
    log(gallery_size / templates at hand)` where the gallery to come is greater.

    Each half of the people is compared as the other half centres it, which is also
    what makes the estimate err upwards, to the safe end: the mean of all is the better
    centre. So does the line through the middle of the maxima. With fewer than some
    twenty subjects it may be far off, to either side.

    The target holds for captures that succeeded and people without a look-alike; the
    others come on top. With fewer than 3 / `fpir` searches the target's own level was
    not observed at all.

    Args:
        embedding: (n, d), as the extractor gave them; rows that are not finite, or
            zero after centring, are left out.
        subject: (n,) whom each row is of.
        gallery_size: templates in the gallery to come, at least 1.
        fpir: target false positive identification rate of one search, in (0, 1).
        searches: make at most so many, with rows spread evenly over the input.

    Returns:
        The centre, float64 (d,), and the threshold, a cosine.

    Raises:
        InvalidRequestError: there are fewer than four subjects with usable rows, or
            the arguments do not fit one another.
    """
    if embedding.shape[:-1] != subject.shape or subject.ndim != 1 or gallery_size < 1:
        raise InvalidRequestError(
            "WRONG_SHAPE",
            f"embeddings of shape `{embedding.shape}`, subjects of `{subject.shape}`"
            f" and a gallery of {gallery_size}; give `(n, d)`, `(n,)` and 1 or more",
        )
    usable = np.isfinite(embedding).all(axis=1)
    if not usable.any():
        raise _too_few()
    centre = embedding[usable].mean(axis=0, dtype=np.float64)
    usable[usable] = _norms(_centred(embedding[usable], centre)) >= limits.MIN_NORM
    embedding, subject = embedding[usable], subject[usable]
    people = np.unique(subject)
    if len(people) < LEAST_SUBJECTS:
        raise _too_few()
    first = np.isin(subject, people[::2])
    locations, scales = zip(
        *(
            _fit_half(
                embedding,
                subject,
                half,
                gallery_size=gallery_size,
                searches=searches // 2,
            )
            for half in (first, ~first)
        ),
        strict=True,
    )
    location, scale = float(np.mean(locations)), float(np.mean(scales))
    threshold = location - scale * math.log(-math.log1p(-fpir))
    return centre, min(max(threshold, _LEAST_THRESHOLD), _GREATEST_THRESHOLD)


def _fit_half(
    embedding: NDArray[np.floating],
    subject: NDArray[np.integer],
    half: NDArray[np.bool_],
    *,
    gallery_size: int,
    searches: int,
) -> tuple[float, float]:
    """Return location and scale of the search maxima among one half of the people.

    Centred by the others: a centre pushes those apart whom it is the mean of, and so
    tells nothing of the people to come.

    Raises:
        InvalidRequestError: there are fewer than two subjects with usable rows.
    """
    centre = embedding[~half].mean(axis=0, dtype=np.float64)
    unit, subject = _unit(embedding[half], subject[half], centre)
    if len(np.unique(subject)) < _LEAST_TO_COMPARE:
        raise _too_few()
    gallery = _spread(len(unit), gallery_size)
    probes = _spread(len(unit), searches)
    maxima = _search_maxima(
        unit[probes], subject[probes], unit[gallery], subject[gallery]
    )
    location, scale = _fit_gumbel(maxima)
    return location + scale * math.log(max(1.0, gallery_size / len(gallery))), scale


def _too_few() -> InvalidRequestError:
    """Return the error of vectors of which too few can be compared."""
    return InvalidRequestError(
        "TOO_FEW_SUBJECTS",
        f"centring and threshold need usable vectors of {LEAST_SUBJECTS} subjects or"
        " more",
    )


def _unit(
    embedding: NDArray[np.floating],
    subject: NDArray[np.integer],
    centre: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Return rows centred and of unit length, and whom they are of."""
    unit = _centred(embedding, centre)
    norms = _norms(unit)
    right = norms >= limits.MIN_NORM
    unit = unit[right]
    unit /= norms[right, None].astype(np.float32)
    return unit, subject[right]


def _centred(
    embedding: NDArray[np.floating], centre: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return rows less their centre."""
    centred: NDArray[np.float32] = np.subtract(
        embedding, centre, dtype=np.float32, casting="same_kind"
    )
    return centred


def _norms(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the lengths of rows."""
    norms: NDArray[np.float64] = np.sqrt(
        np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    )
    return norms


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """Return at most `most` of `count` rows, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _search_maxima(
    probes: NDArray[np.float32],
    probe_subjects: NDArray[np.integer],
    gallery: NDArray[np.float32],
    gallery_subjects: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Return the greatest score of each probe with anyone else, (searches,)."""
    maxima = np.empty(len(probes))
    for start in range(0, len(probes), _BLOCK_SEARCHES):
        block = slice(start, start + _BLOCK_SEARCHES)
        scores = probes[block] @ gallery.T
        scores[probe_subjects[block, None] == gallery_subjects] = -1.0
        maxima[block] = scores.max(axis=1)
    return maxima


def _fit_gumbel(maxima: NDArray[np.float64]) -> tuple[float, float]:
    """Return location and scale, by a straight line through the quantile plot.

    Source: Gumbel, "Statistics of Extremes", 1958: the quantile of p is
    `location - scale * log(-log(p))`.
    """
    reduced = -np.log(-np.log(_FITTED))
    scale, location = np.polyfit(reduced, np.quantile(maxima, _FITTED), 1)
    return float(location), max(float(scale), 0.0)
