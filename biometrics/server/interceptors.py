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
from biometrics.callers import CALLER, Role
from biometrics.errors import ExchangeError, RefusedError, UnauthenticatedError
from biometrics.members import suspended
from biometrics.server.admission import Deadlines, RunningCalls
from biometrics.server.handlers import Call, Check, Gate, Guard, until_gone
from biometrics.server.identity import identify, shown_proof
from biometrics.server.status import (
    PUSHBACK,
    defect,
    is_told,
    pushback_of,
    status_of,
    unknown_method,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Mapping,
    )

    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # no stubs

    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.server.admission import InTurn
    from biometrics.server.authorities import Authorities
    from biometrics.server.handlers import Context, Unseal
    from biometrics.server.methods import Method
    from biometrics.server.metrics import Metrics
    from biometrics.server.roll import Roll
    from biometrics.server.traces import Tracing

_CALLS: Final = logging.getLogger("biometrics.calls")
_DEFECTS: Final = logging.getLogger("biometrics.defects")
_LOOK_AFTER: Final = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})


def chain(  # noqa: PLR0913 - what the guards are made of
    *,
    tracing: Tracing | None = None,
    identity: Identity,
    taking_part: TakingPart,
    in_turn: InTurn,
    metrics: Metrics,
    methods: Mapping[str, Method],
    roles: Collection[Role],
    unseal: Unseal,
    clock: Clock,
    random_bytes: Callable[[int], bytes],
) -> list[grpc.aio.ServerInterceptor]:
    """Return what every call passes through, outermost first.

    Args:
        tracing: traces searches, if they are to be.
        identity: knows whoever calls.
        taking_part: knows whose member is suspended.
        in_turn: holds up searches.
        metrics: counts calls.
        methods: the method table, `biometrics.server.methods.METHODS`.
        roles: who is served at this address.
        unseal: opens what a client has sealed.
        clock: for the duration in the log.
        random_bytes: for the numbers of incidents.
    """
    guards: list[Guard | Check] = [
        Statuses(random_bytes),  # errors leave as google.rpc.Status
        CallLog(clock, methods, metrics),  # one line a call
        identity,  # who is it? sets CALLER
        taking_part,  # does its member take part?
        MethodTable(methods, roles),  # may it call this?
        Deadlines(methods),  # can it be answered in time?
        RunningCalls(methods),  # is there room?
        in_turn,  # is it its member's turn?
    ]
    gate = Gate(guards, methods=methods, unseal=unseal, unknown=_abort_unknown)
    return [gate] if tracing is None else [gate, tracing.interceptor()]


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
            status = self._status(call.method, error)
            await _abort(call.context, status, self._pushback(error))

    def _pushback(self, error: Exception) -> dict[str, str]:
        """Return what tells gRPC when to try again, and not all clients at once."""
        share = self._random_bytes(1)[0] / 256
        after = pushback_of(error, share)
        return {} if after is None else {PUSHBACK: str(after)}

    def _status(self, method: str, error: Exception) -> Status:
        """Return what the caller is told; log a defect with its traceback."""
        if isinstance(error, ExchangeError) and is_told(error):
            return status_of(error)
        incident = self._random_bytes(limits.INCIDENT_BYTES).hex()
        _DEFECTS.error("defect incident=%s method=%s", incident, method, exc_info=error)
        return defect(incident)


class CallLog(Guard):
    """Writes one line a call: who, what, how it ended, how long. Never an outcome."""

    def __init__(
        self, clock: Clock, methods: Mapping[str, Method], metrics: Metrics
    ) -> None:
        """Measure by `clock`; name only `methods`, since others are a caller's text."""
        self._clock = clock
        self._methods = methods
        self._metrics = metrics

    @asynccontextmanager
    async def around(self, call: Call) -> AsyncIterator[None]:
        """Write the line when the call ends, however it does."""
        begun = self._clock.monotonic()
        ended, because = "OK", ""
        try:
            yield
        except BaseException as error:
            ended, because = _ending(error, call.context), _because(error)
            raise
        finally:
            caller = CALLER.get(None)
            method = call.method if call.method in self._methods else "-"
            role = caller.role if caller else "-"
            took = self._clock.monotonic() - begun
            self._metrics.ended(method, caller, ended, took)
            _CALLS.info(
                "call method=%s member=%s role=%s status=%s%s under_ms=%d",
                method,
                caller.member if caller else "-",
                role,
                ended,
                because,
                _coarse(took),
            )


