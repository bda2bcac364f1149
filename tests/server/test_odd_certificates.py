"""No certificate that is wrong in any way gets a call through; each is seen refused."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from echo import World, refusal, say, until
from odd_certificates import DAY, REVOKED, TLS, Plan, Signer, odd, short_key

from biometrics.clock import ManualClock, SystemClock
from biometrics.errors import ConfigurationError
from biometrics.server.authorities import read_authorities

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from certificates import Authority


SIGNER = Signer.new()
ODD = odd(SIGNER)
FILES = Path("authority.pem"), Path("revoked.pem")


def believed(lists: bytes, *signers: Signer, now: dt.datetime | None = None):
    """Return authorities with these lists, `SIGNER` unless told otherwise."""
    pem = b"".join(each.pem for each in signers or (SIGNER,))
    moment = now or SystemClock().now()
    return read_authorities(FILES[0], pem, (FILES[1], lists), moment)


def refused(*given: object) -> str:
    """Return the reason for which authorities or their lists are not believed."""
    with pytest.raises(ConfigurationError) as caught:
        believed(*given)  # type: ignore[arg-type]
    return caught.value.reason


@pytest.fixture(scope="module")
def strict(authority: Authority) -> Iterator[World]:
    """Return a server that believes an authority without any restraint."""
    made = World(authority, trusts=believed(SIGNER.revoke(REVOKED, 1)))
    yield made
    made.close()


def test_there_are_enough_of_them():
    """More than 40, each wrong in its own way."""
    assert len(ODD) >= 40


def test_a_good_one_of_the_same_authority_gets_through(strict: World):
    """It is what is odd that is refused, and nothing else."""
    assert say(strict.channel(Plan().by(SIGNER))) == "XAA client border-1"


@pytest.mark.parametrize("name", ODD)
def test_no_odd_certificate_gets_a_call_through(
    strict: World,
    name: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    """Refused by TLS or by the call, no handler runs, and the server's log says why."""
    caplog.set_level(logging.INFO, "biometrics.calls")
    credential, expected = ODD[name]
    seen = len(strict.echo.seen)
    error, reason = refusal(lambda: say(strict.channel(credential)))
    assert reason == expected
    assert len(strict.echo.seen) == seen
    if expected == TLS:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        # The command line quietens gRPC for its process, once it was imported.
        if "GRPC_VERBOSITY" not in os.environ:
            strict.run(until(lambda: "Handshake failed" in capfd.readouterr().err))
        return
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    strict.run(until(lambda: "under_ms" in caplog.text))
    assert f"member=- role=- status={reason} because=" in caplog.text


def test_a_list_that_has_ended_stops_everybody(authority: Authority):
    """Nobody knows who is on the next one; a new list opens the door again."""
    clock = ManualClock(SystemClock().now())
    ageing = World(authority, clock=clock, trusts=believed(SIGNER.revoke()))
    try:
        channel = ageing.channel(Plan(life=(-DAY, 9 * DAY)).by(SIGNER))
        assert say(channel)
        clock.advance(2 * DAY)
        error, reason = refusal(lambda: say(channel))
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert reason == "REVOCATIONS_UNKNOWN"
        ageing.trusts = believed(SIGNER.revoke(life=(-DAY, 5 * DAY)))
        assert say(channel)
    finally:
        ageing.close()


def test_an_authority_that_has_ended_ends_whatever_it_signed(authority: Authority):
    """Certificates that outlive it too, over connections that were open before."""
    clock = ManualClock(SystemClock().now())
    trusts = read_authorities(FILES[0], SIGNER.pem, None, clock.now())
    ageing = World(authority, clock=clock, trusts=trusts)
    try:
        channel = ageing.channel(Plan(life=(-DAY, 90 * DAY)).by(SIGNER))
        assert say(channel)
        clock.advance(40 * DAY)
        assert refusal(lambda: say(channel))[1] == "AUTHORITY_UNKNOWN"
    finally:
        ageing.close()


def test_an_authority_that_is_taken_out_ends_with_the_next_call(strict: World):
    """Connections that its certificates opened are worth nothing any more."""
    channel = strict.channel(Plan().by(SIGNER))
    assert say(channel)
    other, kept = Signer.new("the next"), strict.trusts
    try:
        strict.trusts = believed(other.revoke(), other)
        assert refusal(lambda: say(channel))[1] == "AUTHORITY_UNKNOWN"
    finally:
        strict.trusts = kept


def test_lists_that_cannot_be_relied_on_are_refused():
    """None, another's, one of the same name, an old one, an early one, a torn one."""
    twin, other = Signer.new(), Signer.new("other")
    assert refused(b"") == "NO_REVOCATION_LIST"
    assert refused(other.revoke()) == "NO_REVOCATION_LIST"
    assert refused(twin.revoke()) == "NO_REVOCATION_LIST"
    assert refused(SIGNER.revoke()[:-40]) == "NO_REVOCATION_LIST"
    assert refused(SIGNER.revoke().replace(b"M", b"N")) == "NO_REVOCATION_LIST"
    assert refused(SIGNER.revoke(life=(-2 * DAY, -DAY))) == "REVOCATIONS_UNKNOWN"
    assert refused(SIGNER.revoke(life=(DAY, 2 * DAY))) == "REVOCATIONS_UNKNOWN"
    assert refused(SIGNER.revoke(), SIGNER, other) == "NO_REVOCATION_LIST"


def test_a_list_that_says_something_twice_is_refused():
    """It was signed so, and cannot be read to its end."""
    now, signer = SystemClock().now(), SIGNER
    unknown = x509.ObjectIdentifier("2.5.29.21")
    plain = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(signer.certificate.subject)
        .last_update(now - DAY)
        .next_update(now + DAY)
        .add_extension(x509.CRLNumber(5), critical=False)
        .add_extension(x509.UnrecognizedExtension(unknown, b"\x05\x00"), critical=False)
        .sign(signer.key, hashes.SHA256())
    )
    body = plain.tbs_certlist_bytes.replace(b"\x55\x1d\x15", b"\x55\x1d\x14")
    signature = signer.key.sign(body, padding.PKCS1v15(), hashes.SHA256())
    whole = plain.public_bytes(serialization.Encoding.DER)
    whole = whole.replace(plain.tbs_certlist_bytes, body)
    data = whole[: -len(signature)] + signature
    read = x509.load_der_x509_crl(data).public_bytes(serialization.Encoding.PEM)
    assert refused(read) == "NO_REVOCATION_LIST"


def test_of_two_lists_the_later_counts():
    """An old one that is left in the file takes nothing back."""
    lists = SIGNER.revoke(7, life=(-2 * DAY, 5 * DAY)) + SIGNER.revoke(8)
    (found,) = believed(lists)._authorities
    assert found.revoked is not None
    assert found.revoked.numbers == {8}


def test_a_weak_authority_is_refused():
    """One whose key is too short vouches for nobody."""
    weak = Signer.new("weak", short_key())
    assert refused(weak.revoke(), weak) == "WEAK_AUTHORITY"


def test_authorities_that_have_ended_are_refused():
    """There has to be one that is valid."""
    later = SystemClock().now() + 40 * DAY
    with pytest.raises(ConfigurationError) as caught:
        believed(SIGNER.revoke(), now=later)
    assert caught.value.reason == "CERTIFICATE_NOT_VALID"
