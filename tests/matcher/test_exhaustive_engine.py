"""The reference engine: every vector at or above the threshold, whatever happens."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import at_cosine, unit

from matcher.engine import ExhaustiveEngine

GALLERY = ("XAA", "space")


def ids(*numbers: int) -> np.ndarray:
    """Return an array of ids."""
    return np.array(numbers, np.int64)


def rows(*vectors: np.ndarray) -> np.ndarray:
    """Return vectors as the rows of a matrix."""
    return np.stack(vectors).astype(np.float32)


def found(engine: ExhaustiveEngine, probe: np.ndarray, threshold: float) -> set[int]:
    """Return the ids that the engine finds for one probe."""
    (result,) = engine.search(GALLERY, probe[None, :], threshold)
    return set(result.tolist())


def test_a_gallery_that_does_not_exist_has_no_candidates() -> None:
    """Searching an unknown gallery finds nothing and counts nothing."""
    engine = ExhaustiveEngine()
    assert found(engine, unit(1), 0.1) == set()
    assert engine.count(GALLERY) == 0


def test_a_vector_exactly_at_the_threshold_is_a_candidate() -> None:
    """Float32 rounding never loses a vector at the threshold."""
    engine = ExhaustiveEngine()
    probe = unit(1, 512)
    many = rows(*(at_cosine(probe, 0.5, seed) for seed in range(500)))
    engine.add(GALLERY, np.arange(500), many)
    exact = many.astype(np.float64) @ probe.astype(np.float64)
    at_least = set(np.flatnonzero(exact >= 0.5).tolist())
    assert at_least <= found(engine, probe, 0.5)


@pytest.mark.parametrize("dimension", [16, 64, 512, 4096])
def test_an_identical_vector_is_found_in_every_dimension(dimension: int) -> None:
    """A planted mate at cosine 1 is found from 16 to 4,096 dimensions."""
    engine = ExhaustiveEngine()
    vectors = rows(*(unit(seed, dimension) for seed in range(40)))
    engine.add(GALLERY, np.arange(40), vectors)
    for number in range(40):
        assert number in found(engine, vectors[number], 0.999)


def test_probes_of_one_search_are_answered_apart() -> None:
    """Each probe of a block gets its own candidates, more than one block of them."""
    engine = ExhaustiveEngine()
    vectors = rows(*(unit(seed) for seed in range(50)))
    engine.add(GALLERY, np.arange(50), vectors)
    results = engine.search(GALLERY, vectors, 0.99)
    assert [r.tolist() for r in results] == [[n] for n in range(50)]


def test_galleries_do_not_see_one_another() -> None:
    """A vector of one gallery is never a candidate in another."""
    engine = ExhaustiveEngine()
    engine.add(("XBB", "space"), ids(1), rows(unit(1)))
    assert found(engine, unit(1), 0.1) == set()


def test_a_dropped_gallery_is_gone() -> None:
    """Dropping a gallery leaves nothing of it."""
    engine = ExhaustiveEngine()
    engine.add(GALLERY, ids(1), rows(unit(1)))
    engine.drop(GALLERY)
    assert found(engine, unit(1), 0.1) == set()
    assert engine.count(GALLERY) == 0


CHANGES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 30), st.integers(1, 7)), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_any_order_of_changes_leaves_what_a_plain_dictionary_holds(
    changes: list[tuple[bool, int, int]],
) -> None:
    """After any additions and removals exactly the live vectors are found."""
    engine = ExhaustiveEngine()
    live: dict[int, np.ndarray] = {}
    fresh = 0
    for adds, which, size in changes:
        if adds:
            new = np.arange(fresh, fresh + size)
            vectors = rows(*(unit(int(n), 16) for n in new))
            engine.add(GALLERY, new, vectors)
            live |= dict(zip(new.tolist(), vectors, strict=True))
            fresh += size
        else:
            engine.remove(GALLERY, ids(which))
            live.pop(which, None)
    assert engine.count(GALLERY) == len(live)
    for number in range(fresh):
        probe = unit(number, 16)
        assert (number in found(engine, probe, 0.999)) == (number in live)


def test_a_vector_is_found_until_its_removal_and_never_after() -> None:
    """Removal holds against additions and searches on other threads."""
    engine = ExhaustiveEngine()
    target = unit(1, 64)
    engine.add(GALLERY, ids(0), target[None, :])
    stop, removed = threading.Event(), threading.Event()
    found_after: list[bool] = []

    def add() -> None:
        for number in itertools.count(1):
            if stop.is_set():
                return
            engine.add(GALLERY, ids(number), rows(unit(number + 10, 64)))

    def search() -> None:
        while not stop.is_set():
            gone = removed.is_set()
            if gone == (0 in found(engine, target, 0.9)):
                found_after.append(gone or not removing.is_set())

    removing = threading.Event()
    threads = [threading.Thread(target=work) for work in (add, search, search)]
    for thread in threads:
        thread.start()
    stop.wait(0.3)
    removing.set()
    engine.remove(GALLERY, ids(0))
    removed.set()
    stop.wait(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert not any(found_after)


def test_a_search_keeps_to_its_own_thread() -> None:
    """FAISS starts no threads of its own in a worker: pools would multiply."""
    engine = ExhaustiveEngine()
    engine.add(GALLERY, ids(1), rows(unit(1)))

    def work() -> int:
        faiss.omp_set_num_threads(2)
        found(engine, unit(1), 0.5)
        return int(faiss.omp_get_max_threads())

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result(10) == 1


def test_an_engine_says_which_ids_it_holds() -> None:
    """Those added and not removed, whichever segment they are in."""
    engine = ExhaustiveEngine()
    for number in range(7):
        engine.add(GALLERY, ids(number), rows(unit(number)))
    engine.remove(GALLERY, ids(2, 5))
    held = engine.holds(GALLERY, ids(6, 5, 4, 9, 2, 0))
    assert held.tolist() == [True, False, True, False, False, True]
    assert not engine.holds(("XBB", "space"), ids(1)).any()
