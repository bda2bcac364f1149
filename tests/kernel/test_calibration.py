"""Calibrations as files: strict, all faults at once, no claim beyond the figures."""

import hashlib

import numpy as np
import pytest

from biometrics import limits
from biometrics.calibration import (
    Calibration,
    Calibrations,
    FpirClass,
    Promise,
    comparisons_supported,
    parse_calibration,
    rarest_supported,
    rounded_up,
    searches_needed,
    write_calibration,
)
from biometrics.errors import ConfigurationError, DefectError
from biometrics.templates import Basis, Modality, Position, TemplateSpace

SPACE = TemplateSpace(
    name="face-a",
    modality=Modality.FACE,
    extractor="extractor",
    extractor_version="1",
    positions=frozenset({Position.FACE}),
    dimension=16,
    centre=np.zeros(16),
)
HUNDREDTH, THOUSANDTH, TEN_THOUSANDTH = FpirClass

CHOSEN = """\
version = 1
space = "face-a"
basis = "unmeasured"
dated = 2026-01-31
method = "chosen"
[[threshold]]
fpir = "1e-4"
cosine = 0.5
[[threshold]]
fpir = "1e-2"
cosine = 0.3
[[threshold]]
fpir = "1e-3"
cosine = 0.4
"""
MEASURED = f"""\
version = 1
space = "face-a"
definition = "{SPACE.identity}"
basis = "measured"
dated = 2026-01-31
method = "search maxima"
[evidence]
searches = 4000
subjects = 3000
comparisons = 2048
interval = 0.95
[[threshold]]
fpir = "1e-2"
comparisons = 1024
cosine = 0.3
estimate = 0.29
low = 0.28
established = true
[[threshold]]
fpir = "1e-3"
comparisons = 1024
cosine = 0.35
established = true
[[threshold]]
fpir = "1e-3"
comparisons = 4096
cosine = 0.4
established = true
[[threshold]]
fpir = "1e-3"
comparisons = 16384
cosine = 0.45
[[threshold]]
fpir = "1e-4"
comparisons = 1024
cosine = 0.5
"""


def parse(text: str) -> Calibration:
    """Read a calibration of the space."""
    return parse_calibration(text.encode(), "face-a.toml", SPACE)


def faults_of(text: str) -> list[tuple[str, str]]:
    """Return the faults of a file as (field, reason)."""
    with pytest.raises(ConfigurationError) as refused:
        parse(text)
    return [(fault.field, fault.reason) for fault in refused.value.faults]


def told(text: str, size: int) -> list[tuple[float, bool]]:
    """Return the thresholds for so many comparisons, in the order of the classes."""
    found = parse(text).thresholds(size)
    assert list(found) == list(FpirClass)
    return [(each.cosine, each.is_established) for each in found.values()]


def test_what_was_chosen_holds_for_any_size_and_establishes_nothing():
    """One cosine a class, whatever the exchange holds; rows in any order."""
    for size in (0, 1, 1000, limits.MAX_COMPARISONS):
        assert told(CHOSEN, size) == [(0.3, False), (0.4, False), (0.5, False)]


@pytest.mark.parametrize(
    ("size", "thousandth"),
    [
        (0, (0.35, True)),
        (1024, (0.35, True)),
        (1025, (0.4, True)),
        (4096, (0.4, True)),
        (4097, (0.45, False)),
        (16384, (0.45, False)),
        (16385, (0.45, False)),
    ],
)
def test_a_threshold_follows_the_size_in_powers_of_two(
    size: int, thousandth: tuple[float, bool]
):
    """Between two of them it stays; beyond the last row nothing is established."""
    assert told(MEASURED, size)[1] == thousandth
    assert parse(MEASURED).at(THOUSANDTH, size).cosine == thousandth[0]


@pytest.mark.parametrize(
    ("count", "power"), [(0, 1), (1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)]
)
def test_counts_are_rounded_up_to_a_power_of_two(count: int, power: int):
    """A power of two stays what it is."""
    assert rounded_up(count) == power


def test_the_searches_that_a_class_takes_follow_the_rule_of_three():
    """3,000 subjects' searches support 1e-3, and 30,000 support 1e-4."""
    assert [searches_needed(fpir) for fpir in FpirClass] == [300, 3000, 30000]
    assert comparisons_supported(1000) == 2000


