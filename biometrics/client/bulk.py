"""What of a bulk enrolment is sent and not yet acknowledged.

No I/O: both clients drive it. A stream that breaks loses nothing, since what was
not acknowledged is sent again under the same request ids, for which the exchange
returns the stored outcome where it had already carried one out.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.client.responses.enrolling import read_chunk_outcomes
from biometrics.client.results.enrolling import ChunkOutcome
from biometrics.errors import (
    DeadlineError,
    DefectError,
    ExchangeError,
    ExhaustedError,
    UnavailableError,
)
from biometrics.sealing import SEALED_TO_ANOTHER

if TYPE_CHECKING:
    from biometrics.client.inputs import Chunk
    from biometrics.client.messages import RequestMaker, Written
    from biometrics.v1 import enrolment_pb2

_PASSING = (UnavailableError, ExhaustedError, DeadlineError)


class Window:
    """The chunks in flight: at most `limits.CHUNKS_IN_FLIGHT`."""

    def __init__(self, requests: RequestMaker) -> None:
        """Start empty; `requests` makes the messages."""
        self._requests = requests
        self._flying: deque[tuple[Chunk, Written]] = deque()
        self._failures = 0

    @property
    def room(self) -> int:
        """How many more chunks may be sent now."""
        return limits.CHUNKS_IN_FLIGHT - len(self._flying)

    def is_waiting(self) -> bool:
        """Say whether something sent is not yet acknowledged."""
        return bool(self._flying)

    def add(self, chunk: Chunk) -> bytes:
        """Take a chunk in and return what to send.

        Raises:
            InvalidRequestError: it cannot be sent.
        """
        written = self._requests.chunk(chunk)
        self._flying.append((chunk, written))
        return written.body

    def unacknowledged(self) -> list[bytes]:
        """Return what a new stream has to send first, in order."""
        return [written.body for _, written in self._flying]

    def settle(self, response: enrolment_pb2.BulkEnrolResponse) -> ChunkOutcome:
        """Strike off the chunk that a response acknowledges.

        Raises:
            DefectError: the response fits no chunk in flight.
        """
        chunk = self._strike_off(response.request_id)
        outcomes = read_chunk_outcomes(response)
        if len(outcomes) != len(chunk.records):
            raise DefectError(
                "WRONG_OUTCOMES",
                f"the exchange told {len(outcomes)} outcomes for a chunk of"
                f" {len(chunk.records)} records",
            )
        self._failures = 0
        return ChunkOutcome(chunk=chunk, outcomes=outcomes)

    def _strike_off(self, request_id: str) -> Chunk:
        """Return the first chunk in flight under a request id, and drop it.

        A caller may give two chunks with the same content one id; the exchange
        answers each.
        """
        for entry in self._flying:
            chunk, written = entry
            if written.request_id == request_id:
                self._flying.remove(entry)
                return chunk
        raise DefectError(
            "UNKNOWN_CHUNK", "the exchange acknowledged a chunk that was not sent"
        )

    def pause_after(self, error: ExchangeError) -> float:
        """Return the seconds to wait before a new stream, or raise the error.

        Raises:
            ExchangeError: the error itself, if it will not pass, or
                `limits.CLIENT_TRIES` streams in a row achieved nothing.
        """
        self._failures += 1
        # The exchange was restarted; the next stream asks for its new key.
        is_anew = error.reason == SEALED_TO_ANOTHER
        is_passing = is_anew or isinstance(error, _PASSING)
        if not is_passing or self._failures >= limits.CLIENT_TRIES:
            raise error
        if error.retry_after is not None:
            return min(error.retry_after, limits.CLIENT_MOST_WAIT_SECONDS)
        doubled = limits.CLIENT_FIRST_WAIT_SECONDS * 2.0 ** (self._failures - 1)
        return min(doubled, limits.CLIENT_MOST_WAIT_SECONDS)


def ended_early() -> UnavailableError:
    """Return the error of a stream that ended well but too soon."""
    return UnavailableError(
        "STREAM_ENDED", "the exchange ended the stream before it acknowledged all of it"
    )
