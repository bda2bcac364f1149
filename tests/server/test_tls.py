"""What TLS lets in is asked again by each call: its version and its end."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import ssl
from typing import TYPE_CHECKING

import grpc
import pytest
from certificates import Authority
from echo import World, refusal, say, until
from google.protobuf.wrappers_pb2 import StringValue

from biometrics.clock import ManualClock, SystemClock

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("which", ["none", "foreign", "expired"])
def test_a_certificate_that_tls_refuses_reaches_nothing(world: World, which: str):
    """No certificate, a foreign one and an expired one end in the handshake."""
    credential = {
        "none": lambda: None,
        "foreign": lambda: Authority.make().client(),
        "expired": lambda: world.authority.client(days=31),
    }[which]()
    seen = len(world.echo.seen)
    error, _ = refusal(lambda: say(world.channel(credential)))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert len(world.echo.seen) == seen


@pytest.mark.parametrize(
    "uris",
    [
        ("spiffe://exchange.test/member/XAA/client/a",) * 2,
        (
            "spiffe://exchange.test/member/XAA/client/a",
            "spiffe://exchange.test/member/XBB/client/a",
        ),
        (
            "spiffe://exchange.test/member/XAA/client/a",
            "https://exchange.test/",
        ),
        ("https://exchange.test/member/XAA/client/a",),
        ("spiffe://exchange.test/member/XCC/client/a",),
        ("spiffe://exchange.test/member/XAA/owner/a",),
        ("spiffe://exchange.test/member/XAA/client/a/b",),
        ("spiffe://exchange.test/member/XAA/client/%61",),
        ("spiffe://exchange.test/member/XAA/client/a\0/../../XBB/client/b",),
    ],
)
def test_a_certificate_that_names_no_member_is_refused_without_detail(
    world: World, uris: tuple[str, ...]
):
    """Whatever is wrong with the identity, code, reason and text are the same."""
    credential = world.authority.client_named(*uris)
    error, reason = refusal(lambda: say(world.channel(credential)))
    assert (error.code(), reason) == (grpc.StatusCode.UNAUTHENTICATED, "NO_IDENTITY")
    other = world.authority.client_named("spiffe://exchange.test/member/ZZZ/client/a")
    assert refusal(lambda: say(world.channel(other)))[0].details() == error.details()


def test_another_trust_domain_is_refused(authority: Authority):
    """A member of the same code in another trust domain is nobody here."""
    elsewhere = World(authority, "elsewhere.test")
    try:
        channel = elsewhere.channel(authority.client())
        error, reason = refusal(lambda: say(channel))
        assert (error.code(), reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "NO_IDENTITY",
        )
    finally:
        elsewhere.close()


def test_a_connection_does_not_outlive_its_certificate(authority: Authority):
    """On a connection that stays open, calls end with the certificate."""
    clock = ManualClock(SystemClock().now())
    ageing = World(authority, clock=clock)
    try:
        channel = ageing.channel(authority.client())
        assert say(channel)
        clock.advance(dt.timedelta(days=30))
        error, reason = refusal(lambda: say(channel))
        assert (error.code(), reason) == (
            grpc.StatusCode.UNAUTHENTICATED,
            "CERTIFICATE_EXPIRED",
        )
    finally:
        ageing.close()


def test_the_authority_cannot_sign_for_another_trust_domain(world: World):
    """TLS itself refuses a name outside the domain that the authority is for."""
    uri = "spiffe://elsewhere.test/member/XAA/client/a"
    error, _ = refusal(lambda: say(world.channel(world.authority.client_named(uri))))
    assert error.code() == grpc.StatusCode.UNAVAILABLE


# -- TLS 1.2: by hand, since grpcio's client always offers 1.3 -------------------


CALL = {
    ":method": "POST",
    ":scheme": "https",
    ":path": "/test.Echo/Say",
    ":authority": "localhost",
    "content-type": "application/grpc",
    "te": "trailers",  # codespell:ignore te
    "grpc-timeout": "10S",
}


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return an HTTP/2 frame (RFC 9113, section 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def _headers(pairs: dict[str, str]) -> bytes:
    """Return literal header fields without indexing (RFC 7541, section 6.2.2)."""
    block = b""
    for name, value in pairs.items():
        block += b"\x00" + bytes([len(name)]) + name.encode()
        block += bytes([len(value)]) + value.encode()
    return block


def _client(world: World, folder: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return the settings of a client of exactly this version of TLS."""
    own = world.authority.client()
    (folder / "own.pem").write_bytes(own.certificate + own.key)
    settings = ssl.create_default_context(
        cadata=world.authority.signs.credential.certificate.decode()
    )
    settings.load_cert_chain(folder / "own.pem")
    settings.minimum_version = settings.maximum_version = version
    settings.set_alpn_protocols(["h2"])
    return settings