def test_what_is_written_is_read_as_it_was():
    """Every value comes back, and the digest is that of the bytes."""
    for text in (CHOSEN, MEASURED):
        first = parse(text)
        again = write_calibration(first)
        second = parse(again)
        assert second.digest == hashlib.sha256(again.encode()).hexdigest()
        assert write_calibration(second) == again
        for name in ("space", "definition", "basis", "dated", "method", "evidence"):
            assert getattr(second, name) == getattr(first, name)
        assert second.rows == first.rows


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("version = 1", "version = 2", ("version", "UNKNOWN_VERSION")),
        ("method =", "methods =", ("methods", "UNKNOWN_KEY")),
        ('"face-a"', '"face-b"', ("space", "WRONG_SPACE")),
        (SPACE.identity, "face-a@0123", ("definition", "WRONG_DEFINITION")),
        (f'definition = "{SPACE.identity}"\n', "", ("definition", "MISSING_KEY")),
        ('"measured"', '"vendor"', ("evidence", "WRONG_EVIDENCE")),
        ("subjects = 3000", "subjects = 4001", ("evidence.subjects", "WRONG_EVIDENCE")),
        ("interval = 0.95", "interval = 1.0", ("evidence.interval", "INVALID_VALUE")),
        ("cosine = 0.3\n", "cosine = 1.0\n", ("threshold[0].cosine", "INVALID_VALUE")),
        ("cosine = 0.3\n", "cosine = nan\n", ("threshold[0].cosine", "INVALID_VALUE")),
        ('"1e-4"', '"1e-5"', ("threshold[4].fpir", "INVALID_VALUE")),
        ('"1e-4"', '"1e-3"', ("threshold", "MISSING_CLASS")),
        ("= 4096", "= 4097", ("threshold[2].comparisons", "WRONG_COUNT")),
        ("= 4096", "= 512", ("threshold[2].comparisons", "WRONG_ORDER")),
        ("= 4096\n", "= 1024\n", ("threshold[2].comparisons", "WRONG_ORDER")),
        ("cosine = 0.4\n", "cosine = 0.34\n", ("threshold[2].cosine", "WRONG_ORDER")),
        # 1e-2 would match later than 1e-3.
        ("cosine = 0.3\n", "cosine = 0.36\n", ("threshold", "WRONG_ORDER")),
        # Of fewer than 3,000 subjects nothing shows 1e-3.
        (
            "subjects = 3000",
            "subjects = 2999",
            ("threshold[1].established", "NOT_ESTABLISHED"),
        ),
        # The galleries have more than doubled.
        (
            "cosine = 0.45",
            "cosine = 0.45\nestablished = true",
            ("threshold[3].established", "NOT_ESTABLISHED"),
        ),
        (
            "comparisons = 1024\ncosine = 0.3\n",
            "cosine = 0.3\n",
            ("threshold[0].established", "NOT_ESTABLISHED"),
        ),
    ],
)
def test_each_mistake_is_told(old: str, new: str, fault: tuple[str, str]):
    """By table and key."""
    assert old in MEASURED
    found = faults_of(MEASURED.replace(old, new, 1))
    assert fault in [(field.rpartition(": ")[2], reason) for field, reason in found]


@pytest.mark.parametrize("basis", ["unmeasured", "vendor"])
def test_nothing_is_established_that_was_not_measured(basis: str):
    """A file that says so is refused."""
    text = CHOSEN.replace("unmeasured", basis)
    assert parse(text).basis is Basis(basis)
    claimed = text.replace("cosine = 0.4\n", "cosine = 0.4\nestablished = true\n")
    assert faults_of(claimed) == [
        ("face-a.toml:12: threshold[2].established", "NOT_ESTABLISHED")
    ]


def test_an_open_row_ends_a_class():
    """What stands behind one for any size would never count."""
    more = '[[threshold]]\nfpir = "1e-3"\ncomparisons = 1024\ncosine = 0.5\n'
    assert ("face-a.toml:15: threshold[3].comparisons", "WRONG_ORDER") in faults_of(
        CHOSEN + more
    )


def test_what_is_missing_is_said_and_how_much_is_held_is_not():
    """Basis, subjects or reach: never the size of the exchange."""
    chosen, measured = parse(CHOSEN), parse(MEASURED)
    assert chosen.shortfall(THOUSANDTH).endswith("is `unmeasured`")
    assert "3,000 subjects' searches, too few for 1e-4" in measured.shortfall(
        TEN_THOUSANDTH
    )
    assert "supports 1e-3 up to 4,096 comparisons" in measured.shortfall(THOUSANDTH)


