"""Galleries take additions and removals at once, and answer as a list would."""

import numpy as np
import pytest
from coded import SEED, all_at, scores, units
from hypothesis import given, settings
from hypothesis import strategies as st

from matcher.engine import Engine, Probes, Segment
from matcher.engine.engine import SEGMENT_ROWS, TAIL_ROWS

DIMENSION = 64


def engine_with(count: int, dimension: int = DIMENSION) -> Engine[str]:
    """Return an engine with one gallery, `faces`, of so many rows."""
    engine: Engine[str] = Engine()
    engine.make("faces", dimension=dimension, seed=SEED)
    engine.add("faces", np.arange(count), units(1, count, dimension))
    return engine


def search(
    engine: Engine[str], vectors: np.ndarray, threshold: float = 0.9
) -> list[list[int]]:
    """Return the candidates of every probe, in order."""
    found = engine.search("faces", vectors, all_at(threshold, len(vectors)))
    return [sorted(ids.tolist()) for ids in found]


def test_galleries_are_made_once_and_named():
    """Making a gallery again neither empties it nor changes its rotation."""
    engine = engine_with(3)
    coding = engine.coding("faces")
    engine.make("faces", dimension=DIMENSION, seed=bytes(32))
    engine.make("prints", dimension=32, seed=SEED)
    assert engine.coding("faces") is coding
    assert engine.count("faces") == 3
    assert engine.names() == ["faces", "prints"]
    assert "prints" in engine
    assert "irises" not in engine


def test_a_gallery_that_does_not_exist_holds_nothing():
    """Nothing is found in it, counted or removed, and no part is there."""
    engine: Engine[str] = Engine()
    assert search(engine, units(1, 2, DIMENSION)) == [[], []]
    assert engine.count("faces") == 0
    assert engine.parts("faces") == ()
    assert not engine.holds("faces", np.arange(3)).any()
    engine.remove("faces", np.arange(3))
    engine.compact("faces")
    engine.drop("faces")


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 2047, 2048, 2049, 4096, 4097])
def test_galleries_of_every_size_are_searched_whole(count: int):
    """First and last rows are found, whether the tail is empty, full or sealed."""
    engine = engine_with(count)
    assert engine.count("faces") == count
    rows = np.unique(np.clip([0, 30, 31, 2046, 2047, 2048, count - 1], 0, count))
    vectors = units(1, count, DIMENSION)
    probes = vectors[rows[rows < count]]
    assert search(engine, probes) == [[row] for row in rows if row < count]
    assert search(engine, units(2, 2, DIMENSION), -1) == [list(range(count))] * 2
    assert search(engine, units(2, 2, DIMENSION), 1) == [[], []]


@pytest.mark.parametrize("dimension", [64, 512, 4096])
@pytest.mark.parametrize("threshold", [-2.0, -1.0, -0.9, -0.5, 0.0, 0.9, 1.0])
def test_no_threshold_is_too_low_or_too_high(dimension: int, threshold: float):
    """At every threshold all rows at or above it are found."""
    engine = engine_with(300, dimension)
    vectors = units(1, 300, dimension)
    probes = np.concatenate([vectors[:3], -vectors[3:6], units(2, 3, dimension)])
    wanted = scores(probes, vectors) >= max(threshold, -1) - 1e-9
    for ids, rows in zip(search(engine, probes, threshold), wanted, strict=True):
        assert set(np.flatnonzero(rows)) <= set(ids)
        if threshold <= -1:
            assert len(ids) == 300


def test_ids_that_do_not_ascend_are_refused_whole():
    """An addition with an id out of order, or one used before, adds nothing."""
    engine = engine_with(10)
    vectors = units(2, 3, DIMENSION)
    engine.remove("faces", np.array([9]))
    for ids in ([9, 10, 11], [12, 11, 13], [10, 11, 11], [-1, 20, 21]):
        with pytest.raises(ValueError, match="ids must be ascending"):
            engine.add("faces", np.array(ids), vectors)
    engine.add("faces", np.zeros(0, np.int64), vectors[:0])
    assert engine.count("faces") == 9
    engine.add("faces", np.array([10, 400, 401]), vectors)
    assert search(engine, vectors) == [[10], [400], [401]]