def _speak(
    world: World, settings: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Return what the server sends to one call, and the session to resume."""
    request = StringValue(value="over-old-tls").SerializeToString()
    body = b"\x00" + len(request).to_bytes(4, "big") + request
    with (
        socket.create_connection(("127.0.0.1", world.port), 10) as raw,
        settings.wrap_socket(raw, server_hostname="localhost", session=session) as tls,
    ):
        assert tls.version() == settings.maximum_version.name.replace("_", ".")
        assert tls.session_reused is (session is not None)
        tls.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(4, 0, 0, b"")
            + _frame(1, 4, 1, _headers(CALL))
            + _frame(0, 1, 1, body)
        )
        got = b""
        tls.settimeout(3)
        try:
            while b"grpc-status" not in got or b"grpc-message" not in got:
                got += tls.recv(65536)
        except TimeoutError:
            pass
        return got, tls.session


def test_tls_1_2_is_refused_by_each_call(world: World, tmp_path: Path):
    """A client limited to TLS 1.2 is told so, and reaches no handler."""
    got, _ = _speak(world, _client(world, tmp_path, ssl.TLSVersion.TLSv1_2))
    assert b"the connection must use TLS 1.3" in got
    assert "over-old-tls" not in world.echo.seen


def test_tls_1_3_by_hand_is_answered(world: World, tmp_path: Path):
    """The same bytes over TLS 1.3 are answered, so that it was the version."""
    got, _ = _speak(world, _client(world, tmp_path, ssl.TLSVersion.TLSv1_3))
    assert b"XAA client border-1" in got


def test_a_resumed_session_is_identified_like_a_new_one(
    authority: Authority, tmp_path: Path
):
    """Whoever resumes is who it was, until its certificate ends."""
    clock = ManualClock(SystemClock().now())
    ageing = World(authority, clock=clock)
    try:
        settings = _client(ageing, tmp_path, ssl.TLSVersion.TLSv1_3)
        _, session = _speak(ageing, settings)
        got, session = _speak(ageing, settings, session)
        assert b"XAA client border-1" in got
        clock.advance(dt.timedelta(days=30))
        got, _ = _speak(ageing, settings, session)
        assert b"the client certificate has expired" in got
    finally:
        ageing.close()


def test_a_caller_that_goes_away_unread_is_no_defect(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """An answer that nobody takes ends as a cancelled call, without a traceback."""
    caplog.set_level(logging.INFO)
    settings = _client(world, tmp_path, ssl.TLSVersion.TLSv1_3)
    request = StringValue(value="going-away").SerializeToString()
    body = b"\x00" + len(request).to_bytes(4, "big") + request
    no_window = (4).to_bytes(2, "big") + bytes(4)  # RFC 9113, section 6.5.2
    with (
        socket.create_connection(("127.0.0.1", world.port), 10) as raw,
        settings.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        tls.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + _frame(4, 0, 0, no_window)
            + _frame(1, 4, 1, _headers(CALL))
            + _frame(0, 1, 1, body)
        )
        world.run(until(lambda: "going-away" in world.echo.seen))
    world.run(until(lambda: "status=CANCELLED" in caplog.text))
    assert "Traceback" not in caplog.text
    assert "defect" not in caplog.text
