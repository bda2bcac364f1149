"""The scanner joins probes that wait, and lets down none of them."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pytest
from archive import until
from world import DIMENSION, SPACE, SPACES, at_cosine, unit

from biometrics import limits
from biometrics.disclosure import Band
from biometrics.errors import ExhaustedError, UnavailableError
from biometrics.members import Member
from biometrics.spaces import parse_spaces
from biometrics.templates import Position, Template
from matcher.engine import Engine, Segment
from matcher.galleries import Shelf
from matcher.schedule import Scanner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from biometrics.store import StoredTemplate
    from matcher.confirm import Candidates, Confirmed
    from matcher.engine import Probes

SHELVES = [Shelf(Member(f"XA{letter}"), SPACE, Position.FACE) for letter in "ABC"]
ONE, TWO, THREE = SHELVES
# People at each shelf; three holders, from one segment to several.
PEOPLE = {ONE: range(10), TWO: range(200), THREE: range(100, 1300)}
SURE = 0.9
FACES = parse_spaces(SPACES, "spaces.toml").named(SPACE)
SECONDS = 10


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine[Shelf]:
    """Three galleries, of one, a few and many segments."""
    monkeypatch.setattr("matcher.engine.engine.TAIL_ROWS", 128)
    monkeypatch.setattr(limits, "MAX_VECTORS_PER_SCAN", 64)
    engine: Engine[Shelf] = Engine()
    for number, (shelf, people) in enumerate(PEOPLE.items()):
        engine.make(shelf, dimension=DIMENSION, seed=bytes([number] * 32))
        vectors = np.array([unit(person) for person in people])
        engine.add(shelf, np.array(people, np.int64), vectors)
    return engine


class Found:
    """Stands for the confirmation: what the scan found is the answer."""

    def __init__(self) -> None:
        """Note what is confirmed, in its order."""
        self.confirmed: list[list[int]] = []

    def rows(self, _: Iterable[Candidates]) -> dict[int, StoredTemplate]:
        """Return none."""
        return {}

    def confirm(
        self,
        _: Template,
        _bands: dict[Shelf, Band],
        found: Candidates,
        _rows: dict[int, StoredTemplate],
    ) -> Candidates:
        """Return what was found."""
        self.confirmed.append([number for ids in found.values() for number in ids])
        return found


class Watch:
    """Every call of `Segment.candidates`; they can be held, and made to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch from now on, and let everything go on."""
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Semaphore(0)
        self.calls: list[tuple[Segment, int]] = []
        self.failing: set[Segment] = set()
        self.threads: list[int] = []
        candidates = Segment.candidates

        def watched(segment: Segment, probes: Probes) -> list[NDArray[np.int64] | None]:
            self.calls.append((segment, len(probes.turned)))
            self.begun.release()
            assert self.go_on.wait(SECONDS)
            if segment in self.failing:
                raise MemoryError("test")
            found = candidates(segment, probes)
            self.threads.append(faiss.omp_get_max_threads())
            return found

        monkeypatch.setattr(Segment, "candidates", watched)

    @contextmanager
    def held(self, scanner: Scanner) -> Iterator[None]:
        """Hold every worker in a scan of its own, so that whatever comes waits."""
        self.go_on.clear()
        held = []
        try:
            for number in range(len(scanner._threads)):
                held.append(ask(scanner, at(unit(number), SURE), [ONE]))
                assert self.begun.acquire(timeout=SECONDS)
            self.calls.clear()
            yield
        finally:
            self.go_on.set()
        wait(held, SECONDS)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """What is scanned."""
    return Watch(monkeypatch)


@pytest.fixture
def scanner(engine: Engine[Shelf]) -> Iterator[Scanner]:
    """A scanner on two threads."""
    with Scanner(engine=engine, confirmation=Found(), threads=2) as scanner:
        yield scanner


@pytest.fixture
def lone(engine: Engine[Shelf]) -> Iterator[Scanner]:
    """A scanner on one thread, whose order can be told."""
    with Scanner(engine=engine, confirmation=Found(), threads=1) as scanner:
        yield scanner


Asked = tuple[Template, float]


def at(vector: NDArray[np.float32], threshold: float) -> Asked:
    """Return a probe, and the threshold that it is searched for at."""
    return Template.parse(FACES, Position.FACE, vector.tobytes(), None), threshold


def ask(scanner: Scanner, asked: Asked, shelves: Sequence[Shelf]) -> Future[Candidates]:
    """Begin a search at one threshold for every shelf."""
    probe, threshold = asked
    return scanner.submit(probe, dict.fromkeys(shelves, Band.without(threshold)))


def plain(found: Candidates) -> dict[Shelf, list[int]]:
    """Return candidates in ascending order."""
    return {shelf: sorted(ids) for shelf, ids in found.items()}


def is_idle(scanner: Scanner) -> bool:
    """Say whether nobody waits, and no place is taken."""
    return not scanner._waiting and not scanner._running


def test_results_are_the_engines(engine: Engine[Shelf], scanner: Scanner) -> None:
    """Whatever is joined with whatever: each probe gets what it would get alone."""
    random = np.random.default_rng(5)
    wanted: list[tuple[Future[Candidates], dict[Shelf, list[int]]]] = []
    for number in range(300):
        person = int(random.integers(1300))
        vector = at_cosine(unit(person), float(random.uniform(0.3, 1.0)), seed=number)
        threshold = float(random.choice([0.01, 0.1, 0.3, 0.5, SURE]))
        shelves = [shelf for shelf in SHELVES if random.random() < SURE]
        asked = at(vector, threshold)
        probe, _ = asked
        alone = {
            shelf: engine.search(shelf, probe.values[None], np.array([threshold]))[0]
            for shelf in shelves
        }
        wanted.append(
            (
                ask(scanner, asked, shelves),
                {shelf: sorted(ids.tolist()) for shelf, ids in alone.items()},
            )
        )
    for future, alone in wanted:
        assert plain(future.result(SECONDS)) == alone
    until(lambda: is_idle(scanner))


def test_it_is_told_with_how_many_rows_a_probe_is_compared_of_late(
    engine: Engine[Shelf], scanner: Scanner
) -> None:
    """Nearly what the last ones were, if there were many of them."""
    assert scanner.rows() == 0
    for _ in range(100):
        ask(scanner, at(unit(150), SURE), [TWO]).result(SECONDS)
    assert scanner.rows() == pytest.approx(engine.count(TWO), rel=0.01)


def test_a_lone_probe_starts_at_once_and_on_every_core(
    scanner: Scanner, watch: Watch
) -> None:
    """Two segments are being scanned before either is done."""
    watch.go_on.clear()
    future = ask(scanner, at(unit(150), SURE), [TWO])
    for _ in scanner._threads:
        assert watch.begun.acquire(timeout=SECONDS)
    assert not future.done()
    watch.go_on.set()
    assert future.result(SECONDS) == {TWO: [150]}


def test_probes_that_wait_share_one_call(
    engine: Engine[Shelf], scanner: Scanner, watch: Watch
) -> None:
    """Forty probes of several thresholds are one call for each segment."""
    with watch.held(scanner):
        futures = [
            ask(scanner, at(unit(person), 0.5 + person / 100), [TWO, THREE])
            for person in range(40)
        ]
    for person, future in enumerate(futures):
        assert future.result(SECONDS) == {TWO: [person], THREE: []}
    segments = {*engine.parts(TWO), *engine.parts(THREE)}
    assert len(watch.calls) == len(segments)
    assert dict(watch.calls) == dict.fromkeys(segments, 40)


def test_probes_of_one_turn_of_the_loop_share_one_call(
    engine: Engine[Shelf], scanner: Scanner, watch: Watch
) -> None:
    """Though every worker is free: none takes the first of them before the last."""
    people = range(limits.SCANNING_AT_ONCE)

    async def ask(person: int) -> Confirmed:
        time.sleep(0.005)  # noqa: ASYNC251 - workers could begin meanwhile
        probe, _ = at(unit(person), SURE)
        return await scanner.search(probe, {TWO: Band.without(SURE)})

    async def at_once() -> list[Confirmed]:
        return await asyncio.gather(*[ask(person) for person in people])

    found: object = asyncio.run(at_once())
    assert found == [{TWO: [person]} for person in people]
    assert dict(watch.calls) == dict.fromkeys(engine.parts(TWO), len(people))


def test_no_call_takes_more_probes_than_gain_by_it(
    engine: Engine[Shelf], scanner: Scanner, watch: Watch
) -> None:
    """Beyond 64 the others have their turn later; all get their answers."""
    most = limits.MAX_VECTORS_PER_SCAN
    with watch.held(scanner):
        futures = [ask(scanner, at(unit(n % 10), SURE), [ONE]) for n in range(150)]
    assert [f.result(SECONDS)[ONE] for f in futures] == [[n % 10] for n in range(150)]
    (segment,) = engine.parts(ONE)
    assert {called for called, _ in watch.calls} == {segment}
    assert sorted(n for _, n in watch.calls) == [150 - 2 * most, most, most]


def test_whoever_waits_longest_goes_first(
    engine: Engine[Shelf], lone: Scanner, watch: Watch
) -> None:
    """Later probes join a segment's turn, and do not get another one before it."""
    with watch.held(lone):
        futures = [
            ask(lone, at(unit(1), SURE), [shelf]) for shelf in (THREE, ONE, TWO, THREE)
        ]
    wait(futures, SECONDS)
    order = [*engine.parts(THREE), *engine.parts(ONE), *engine.parts(TWO)]
    assert [segment for segment, _ in watch.calls] == order
    assert [count for _, count in watch.calls][: len(engine.parts(THREE))] == [2] * len(
        engine.parts(THREE)
    )


