"""Who is shown what, and what becomes of everything else that is asked."""

from __future__ import annotations

import re
import ssl
import time

import pytest

from biometrics.callers import Caller, Role
from biometrics.clock import SystemClock
from biometrics.members import Member
from biometrics.server.pki import DevelopmentAuthority
from tests.console.console_world import (
    RECORDS,
    SEARCHES,
    ConsoleProcess,
    ConsoleWorld,
    parse,
)

SECTIONS = {
    Role.CLIENT: {"agreements", "load"},
    Role.ENROLLER: {"galleries", "agreements", "load"},
    Role.AUDITOR: {"galleries", "agreements", "load", "log", "alerts"},
    Role.ADMINISTRATOR: {"galleries", "agreements", "load", "alerts"},
    Role.OFFICER: {"agreements", "load"},
    Role.WITNESS: {"log"},
    Role.COORDINATOR: {"region", "load", "log"},
}


def sections(text: str) -> set[str]:
    """Return the sections of a page."""
    return set(re.findall(r'<section id="([a-z]+)"', text))


def words(text: str) -> str:
    """Return a page's text, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


@pytest.mark.parametrize("role", Role)
def test_a_role_is_shown_what_it_may_ask_for(world: ConsoleWorld, role: Role):
    """And no section of what it may not."""
    answer = world.ask(f"XAA-{role}")
    assert answer.status == 200
    assert sections(answer.text) == SECTIONS[role]
    assert f"You are {role} of XAA , sample border state" in words(answer.text)
    assert "Not told now" not in answer.text


def test_a_member_sees_of_others_what_a_search_would_tell(world: ConsoleWorld):
    """No state of whom answers do not name, and no size of anybody's gallery."""
    text = words(world.ask("XAA-auditor").text)
    assert re.search(r"XBB sample state that people flee ■ unavailable border", text)
    assert re.search(r"XCC sample state C ● answering", text)
    for code in ("XEE", "XFF", "XGG"):
        assert re.search(rf"{code} sample state \w ○ not told", text)
    assert "locked" not in text
    assert "secret-" not in text
    assert "Nothing is enrolled." in text  # of XAA's own


def test_an_operator_sees_the_own_gallery_in_detail(world: ConsoleWorld):
    """How many records, and since when it is locked."""
    text = words(world.ask("XBB-administrator").text)
    assert re.search(rf"■ locked since [-0-9]{{10}} [0-9:]{{5}} UTC .*{RECORDS} ", text)


def test_the_coordinator_sees_states_and_agreements_and_nothing_that_was_found(
    world: ConsoleWorld,
):
    """Sizes are coarse; no count is by pair of members; there are no alerts."""
    text = words(world.ask("XAA-coordinator").text)
    assert re.search(r"XBB sample state that people flee ■ locked 256", text)
    assert re.search(r"XCC sample state C ● ready 256", text)
    assert re.search(r"XDD sample state D ○ none 0", text)
    assert "XRA XAA reference face: asylum and protection" in text
    assert not re.search(rf"\b{RECORDS}\b", text.partition("Load and latency")[0])
    for word in ("alert", "freeze", "frozen", "no-match", "no match", "secret-"):
        assert word not in text.lower()


def test_load_is_of_ones_own_member_alone(world: ConsoleWorld):
    """What others ask, and when, is theirs; the coordinator sees the sum."""
    told = re.compile(r"Calls of (.*?): (\d+) searches answered")
    own = told.search(words(world.ask("XAA-client").text))
    other = told.search(words(world.ask("XRA-client").text))
    whole = told.search(words(world.ask("XAA-coordinator").text))
    assert own is not None
    assert other is not None
    assert whole is not None
    assert own[1] == "XAA alone"
    assert int(own[2]) >= SEARCHES
    assert other.groups() == ("XRA alone", "0")
    assert whole[1] == "all members together"
    assert int(whole[2]) >= SEARCHES


def test_what_the_exchange_says_is_text_and_no_page(world: ConsoleWorld):
    """A name with tags in it is shown as that."""
    text = world.ask("XAA-client").text
    assert "pilot &lt;i&gt;&amp;amp;&lt;/i&gt;" in text
    assert "<i>" not in text