def test_a_space_without_a_calibration_is_a_defect():
    """A start refuses it, so nobody asks."""
    calibrations = Calibrations([parse(CHOSEN)])
    assert [each.space for each in calibrations] == ["face-a"]
    assert calibrations.of("face-a").method == "chosen"
    with pytest.raises(DefectError):
        calibrations.of("face-b")


def test_promises_are_kept_unless_they_demand_what_is_not_established():
    """Only a demand for a measurement can fail."""
    strict = Promise(fpir=THOUSANDTH, measured_only=True)
    assert strict.is_kept({THOUSANDTH})
    assert not strict.is_kept({HUNDREDTH})
    assert Promise(fpir=THOUSANDTH).is_kept(())
    assert str(strict) == "FPIR 1e-3, measured"
    assert Promise(fpir=HUNDREDTH).laxity > Promise().laxity > strict.laxity


FUSION = """\
[fusion]
mates = 50
decades = [0.0, 1.0, 3.0]
cosine = [-1.0, 0.2, 0.5]
weight = [-1.0, 0.3, 2.5]
"""
WEIGHED = MEASURED.replace("[[threshold]]", FUSION + "[[threshold]]", 1)


def test_weights_are_steps_of_the_cosine():
    """Each holds from its beginning on; below the first is the first."""
    weights = parse(WEIGHED).weights
    assert weights is not None
    asked = (-1.1, -1.0, 0.19, 0.2, 0.49, 0.5, 1.0)
    told = [np.log10(weights.ratio(cosine)) for cosine in asked]
    assert told == pytest.approx([-1.0, -1.0, -1.0, 0.3, 0.3, 2.5, 2.5])
    expected = 0.1 * 0.9 + 10**0.3 * (0.1 - 1e-3) + 10**2.5 * 1e-3
    assert weights.expected == pytest.approx(expected)
    assert parse(MEASURED).weights is None


def test_one_stands_out_whom_one_stranger_of_so_many_is_as_like():
    """By the next step that is rare enough; none is beyond what was measured."""
    weights = parse(WEIGHED).weights
    assert weights is not None
    told = [weights.standing_out(count) for count in (1, 2, 10, 11, 1000, 1001)]
    assert told == [-1.0, 0.2, 0.2, 0.5, 0.5, None]


def test_weights_are_written_as_they_are_read():
    """Every step comes back."""
    first = parse(WEIGHED)
    again = parse(write_calibration(first))
    assert again.weights == first.weights is not None


def test_how_rare_a_false_match_is_known_follows_from_all_searches():
    """Of 3,000 people 1e-3, among twice what each of them searched."""
    assert rarest_supported(3000, 500) == pytest.approx(6.0)
    assert rarest_supported(2, 500) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("mates = 50", "mates = 0", ("fusion.mates", "INVALID_VALUE")),
        ("[0.0, 1.0, 3.0]", "[0.0, 1.0]", ("fusion", "WRONG_COUNT")),
        ("[0.0, 1.0, 3.0]", "[0.1, 1.0, 3.0]", ("fusion", "WRONG_ORDER")),
        ("[-1.0, 0.2, 0.5]", "[-0.9, 0.2, 0.5]", ("fusion", "WRONG_ORDER")),
        ("[0.0, 1.0, 3.0]", "[0.0, 1.0, 1.0]", ("fusion.decades", "WRONG_ORDER")),
        ("[-1.0, 0.2, 0.5]", "[-1.0, 0.2, 0.1]", ("fusion.cosine", "WRONG_ORDER")),
        ("[-1.0, 0.3, 2.5]", "[-1.0, 0.3, 0.2]", ("fusion.weight", "WRONG_ORDER")),
        # Rarer than 3,000 people's searches of 2,048 know of.
        ("[0.0, 1.0, 3.0]", "[0.0, 1.0, 6.7]", ("fusion.decades", "NOT_ESTABLISHED")),
        # More than a stranger may weigh on average: it would break the promise.
        ("0.3, 2.5]", "0.3, 3.0]", ("fusion.weight", "NOT_ESTABLISHED")),
    ],
)
def test_weights_that_would_break_a_promise_are_refused(
    old: str, new: str, fault: tuple[str, str]
):
    """And what is no steps at all."""
    assert old in WEIGHED
    found = faults_of(WEIGHED.replace(old, new, 1))
    assert fault in [(field.rpartition(": ")[2], reason) for field, reason in found]


def test_weights_are_measured_or_none():
    """A vendor's word weighs nothing."""
    text = CHOSEN.replace("[[threshold]]", FUSION + "[[threshold]]", 1)
    assert ("face-a.toml: fusion", "WRONG_EVIDENCE") in faults_of(text)
