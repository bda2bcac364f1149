"""Certificates for tests of the client and the command line."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Sequence

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
FAR_AHEAD = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


class Authority:
    """A certificate authority that signs for tests."""

    def __init__(self, name: str) -> None:
        """Make a key and sign itself."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(self._name, self._key, FAR_AHEAD).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.certificate = _pem(made.sign(self._key, hashes.SHA256()))

    def issue(
        self, names: Sequence[x509.GeneralName], until: dt.datetime = FAR_AHEAD
    ) -> tuple[bytes, bytes]:
        """Return certificate and key in PEM, for some names."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        made = self._builder(subject, key, until).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        certificate = _pem(made.sign(self._key, hashes.SHA256()))
        return certificate, key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, until: dt.datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(LONG_AGO)
            .not_valid_after(until)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def member_name(code: str = "XAA", role: str = "client") -> x509.GeneralName:
    """Return the URI of a member's client certificate."""
    return x509.UniformResourceIdentifier(
        f"spiffe://exchange.test/member/{code}/{role}/test-1"
    )
