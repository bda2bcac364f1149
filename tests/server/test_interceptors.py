"""Every call passes the whole chain, on a real server with real certificates."""

from __future__ import annotations

import gc
import logging
import statistics
import threading
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from echo import MOST_HELD, SECRET, Held, World, refusal, say, unary, until
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from biometrics import limits
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certificates import Authority


@pytest.fixture
def channel(world: World) -> grpc.Channel:
    """Return a channel of a member's client."""
    return world.channel(world.authority.client())


def test_a_member_is_answered_as_the_one_in_its_certificate(channel: grpc.Channel):
    """The handler sees the caller that the certificate names."""
    assert say(channel) == "XAA client border-1"


def test_streams_pass_the_chain_with_their_caller(channel: grpc.Channel):
    """A stream of requests gets its stream of responses."""
    chat = channel.stream_stream(
        "/test.Echo/Chat", StringValue.SerializeToString, StringValue.FromString
    )
    sent = [StringValue(value=text) for text in ("one", "two")]
    answers = [answer.value for answer in chat(iter(sent), timeout=10)]
    assert answers == ["XAA: one", "XAA: two"]


def test_a_stream_of_requests_with_one_response_passes(channel: grpc.Channel):
    """The fourth shape of a method passes too."""
    gather = channel.stream_unary(
        "/test.Echo/Gather", StringValue.SerializeToString, StringValue.FromString
    )
    sent = [StringValue(value=text) for text in ("one", "two")]
    assert gather(iter(sent), timeout=10).value == "one two"


def test_another_role_is_refused(world: World):
    """A client's certificate does not enrol, an enroller's does not search."""
    request = StringValue(value="hello")
    enroller = world.channel(world.authority.client(role="enroller"))
    error, reason = refusal(lambda: say(enroller))
    assert (error.code(), reason) == (grpc.StatusCode.PERMISSION_DENIED, "WRONG_ROLE")
    assert unary(enroller, "/test.Echo/Enrol")(request, timeout=10).value


@pytest.mark.parametrize(
    "method", ["/test.Echo/Rowless", "/test.Echo/Ghost", "/test.Echo/No", "/x/y"]
)
def test_a_method_without_row_or_handler_is_unimplemented(
    channel: grpc.Channel, method: str
):
    """Only a method with both answers a member; the others are all the same."""
    request = StringValue(value="hello")
    error, reason = refusal(lambda: unary(channel, method)(request, timeout=10))
    assert (error.code(), reason) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "UNKNOWN_METHOD",
    )


def test_strangers_do_not_learn_which_methods_there_are(world: World):
    """A stranger is told so, whether the method exists or not."""
    stranger = world.channel(world.authority.client("XCC"))
    request = StringValue(value="hello")
    for method in ("/test.Echo/Say", "/test.Echo/No"):
        call = unary(stranger, method)
        error, _ = refusal(lambda call=call: call(request, timeout=10))
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("timeout", "code", "reason"),
    [
        (None, grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_REQUIRED"),
        (301, grpc.StatusCode.INVALID_ARGUMENT, "DEADLINE_TOO_LONG"),
    ],
)
def test_a_call_needs_a_deadline_within_bounds(
    channel: grpc.Channel, timeout: float | None, code: grpc.StatusCode, reason: str
):
    """No deadline and one too far away are refused, each with its reason."""
    error, told = refusal(lambda: say(channel, timeout=timeout))
    assert (error.code(), told) == (code, reason)


def test_a_deadline_of_the_longest_kind_is_taken(channel: grpc.Channel):
    """The bound itself is allowed."""
    assert say(channel, timeout=limits.MAX_DEADLINE_SECONDS)


def test_a_deadline_that_leaves_no_time_is_refused_unstarted(
    world: World, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
):
    """With less time left than any answer takes, the handler is not started."""
    say(channel)
    monkeypatch.setattr(limits, "MIN_DEADLINE_SECONDS", 20.0)
    seen = len(world.echo.seen)
    error, reason = refusal(lambda: say(channel))
    assert (error.code(), reason) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_TOO_SHORT",
    )
    assert len(world.echo.seen) == seen


