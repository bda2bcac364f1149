"""Sets of vectors under one id are found as a whole, and by enough of a probe's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from coded import units

from matcher.engine import Asked, Engine
from matcher.engine.engine import TAIL_ROWS

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSION = 128
LEAST = 3
CUT = 0.7


def sizes(count: int) -> NDArray[np.int64]:
    """Return of how many vectors each set is."""
    return np.random.default_rng(1).integers(12, 60, count)


def filled(count: int) -> tuple[Engine[str], NDArray[np.int64], NDArray[np.float32]]:
    """Return an engine with so many sets, and what is in it."""
    engine: Engine[str] = Engine()
    engine.make("prints", dimension=DIMENSION, seed=bytes(32), has_sets=True)
    ids = np.repeat(np.arange(0, 3 * count, 3), sizes(count))
    vectors = units(2, len(ids), DIMENSION)
    ends = np.flatnonzero(np.diff(ids, append=-1)) + 1
    for start, end in zip([0, *ends[6::7]], [*ends[6::7], len(ids)], strict=True):
        engine.add("prints", ids[start:end], vectors[start:end])
    return engine, ids, vectors


def near(vectors: NDArray[np.float32], cosine: float, seed: int) -> NDArray[np.float32]:
    """Return vectors at a cosine to others."""
    other = units(seed, len(vectors), DIMENSION)
    other -= (other * vectors).sum(axis=1, keepdims=True) * vectors
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    return (cosine * vectors + np.sqrt(1 - cosine**2) * other).astype(np.float32)


def found(
    engine: Engine[str], vectors: NDArray[np.float32], cut: float = CUT
) -> list[int]:
    """Return what a probe finds."""
    (ids,) = engine.ask("prints", [Asked(vectors, cut, cut, least=LEAST)])
    return ids.tolist()  # type: ignore[no-any-return]


def test_all_sets_are_found_that_enough_vectors_bear_out():
    """At the cut itself, whatever else there is; and most others are not."""
    engine, ids, vectors = filled(300)
    for place in range(40):
        own = np.flatnonzero(ids == 3 * place)[: LEAST + 1]
        asked = np.concatenate(
            [near(vectors[own], CUT + 0.001, place), units(place + 90, 20, DIMENSION)]
        )
        there = found(engine, asked)
        assert 3 * place in there
        assert len(there) < 10


def test_a_set_is_not_found_by_too_few_vectors():
    """However alike those are, and however many of the set each finds."""
    engine: Engine[str] = Engine()
    engine.make("prints", dimension=DIMENSION, seed=bytes(32), has_sets=True)
    vectors = np.repeat(units(1, 2, DIMENSION), 20, axis=0)
    engine.add("prints", np.repeat([4], 40), vectors)
    few = vectors[[0, 20]]
    assert found(engine, few) == []
    assert found(engine, np.concatenate([few, few[:1]])) == [4]


def test_probes_are_answered_apart_and_together_alike():
    """One call for several probes of different sizes."""
    engine, ids, vectors = filled(100)
    asked = [
        Asked(near(vectors[ids == 3 * n], 0.8, n), CUT, CUT, least=LEAST)
        for n in range(12)
    ]
    together = engine.ask("prints", asked)
    assert [3 * n in each for n, each in enumerate(together)] == [True] * 12
    for one, each in zip(asked, together, strict=True):
        assert found(engine, one.vectors) == each.tolist()


def test_a_set_is_whole_in_one_segment_however_segments_are_joined():
    """So that each segment can say alone what enough vectors have found."""
    engine, ids, _ = filled(400)
    assert engine.count("prints") == 400
    for most_removed in (None, 0.0):
        if most_removed is not None:
            engine.remove("prints", np.arange(0, 600, 6))
            engine.compact("prints", most_removed=most_removed)
            assert engine.count("prints") == 300
        parts = engine.parts("prints")
        there = np.concatenate([np.unique(part.ids) for part in parts])
        assert len(np.unique(there)) == len(there)
        assert all(part.count == len(np.unique(part.ids)) for part in parts)
    assert len(ids) > TAIL_ROWS


def test_a_set_is_removed_as_one():
    """No later search finds it, and it is not held any more."""
    engine, ids, vectors = filled(50)
    probe = near(vectors[ids == 30], 0.9, 1)
    assert 30 in found(engine, probe)
    engine.remove("prints", np.array([30, 31]))
    assert found(engine, probe) == []
    assert engine.holds("prints", np.array([27, 30])).tolist() == [True, False]


def test_what_is_no_set_has_no_id_twice():
    """Nor has a set more vectors than one segment takes; nothing is added then."""
    engine: Engine[str] = Engine()
    engine.make("faces", dimension=DIMENSION, seed=bytes(32))
    with pytest.raises(ValueError, match="ascending"):
        engine.add("faces", np.array([1, 1]), units(1, 2, DIMENSION))
    sets, _, _ = filled(10)
    ids = np.repeat([90], TAIL_ROWS + 1)
    with pytest.raises(ValueError, match="more than"):
        sets.add("prints", ids, units(1, len(ids), DIMENSION))
    assert sets.count("prints") == 10
    assert engine.ask("nothing", [Asked(units(1, 2, DIMENSION), CUT, CUT)])[0].size == 0
