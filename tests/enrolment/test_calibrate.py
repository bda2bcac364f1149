"""A calibration keeps what it promises, and claims no more than it was measured by."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from biometrics.calibration import FpirClass, parse_calibration, write_calibration
from biometrics.errors import InvalidRequestError
from biometrics.templates import Modality, Position, TemplateSpace
from enrolment.calibrate import captures, searches, tail
from enrolment.calibrate.captures import Captures
from enrolment.calibrate.measure import Measured, measure
from enrolment.calibrate.rates import slices
from enrolment.calibrate.searches import NO_SCORE, SHARES, search

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

DIMENSION = 32
CENTRE = np.linspace(0.5, 1.5, DIMENSION)
CENTRE.flags.writeable = False
SPACE = TemplateSpace(
    name="small",
    modality=Modality.FACE,
    extractor="test",
    extractor_version="1",
    positions=frozenset({Position.FACE}),
    dimension=DIMENSION,
    centre=CENTRE,
)
HUNDREDTH, THOUSANDTH, TEN_THOUSANDTH = FpirClass


def faces(people: int, samples: int, seed: int) -> NDArray[np.float64]:
    """Return captures (people, samples, dimension) that resemble their own person."""
    random = np.random.default_rng(seed)
    identity = random.standard_normal((people, 1, DIMENSION))
    noise = random.standard_normal((people, samples, DIMENSION))
    return CENTRE + identity + 0.3 * noise


def unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows as the exchange compares them."""
    centred = rows - CENTRE
    return centred / np.linalg.norm(centred, axis=-1, keepdims=True)


def write(
    path: Path, rows: NDArray[np.float64], **labels: Sequence[object]
) -> Captures:
    """Write an archive, and return it to be read."""
    texts = {name: np.array([str(x) for x in given]) for name, given in labels.items()}
    np.savez(path, embedding=rows.reshape(-1, DIMENSION).astype(np.float32), **texts)
    return Captures([path], SPACE, Position.FACE)


def names(people: range, samples: int) -> list[str]:
    """Return whom each row is of."""
    return [f"p{person}" for person in people for _ in range(samples)]


def quiet(*_: object) -> None:
    """Show nothing."""


def find(
    gallery: Captures, probes: Captures | None = None, **more: object
) -> searches.Searches:
    """Search, with whatever is not said as usual."""
    given = {"most": 1000, "same": {}, "seed": 1, "progress": quiet} | more
    return search(gallery, probes, **given)  # type: ignore[arg-type]


def calibrate(gallery: Captures, probes: Captures | None = None) -> Measured:
    """Calibrate, with whatever is not said as usual."""
    return measure(
        SPACE,
        gallery,
        probes,
        today=dt.date(2026, 1, 31),
        searches=30_000,
        same={},
        seed=1,
        progress=quiet,
    )