@pytest.mark.parametrize("kind", ["bug", "configuration", "seal"])
def test_a_defect_leaves_its_text_in_the_log(
    channel: grpc.Channel, caplog: pytest.LogCaptureFixture, kind: str
):
    """A defect is told as DEFECT with an incident, under which the log has it all."""
    error, reason = refusal(lambda: say(channel, kind))
    assert (error.code(), reason) == (grpc.StatusCode.INTERNAL, "DEFECT")
    sent = f"{error.details()} {error.trailing_metadata()}"
    assert SECRET not in sent
    incident = error.details().split("`")[1]
    (line,) = [each for each in caplog.records if each.name == "biometrics.defects"]
    assert incident in line.getMessage()
    assert SECRET in str(line.exc_info[1])


def test_a_defect_in_a_stream_is_told_like_any_other(channel: grpc.Channel):
    """Streams that break midway leave no text either, after what was answered."""
    chat = channel.stream_stream(
        "/test.Echo/Chat", StringValue.SerializeToString, StringValue.FromString
    )
    answers = []
    sent = iter([StringValue(value="one"), StringValue(value="bug")])
    error, reason = refusal(lambda: answers.extend(chat(sent, timeout=10)))
    assert (error.code(), reason) == (grpc.StatusCode.INTERNAL, "DEFECT")
    assert [answer.value for answer in answers] == ["XAA: one"]


def test_a_response_of_the_wrong_type_is_a_defect(channel: grpc.Channel):
    """What cannot be written is not quoted to the caller."""
    call = unary(channel, "/test.Echo/Wrong")
    error, reason = refusal(lambda: call(StringValue(value="x"), timeout=10))
    assert (error.code(), reason) == (grpc.StatusCode.INTERNAL, "DEFECT")
    assert SECRET not in f"{error.details()} {error.trailing_metadata()}"


