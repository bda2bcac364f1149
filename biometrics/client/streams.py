"""One stream of a bulk enrolment, and the chunks that go into it.

Both clients send through the synchronous stream; the asynchronous one waits for it
in a worker thread. With grpc.aio a write that meets the end of a stream replaces
the exchange's status by a bare INTERNAL (grpc/grpc issue 36066), so that a refusal
could not be told from a stream to resume.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Final, Self

import grpc

from biometrics import limits
from biometrics.client.bulk import ended_early
from biometrics.client.status import translate
from biometrics.v1 import enrolment_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from biometrics.client.channel import Peers
    from biometrics.client.inputs import Chunk
    from biometrics.client.sealer import Recipient

_SERVICE: Final = enrolment_pb2.DESCRIPTOR.services_by_name["EnrolmentService"]
_METHOD: Final = f"/{_SERVICE.full_name}/{_SERVICE.methods_by_name['BulkEnrol'].name}"


class BulkStream:
    """A stream; a context manager that ends it, whatever is still under way."""

    def __init__(
        self,
        channel: grpc.Channel,
        peers: Peers,
        recipient: Recipient | None,
    ) -> None:
        """Open the stream on a blocking channel.

        What is sent is sealed to `recipient`, if there is one.
        """
        self._peers = peers
        self._recipient = recipient
        # Bounded by the window: nothing is put here that is not in it.
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        # What it is given is written already.
        method: grpc.StreamStreamMultiCallable[bytes, enrolment_pb2.BulkEnrolResponse]
        method = channel.stream_stream(
            _METHOD,
            response_deserializer=enrolment_pb2.BulkEnrolResponse.FromString,
        )
        self._call = method(
            iter(self._outbox.get, None), timeout=limits.BULK_STREAM_SECONDS
        )

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the stream."""
        self._outbox.put(None)  # else the thread that sends would wait for ever
        self._call.cancel()

    def send(self, *chunks: bytes) -> None:
        """Send chunks as they are written, in order; returns before they have left."""
        for written in chunks:
            self._outbox.put(self._sealed(written))

    def _sealed(self, written: bytes) -> bytes:
        """Return a chunk as it is sent to the recipient."""
        if self._recipient is None:
            return written
        kind = enrolment_pb2.BulkEnrolRequest
        return self._recipient.seal_written(kind, written).SerializeToString()

    def receive(self) -> enrolment_pb2.BulkEnrolResponse:
        """Wait for the next response.

        Raises:
            ExchangeError: the stream ended or broke.
        """
        try:
            return next(self._call)
        except StopIteration:
            raise ended_early() from None
        except grpc.RpcError as error:
            raise translate(error, self._peers) from error

    def finish(self) -> None:
        """Let the exchange end the stream; all is acknowledged, so errors are moot."""
        self._outbox.put(None)
        with contextlib.suppress(StopIteration, grpc.RpcError):
            next(self._call)


class Source:
    """Chunks that come from a plain or an asynchronous iterable."""

    def __init__(self, chunks: Iterable[Chunk] | AsyncIterable[Chunk]) -> None:
        """Iterate over `chunks`, once."""
        self._chunks: Iterator[Chunk] | AsyncIterator[Chunk] = (
            aiter(chunks) if isinstance(chunks, AsyncIterable) else iter(chunks)
        )

    async def take(self, most: int) -> AsyncIterator[Chunk]:
        """Yield the next chunks, at most `most`."""
        for _ in range(most):
            try:
                if isinstance(self._chunks, AsyncIterator):
                    chunk = await anext(self._chunks)
                else:
                    chunk = next(self._chunks)
            except (StopIteration, StopAsyncIteration):
                return
            yield chunk