def test_ids_are_not_used_again_after_everything_was_removed():
    """An emptied gallery still refuses the ids that it had, compacted or not."""
    engine = engine_with(5)
    engine.remove("faces", np.arange(5))
    engine.compact("faces", most_removed=0)
    assert engine.parts("faces") == ()
    with pytest.raises(ValueError, match="above those before"):
        engine.add("faces", np.array([4]), units(1, 1, DIMENSION))


def test_removed_rows_are_found_no_more():
    """Removal holds at once, twice is as once, and unknown ids are ignored."""
    engine = engine_with(5000)
    vectors = units(1, 5000, DIMENSION)
    gone = np.array([0, 2047, 2048, 4999, 7000, -3])
    engine.remove("faces", gone)
    engine.remove("faces", gone)
    assert engine.count("faces") == 4996
    assert search(engine, vectors[gone[:4]]) == [[]] * 4
    asked = np.array([1, 0, 4998, 4999, 7000])
    assert engine.holds("faces", asked).tolist() == [True, False, True, False, False]
    engine.add("faces", np.array([5000]), vectors[:1])
    assert search(engine, vectors[[0, 2047]]) == [[5000], []]


def test_a_search_that_has_begun_finds_what_is_replaced_meanwhile():
    """Old or new, from whichever segment: what it goes through does not change."""
    engine = engine_with(TAIL_ROWS + 10)
    vectors = units(1, TAIL_ROWS + 10, DIMENSION)
    gone = np.array([5, TAIL_ROWS + 5])
    begun = engine.parts("faces")
    engine.add("faces", np.array([TAIL_ROWS + 10, TAIL_ROWS + 11]), vectors[gone])
    engine.remove("faces", gone)
    engine.compact("faces", most_removed=0)
    probes = Probes.of(engine.coding("faces"), vectors[gone], all_at(0.99, 2))
    found = [part.search(probes) for part in begun]
    assert [ids.tolist() for part in found for ids in part] == [
        [5],
        [],
        [],
        [TAIL_ROWS + 5],
    ]
    assert search(engine, vectors[gone]) == [[TAIL_ROWS + 10], [TAIL_ROWS + 11]]


@pytest.mark.parametrize("dimension", [64, 200, 512, 1024])
def test_compacting_changes_no_answer(dimension: int):
    """Fewer, larger segments without what was removed answer as before."""
    count = 3 * TAIL_ROWS + 700
    engine = engine_with(count, dimension)
    vectors = units(1, count, dimension)
    gone = np.concatenate([np.arange(0, count, 3), np.arange(TAIL_ROWS)])
    engine.remove("faces", gone)
    probes = np.concatenate([vectors[::401], units(2, 5, dimension)])
    before = search(engine, probes, 0.5)
    assert len(engine.parts("faces")) == 4
    engine.compact("faces", most_removed=0)
    parts = engine.parts("faces")
    assert search(engine, probes, 0.5) == before
    assert sum(map(len, parts)) == engine.count("faces") == count - len(set(gone))
    assert len(parts) == 2
    ids = np.concatenate([part.ids for part in parts])
    assert (np.diff(ids) > 0).all()


