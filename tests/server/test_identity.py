"""A caller is its certificate's one SPIFFE ID, read strictly."""

from __future__ import annotations

import datetime as dt

import pytest
from certificates import DOMAIN, Authority, caller
from hypothesis import given
from hypothesis import strategies as st

from biometrics.callers import Caller, Role
from biometrics.errors import UnauthenticatedError
from biometrics.members import Member
from biometrics.server.identity import identify, parse_spiffe_id, spiffe_id

URI = f"spiffe://{DOMAIN}/member/XAA/client/border-1"
SIGNED = Authority.make()
PEM = SIGNED.client().certificate
NOW = SIGNED.clock.now()
TRUSTED = SIGNED.trusted()
TLS = {"ssl_tls_version": [b"TLSv1.3"], "x509_pem_cert": [PEM]}
MEMBERS = frozenset({Member("XAA")})


def test_a_spiffe_id_names_its_caller():
    """The four parts of the path become member, role and name."""
    assert parse_spiffe_id(URI, DOMAIN) == caller()


@given(
    code=st.sampled_from(["XAA", "UNHCR", "AUS"]),
    role=st.sampled_from(list(Role)),
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True),
)
def test_what_is_written_is_read_back(code: str, role: Role, name: str):
    """Every caller with a valid name comes back from its SPIFFE ID."""
    made = Caller(member=Member(code), role=role, name=name)
    assert parse_spiffe_id(spiffe_id(DOMAIN, made), DOMAIN) == made


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://",
        f"https://{DOMAIN}/member/XAA/client/a",
        f"SPIFFE://{DOMAIN}/member/XAA/client/a",
        f" spiffe://{DOMAIN}/member/XAA/client/a",
        f"spiffe://{DOMAIN}/member/XAA/client/a\n",
        f"spiffe://{DOMAIN}/member/XAA/client/a\x00",
        "spiffe:///member/XAA/client/a",
        "spiffe://other.test/member/XAA/client/a",
        f"spiffe://{DOMAIN}.evil.test/member/XAA/client/a",
        f"spiffe://evil.{DOMAIN}/member/XAA/client/a",
        f"spiffe://{DOMAIN.upper()}/member/XAA/client/a",
        f"spiffe://{DOMAIN}:7443/member/XAA/client/a",
        f"spiffe://user@{DOMAIN}/member/XAA/client/a",
        f"spiffe://{DOMAIN}/member/XAA/client",
        f"spiffe://{DOMAIN}/member/XAA/client/",
        f"spiffe://{DOMAIN}/member/XAA/client/a/",
        f"spiffe://{DOMAIN}/member/XAA/client/a/b",
        f"spiffe://{DOMAIN}//member/XAA/client/a",
        f"spiffe://{DOMAIN}/member//client/a",
        f"spiffe://{DOMAIN}/member/XAA//a",
        f"spiffe://{DOMAIN}/members/XAA/client/a",
        f"spiffe://{DOMAIN}/Member/XAA/client/a",
        f"spiffe://{DOMAIN}/member/xaa/client/a",
        f"spiffe://{DOMAIN}/member/XA/client/a",
        f"spiffe://{DOMAIN}/member/GBR/client/a",
        f"spiffe://{DOMAIN}/member/XAA/Client/a",
        f"spiffe://{DOMAIN}/member/XAA/CLIENT/a",
        f"spiffe://{DOMAIN}/member/XAA/owner/a",
        f"spiffe://{DOMAIN}/member/XAA/client/.",
        f"spiffe://{DOMAIN}/member/XAA/client/..",
        f"spiffe://{DOMAIN}/member/XAA/./client/a",
        f"spiffe://{DOMAIN}/member/XBB/../XAA/client/a",
        f"spiffe://{DOMAIN}/member/XAA/client/%61",
        f"spiffe://{DOMAIN}/member/%58AA/client/a",
        f"spiffe://{DOMAIN}/member/XAA/client/a?role=enroller",
        f"spiffe://{DOMAIN}/member/XAA/client/a#b",
        f"spiffe://{DOMAIN}/member/XAA/client/a b",
        f"spiffe://{DOMAIN}/member/XAA/client/{'a' * 65}",
        f"spiffe://{DOMAIN}/member/\uff38AA/client/a",
        f"spiffe://{DOMAIN}/member/XAA/client/\u00e4",
    ],
)
def test_anything_else_is_nobody(uri: str):
    """Nothing is decoded, normalised or guessed."""
    with pytest.raises(UnauthenticatedError) as caught:
        parse_spiffe_id(uri, DOMAIN)
    assert caught.value.reason == "NO_IDENTITY"


