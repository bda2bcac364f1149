"""Whom the demo enrols, and what it keeps to search with."""

from __future__ import annotations

import numpy as np
import pytest

from biometrics.demo import captures
from biometrics.demo.people import People, deal, draw
from biometrics.demo.pilot import deal_captures


def people(rows: int, *, records: int | None = None, each: int | None = None) -> People:
    """Deal forty subjects with so many rows each."""
    subject = np.repeat(np.arange(40, dtype=np.int32), rows)
    return deal(
        np.zeros((len(subject), 16), np.float32),
        subject,
        np.random.default_rng(1),
        records=records,
        records_each=each,
    )


@pytest.mark.parametrize(("rows", "kept"), [(2, 1), (3, 1), (5, 2), (10, 3)])
def test_all_rows_but_those_kept_are_enrolled(rows: int, kept: int):
    """Of each of the 32 subjects that are not left out; every row is of some use."""
    dealt = people(rows)
    assert dealt.records == 32 * (rows - kept)
    assert len(dealt.mated) == 32 * kept
    assert len(dealt.non_mated) == 8 * rows


def test_one_row_of_each_subject_enrols_nobody():
    """There would be nothing to search with."""
    assert people(1).records == 0


def test_no_row_is_used_twice():
    """Neither by two holders, nor as a record and as a probe."""
    dealt = people(10)
    used = [
        *(row for gallery in dealt.galleries.values() for row in gallery.rows),
        *dealt.mated,
        *dealt.non_mated,
    ]
    assert len(used) == len(set(used)) == 400


def test_a_holder_may_be_bounded_to_one_record_a_subject():
    """As the synthetic population is dealt."""
    dealt = people(10, each=1)
    for gallery in dealt.galleries.values():
        assert len(set(gallery.subject.tolist())) == len(gallery.subject)
    assert dealt.enrolled == 32


def test_records_are_a_bound():
    """What it leaves over belongs to subjects who are not searched for."""
    dealt = people(10, records=20)
    assert dealt.records == 20
    assert len(dealt.mated) < 30


def test_the_synthetic_population_enrols_the_usual_number(
    monkeypatch: pytest.MonkeyPatch,
):
    """Where no other number is asked for, exactly so many records."""
    monkeypatch.setattr(captures, "DEFAULT_RECORDS", 70)
    for asked, found in ((None, 70), (60, 60)):
        taken = captures.synthetic_captures(1, asked)
        assert deal_captures(taken, np.random.default_rng(1)).records == found


def test_no_probe_is_drawn_twice():
    """Intervals count independent searches: fewer are made where rows run out."""
    dealt = people(3)
    probes = draw(dealt, 1000, np.random.default_rng(2))
    assert len(probes) == len(set(probes.tolist())) == 32 + 24
    assert len(draw(dealt, 10, np.random.default_rng(2))) == 10
