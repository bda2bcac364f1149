"""A synthetic gallery is as hard as a real one, and its truth is known."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.errors import InvalidRequestError
from enrolment.estimate import estimate_space
from enrolment.formats.arrays import read_npz
from enrolment.population import Kind, Population
from enrolment.synthetic import (
    SyntheticGallery,
    spectrum,
    synthesise,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUBJECTS, SAMPLES = 6000, 3
# A folder with `faces-dlib128/gallery.npz`: `embedding` and `subject` of real faces.
REAL = "BIOMETRICS_DATA"


@pytest.fixture(scope="module")
def gallery() -> SyntheticGallery:
    """A population with nothing but defaults."""
    return synthesise(Population(seed=20, subjects=SUBJECTS, samples=SAMPLES))


@pytest.fixture(scope="module")
def faces(gallery: SyntheticGallery) -> NDArray[np.float32]:
    """Its captures, centred and of unit length, (subjects, samples, dimension)."""
    return unit(gallery.embedding).reshape(SUBJECTS, SAMPLES, -1)


@pytest.fixture(scope="module")
def worked(gallery: SyntheticGallery) -> NDArray[np.bool_]:
    """Subjects none of whose captures failed."""
    return ~gallery.failed.reshape(SUBJECTS, SAMPLES).any(axis=1)


def unit(embedding: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centre and normalise."""
    centred = embedding - embedding.mean(axis=0, dtype=np.float64)
    normal = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    return normal.astype(np.float32)


