"""What every call passes through, outermost first: one list, in `chain`.

No handler can be reached around it, and no setting turns a part of it off. A request
is read behind all of it, only after its caller was identified and admitted; and its
place is held until the answer is on its way.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import grpc
from grpc_status import rpc_status

from biometrics import limits
from biometrics.callers import CALLER
from biometrics.errors import ExchangeError, RefusedError
from biometrics.server.admission import Deadlines, RunningCalls
from biometrics.server.handlers import Call, Gate, Guard, until_gone
from biometrics.server.identity import identify
from biometrics.server.status import defect, is_told, status_of, unknown_method

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.server.handlers import Context, Unseal
    from biometrics.server.methods import Method

_CALLS: Final = logging.getLogger("biometrics.calls")
_DEFECTS: Final = logging.getLogger("biometrics.defects")


def chain(
    *,
    domain: str,
    members: Collection[Member],
    methods: Mapping[str, Method],
    unseal: Unseal,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> list[grpc.aio.ServerInterceptor]:
    """Return what every call passes through, outermost first.

    Args:
        domain: the exchange's trust domain.
        members: the members configured here.
        methods: the method table, `biometrics.server.methods.METHODS`.
        unseal: opens what a client has sealed.
        clock: for certificates' ends, and the duration in the log.
        random_bytes: for the numbers of incidents.
    """
    guards = [
        Statuses(random_bytes),  # errors leave as google.rpc.Status
        CallLog(clock, methods),  # one line a call
        Identity(domain, members, clock),  # who is it? sets CALLER
        MethodTable(methods),  # may it call this?
        Deadlines(methods),  # can it be answered in time?
        RunningCalls(methods),  # is there room?
    ]
    return [Gate(guards, methods=methods, unseal=unseal, unknown=_abort_unknown)]


class Statuses(Guard):
    """Tells errors as `google.rpc.Status`, and nothing but `DEFECT` of our defects."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        """Number incidents by `random_bytes`."""
        self._random_bytes = random_bytes

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Translate what a call raises; cancellation and aborts pass."""
        try:
            yield
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - the one place where all end
            await _abort(call.context, self._status(call.method, error))

    def _status(self, method: str, error: Exception) -> Status:
        """Return what the caller is told; log a defect with its traceback."""
        if isinstance(error, ExchangeError) and is_told(error):
            return status_of(error)
        incident = self._random_bytes(limits.INCIDENT_BYTES).hex()
        _DEFECTS.error("defect incident=%s method=%s", incident, method, exc_info=error)
        return defect(incident)


class CallLog(Guard):
    """Writes one line a call: who, what, how it ended, how long. Never an outcome."""

    def __init__(self, clock: Clock, methods: Mapping[str, Method]) -> None:
        """Measure by `clock`; name only `methods`, since others are a caller's text."""
        self._clock = clock
        self._methods = methods

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Write the line when the call ends, however it does."""
        begun = self._clock.monotonic()
        ended = "OK"
        try:
            yield
        except BaseException as error:
            ended = _ending(error, call.context)
            raise
        finally:
            caller = CALLER.get(None)
            _CALLS.info(
                "call method=%s member=%s role=%s status=%s under_ms=%d",
                call.method if call.method in self._methods else "-",
                caller.member if caller else "-",
                caller.role if caller else "-",
                ended,
                _coarse(self._clock.monotonic() - begun),
            )


class Identity(Guard):
    """Refuses whoever is no member's system, and old TLS."""

    def __init__(self, domain: str, members: Collection[Member], clock: Clock) -> None:
        """Know the `members` of `domain`, and by `clock` whose certificate ended."""
        self._domain = domain
        self._members = frozenset(members)
        self._clock = clock

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Set CALLER for the rest of the call."""
        caller = identify(
            call.context.auth_context(),
            domain=self._domain,
            members=self._members,
            now=self._clock.now(),
        )
        CALLER.set(caller)
        yield


class MethodTable(Guard):
    """Refuses roles that have no business with a method, and methods without a row.

    Behind the identity, so that strangers do not learn which methods there are.
    """

    def __init__(self, methods: Mapping[str, Method]) -> None:
        """Admit by `methods`."""
        self._methods = methods

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Compare the caller's role with the row."""
        row, role = self._methods.get(call.method), CALLER.get().role
        if row is None:
            await _abort_unknown(call.context)
        elif role not in row.roles:
            raise RefusedError(
                "WRONG_ROLE",
                f"the role `{role}` in the client certificate may not call this"
                " method; use the certificate of another role",
            )
        yield


def _coarse(seconds: float) -> int:
    """Return the next power of two of milliseconds, from 16.

    A finer time would tell whoever reads the log which searches opened a candidate.
    """
    return max(16, 1 << math.ceil(1000 * seconds).bit_length())


async def _abort(context: Context, status: Status) -> None:
    """End the call with `status`."""
    with until_gone():
        await context.abort_with_status(rpc_status.to_status(status))


async def _abort_unknown(context: Context) -> None:
    """End the call of a method that is not served."""
    await _abort(context, unknown_method())


def _ending(error: BaseException, context: Context) -> str:
    """Return in one word how a call ended that raised `error`."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    if isinstance(error, grpc.aio.AbortError):
        return grpc.StatusCode(context.code()).name
    if isinstance(error, ExchangeError) and is_told(error):
        return error.reason
    return "DEFECT"