def test_every_score_is_compared_and_ones_own_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As a plain product says it, in blocks and parts of any size, of several files."""
    monkeypatch.setattr(captures, "_ROWS", 7)
    monkeypatch.setattr(searches, "_PROBES_AT_ONCE", 5)
    people, asked = faces(20, 2, seed=1), faces(30, 1, seed=2)
    asked[:10, 0] = people[:10, 0] + 0.1  # ten are enrolled
    first = write(tmp_path / "a.npz", people[:9], subject=names(range(9), 2))
    write(tmp_path / "b.npz", people[9:], subject=names(range(9, 20), 2))
    gallery = Captures([*first.paths, tmp_path / "b.npz"], SPACE, Position.FACE)
    probes = write(
        tmp_path / "probes.npz",
        asked,
        reference=[f"p{n}" if n < 10 else f"q{n}" for n in range(30)],
        group=["x", "y"] * 15,
    )
    found = find(gallery, probes)
    order = [int(capture.reference[1:]) for capture in found.probes]
    assert sorted(order) == list(range(30))
    scores = unit(asked[order, 0]) @ unit(people.reshape(-1, DIMENSION)).T
    enrolled = np.array([number if number < 10 else -1 for number in order])
    own = enrolled[:, None] == np.repeat(np.arange(20), 2)
    others = np.where(own, NO_SCORE, scores)
    np.testing.assert_allclose(found.maxima[-1], others.max(axis=1), atol=1e-5)
    nearest = [int(capture.subject[1:]) for capture in found.nearest]
    assert nearest == (others.argmax(axis=1) // 2).tolist()
    mated = np.where(own, scores, NO_SCORE).max(axis=1)
    np.testing.assert_allclose(found.mated, mated, atol=1e-5)
    assert found.is_mated.sum() == 10
    # By file, where nothing else says whose a gallery is.
    np.testing.assert_allclose(
        found.by_member["a"], others[:, :18].max(axis=1), atol=1e-5
    )
    # Of some people, always the same whatever else there is.
    assert found.sizes[-1] == 40
    assert list(found.sizes) == sorted(found.sizes)
    assert len(found.maxima) == len(SHARES)
    assert (np.diff(found.maxima, axis=0) >= 0).all()


def test_people_of_a_gallery_search_it_without_their_own(tmp_path: Path):
    """Each by one capture, which is not its own mate."""
    people = faces(25, 3, seed=3)
    gallery = write(tmp_path / "g.npz", people, subject=names(range(25), 3))
    found = find(gallery)
    assert sorted(found.subject.tolist()) == list(range(25))
    assert found.is_mated.all()
    assert (found.mated < 1 - 1e-4).all()
    assert (found.maxima[-1] < found.mated).mean() > 0.9
    few = find(gallery, most=20)
    assert len(few.probes) == len(set(few.subject)) == 20
    alone = write(tmp_path / "one.npz", people[:, :1], subject=names(range(25), 1))
    assert not find(alone).is_mated.any()


def test_those_recognised_as_one_person_are_no_strangers(tmp_path: Path):
    """A pair under two names is the highest score, until it is told."""
    people = faces(40, 1, seed=4)
    people[7] = people[3] + 0.05
    gallery = write(tmp_path / "g.npz", people, reference=names(range(40), 1))
    measured = calibrate(gallery)
    highest = measured.pairs[0]
    assert {highest.probe.subject, highest.found.subject} == {"p3", "p7"}
    assert highest.is_doubtful
    assert not measured.pairs[-1].is_doubtful
    before, after = find(gallery), find(gallery, same={"p7": "p3"})
    assert before.maxima[-1].max() > 0.9 > after.maxima[-1].max()
    assert after.is_mated.sum() == 1


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_promised_is_kept_by_others(tmp_path: Path, times: int):
    """The threshold for 1e-2 holds for 8,000 other people, in grown galleries too."""
    enrolled = faces(1024, 1, seed=5)
    gallery = write(tmp_path / "g.npz", enrolled[:512], reference=range(512))
    strangers = [f"q{number}" for number in range(600)]
    probes = write(tmp_path / "p.npz", faces(600, 1, seed=6), reference=strangers)
    measured = calibrate(gallery, probes)
    others = unit(faces(8_000, 1, seed=7)[:, 0])
    maxima = (others @ unit(enrolled[: 512 * times, 0]).T).max(axis=1)
    told = measured.calibration.at(HUNDREDTH, 512 * times)
    assert told.is_established
    # Safe, and not far on that side: what is most likely is near what was promised.
    assert 0.0003 < (maxima >= told.cosine).mean() <= 0.01
    (row, *_) = [
        row
        for row in measured.calibration.rows
        if row.fpir is HUNDREDTH and row.comparisons == 512 * times
    ]
    assert row.low < row.estimate < row.cosine


def test_nothing_is_claimed_beyond_what_was_measured(tmp_path: Path):
    """Sizes up to twice, classes by people; the file is good as it is written."""
    gallery = write(tmp_path / "g.npz", faces(320, 2, 8), subject=names(range(320), 2))
    calibration = calibrate(gallery).calibration
    assert calibration.evidence is not None
    assert calibration.evidence.subjects == calibration.evidence.searches == 320
    assert calibration.evidence.comparisons == 640
    assert [calibration.reach(fpir) for fpir in FpirClass] == [1024, 0, 0]
    assert calibration.at(HUNDREDTH, 1024).is_established
    assert not calibration.at(HUNDREDTH, 1025).is_established
    text = write_calibration(calibration)
    again = parse_calibration(text.encode(), "small.toml", SPACE)
    assert again.rows == calibration.rows
    for size in (1, 640, 10**6, 10**9):
        cosines = [each.cosine for each in again.thresholds(size).values()]
        assert cosines == sorted(cosines)
    assert again.at(HUNDREDTH, 10**6).cosine > again.at(HUNDREDTH, 640).cosine


def test_tails_are_found_and_their_intervals_hold():
    """Of a distribution whose tail is known; the safe end is seldom the wrong one."""
    runs = 25
    random = np.random.default_rng(9)
    normal = stats.norm(0, 0.075)  # as cosines at an effective dimension of 180
    right = normal.ppf((1 - 0.01) ** (1 / 5000))
    estimates, safe = [], 0
    for number in range(runs):
        maxima = normal.ppf(random.random(600) ** (1 / 5000))
        wanted = tail.shares(0.01, np.array([1.0]))
        estimates.append(float(tail.quantiles(maxima, wanted)[0]))
        _, high = tail.intervals(maxima, np.arange(600), wanted, seed=number)
        safe += float(high[0]) >= right
    assert np.mean(estimates) == pytest.approx(right, abs=0.01)
    assert safe >= 0.85 * runs


def test_people_are_drawn_and_not_searches():
    """Ten searches of each person tell no more than one: the interval is wider."""
    random = np.random.default_rng(10)
    maxima, wanted = random.gumbel(0.3, 0.04, 300), np.array([0.05])
    repeated, person = np.repeat(maxima, 10), np.repeat(np.arange(300), 10)
    by_person = tail.intervals(repeated, person, wanted, seed=1)
    by_search = tail.intervals(repeated, np.arange(3000), wanted, seed=1)
    assert by_person[1] - by_person[0] > 2 * (by_search[1] - by_search[0])


def test_look_alikes_above_the_tail_are_not_explained_away():
    """What was seen counts, where a smooth tail would have less of it."""
    maxima = np.random.default_rng(11).gumbel(0.3, 0.02, 1000)
    maxima[:15] = 0.8
    assert tail.quantiles(maxima, np.array([0.01]))[0] == pytest.approx(0.8, abs=0.05)
    assert tail.quantiles(np.full(100, 0.4), np.array([0.001]))[0] == pytest.approx(0.4)


def test_rates_are_told_by_size_group_and_member(tmp_path: Path):
    """Each of its own searches, with both errors where there are mates."""
    people = faces(60, 2, seed=12)
    gallery = write(
        tmp_path / "g.npz",
        people,
        subject=names(range(60), 2),
        group=["a", "a", "b", "b"] * 30,
        member=["XAA"] * 60 + ["XBB"] * 60,
    )
    measured = calibrate(gallery)
    found = {(each.by, each.name): each for each in slices(measured, HUNDREDTH)}
    whole = found["all", ""]
    assert (whole.fpir.trials, whole.fnir.trials) == (60, 60)
    for by, trials in (("group", 30), ("member", 60)):
        parts = [each for (kind, _), each in found.items() if kind == by]
        assert [each.fpir.trials for each in parts] == [trials, trials]
    assert sum(found["group", g].fnir.errors for g in "ab") == whole.fnir.errors
    low, high = whole.fnir.interval
    assert low <= (whole.fnir.value or 0.0) <= high
    assert found["member", "XAA"].fnir.value is None
    assert found["member", "XAA"].fnir.interval == (0.0, 1.0)


def test_what_cannot_be_used_is_counted_and_other_formats_are_read(tmp_path: Path):
    """NaN and zero after centring; a manifest's positions and spaces."""
    rows = faces(30, 1, seed=13)
    rows[4, 0, 3] = np.nan
    rows[5, 0] = CENTRE
    gallery = write(tmp_path / "g.npz", rows, reference=range(30))
    measured = calibrate(gallery)
    assert measured.refused == {"NOT_FINITE": 1, "ZERO_VECTOR": 1}
    assert len(measured.searches.probes) == 28
    np.save(tmp_path / "v.npy", rows[6:8, 0].astype(np.float32))
    manifest = tmp_path / "m.csv"
    manifest.write_text(
        "reference,file,row,position\nx,v.npy,0,face\ny,v.npy,1,left-iris\nz,none.npy,0,\n"
    )
    read = Captures([manifest], SPACE, Position.FACE)
    found = [capture for block in read.blocks() for capture in block.captures]
    assert [capture.subject for capture in found] == ["x"]
    assert (read.passed, sum(read.refused.values())) == (1, 1)


