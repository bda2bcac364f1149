"""Processes that extract: one extractor each, a picture at a time.

Processes, because extractors hold locks, and because what decodes a stranger's picture
may end the process that it runs in. Which picture ended one is known, since a process
has only one; it is refused, and another process takes the next. They are spawned:
a process that has gRPC's threads cannot be forked.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.errors import ConfigurationError, ExchangeError, Fault
from enrolment.extractors.answer import Answer

if TYPE_CHECKING:
    from concurrent.futures import Future
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from enrolment.extractors.choice import Choice

_SPAWN: Final = multiprocessing.get_context("spawn")
_NO_START: Final = (
    "EXTRACTOR_ENDED",
    (
        "the process that extracts ended while it started; is there memory enough, and"
        " do the extra's packages fit this computer?"
    ),
)


class Workers:
    """Some processes with the same extractor; a context manager."""

    def __init__(self, choice: Choice, count: int) -> None:
        """Prepare `count` processes, each of which starts when it is first needed."""
        self.count = count
        self._threads = ThreadPoolExecutor(count, "extraction")
        self._all = [_Worker(choice) for _ in range(count)]
        # Used last, taken first: few pictures start few processes.
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in reversed(self._all):
            self._idle.put(worker)

    def __enter__(self) -> Self:
        """Return the processes."""
        return self

    def __exit__(self, *_: object) -> None:
        """End them, whatever they do."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.close()
        self._threads.shutdown()

    def submit(self, data: bytes, *, preview: bool) -> Future[Answer]:
        """Have a picture extracted.

        Returns:
            What becomes of it; or a ConfigurationError, if no process can load the
            extractor.
        """
        return self._threads.submit(self._ask, data, preview)

    def _ask(self, data: bytes, preview: bool) -> Answer:  # noqa: FBT001 - submitted
        """Ask the process that is idle: there are as many as threads."""
        worker = self._idle.get()
        try:
            return worker.ask(data, preview=preview)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, started anew where it ended."""

    def __init__(self, choice: Choice) -> None:
        """Start no process yet."""
        self._choice = choice
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._closing = threading.Lock()
        self._is_closed = False

    def ask(self, data: bytes, *, preview: bool) -> Answer:
        """Return what becomes of a picture.

        Raises:
            ConfigurationError: the extractor cannot be loaded.
        """
        pipe = self._pipe or self._start()
        try:
            pipe.send((data, preview))
            if pipe.poll(limits.EXTRACTION_SECONDS):
                answer: Answer = pipe.recv()
                return answer
            told = f"takes longer than {limits.EXTRACTION_SECONDS:.0f} s to extract"
        except (EOFError, OSError):
            told = "ended the process that extracted it: it is damaged, or too large"
        self._end()
        fault = Fault(field="", reason="EXTRACTION_ENDED", message=told)
        return Answer(faults=(fault,))

    def close(self) -> None:
        """End the process for good."""
        with self._closing:
            self._is_closed = True
        self._end()

    def _start(self) -> Connection:
        """Start the process, and wait until it has loaded the extractor."""
        pipe, other = _SPAWN.Pipe()
        process = _SPAWN.Process(
            target=_extract_all, args=(self._choice, other), daemon=True
        )
        with self._closing:
            if self._is_closed:
                raise ConfigurationError("EXTRACTOR_ENDED", "extraction was stopped")
            process.start()
            self._process, self._pipe = process, pipe
        other.close()
        told: tuple[str, str] | None = _NO_START
        try:
            if pipe.poll(limits.EXTRACTOR_START_SECONDS):
                told = pipe.recv()
        except (EOFError, OSError):
            pass
        if told is not None:
            self._end()
            raise ConfigurationError(*told)
        return pipe

    def _end(self) -> None:
        """End the process, whatever it does."""
        process, self._process, self._pipe = self._process, None, None
        if process is not None:
            process.kill()
            process.join()


def default_count() -> int:
    """Return how many processes use every core that there is for us."""
    return min(len(os.sched_getaffinity(0)), limits.MAX_EXTRACTION_PROCESSES)


def _extract_all(choice: Choice, pipe: Connection) -> None:
    """Load the extractor, say so, and answer until nobody asks any more: a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is for who started us
    # Late: the parent process has neither Pillow nor any extractor.
    from enrolment.extractors.work import answer

    try:
        extractor = choice.load()
    except ExchangeError as error:
        pipe.send((error.reason, error.message))
        return
    except Exception as error:  # noqa: BLE001 - a package's own, of any sort
        told = f"the extractor cannot be loaded: {type(error).__name__}: {error}"
        pipe.send(("EXTRACTOR_NOT_LOADED", told[:500]))
        return
    pipe.send(None)
    while True:
        try:
            data, preview = pipe.recv()
        except EOFError:
            return
        pipe.send(answer(extractor, data, preview=preview))