def test_few_removals_are_not_worth_moving_rows():
    """A segment keeps its place until the share of removed rows is too great."""
    engine = engine_with(TAIL_ROWS)
    (part,) = engine.parts("faces")
    engine.remove("faces", np.arange(TAIL_ROWS // 4))
    engine.compact("faces")
    (kept,) = engine.parts("faces")
    assert (kept.origin, len(kept)) == (part.origin, TAIL_ROWS)
    engine.remove("faces", np.array([TAIL_ROWS // 4]))
    engine.compact("faces")
    assert len(engine.parts("faces")[0]) == engine.count("faces")


def test_segments_are_joined_to_be_few():
    """After twenty full tails there is one segment, in whole blocks and in order."""
    engine = engine_with(20 * TAIL_ROWS)
    assert len(engine.parts("faces")) == 20
    engine.compact("faces")
    (part,) = engine.parts("faces")
    assert part.ids.tolist() == list(range(20 * TAIL_ROWS))
    assert len(part) <= SEGMENT_ROWS


def test_one_removal_moves_one_segment(monkeypatch: pytest.MonkeyPatch):
    """However many full segments follow that which had the row."""
    monkeypatch.setattr("matcher.engine.engine.SEGMENT_ROWS", 2 * TAIL_ROWS)
    engine = engine_with(12 * TAIL_ROWS)
    engine.compact("faces", most_removed=0)
    before = engine.parts("faces")
    assert [len(part) for part in before] == [2 * TAIL_ROWS] * 6
    engine.remove("faces", np.array([7]))
    engine.compact("faces", most_removed=0)
    first, *others = engine.parts("faces")
    assert len(first) == 2 * TAIL_ROWS - 1
    assert all(new is old for new, old in zip(others, before[1:], strict=True))


def test_loaded_segments_are_searched_and_followed_by_additions():
    """A gallery that was read from disk goes on where it was."""
    old = engine_with(TAIL_ROWS + 40)
    engine: Engine[str] = Engine()
    engine.make("faces", dimension=DIMENSION, seed=SEED)
    engine.load("faces", [_from_bytes(part) for part in old.parts("faces")])
    vectors = units(1, TAIL_ROWS + 40, DIMENSION)
    assert search(engine, vectors[::300]) == search(old, vectors[::300])
    with pytest.raises(ValueError, match="ids must be ascending"):
        engine.add("faces", np.array([TAIL_ROWS + 39]), vectors[:1])
    engine.add("faces", np.array([TAIL_ROWS + 40]), vectors[:1])
    engine.compact("faces")
    assert search(engine, vectors[:1]) == [[0, TAIL_ROWS + 40]]


def _from_bytes(segment: Segment) -> Segment:
    """Return a segment as it is read from a file."""
    content = bytearray().join(part.tobytes() for part in segment.arrays())
    return Segment.of_bytes(segment.coding, len(segment), content)


def test_segments_that_overlap_are_not_loaded():
    """Ids in the wrong order load nothing at all."""
    parts = engine_with(TAIL_ROWS + 1).parts("faces")
    engine: Engine[str] = Engine()
    engine.make("faces", dimension=DIMENSION, seed=SEED)
    with pytest.raises(ValueError, match="overlap"):
        engine.load("faces", reversed(parts))
    assert engine.count("faces") == 0


def test_nothing_is_loaded_into_a_gallery_that_has_vectors():
    """Else segments would not be in the order of their ids."""
    later = engine_with(0)
    later.add("faces", np.arange(50, 60), units(3, 10, DIMENSION))
    engine = engine_with(10)
    with pytest.raises(ValueError, match="not empty"):
        engine.load("faces", later.parts("faces"))
    assert engine.count("faces") == 10


def test_dropped_galleries_are_forgotten():
    """A gallery that was dropped can be made anew, with another rotation, empty."""
    engine = engine_with(40)
    old = engine.coding("faces")
    engine.drop("faces")
    assert engine.names() == []
    assert search(engine, units(1, 1, DIMENSION)) == [[]]
    engine.make("faces", dimension=DIMENSION, seed=bytes(32))
    assert engine.coding("faces") is not old
    engine.add("faces", np.arange(3), units(2, 3, DIMENSION))
    assert search(engine, units(2, 3, DIMENSION)) == [[0], [1], [2]]


VECTORS = units(5, 6000, DIMENSION)
sizes = st.sampled_from([1, 3, 31, 32, 33, 500, 2047, 2048])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), sizes),
        st.tuples(st.just("remove"), st.integers(0, 5999)),
        st.tuples(st.just("thin"), st.integers(2, 7)),
        st.tuples(st.just("compact"), st.sampled_from([0, 0.25])),
    ),
    max_size=12,
)


@given(steps)
@settings(max_examples=40)
def test_any_history_leaves_what_a_list_would(history: list[tuple[str, int]]):
    """Whatever was added, removed and compacted, exactly what is left is found."""
    engine = engine_with(0)
    living: set[int] = set()
    added = 0
    for step, number in history:
        if step == "add":
            count = min(number, len(VECTORS) - added)
            ids = np.arange(added, added + count)
            engine.add("faces", ids, VECTORS[ids])
            living.update(ids.tolist())
            added += count
        elif step == "compact":
            engine.compact("faces", most_removed=number)
        else:
            gone = np.array([number] if step == "remove" else range(0, 6000, number))
            engine.remove("faces", gone)
            living.difference_update(gone.tolist())
    assert engine.count("faces") == len(living)
    held = engine.holds("faces", np.arange(len(VECTORS)))
    assert set(np.flatnonzero(held).tolist()) == living
    assert search(engine, VECTORS[:1], -1) == [sorted(living)]
    asked = np.unique(np.linspace(0, max(added - 1, 0), 50).astype(int))
    expected = [[row] if row in living else [] for row in asked.tolist()]
    assert search(engine, VECTORS[asked]) == expected