@pytest.mark.parametrize(
    ("rows", "labels", "reason"),
    [
        (faces(10, 1, 1), {"reference": range(10)}, "TOO_FEW_SUBJECTS"),
        (faces(1, 30, 1), {"reference": ["p"] * 30}, "TOO_FEW_SUBJECTS"),
        (faces(30, 1, 1), {}, "NO_REFERENCES"),
        (np.full((30, DIMENSION), np.nan), {"reference": range(30)}, "NO_PROBES"),
        (faces(30, 1, 1), {"reference": range(29)}, "WRONG_COUNT"),
    ],
)
def test_what_no_calibration_can_be_made_of_is_refused(
    tmp_path: Path,
    rows: NDArray[np.float64],
    labels: dict[str, Sequence[object]],
    reason: str,
):
    """With one clear reason."""
    with pytest.raises(InvalidRequestError) as refused:
        calibrate(write(tmp_path / "g.npz", rows, **labels))
    assert refused.value.reason == reason


def test_vectors_of_another_dimension_are_refused(tmp_path: Path):
    """By file, and with both numbers."""
    path = tmp_path / "g.npz"
    np.savez(path, embedding=np.ones((30, 16), "f4"), reference=np.arange(30))
    with pytest.raises(InvalidRequestError, match="16 components where `small` has 32"):
        calibrate(Captures([path], SPACE, Position.FACE))