def test_without_a_certificate_there_is_no_page(world: ConsoleWorld):
    """Nor any other file of it."""
    for path in ("/", "/console.css"):
        try:
            told = world.raw(None, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        except (ssl.SSLError, ConnectionError):
            told = b""
        assert told == b""


def test_tls_1_2_is_refused(world: ConsoleWorld, monkeypatch: pytest.MonkeyPatch):
    """Whatever certificate it comes with."""
    context = world.context("XAA-auditor")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    monkeypatch.setattr(world, "context", lambda _: context)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        world.raw("XAA-auditor", b"GET / HTTP/1.1\r\n\r\n")


def test_a_certificate_of_a_foreign_authority_is_refused(world: ConsoleWorld):
    """Though it names a member's auditor."""
    foreign = DevelopmentAuthority(
        "exchange.test", clock=SystemClock(), random_bytes=lambda n: bytes([7] * n)
    ).issue_client(Caller(member=Member("XAA"), role=Role.AUDITOR, name="auditor-1"))
    (world.root / "pki/foreign.pem").write_bytes(foreign.certificate)
    (world.root / "pki/foreign.key").write_bytes(foreign.key)
    try:
        told = world.raw("foreign", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    except (ssl.SSLError, ConnectionError):
        told = b""
    assert told == b""
    (world.root / "pki/foreign.pem").unlink()


def test_whoever_is_no_member_here_is_refused_in_words(world: ConsoleWorld):
    """The authority signed, and the exchange does not know the member."""
    answer = world.ask(world.issue("XZZ", Role.AUDITOR))
    assert answer.status == 403
    assert "does not name a system of a member of this exchange" in words(answer.text)
    assert sections(answer.text) == set()


def test_a_certificate_that_is_revoked_shows_no_page_any_more(world: ConsoleWorld):
    """Neither at the next look, nor on a connection that is open."""
    who = world.issue("XAA", Role.AUDITOR, "second")
    assert world.ask(who).status == 200
    world.pki().revoke(world.root / f"pki/{who}.pem")
    end = time.monotonic() + 10
    while (answer := world.ask(who)).status == 200 and time.monotonic() < end:
        time.sleep(0.2)
    assert answer.status == 403
    assert "the client certificate was revoked" in words(answer.text)
    assert sections(answer.text) == set()
    assert world.ask(who, "/log/tile/0/000.p/1").status == 403


@pytest.mark.parametrize(
    "host",
    ["evil.example", "", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@x"],
)
def test_another_host_is_refused(world: ConsoleWorld, host: str):
    """A name of an attacker's may lead here, and must not be our origin."""
    answer = world.ask("XAA-auditor", host=host)
    assert answer.status == 421
    assert sections(answer.text) == set()


def test_hosts_of_the_certificate_are_served(world: ConsoleWorld):
    """By name and by address."""
    for host in (f"LOCALHOST:{world.port}", "127.0.0.1", f"[::1]:{world.port}"):
        assert world.ask("XAA-auditor", host=host).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "//",
        "/?x=1",
        "/../exchange.toml",
        "/..%2f..%2fpki/authority.key",
        "/console.css/../site.py",
        "/static/console.css",
        "/log/tile/8/000",
        "/log/tile/0/../0/000",
        "/log/tile/0/000.p/0",
        "/log/tile/0/000.p/257",
        "/log/tile/0/x000/x000/x000/x000/x000/x000/000",
        "/log/tile/0/999.p/1",
        "/log/tile/0/%30%30%30",
        "/%00",
        "/" + "a" * 4000,
    ],
)
def test_there_is_nothing_else(world: ConsoleWorld, path: str):
    """No file, no folder, no other writing of what there is."""
    answer = world.ask("XAA-auditor", path)
    assert answer.status == 404
    assert b"PRIVATE KEY" not in answer.body
    assert "a" * 100 not in answer.text  # what was asked is not repeated


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_done(world: ConsoleWorld, method: str):
    """It is only to be read."""
    answer = world.ask("XAA-auditor", method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_head_has_no_body(world: ConsoleWorld):
    """And says what the page would."""
    answer = world.ask("XAA-auditor", method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


@pytest.mark.parametrize(
    "request_of",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"\x16\x03\x01nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_what_is_malformed_or_too_large_is_refused_at_once(
    world: ConsoleWorld, request_of: bytes
):
    """The connection ends, and the next who comes is served."""
    begun = time.monotonic()
    try:
        answer = parse(world.raw("XAA-auditor", request_of))
    except ConnectionError:
        pass
    else:
        assert 400 <= answer.status < 500, answer
    assert time.monotonic() - begun < 5
    assert world.ask("XAA-auditor").status == 200


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/console.css", "text/css; charset=utf-8"),
        ("/verify.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml; charset=utf-8"),
        ("/log/tile/0/000.p/2", "application/octet-stream"),
        ("/nothing", "text/html; charset=utf-8"),
    ],
)
def test_every_answer_has_its_headers(world: ConsoleWorld, path: str, kind: str):
    """Nothing of another origin, no frame, no guess of a type, nothing kept."""
    headers = world.ask("XAA-auditor", path).headers
    assert headers["content-type"] == kind
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    assert "set-cookie" not in headers


def test_tiles_are_for_those_who_may_verify_the_log(world: ConsoleWorld):
    """As the method table says."""
    two = world.ask("XAA-witness", "/log/tile/0/000.p/2")
    assert (two.status, len(two.body)) == (200, 64)
    assert world.ask("XAA-client", "/log/tile/0/000.p/2").status == 403


def test_an_exchange_that_is_not_there_is_told_as_that(world: ConsoleWorld):
    """And nothing of it is shown."""
    config = world.root / "away.toml"
    text = (world.root / "console.toml").read_text()
    config.write_text(text.replace("console/socket", "away"))
    before = world.port
    try:
        with ConsoleProcess(config) as console:
            world.port = console.port
            answer = world.ask("XAA-auditor")
    finally:
        world.port = before
    assert answer.status == 503
    assert "the exchange does not answer the console" in words(answer.text)