class Identity(Check):
    """Refuses whoever is no member's system, and old TLS."""

    def __init__(
        self,
        domain: str,
        members: Collection[Member],
        authorities: Callable[[], Authorities],
        clock: Clock,
    ) -> None:
        """Know the `members` of `domain`, and by `clock` whose certificate ended.

        `authorities` returns whose signatures count at the moment.
        """
        self._domain = domain
        self._members = members
        self._authorities = authorities
        self._clock = clock

    async def check(self, call: Call) -> None:
        """Set CALLER for the rest of the call."""
        caller = identify(
            self.proof(call.context),
            domain=self._domain,
            members=self._members,
            authorities=self._authorities(),
            now=self._clock.now(),
        )
        CALLER.set(caller)

    def proof(self, context: Context) -> Mapping[str, Iterable[bytes]]:
        """Return what TLS has proved of a call's caller, as grpcio gives it."""
        return context.auth_context()


class Shown(Identity):
    """Takes the certificate that the console was shown for the caller's own.

    It is looked at here all the same, as if it had come by TLS: whose signatures count,
    what was revoked and what has ended, the console does not know.
    """

    def proof(self, context: Context) -> Mapping[str, Iterable[bytes]]:
        """Return what the console's TLS, of version 1.3, has proved to it."""
        found = [
            value
            for key, value in context.invocation_metadata() or ()
            if key == limits.SHOWN_CERTIFICATE
        ]
        if len(found) != 1 or not isinstance(found[0], bytes):
            return {}
        return shown_proof(found[0])


class TakingPart(Check):
    """Refuses the systems of a suspended member, but for those that look after it.

    Its administrators can still lock and destroy what is its own, and its auditors see
    what happened: a suspension takes neither from it.
    """

    def __init__(self, roll: Roll) -> None:
        """Know by `roll` who takes part."""
        self._roll = roll

    async def check(self, call: Call) -> None:  # noqa: ARG002 - any
        """Look whose the call is."""
        caller = CALLER.get()
        if caller.role not in _LOOK_AFTER and self._roll.is_suspended(caller.member):
            raise suspended(caller.member)


class MethodTable(Check):
    """Refuses roles that have no business with a method, and methods without a row.

    Behind the identity, so that strangers do not learn which methods there are.
    """

    def __init__(self, methods: Mapping[str, Method], roles: Collection[Role]) -> None:
        """Admit by `methods`, where `roles` are served."""
        self._methods = methods
        self._roles = frozenset(roles)

    async def check(self, call: Call) -> None:
        """Compare the caller's role with the row."""
        row, role = self._methods.get(call.method), CALLER.get().role
        if role not in self._roles:
            raise RefusedError(
                "OTHER_ADDRESS",
                f"the role `{role}` is served at another address of this exchange; ask"
                " its operator which",
            )
        if row is None:
            await _abort_unknown(call.context)
        elif role not in row.roles:
            raise RefusedError(
                "WRONG_ROLE",
                f"the role `{role}` in the client certificate may not call this"
                " method; use the certificate of another role",
            )


def _coarse(seconds: float) -> int:
    """Return the next power of two of milliseconds, from 16.

    A finer time would tell whoever reads the log which searches opened a candidate.
    """
    return max(16, 1 << math.ceil(1000 * seconds).bit_length())


async def _abort(
    context: Context, status: Status, metadata: Mapping[str, str] | None = None
) -> None:
    """End the call with `status`, and with `metadata` beside it."""
    told = rpc_status.to_status(status)
    trailing = (*told.trailing_metadata, *(metadata or {}).items())
    with until_gone():
        await context.abort(told.code, told.details, trailing)


async def _abort_unknown(context: Context) -> None:
    """End the call of a method that is not served."""
    await _abort(context, unknown_method())


def _because(error: BaseException) -> str:
    """Return why a certificate was refused, which its owner is not told."""
    if isinstance(error, UnauthenticatedError) and isinstance(
        error.__cause__, ValueError
    ):
        return f' because="{error.__cause__}"'
    return ""


def _ending(error: BaseException, context: Context) -> str:
    """Return in one word how a call ended that raised `error`."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "CANCELLED"
    if isinstance(error, grpc.aio.AbortError):
        return grpc.StatusCode(context.code()).name
    if isinstance(error, ExchangeError) and is_told(error):
        return error.reason
    return "DEFECT"