def test_those_who_found_no_place_in_a_call_do_not_keep_others_waiting(
    engine: Engine[Shelf], lone: Scanner, watch: Watch
) -> None:
    """A flood at one gallery has one call between any two of another's."""
    with watch.held(lone):
        flood = [ask(lone, at(unit(1), SURE), [ONE]) for _ in range(200)]
        other = ask(lone, at(unit(1), SURE), [TWO])
    wait([*flood, other], SECONDS)
    (first, *second), (flooded,) = engine.parts(TWO), engine.parts(ONE)
    told = [segment for segment, _ in watch.calls]
    assert told == [flooded, first, *second, flooded, flooded, flooded]


def test_a_probe_beyond_the_bound_is_refused(
    scanner: Scanner, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is bounded; whoever is refused is told when to try again."""
    monkeypatch.setattr(limits, "MAX_WAITING_PROBES", 5)
    with watch.held(scanner):
        futures = [ask(scanner, at(unit(n), SURE), [ONE, TWO]) for n in range(3)]
        with pytest.raises(ExhaustedError) as refused:
            ask(scanner, at(unit(4), SURE), [ONE])
        assert refused.value.reason == "EXCHANGE_BUSY"
        assert refused.value.retry_after == limits.BUSY_RETRY_SECONDS
        assert ask(scanner, at(unit(4), SURE), []).result(0) == {}
    wait(futures, SECONDS)
    until(lambda: is_idle(scanner))
    assert ask(scanner, at(unit(4), SURE), [ONE]).result(SECONDS) == {ONE: [4]}


def test_whoever_gave_up_is_not_scanned_for_and_has_its_place_till_its_turn(
    scanner: Scanner, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline that is over cancels: no share of a call, and no longer queue.

    Whoever gives up and asks again at once would else make it grow for ever.
    """
    monkeypatch.setattr(limits, "MAX_WAITING_PROBES", len(scanner._threads) + 4)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.gather(
                    *(
                        scanner.search(at(unit(n), SURE)[0], {ONE: Band.without(SURE)})
                        for n in range(2)
                    )
                )

    with watch.held(scanner):
        asyncio.run(give_up())
        future = ask(scanner, at(unit(7), SURE), [ONE])
        given_up = ask(scanner, at(unit(8), SURE), [TWO])
        assert given_up.cancel()
        with pytest.raises(ExhaustedError):
            ask(scanner, at(unit(9), SURE), [TWO])
    assert future.result(SECONDS) == {ONE: [7]}
    assert [count for _, count in watch.calls] == [1]
    until(lambda: is_idle(scanner))


def test_many_candidates_wait_behind_what_is_to_be_scanned(
    engine: Engine[Shelf], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever floods the confirmation keeps nobody else waiting for all of it."""
    monkeypatch.setattr(limits, "ROWS_CONFIRMED_AT_ONCE", 1)
    found = Found()
    with Scanner(engine=engine, confirmation=found, threads=1) as scanner:
        with watch.held(scanner):
            flood = [ask(scanner, at(unit(n), SURE), [ONE]) for n in range(1, 6)]
            other = ask(scanner, at(unit(150), SURE), [TWO])
        assert not wait([*flood, other], SECONDS).not_done
    order = [min(ids) for ids in found.confirmed]
    assert sorted(order) == [0, 1, 2, 3, 4, 5, 150]
    assert order.index(150) < 5


def test_rows_that_cannot_be_read_are_one_probes_alone(
    scanner: Scanner, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever shares its pass is answered."""

    def rows(_: Found, found: Iterable[Candidates]) -> dict[int, StoredTemplate]:
        if any(3 in ids for candidates in found for ids in candidates.values()):
            raise KeyError
        return {}

    monkeypatch.setattr(Found, "rows", rows)
    with watch.held(scanner):
        one, other = (ask(scanner, at(unit(n), SURE), [ONE]) for n in (3, 4))
    assert isinstance(one.exception(SECONDS), KeyError)
    assert other.result(SECONDS) == {ONE: [4]}


def test_whoever_gives_up_in_the_middle_harms_nobody(
    scanner: Scanner, watch: Watch
) -> None:
    """A probe that is cancelled while it is scanned leaves those beside it alone."""
    watch.go_on.clear()
    one, other = (ask(scanner, at(unit(n), SURE), [TWO, THREE]) for n in (3, 150))
    assert watch.begun.acquire(timeout=SECONDS)
    assert one.cancel()
    watch.go_on.set()
    assert other.result(SECONDS) == {TWO: [150], THREE: [150]}
    until(lambda: is_idle(scanner))


def test_an_error_reaches_exactly_whom_it_concerns(
    engine: Engine[Shelf], scanner: Scanner, watch: Watch
) -> None:
    """Probes of the gallery that fails get the error, others an answer; as later on."""
    watch.failing = set(engine.parts(TWO))
    with watch.held(scanner):
        futures = {
            shelves: [ask(scanner, at(unit(5), SURE), shelves) for _ in range(5)]
            for shelves in [(ONE,), (TWO,), (THREE,), (ONE, TWO), (ONE, THREE)]
        }
    for shelves, of_those in futures.items():
        for future in of_those:
            if TWO in shelves:
                assert isinstance(future.exception(SECONDS), MemoryError)
            else:
                assert future.result(SECONDS)[shelves[0]] == [5] * (ONE in shelves)
    watch.failing.clear()
    assert all(thread.is_alive() for thread in scanner._threads)
    for _ in scanner._threads:
        assert ask(scanner, at(unit(5), SURE), [TWO]).result(SECONDS) == {TWO: [5]}
    until(lambda: is_idle(scanner))


def test_two_segments_that_fail_at_once_end_no_thread(
    engine: Engine[Shelf], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many errors of one probe at the same moment are one, and all threads live."""
    begin = Future.set_running_or_notify_cancel

    def slowly(future: Future[Candidates]) -> bool:
        is_on = begin(future)
        time.sleep(0.005)  # the moment in which another error may come
        return is_on

    monkeypatch.setattr(Future, "set_running_or_notify_cancel", slowly)
    watch.failing = set(engine.parts(THREE))
    with Scanner(engine=engine, confirmation=Found(), threads=8) as scanner:
        for _ in range(20):
            future = ask(scanner, at(unit(5), SURE), [THREE])
            assert isinstance(future.exception(SECONDS), MemoryError)
        assert all(thread.is_alive() for thread in scanner._threads)


def test_a_scan_uses_one_thread_of_faiss(scanner: Scanner, watch: Watch) -> None:
    """Its pool times ours would fight for the cores."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        futures = [ask(scanner, at(unit(n), SURE), SHELVES) for n in range(20)]
        wait(futures, SECONDS)
    finally:
        faiss.omp_set_num_threads(before)
    assert set(watch.threads) == {1}


def test_a_gallery_that_is_not_there_has_no_candidates(scanner: Scanner) -> None:
    """Nothing to be scanned is an answer, at once."""
    nowhere = Shelf(Member("XZZ"), SPACE, Position.FACE)
    assert ask(scanner, at(unit(1), SURE), [nowhere]).result(0) == {nowhere: []}
    future = ask(scanner, at(unit(1), SURE), [nowhere, ONE])
    assert future.result(SECONDS) == {nowhere: [], ONE: [1]}


def test_what_is_removed_while_a_probe_waits_is_found_by_it_and_by_no_later_one(
    engine: Engine[Shelf], scanner: Scanner, watch: Watch
) -> None:
    """It sees one moment, so that what is replaced is there; its row tells the rest."""
    with watch.held(scanner):
        waiting = ask(scanner, at(unit(5), SURE), [ONE, TWO])
        engine.remove(ONE, np.array([5]))
        later = ask(scanner, at(unit(5), SURE), [ONE, TWO])
    assert waiting.result(SECONDS) == {ONE: [5], TWO: [5]}
    assert later.result(SECONDS) == {ONE: [], TWO: [5]}


def stopping(scanner: Scanner) -> threading.Thread:
    """Begin to stop a scanner."""
    thread = threading.Thread(target=scanner.__exit__)
    thread.start()
    until(lambda: scanner._stopping)
    return thread


def test_a_stop_keeps_nobody_waiting(engine: Engine[Shelf], watch: Watch) -> None:
    """What was begun is answered, what waited is told so, and no thread is left."""
    scanner = Scanner(engine=engine, confirmation=Found(), threads=2).__enter__()
    watch.go_on.clear()
    begun = [ask(scanner, at(unit(n), SURE), [ONE]) for n in range(1)]
    begun += [ask(scanner, at(unit(150), SURE), [Shelf(*TWO)]) for _ in range(1)]
    for _ in scanner._threads:
        assert watch.begun.acquire(timeout=SECONDS)
    waiting = [ask(scanner, at(unit(n), SURE), [THREE]) for n in range(20)]
    given_up = ask(scanner, at(unit(1), SURE), [THREE])
    assert given_up.cancel()
    thread = stopping(scanner)
    with pytest.raises(UnavailableError) as refused:
        ask(scanner, at(unit(1), SURE), [ONE])
    assert refused.value.reason == "EXCHANGE_STOPPING"
    watch.go_on.set()
    thread.join(SECONDS)
    assert not any(t.is_alive() for t in [thread, *scanner._threads])
    assert begun[0].result(0) == {ONE: [0]}
    for future in [begun[1], *waiting]:  # of TWO one segment was scanned, one was not
        error = future.exception(0)
        assert isinstance(error, UnavailableError)
        assert error.reason == "EXCHANGE_STOPPING"
    assert given_up.cancelled()
    assert not scanner._running


def test_a_stop_wakes_whoever_awaits(engine: Engine[Shelf], watch: Watch) -> None:
    """A call that waits for its candidates gets an error from the stop."""
    scanner = Scanner(engine=engine, confirmation=Found(), threads=1).__enter__()

    async def ask() -> None:
        probe, threshold = at(unit(1), SURE)
        asking = asyncio.create_task(
            scanner.search(probe, {TWO: Band.without(threshold)})
        )
        assert await asyncio.to_thread(watch.begun.acquire, timeout=SECONDS)
        thread = stopping(scanner)
        watch.go_on.set()
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(asking, SECONDS)
        await asyncio.to_thread(thread.join)

    watch.go_on.clear()
    asyncio.run(ask())


def test_a_dropped_gallery_is_gone_from_memory(
    engine: Engine[Shelf], scanner: Scanner
) -> None:
    """A worker that waits keeps nothing of what it scanned last."""
    for _ in range(4):
        ask(scanner, at(unit(1), SURE), SHELVES).result(SECONDS)
    parts = [part for shelf in SHELVES for part in engine.parts(shelf)]
    ids = [part.ids for part in parts]  # of arrays, weak references can be had
    watched = [weakref.ref(each) for each in ids]
    for shelf in SHELVES:
        engine.drop(shelf)
    del parts, ids
    until(lambda: not [each for each in watched if each() is not None])