def mated(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the scores of each subject's captures with one another."""
    pairs = combinations(range(faces.shape[1]), 2)
    return np.stack([(faces[:, a] * faces[:, b]).sum(axis=1) for a, b in pairs], 1)


def equal_error_rate(
    mated: NDArray[np.float32], non_mated: NDArray[np.float32]
) -> float:
    """Return the rate at the threshold where both errors are alike."""
    thresholds = np.linspace(-1, 1, 2001)
    misses = np.searchsorted(np.sort(mated.ravel()), thresholds) / mated.size
    alarms = (
        1 - np.searchsorted(np.sort(non_mated.ravel()), thresholds) / non_mated.size
    )
    nearest = np.abs(misses - alarms).argmin()
    return float(misses[nearest] + alarms[nearest]) / 2


def test_one_seed_gives_the_same_bytes() -> None:
    """Another seed gives others; so do more subjects than a block has."""
    first, again, other = (
        synthesise(
            Population(
                seed=seed,
                subjects=700,
                samples=2,
                dimension=50,
                effective_dimension=30,
            )
        )
        for seed in (1, 1, 2)
    )
    for name in ("embedding", "subject", "sample", "quality", "failed", "kind"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert (other.embedding == first.embedding).mean() < 0.01
    assert len(np.unique(first.embedding, axis=0)) == 1400


def test_shapes_and_types_are_as_stated(gallery: SyntheticGallery) -> None:
    """Rows go by subject, then by sample."""
    rows = SUBJECTS * SAMPLES
    assert gallery.embedding.shape == (rows, 512)
    assert gallery.embedding.dtype == np.float32
    assert gallery.embedding.flags.c_contiguous
    assert np.array_equal(gallery.subject, np.arange(rows, dtype=np.int32) // SAMPLES)
    assert np.array_equal(gallery.sample, np.arange(rows, dtype=np.int32) % SAMPLES)
    assert (gallery.quality.dtype, gallery.quality.max() <= 100) == (np.uint8, True)
    assert gallery.kind.shape == (SUBJECTS,)


@pytest.mark.parametrize(
    ("dimension", "effective"), [(512, 180.0), (128, 23.0), (512, 512.0), (16, 1.01)]
)
def test_a_spectrum_has_the_effective_dimension_asked_for(
    dimension: int, effective: float
) -> None:
    """As its participation ratio."""
    variances = spectrum(dimension, effective)
    assert variances.sum() == pytest.approx(1)
    assert (np.diff(variances) <= 0).all()
    assert 1 / (variances**2).sum() == pytest.approx(effective, rel=1e-6)


def test_non_mated_scores_have_the_effective_dimension(
    faces: NDArray[np.float32],
) -> None:
    """Their standard deviation is that of 180 independent directions."""
    non_mated = faces[:3000, 0] @ faces[3000:, 1].T
    assert non_mated.mean() == pytest.approx(0, abs=0.002)
    assert 1 / non_mated.var() == pytest.approx(180, rel=0.03)


def test_no_component_stands_out(gallery: SyntheticGallery) -> None:
    """The axes of the spectrum are turned away, so coordinates have like variances."""
    variances = gallery.embedding.var(axis=0)
    assert variances.max() / variances.min() < 4


def test_vectors_are_neither_centred_nor_of_unit_length(
    gallery: SyntheticGallery,
) -> None:
    """Whoever forgets to centre finds everybody alike."""
    rows = gallery.embedding[::SAMPLES]
    norms = np.linalg.norm(rows, axis=1)
    assert norms.mean() == pytest.approx(1.345, abs=0.01)
    assert norms.std() > 0.02
    raw = rows / norms[:, None]
    assert (raw[:3000] @ raw[3000:].T).mean() == pytest.approx(0.87, abs=0.01)


def test_mated_scores_are_those_of_a_modern_extractor(
    faces: NDArray[np.float32], worked: NDArray[np.bool_]
) -> None:
    """Between subjects and within them they spread."""
    scores = mated(faces[worked])
    assert scores.mean() == pytest.approx(0.65, abs=0.03)
    assert scores.std() == pytest.approx(0.12, abs=0.02)
    assert scores.mean(axis=1).std() == pytest.approx(0.10, abs=0.02)
    assert np.quantile(scores.mean(axis=1), 0.01) == pytest.approx(0.34, abs=0.06)


def test_goats_match_themselves_badly(
    gallery: SyntheticGallery, faces: NDArray[np.float32], worked: NDArray[np.bool_]
) -> None:
    """In number, and in score."""
    goats = gallery.kind == Kind.GOAT
    assert goats.sum() == round(0.03 * SUBJECTS)
    scores = mated(faces[goats & worked])
    assert scores.mean() == pytest.approx(0.38, abs=0.04)
    assert np.quantile(scores.mean(axis=1), 0.1) < 0.33


def test_lambs_are_nearer_to_strangers(
    gallery: SyntheticGallery, faces: NDArray[np.float32]
) -> None:
    """Their non-mated scores spread by a tenth more than those of sheep."""
    lambs, sheep = (faces[gallery.kind == k, 0] for k in (Kind.LAMB, Kind.SHEEP))
    assert len(lambs) == round(0.02 * SUBJECTS)
    wide = (lambs @ sheep[:2000].T).std()
    usual = (sheep[2000:3000] @ sheep[:2000].T).std()
    assert wide / usual == pytest.approx(1.1, abs=0.04)


def test_look_alikes_come_in_pairs_of_neighbours(
    gallery: SyntheticGallery, faces: NDArray[np.float32], worked: NDArray[np.bool_]
) -> None:
    """They resemble one another beyond what chance does, below what captures do."""
    numbers = np.flatnonzero(gallery.kind == Kind.LOOK_ALIKE)
    assert len(numbers) == 2 * round(0.005 * SUBJECTS / 2)
    first, second = numbers[::2], numbers[1::2]
    assert (first % 2 == 0).all()
    assert np.array_equal(first + 1, second)
    both = worked[first] & worked[second]
    scores = (faces[first[both], 0] * faces[second[both], 1]).sum(axis=1)
    assert scores.mean() == pytest.approx(0.38, abs=0.06)
    assert scores.max() > 0.45


def test_failed_captures_resemble_one_another_and_not_their_subject() -> None:
    """And their quality tells, mostly."""
    made = synthesise(Population(seed=3, subjects=2000, samples=2, failed=0.05))
    rows = unit(made.embedding)
    failed = rows[made.failed]
    assert len(failed) == pytest.approx(200, abs=50)
    among = (failed @ failed.T)[np.triu_indices(len(failed), 1)]
    # The mean of all captures leans to the failed ones, which lowers this a little.
    assert among.mean() == pytest.approx(0.55, abs=0.08)
    one, two = rows[0::2], rows[1::2]
    only_one = made.failed[0::2] & ~made.failed[1::2]
    assert abs((one * two).sum(axis=1)[only_one].mean()) < 0.05
    assert made.quality[made.failed].mean() < 30 < made.quality[~made.failed].mean()


def test_captures_far_apart_in_time_match_less() -> None:
    """By the cosine of the angle of ageing."""
    made = synthesise(
        Population(seed=4, subjects=2000, samples=5, ageing=0.8, failed=0)
    )
    faces = unit(made.embedding).reshape(2000, 5, -1)
    near = (faces[:, 0] * faces[:, 1]).sum(axis=1).mean()
    far = (faces[:, 0] * faces[:, 4]).sum(axis=1).mean()
    assert far / near == pytest.approx(np.cos(0.8) / np.cos(0.2), abs=0.02)


def test_captures_of_good_quality_match_better(
    gallery: SyntheticGallery, faces: NDArray[np.float32], worked: NDArray[np.bool_]
) -> None:
    """So that a quality threshold is of use."""
    quality = gallery.quality.reshape(SUBJECTS, SAMPLES)[worked, :2].min(axis=1)
    scores = mated(faces[worked])[:, 0]
    assert scores[quality > 85].mean() - scores[quality < 60].mean() > 0.08


@pytest.mark.parametrize("subjects", [1, 2, 3, 511, 513])
def test_small_and_odd_populations_are_made_as_well(subjects: int) -> None:
    """With all kinds as far as there is room, in an odd dimension."""
    made = synthesise(
        Population(
            seed=5,
            subjects=subjects,
            samples=1,
            dimension=17,
            effective_dimension=9,
            goats=0.3,
            lambs=0.3,
            look_alikes=0.4,
        )
    )
    assert made.embedding.shape == (subjects, 17)
    assert np.isfinite(made.embedding).all()
    assert (made.kind == Kind.LOOK_ALIKE).sum() % 2 == 0


def test_every_fault_of_a_population_is_told() -> None:
    """By the names of its fields."""
    with pytest.raises(InvalidRequestError) as caught:
        Population(
            seed=-1,
            subjects=0,
            samples=0,
            dimension=8,
            effective_dimension=9,
            mean_cosine=1.0,
            length=0.0,
            length_spread=-1,
            mated=1.1,
            mated_spread=float("nan"),
            goats=0.6,
            goat_mated=(0.6, 0.3),
            lambs=0.6,
            look_alike_identity=(-0.1, 0.3),
            ageing=float("inf"),
            failed=2,
        )
    assert {fault.field for fault in caught.value.faults} == {
        "seed",
        "subjects",
        "samples",
        "dimension",
        "effective_dimension",
        "mean_cosine",
        "length",
        "length_spread",
        "mated",
        "mated_spread",
        "goats, lambs, look_alikes, siblings",
        "goat_mated",
        "look_alike_identity",
        "ageing",
        "failed",
    }


def test_the_estimated_threshold_keeps_what_it_promises() -> None:
    """On people it has not seen, captures that failed and look-alikes left out."""
    made = synthesise(
        Population(
            seed=6, subjects=6000, samples=3, failed=0.002, effective_dimension=100
        )
    )
    seen = made.subject < 3000
    centre, threshold = estimate_space(
        made.embedding[seen], made.subject[seen], gallery_size=2000, fpir=0.01
    )
    faces = made.embedding[~seen] - centre.astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    faces = faces.reshape(3000, 3, -1)
    maxima = (faces[2000:] @ faces[:2000, 0].T).max(axis=2)
    odd = made.failed[~seen].reshape(3000, 3)[2000:]
    odd |= (made.kind[5000:] == Kind.LOOK_ALIKE)[:, None]
    assert 0.0005 < (maxima[~odd] >= threshold).mean() < 0.02


def test_the_default_population_is_searched_as_well_as_stated(
    gallery: SyntheticGallery, faces: NDArray[np.float32]
) -> None:
    """FNIR of a few per cent at the threshold for 20,000 records, as in the design."""
    _, threshold = estimate_space(
        gallery.embedding, gallery.subject, gallery_size=20_000
    )
    assert threshold == pytest.approx(0.40, abs=0.03)
    missed = mated(faces)[:, 0] < threshold
    assert 0.01 < missed.mean() < 0.05
    assert missed[gallery.kind == Kind.GOAT].mean() > 0.3


def test_a_threshold_grows_with_the_gallery_and_the_promise(
    gallery: SyntheticGallery,
) -> None:
    """A few people whom the truth holds twice do not move it."""
    rows, subject = gallery.embedding[:3000], gallery.subject[:3000]
    estimate = [
        estimate_space(rows, subject, gallery_size=size, fpir=fpir)[1]
        for size, fpir in ((1000, 1e-2), (10_000, 1e-2), (10_000, 1e-3))
    ]
    assert estimate[0] + 0.02 < estimate[1] < estimate[2] - 0.02
    twice = np.concatenate([rows, rows[:15:3]])  # five people under two names
    strangers = np.concatenate([subject, 10**6 + np.arange(5, dtype=np.int32)])
    _, unmoved = estimate_space(twice, strangers, gallery_size=10_000)
    assert unmoved == pytest.approx(estimate[2], abs=0.01)


def test_an_estimate_leaves_unusable_rows_out(gallery: SyntheticGallery) -> None:
    """Vectors that are not finite, or that have no direction."""
    rows, subject = gallery.embedding[:300].copy(), gallery.subject[:300]
    right = estimate_space(rows[9:], subject[9:], gallery_size=100)
    rows[:3], rows[3:6], rows[6:9] = np.nan, np.inf, right[0].astype(np.float32)
    centre, threshold = estimate_space(rows, subject, gallery_size=100)
    assert np.allclose(centre, right[0], atol=1e-3)
    assert centre.dtype == np.float64
    assert threshold == pytest.approx(right[1], abs=0.02)
    assert isinstance(threshold, float)


def test_a_threshold_is_always_one_that_a_space_can_have() -> None:
    """Small sets with great promises would ask for more than a cosine can be."""
    made = synthesise(
        Population(seed=7, subjects=10, samples=4, dimension=16, effective_dimension=2)
    )
    _, most = estimate_space(made.embedding, made.subject, gallery_size=10**9)
    assert most == 0.99
    axes = np.eye(2, 16, dtype=np.float32)
    apart = np.repeat(np.concatenate([axes[:1], axes[1:], -axes[:1], -axes[1:]]), 9, 0)
    _, least = estimate_space(apart, np.repeat([0, 1, 2, 3], 9), gallery_size=2)
    assert least == 0.01


def test_few_people_are_not_taken_for_the_mean_of_all() -> None:
    """A centre pushes those apart whom it is the mean of, but not people to come."""
    random = np.random.default_rng(8)
    people = random.standard_normal((20, 1, 128))
    rows = people + 0.5 * random.standard_normal((20, 5, 128)) + 3.0
    centre, threshold = estimate_space(
        rows.reshape(100, 128), np.repeat(np.arange(20), 5), gallery_size=20_000
    )
    strangers = random.standard_normal((20_400, 128)) + 3.0 - centre
    strangers /= np.linalg.norm(strangers, axis=1, keepdims=True)
    maxima = (strangers[:400] @ strangers[400:].T).max(axis=1)
    assert (maxima >= threshold).mean() < 0.01


@pytest.mark.parametrize("rows", [0, 4])
def test_one_subject_gives_no_estimate(rows: int) -> None:
    """There is nobody to be taken for."""
    with pytest.raises(InvalidRequestError) as caught:
        estimate_space(
            np.eye(rows, 16, dtype=np.float32), np.zeros(rows, int), gallery_size=5
        )
    assert caught.value.reason == "TOO_FEW_SUBJECTS"


@pytest.mark.parametrize(
    ("rows", "subjects", "size"), [((8, 16), 7, 5), ((16,), 16, 5), ((8, 16), 8, 0)]
)
def test_arguments_that_do_not_fit_are_refused(
    rows: tuple[int, ...], subjects: int, size: int
) -> None:
    """With what they should be."""
    with pytest.raises(InvalidRequestError) as caught:
        estimate_space(np.ones(rows), np.arange(subjects), gallery_size=size)
    assert caught.value.reason == "WRONG_SHAPE"


def test_real_faces_are_of_the_same_nature() -> None:
    """A population with the real set's dimension is about as hard to tell apart."""
    folder = os.environ.get(REAL)
    if folder is None:
        pytest.skip(f"`{REAL}` names no folder of development data")
    file = read_npz(Path(folder) / "faces-dlib128" / "gallery.npz", texts=("subject",))
    ((_, rows),) = file.rows(file.count)
    subject = np.array(file.texts("subject"), np.int32)
    made = synthesise(
        Population(
            seed=8,
            subjects=20,
            samples=10,
            dimension=128,
            effective_dimension=30,
            failed=0.01,
        )
    )
    real, synthetic = (
        _describe(unit(vectors), whom)
        for vectors, whom in ((rows, subject), (made.embedding, made.subject))
    )
    for name, margin in (
        ("mated", 0.1),
        ("mated spread", 0.08),
        ("non-mated", 0.03),
        ("non-mated spread", 0.04),
        ("subject spread", 0.05),
        ("equal error rate", 0.03),
    ):
        assert synthetic[name] == pytest.approx(real[name], abs=margin), name
    norms = [np.linalg.norm(x, axis=1).mean() for x in (rows, made.embedding)]
    assert norms[0] == pytest.approx(norms[1], abs=0.1)


def _describe(
    faces: NDArray[np.float32], subject: NDArray[np.integer]
) -> dict[str, float]:
    """Return the figures in which sets are compared."""
    scores = faces @ faces.T
    above = np.triu(np.ones(scores.shape, bool), 1)
    same = subject[:, None] == subject
    means = [scores[above & same & (subject == who)].mean() for who in set(subject)]
    found = {"mated": scores[above & same], "non-mated": scores[above & ~same]}
    return {
        "mated": float(found["mated"].mean()),
        "mated spread": float(found["mated"].std()),
        "non-mated": float(found["non-mated"].mean()),
        "non-mated spread": float(found["non-mated"].std()),
        "subject spread": float(np.std(means)),
        "equal error rate": equal_error_rate(found["mated"], found["non-mated"]),
    }