def test_scores_weigh_what_other_people_bear_out(tmp_path: Path):
    """Strangers' ratios are one on average at most, and mates' are far above it."""
    gallery = write(tmp_path / "g.npz", faces(400, 2, 11), subject=names(range(400), 2))
    weights = calibrate(gallery).calibration.weights
    assert weights is not None
    assert weights.mates == 400
    assert weights.expected == pytest.approx(1.0, abs=1e-3)
    assert weights.expected <= 1.0
    one, two = (unit(faces(2000, 2, 12))[:, n] for n in range(2))
    ratios = 10.0 ** np.array(weights.weights)

    def told(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return ratios[np.searchsorted(weights.cosines, scores, side="right") - 1]

    assert told((one @ one.T)[~np.eye(2000, dtype=bool)]).mean() <= 1.0
    mated = told((one * two).sum(axis=1))
    assert np.median(mated) > 1e3
    # How rare each step is said to be, it is, or rarer.
    scores = (one @ one.T)[np.triu_indices(2000, 1)]
    for cosine, decade in zip(weights.cosines, weights.decades, strict=True):
        if decade < 4:
            assert (scores >= cosine).mean() <= 1.1 * 10.0**-decade


def test_nothing_is_weighed_without_second_captures(tmp_path: Path):
    """Twenty people with one are the least."""
    for mates, is_weighed in ((19, False), (20, True)):
        rows = faces(60, 2, 13)[:, :1].repeat(1, axis=1)
        second = faces(60, 2, 13)[:mates, 1:]
        both = np.concatenate(
            [rows.reshape(-1, DIMENSION), second.reshape(-1, DIMENSION)]
        )
        subject = [f"p{n}" for n in [*range(60), *range(mates)]]
        gallery = write(tmp_path / "g.npz", both, subject=subject)
        assert (calibrate(gallery).calibration.weights is not None) is is_weighed