@given(st.text())
def test_no_text_is_read_with_another_meaning(tail: str):
    """Whatever is accepted is exactly what its caller is written as."""
    uri = f"spiffe://{DOMAIN}/member/XAA/client/{tail}"
    try:
        found = parse_spiffe_id(uri, DOMAIN)
    except UnauthenticatedError:
        return
    assert spiffe_id(DOMAIN, found) == uri


def test_a_domain_is_taken_literally():
    """A dot in the trust domain stands for a dot only."""
    with pytest.raises(UnauthenticatedError):
        parse_spiffe_id("spiffe://exchange-test/member/XAA/client/a", DOMAIN)


def test_a_connection_of_a_member_is_identified():
    """TLS 1.3 and one SPIFFE ID of a configured member are enough."""
    context = {**TLS, "peer_spiffe_id": [URI.encode()]}
    assert (
        identify(context, domain=DOMAIN, members=MEMBERS, authorities=TRUSTED, now=NOW)
        == caller()
    )


@pytest.mark.parametrize(
    "versions", [[], [b"TLSv1.2"], [b"TLSv1.1"], [b""], [b"TLSv1.3", b"TLSv1.2"]]
)
def test_older_or_unknown_tls_is_refused(versions: list[bytes]):
    """Whatever is not exactly TLS 1.3 is refused, with a reason that helps."""
    context = {**TLS, "ssl_tls_version": versions, "peer_spiffe_id": [URI.encode()]}
    with pytest.raises(UnauthenticatedError) as caught:
        identify(context, domain=DOMAIN, members=MEMBERS, authorities=TRUSTED, now=NOW)
    assert caught.value.reason == "TLS_TOO_OLD"


def test_a_connection_without_tls_is_refused():
    """An empty context, as that of a plain connection, names nobody."""
    with pytest.raises(UnauthenticatedError):
        identify({}, domain=DOMAIN, members=MEMBERS, authorities=TRUSTED, now=NOW)


@pytest.mark.parametrize(
    "ids",
    [
        [],
        [URI.encode(), URI.encode()],
        [URI.encode() + b"\xff"],
        [spiffe_id(DOMAIN, caller("XBB")).encode()],
    ],
)
def test_no_id_several_and_those_of_strangers_are_refused_alike(ids: list[bytes]):
    """Reason and text do not tell a stranger from a mistake; the cause does."""
    with pytest.raises(UnauthenticatedError) as caught:
        identify(
            {**TLS, "peer_spiffe_id": ids},
            domain=DOMAIN,
            members=MEMBERS,
            authorities=TRUSTED,
            now=NOW,
        )
    with pytest.raises(UnauthenticatedError) as malformed:
        parse_spiffe_id("", DOMAIN)
    assert str(caught.value) == str(malformed.value)
    assert caught.value.reason == malformed.value.reason
    assert str(caught.value.__cause__) != str(malformed.value.__cause__)


@pytest.mark.parametrize("days", [30, 31])
def test_an_expired_certificate_is_refused_though_tls_took_it(days: int):
    """A connection outlives its certificate; a call does not."""
    context = {**TLS, "peer_spiffe_id": [URI.encode()]}
    later = NOW + dt.timedelta(days=days)
    with pytest.raises(UnauthenticatedError) as caught:
        identify(
            context, domain=DOMAIN, members=MEMBERS, authorities=TRUSTED, now=later
        )
    assert caught.value.reason == "CERTIFICATE_EXPIRED"


def test_without_the_certificate_nobody_is_believed():
    """What TLS tells of a certificate counts only beside the certificate."""
    context = {**TLS, "peer_spiffe_id": [URI.encode()], "x509_pem_cert": []}
    with pytest.raises(UnauthenticatedError) as caught:
        identify(context, domain=DOMAIN, members=MEMBERS, authorities=TRUSTED, now=NOW)
    assert caught.value.reason == "NO_IDENTITY"
