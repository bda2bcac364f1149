"""The development authority signs what TLS and SPIFFE ask for, and no more."""

from __future__ import annotations

import datetime as dt
import ipaddress

import pytest
from certificates import DOMAIN, caller
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from biometrics.clock import UTC, ManualClock
from biometrics.server.identity import spiffe_id
from biometrics.server.pki import Credential, DevelopmentAuthority

NOW = dt.datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def signs() -> DevelopmentAuthority:
    """Return an authority whose serial numbers count."""
    counter = iter(range(1, 100))
    return DevelopmentAuthority(
        DOMAIN,
        clock=ManualClock(NOW),
        random_bytes=lambda count: next(counter).to_bytes(count, "little"),
    )


def certificate(credential: Credential) -> x509.Certificate:
    """Return the certificate of a credential."""
    return x509.load_pem_x509_certificate(credential.certificate)


def test_the_authority_says_what_it_is_for(signs: DevelopmentAuthority):
    """Its name warns, and it can sign leaves of its own domain only."""
    made = certificate(signs.credential)
    assert "DEVELOPMENT ONLY" in made.subject.rfc4514_string()
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value == x509.BasicConstraints(ca=True, path_length=0)
    names = made.extensions.get_extension_for_class(x509.NameConstraints)
    assert names.critical
    assert names.value.permitted_subtrees == [
        x509.UniformResourceIdentifier(DOMAIN),
        x509.DNSName("localhost"),
    ]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign
    assert not usage.digital_signature


def test_a_client_certificate_has_one_name_and_that_is_the_callers(
    signs: DevelopmentAuthority,
):
    """Exactly one alternative name, the SPIFFE ID, and client use alone."""
    made = certificate(signs.issue_client(caller()))
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [
        x509.UniformResourceIdentifier(spiffe_id(DOMAIN, caller()))
    ]
    use = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_server_certificate_is_good_for_loopback(signs: DevelopmentAuthority):
    """`localhost` and both loopback addresses, and server use alone."""
    made = certificate(signs.issue_server())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert names.value.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    use = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_leaves_are_signed_by_the_authority_and_sign_nothing(
    signs: DevelopmentAuthority,
):
    """The chain holds, and ends there."""
    authority = certificate(signs.credential)
    for leaf in (signs.issue_server(), signs.issue_client(caller())):
        made = certificate(leaf)
        made.verify_directly_issued_by(authority)
        basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
        assert basic.critical
        assert not basic.value.ca
        assert "DEVELOPMENT ONLY" in made.subject.rfc4514_string()


def test_everything_ends_after_thirty_days(signs: DevelopmentAuthority):
    """The authority too; the beginning leaves room for clocks that differ."""
    for each in (signs.credential, signs.issue_server(), signs.issue_client(caller())):
        made = certificate(each)
        assert made.not_valid_after_utc == NOW + dt.timedelta(days=30)
        assert made.not_valid_before_utc == NOW - dt.timedelta(minutes=5)


def test_serial_numbers_are_random_positive_and_short(signs: DevelopmentAuthority):
    """No serial twice; the extremes of the generator stay within RFC 5280."""
    serials = {certificate(signs.issue_server()).serial_number for _ in range(5)}
    assert len(serials) == 5
    for fill in (b"\x00", b"\xff"):
        extreme = DevelopmentAuthority(
            DOMAIN,
            clock=ManualClock(NOW),
            random_bytes=lambda count, fill=fill: fill * count,
        )
        serial = certificate(extreme.credential).serial_number
        assert 0 < serial < 1 << 159


def test_each_certificate_has_its_own_key_on_p256(signs: DevelopmentAuthority):
    """Keys are P-256, match their certificates, and are never shared."""
    made = [signs.credential, signs.issue_server(), signs.issue_client(caller())]
    public = set()
    for each in made:
        key = serialization.load_pem_private_key(each.key, None)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == certificate(each).public_key()
        public.add(key.public_key().public_numbers())
    assert len(public) == len(made)


def test_no_representation_shows_a_key(signs: DevelopmentAuthority):
    """Neither the authority nor a credential prints its key."""
    credential = signs.issue_client(caller())
    assert "PRIVATE" not in f"{credential!r} {credential} {signs!r}"
