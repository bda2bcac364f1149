"""A development authority: certificates to try the exchange with, and no others.

It signs for 30 days, only for `localhost` and one trust domain, and says in every
name that it is for development. An operator brings another authority; only
`biometrics.server.blueprint` depends on this one.

Profiles: RFC 5280; SPIFFE X.509-SVID (one URI, leaf without signing rights).
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from biometrics.server.identity import spiffe_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from biometrics.callers import Caller
    from biometrics.clock import Clock

LIFE: Final = dt.timedelta(days=30)
_SKEW: Final = dt.timedelta(minutes=5)  # two machines' clocks differ a little
_MARK: Final = "DEVELOPMENT ONLY"
_SERIAL_BYTES: Final = 20  # RFC 5280, section 4.1.2.2: at most, and positive
_LOOPBACK: Final = tuple(ipaddress.ip_address(text) for text in ("127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A certificate and its private key, both PEM; the key is PKCS #8, in the clear."""

    certificate: bytes
    key: bytes = field(repr=False)


class DevelopmentAuthority:
    """Signs certificates for one trust domain on the loopback interface."""

    def __init__(
        self,
        domain: str,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        credential: Credential | None = None,
    ) -> None:
        """Make a new authority with a new key, or go on with one.

        Args:
            domain: the exchange's trust domain, a lower-case host name.
            clock: for the validity of what is signed.
            random_bytes: for serial numbers. Keys come from the operating system.
            credential: of the one to go on with.

        Raises:
            ValueError: the credential is none of a development authority.
        """
        self._domain = domain
        self._clock = clock
        self._random_bytes = random_bytes
        self._name = _name(f"{_MARK} authority of {domain}"[:64])
        if credential is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._certificate = self._sign_itself()
        else:
            self._key, self._certificate = _own(credential)

    def _sign_itself(self) -> x509.Certificate:
        """Return the authority's own certificate."""
        builder = self._builder(self._name, self._key.public_key())
        for extension in (
            x509.BasicConstraints(ca=True, path_length=0),
            _usage(signs_certificates=True),
            # Whoever trusts this authority trusts it for nothing beyond this.
            x509.NameConstraints(_permitted(self._domain), excluded_subtrees=None),
        ):
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self._key, hashes.SHA256())

    @property
    def credential(self) -> Credential:
        """The authority's own certificate and key."""
        return _credential(self._certificate, self._key)

    def issue_server(self) -> Credential:
        """Return a new certificate for `localhost`, 127.0.0.1 and ::1."""
        names = [x509.DNSName("localhost"), *map(x509.IPAddress, _LOOPBACK)]
        subject = _name(f"{_MARK} exchange")
        return self._issue(subject, names, ExtendedKeyUsageOID.SERVER_AUTH)

    def issue_client(self, caller: Caller) -> Credential:
        """Return a new certificate whose one name is the SPIFFE ID of `caller`."""
        names = [x509.UniformResourceIdentifier(spiffe_id(self._domain, caller))]
        subject = _name(f"{_MARK} {caller.member} {caller.role}")
        return self._issue(subject, names, ExtendedKeyUsageOID.CLIENT_AUTH)

    def revoke(self, numbers: Iterable[int]) -> bytes:
        """Return the list of what it took back, PEM: all certificates of `numbers`."""
        now = self._clock.now()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - _SKEW)
            .next_update(now + LIFE)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self._key.public_key()
                ),
                critical=False,
            )
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        )
        for number in numbers:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(number)
                .revocation_date(now)
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM
        )

    def _issue(
        self,
        subject: x509.Name,
        names: Sequence[x509.GeneralName],
        purpose: x509.ObjectIdentifier,
    ) -> Credential:
        """Sign a leaf certificate for a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(
                x509.BasicConstraints(ca=False, path_length=None), critical=True
            )
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _credential(certificate, key)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        """Return what every certificate of this authority begins with."""
        now = self._clock.now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(self._serial())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + LIFE)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self._key.public_key()
                ),
                critical=False,
            )
        )

    def _serial(self) -> int:
        """Return a random serial number: positive, at most 20 bytes with its sign."""
        number = int.from_bytes(self._random_bytes(_SERIAL_BYTES), "big")
        return (number >> 1) | 1


def _own(credential: Credential) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Return key and certificate of a development authority.

    Raises:
        ValueError: it is none.
    """
    certificate = x509.load_pem_x509_certificate(credential.certificate)
    key = serialization.load_pem_private_key(credential.key, None)
    is_marked = _MARK in certificate.subject.rfc4514_string()
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_marked:
        raise ValueError("not a development authority")
    return key, certificate


def _permitted(domain: str) -> list[x509.GeneralName]:
    """Return the names that the authority may sign (RFC 5280, section 4.2.1.10).

    Addresses stay unconstrained: the TLS library inside gRPC knows no constraint of
    them, and refuses every certificate with an address where there is one.
    """
    return [x509.UniformResourceIdentifier(domain), x509.DNSName("localhost")]


def _name(common_name: str) -> x509.Name:
    """Return a distinguished name of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return the key usage of an authority or of a leaf."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _credential(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> Credential:
    """Return both as PEM."""
    return Credential(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
