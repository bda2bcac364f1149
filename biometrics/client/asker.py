"""Asks the exchange: the one way that every call of both clients takes.

What is called over is chosen, what carries a template is sealed if it is to be, the
deadline is kept, and what went wrong becomes an error of `biometrics.errors`. That a
call which could not be taken is tried again, gRPC sees to: see
`biometrics.client.channel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

import grpc

from biometrics.client.lines import Lines
from biometrics.client.sealer import Recipient, Remaining, Sealer
from biometrics.client.status import translate
from biometrics.errors import DeadlineError, PreconditionError
from biometrics.sealing import SEALED_TO_ANOTHER
from biometrics.v1 import custody_pb2, enrolment_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from biometrics.client.channel import ChannelSettings
    from biometrics.client.line import Line
    from biometrics.client.profile import Profile

RequestT = TypeVar("RequestT", bound="Message")
ResponseT = TypeVar("ResponseT")


class Asker:
    """Asks over the line of the moment; for many threads, or tasks of one loop."""

    def __init__(self, lines: Lines[Line], sealer: Sealer, deadline: float) -> None:
        """Ask over `lines`, in `deadline` seconds where a call names none."""
        self._lines = lines
        self._sealer = sealer
        self._deadline = deadline
        self._has_answered = False
        self._is_closed = False

    @classmethod
    def of(cls, profile: Profile, connect: Callable[[ChannelSettings], Line]) -> Self:
        """Ask as a profile says.

        Args:
            profile: where the exchange is, and who asks.
            connect: opens a line; it connects when it is first used.

        Raises:
            ConfigurationError: a certificate or key cannot be read or does not fit.
        """
        lines = Lines(profile, connect)
        return cls(lines, Sealer(profile.verifier), profile.deadline_seconds)

    @property
    def line(self) -> Line:
        """The line for a call that begins now.

        Raises:
            PreconditionError: there is none any more.
        """
        if self._is_closed:
            raise PreconditionError(
                "CLIENT_CLOSED", "this client is closed; make another one"
            )
        return self._lines.current()

    async def close(self) -> None:
        """Close every line; calls that are running are cancelled."""
        self._is_closed = True
        for line in self._lines.take_all():
            await line.close()

    async def call(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        deadline: float | None,
    ) -> ResponseT:
        """Call a method, in time; what carries templates is sealed, if it is to be.

        Args:
            method: of the line for a call that begins now.
            request: in clear.
            deadline: seconds, by default the profile's.

        Raises:
            ExchangeError: it did not go well.
        """
        for idle in self._lines.take_idle():
            await idle.close()
        if not self._sealer.seals(request):
            return await self.send(method, request, deadline)
        left = self.remaining(deadline)
        recipient = self._sealer.recipient or await self.learn(left.seconds)
        try:
            return await self.send(method, recipient.seal(request), left.seconds)
        except PreconditionError as error:
            if error.reason != SEALED_TO_ANOTHER:
                raise
        # The exchange was restarted, and has another key.
        recipient = await self.learn(left.seconds)
        return await self.send(method, recipient.seal(request), left.seconds)

    def remaining(self, deadline: float | None) -> Remaining:
        """Begin to count what is left of a deadline, by default the profile's."""
        return Remaining(self._deadline if deadline is None else deadline)

    async def learn(self, deadline: float | None) -> Recipient:
        """Return whom to seal to, as the exchange says now."""
        request = custody_pb2.GetSealingKeyRequest()
        line = self.line
        method = line.services.custody.GetSealingKey
        message = await self.send(method, request, deadline)
        return self._sealer.learn(message, line.peers.member)

    async def recipient(self) -> Recipient | None:
        """Return whom a stream is sealed to, if it is."""
        if not self._sealer.seals(enrolment_pb2.BulkEnrolRequest()):
            return None
        return await self.learn(None)

    async def send(
        self,
        method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT],
        request: RequestT,
        deadline: float | None,
    ) -> ResponseT:
        """Send a request as it is, in time."""
        seconds = self._deadline if deadline is None else deadline
        line = self.line
        try:
            # An exchange that has answered is there: it is waited for while it starts
            # again, as long as one call takes. One that never has may be misnamed, and
            # that is told at once.
            response = await line.send(
                method, request, seconds, wait_for_ready=self._has_answered
            )
        except grpc.RpcError as error:
            told = translate(error, line.peers)
            if isinstance(told, DeadlineError):
                self._has_answered = False
            raise told from error
        self._has_answered = True
        return response
