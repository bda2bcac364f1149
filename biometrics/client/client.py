"""The synchronous client of the exchange.

    from biometrics.client import ExchangeClient, Profile, Template

    with ExchangeClient(Profile.load("XAA-client.toml")) as exchange:
        probe = Template(
            space="face-synthetic-512", position="face", vector=embedding
        )
        answer = exchange.match(probe, purpose="border-check")
        if answer.regional == "match":
            print(answer.holders)

Every call has a deadline, every call with effects a request id, and a call that
the exchange could not take is tried again under the same one. Whatever goes wrong
is an error of `biometrics.errors`. One client serves many threads.
"""

from __future__ import annotations

import functools
import secrets
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

from biometrics.client.asker import Asker
from biometrics.client.blocking import finish, iterate
from biometrics.client.calls import AllCalls
from biometrics.client.line import BlockingLine
from biometrics.client.messages import RequestMaker

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Coroutine,
        Generator,
        Iterable,
        Iterator,
    )

    from biometrics.client.inputs import Chunk
    from biometrics.client.profile import Profile
    from biometrics.client.results.enrolling import ChunkOutcome

P = ParamSpec("P")
T = TypeVar("T")


def _done(
    call: Callable[Concatenate[AllCalls, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[ExchangeClient, P], T]:
    """Return a call as a method that returns when it is done."""

    @functools.wraps(call)
    def method(self: ExchangeClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return finish(call(self._calls, *args, **kwargs))

    return method


def _each(
    call: Callable[Concatenate[AllCalls, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[ExchangeClient, P], Iterator[T]]:
    """Return a call as a method that returns an iterator."""

    @functools.wraps(call)
    def method(
        self: ExchangeClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        return iterate(call(self._calls, *args, **kwargs))

    return method


class ExchangeClient:
    """A member's connection to the exchange; a context manager.

    Every method takes `deadline` in seconds, by default the profile's, and may
    raise any `ExchangeError` but a `ConfigurationError`. What it takes and does is
    written at the call of its name in `biometrics.client.calls`, and told by `help`;
    where that tells of an `AsyncGenerator`, here it is an iterator.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Prepare a channel; it connects when it is first used.

        Args:
            profile: where the exchange is, and who the client is.
            random_bytes: where request ids come from.

        Raises:
            ConfigurationError: a certificate or key cannot be read or does not fit.
        """
        self._asker = Asker.of(profile, BlockingLine)
        self._calls = AllCalls(self._asker, RequestMaker(random_bytes))

    def __enter__(self) -> Self:
        """Return the client."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the channel."""
        self.close()

    def close(self) -> None:
        """Close the channel; calls that are running are cancelled."""
        finish(self._asker.close())

    # Searches.
    match = _done(AllCalls.match)
    match_many = _done(AllCalls.match_many)
    spaces = _done(AllCalls.spaces)

    # One's own records.
    enrol = _done(AllCalls.enrol)
    withdraw = _done(AllCalls.withdraw)
    replace = _done(AllCalls.replace)
    protect = _done(AllCalls.protect)
    plant_canaries = _done(AllCalls.plant_canaries)
    galleries = _done(AllCalls.galleries)
    records = _each(AllCalls.records)
    summary = _done(AllCalls.summary)
    duplicates = _done(AllCalls.duplicates)

    def enrol_many(
        self, chunks: Iterable[Chunk]
    ) -> Generator[ChunkOutcome, None, None]:
        """Enrol many records; yields what became of each chunk, when it is known.

        As `AsyncExchangeClient.enrol_many`, but that `chunks` is taken by the thread
        that iterates, and cannot be asynchronous. To stop, close the iterator.
        """
        return iterate(self._calls.enrol_many(chunks))

    # One's own keys.
    lock = _done(AllCalls.lock)
    unlock = _done(AllCalls.unlock)
    rotate = _done(AllCalls.rotate)
    destroy = _done(AllCalls.destroy)
    custody = _done(AllCalls.custody)
    erasures = _each(AllCalls.erasures)

    # Who takes part, and what is agreed.
    caller = _done(AllCalls.caller)
    holders = _done(AllCalls.holders)
    load = _done(AllCalls.load)
    region = _done(AllCalls.region)
    permissions = _done(AllCalls.permissions)
    agreements = _done(AllCalls.agreements)
    own_version = _done(AllCalls.own_version)
    explain = _done(AllCalls.explain)

    # Follow-ups.
    request_follow_up = _done(AllCalls.request_follow_up)
    requested_follow_ups = _done(AllCalls.requested_follow_ups)
    read_follow_up = _done(AllCalls.read_follow_up)
    received_follow_ups = _done(AllCalls.received_follow_ups)
    confirm_follow_up = _done(AllCalls.confirm_follow_up)
    refuse_follow_up = _done(AllCalls.refuse_follow_up)
    release_follow_up = _done(AllCalls.release_follow_up)

    # The log.
    checkpoint = _done(AllCalls.checkpoint)
    log_tile = _done(AllCalls.log_tile)
    log_leaves = _done(AllCalls.log_leaves)
    log_entries = _done(AllCalls.log_entries)
    log_keys = _each(AllCalls.log_keys)
    add_cosignature = _done(AllCalls.add_cosignature)

    # What gave cause to look.
    reviews = _done(AllCalls.reviews)
    decide_review = _done(AllCalls.decide_review)
    alerts = _done(AllCalls.alerts)