def test_every_fault_of_a_request_arrives(channel: grpc.Channel):
    """A request's faults arrive as BadRequest, all of them."""
    error, reason = refusal(lambda: say(channel, "fault"))
    assert (error.code(), reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ONE")
    found = error_details_pb2.BadRequest()
    assert rpc_status.from_call(error).details[1].Unpack(found)
    assert [each.reason for each in found.field_violations] == ["ONE", "TWO"]


def test_a_request_that_is_no_message_is_refused_with_a_reason(channel: grpc.Channel):
    """Bytes that are no message of the method are the caller's fault, in words."""
    call = channel.unary_unary("/test.Echo/Say")
    error, reason = refusal(lambda: call(b"\x0a\xff", timeout=10))
    assert (error.code(), reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "MALFORMED_MESSAGE",
    )


def test_a_request_is_read_only_after_its_caller_was_admitted(world: World):
    """Who is refused is refused before the request is looked at."""
    enroller = world.channel(world.authority.client(role="enroller"))
    call = enroller.unary_unary("/test.Echo/Say")
    _, reason = refusal(lambda: call(b"\x0a\xff", timeout=10))
    assert reason == "WRONG_ROLE"


def test_one_member_cannot_take_every_place(
    world: World, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
):
    """Beyond its own bound a member is told to wait; another member is served."""
    monkeypatch.setattr(limits, "MAX_RUNNING_CALLS_PER_MEMBER", 4)
    other = world.channel(world.authority.client("XBB"))
    with Held(world, channel, 4):
        error, reason = refusal(lambda: say(channel))
        assert (error.code(), reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "TOO_MANY_CALLS",
        )
        retry = error_details_pb2.RetryInfo()
        assert rpc_status.from_call(error).details[1].Unpack(retry)
        assert retry.retry_delay.ToTimedelta().total_seconds() == (
            limits.BUSY_RETRY_SECONDS
        )
        assert say(other)
    assert say(channel)


def test_all_members_together_are_bounded(
    world: World, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
):
    """Beyond the bound of all, a member is told to wait that has some running."""
    monkeypatch.setattr(limits, "MAX_RUNNING_CALLS", 4)
    monkeypatch.setattr(limits, "RESERVED_CALLS_PER_MEMBER", 1)
    other = world.channel(world.authority.client("XBB"))
    with Held(world, channel, 4):
        assert refusal(lambda: say(channel))[1] == "EXCHANGE_BUSY"
        assert say(other)  # has none running, and so has a place
        monkeypatch.setattr(limits, "RESERVED_CALLS_PER_MEMBER", 0)
        assert refusal(lambda: say(other))[1] == "EXCHANGE_BUSY"
    assert say(other)


def test_grpc_is_told_when_to_try_again_and_refused_at_once(
    world: World, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
):
    """Its own retries wait as `RetryInfo` says; shedding takes less than 10 ms."""
    monkeypatch.setattr(limits, "MAX_RUNNING_CALLS_PER_MEMBER", 2)
    with Held(world, channel, 2):
        took = []
        for _ in range(20):
            begun = time.perf_counter()
            error, _ = refusal(lambda: say(channel))
            took.append(time.perf_counter() - begun)
            pushback = dict(error.trailing_metadata())["grpc-retry-pushback-ms"]
            assert 500 <= int(pushback) <= 750
        assert statistics.median(took) < 0.01
    monkeypatch.setattr(limits, "BUSY_RETRY_SECONDS", 60.0)
    with Held(world, channel, 2):
        error, _ = refusal(lambda: say(channel))
        assert dict(error.trailing_metadata())["grpc-retry-pushback-ms"] == "-1"


class Silence:
    """A request whose message never comes."""

    def __init__(self) -> None:
        """Say nothing until told to end."""
        self.end = threading.Event()

    def __iter__(self) -> Iterator[StringValue]:
        """Return itself."""
        return self

    def __next__(self) -> StringValue:
        """Wait, and then end."""
        self.end.wait(30)
        raise StopIteration


def test_calls_whose_message_never_comes_take_only_their_callers_places(
    world: World, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
):
    """They are bounded before they are read, end in time, and others are served."""
    monkeypatch.setattr(limits, "MAX_RUNNING_CALLS_PER_MEMBER", 4)
    silence = Silence()
    open_call = channel.stream_unary(
        "/test.Echo/Say", StringValue.SerializeToString, StringValue.FromString
    )
    calls = [open_call.future(silence, timeout=2) for _ in range(6)]
    world.run(until(lambda: sum(call.done() for call in calls) == 2))
    assert say(world.channel(world.authority.client("XBB")))
    codes = sorted(call.exception().code().name for call in calls)
    assert codes == ["DEADLINE_EXCEEDED"] * 4 + ["RESOURCE_EXHAUSTED"] * 2
    silence.end.set()
    assert say(channel)


def test_a_stranger_is_refused_before_its_message_comes(world: World):
    """Nobody who is not identified is waited for."""
    silence = Silence()
    stranger = world.channel(world.authority.client("XCC"))
    call = stranger.stream_unary(
        "/test.Echo/Say", StringValue.SerializeToString, StringValue.FromString
    ).future(silence, timeout=10)
    assert call.exception().code() == grpc.StatusCode.UNAUTHENTICATED
    silence.end.set()


def test_a_request_without_its_message_is_refused(channel: grpc.Channel):
    """A call that ends before it said anything is the caller's fault."""
    call = channel.stream_unary("/test.Echo/Say")
    _, reason = refusal(lambda: call(iter(()), timeout=10))
    assert reason == "MALFORMED_MESSAGE"


def test_a_message_is_bounded_by_its_method(channel: grpc.Channel):
    """What is larger than the method needs is refused before it is parsed."""
    most = limits.MAX_QUESTION_BYTES
    call = channel.unary_unary("/test.Echo/Say")
    _, reason = refusal(lambda: call(b"\x0a" + bytes(most), timeout=10))
    assert reason == "MESSAGE_TOO_LARGE"
    _, reason = refusal(lambda: call(b"\x0a\xff" + bytes(most - 2), timeout=10))
    assert reason == "MALFORMED_MESSAGE"


def test_nothing_of_a_refused_request_is_kept(world: World, channel: grpc.Channel):
    """Its frames let go of it, and do not wait for the collector of cycles."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            refusal(lambda: say(channel, "fault"))
        world.run(until(lambda: world.echo.held == 0))
        kept = sum(isinstance(each, InvalidRequestError) for each in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 1


def test_a_call_that_is_given_up_frees_its_place(
    world: World, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
):
    """Cancelled calls do not count, and are logged as such."""
    monkeypatch.setattr(limits, "MAX_RUNNING_CALLS_PER_MEMBER", 1)
    with Held(world, channel, 1) as held:
        held.calls[0].cancel()
        world.run(until(lambda: world.echo.held == 0))
        assert say(channel)


def test_a_watcher_needs_no_deadline_and_hears_of_changes(
    world: World, channel: grpc.Channel
):
    """Nothing is SERVING until it is told to be, and watchers hear of it."""
    stub = health_pb2_grpc.HealthStub(channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service="test.Echo"))
    serving = health_pb2.HealthCheckResponse.SERVING
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    assert next(watch).status == not_serving
    world.tell(lambda: world.health.set_serving("test.Echo", serving=True))
    assert next(watch).status == serving
    whole = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert whole.status == not_serving
    watch.cancel()
    world.tell(lambda: world.health.set_serving("test.Echo", serving=False))


def test_a_drained_exchange_serves_nothing_for_good(authority: Authority):
    """After the drain everything is NOT_SERVING, whatever is told later."""
    draining = World(authority)
    try:
        stub = health_pb2_grpc.HealthStub(draining.channel(authority.client()))
        draining.tell(lambda: draining.health.set_serving("test.Echo", serving=True))
        draining.tell(draining.health.drain)
        draining.tell(lambda: draining.health.set_serving("test.Echo", serving=True))
        asked = health_pb2.HealthCheckRequest(service="test.Echo")
        told = stub.Check(asked, timeout=10).status
        assert told == health_pb2.HealthCheckResponse.NOT_SERVING
    finally:
        draining.close()


def test_watchers_are_bounded_by_member(world: World):
    """Watchers, which wait for ever, have a bound of their own and take no place."""
    own = world.channel(world.authority.client("XBB"))
    stub = health_pb2_grpc.HealthStub(own)
    watches = [
        stub.Watch(health_pb2.HealthCheckRequest())
        for _ in range(limits.MAX_WATCHES_PER_MEMBER)
    ]
    for watch in watches:
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    another = stub.Watch(health_pb2.HealthCheckRequest())
    assert refusal(lambda: next(another))[1] == "TOO_MANY_CALLS"
    assert say(own)
    for watch in watches:
        watch.cancel()


def test_a_watch_ends_with_the_drain(authority: Authority):
    """A watcher is told NOT_SERVING, then its call ends: it does not hold up a stop."""
    draining = World(authority)
    try:
        stub = health_pb2_grpc.HealthStub(draining.channel(authority.client()))
        draining.tell(lambda: draining.health.set_serving("test.Echo", serving=True))
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="test.Echo"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        draining.tell(draining.health.drain)
        assert [told.status for told in watch] == [
            health_pb2.HealthCheckResponse.NOT_SERVING
        ]
    finally:
        draining.close()


def test_a_watch_outlives_a_loss(authority: Authority):
    """Its client is told NOT_SERVING once, and does not ask again and again."""
    losing = World(authority)
    try:
        stub = health_pb2_grpc.HealthStub(losing.channel(authority.client()))
        losing.tell(lambda: losing.health.set_serving("test.Echo", serving=True))
        watch = stub.Watch(health_pb2.HealthCheckRequest(service="test.Echo"))
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        losing.health.lose()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        losing.tell(lambda: losing.health.set_serving("test.Echo", serving=True))
        assert watch.is_active()
        losing.tell(losing.health.drain)
        assert list(watch) == []
    finally:
        losing.close()


def test_a_watch_that_says_nothing_ends(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
):
    """A call without a deadline has one until its message has come; others wait."""
    monkeypatch.setattr(limits, "FIRST_MESSAGE_SECONDS", 0.2)
    world, silence = World(authority), Silence()
    try:
        channel = world.channel(authority.client())
        say_later = channel.stream_unary("/test.Echo/Say").future(silence, timeout=10)
        watch = channel.stream_unary("/grpc.health.v1.Health/Watch").future(silence)
        error = watch.exception(timeout=10)
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(grpc.FutureTimeoutError):
            say_later.exception(timeout=0.5)
        silence.end.set()
        assert say_later.exception().code() == grpc.StatusCode.INVALID_ARGUMENT
    finally:
        silence.end.set()
        world.close()


def test_a_method_has_a_bound_of_its_own(world: World, channel: grpc.Channel):
    """Calls of one method beyond its row are refused; other methods are served."""
    hold = unary(channel, "/test.Echo/Hold")
    with Held(world, channel, MOST_HELD):
        _, reason = refusal(lambda: hold(StringValue(value="x"), timeout=10))
        assert reason == "TOO_MANY_CALLS"
        assert say(channel)


def test_the_health_of_an_unknown_service_is_not_found(
    channel: grpc.Channel, caplog: pytest.LogCaptureFixture
):
    """What the health service itself refuses is passed on, and is no defect."""
    stub = health_pb2_grpc.HealthStub(channel)
    asked = health_pb2.HealthCheckRequest(service="no.Such")
    error, _ = refusal(lambda: stub.Check(asked, timeout=10))
    assert error.code() == grpc.StatusCode.NOT_FOUND
    say(channel)
    assert "biometrics.defects" not in caplog.text


def test_one_line_is_logged_for_each_call_without_what_it_said(
    world: World, caplog: pytest.LogCaptureFixture
):
    """The log says who, what, how it ended and how long; not what was said."""
    caplog.set_level(logging.INFO, "biometrics.calls")

    def lines() -> list[str]:
        """Return the lines of this test's callers, who call in no other test."""
        told = [each.getMessage() for each in caplog.records]
        return [
            line.rpartition(" under_ms=")[0]
            for line in told
            if "member=XDD" in line or "member=-" in line
        ]

    channel = world.channel(world.authority.client("XDD"))
    say(channel, "do-not-log-me")
    refusal(lambda: say(channel, "fault"))
    refusal(lambda: say(channel, "bug"))
    refusal(lambda: say(world.channel(world.authority.client("XCC"))))
    stub = health_pb2_grpc.HealthStub(channel)
    asked = health_pb2.HealthCheckRequest(service="no.Such")
    refusal(lambda: stub.Check(asked, timeout=10))
    world.run(until(lambda: len(lines()) == 5))
    assert lines() == [
        "call method=/test.Echo/Say member=XDD role=client status=OK",
        "call method=/test.Echo/Say member=XDD role=client status=ONE",
        "call method=/test.Echo/Say member=XDD role=client status=DEFECT",
        (
            "call method=/test.Echo/Say member=- role=- status=NO_IDENTITY"
            ' because="not a member configured here"'
        ),
        (
            "call method=/grpc.health.v1.Health/Check member=XDD role=client"
            " status=UNKNOWN_SERVICE"
        ),
    ]
    assert "do-not-log-me" not in caplog.text


def test_a_call_that_is_given_up_is_logged_as_cancelled(
    world: World, channel: grpc.Channel, caplog: pytest.LogCaptureFixture
):
    """Whoever reads the log can tell it from a defect."""
    caplog.set_level(logging.INFO, "biometrics.calls")
    with Held(world, channel, 1) as held:
        held.calls[0].cancel()
        world.run(until(lambda: "/Hold" in caplog.text))
    (line,) = [each.getMessage() for each in caplog.records if "/Hold" in each.message]
    assert "status=CANCELLED" in line
