"""What stands in a client's certificate, and what is asked of it beside what TLS asks.

TLS asks that an authority signed it for clients, and that it is valid. It lets weak
keys, authorities' own certificates and those for any use pass, which are refused here
(NIST SP 800-57, part 1, section 5.6; X.509-SVID, sections 3 and 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from biometrics import limits
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate that TLS has accepted.

    Attributes:
        certificate: the whole of it.
        uris: in it, in order.
        begin: since when it is valid.
        end: until when; not valid any more at this moment.
        number: its serial number.
    """

    certificate: x509.Certificate
    uris: tuple[str, ...]
    begin: dt.datetime
    end: dt.datetime
    number: int


def read_certificate(pem: bytes) -> ClientCertificate:
    """Return what stands in a certificate.

    Raises:
        ValueError: it is not good enough; the text is fixed words, for a log.
    """
    if len(pem) > limits.MAX_CERTIFICATE_BYTES:
        raise ValueError("the certificate is too large")
    read = _read(pem)
    if isinstance(read, str):
        raise ValueError(read)  # noqa: TRY004 - said by a value, so that it is cached
    return read


@lru_cache(limits.CACHED_CERTIFICATES)
def _read(pem: bytes) -> ClientCertificate | str:
    """Return what stands in a certificate, or what is wrong with it."""
    try:
        read = x509.load_pem_x509_certificate(pem)
        return _fault(read) or ClientCertificate(
            certificate=read,
            uris=_uris(read),
            begin=read.not_valid_before_utc,
            end=read.not_valid_after_utc,
            number=read.serial_number,
        )
    except (ValueError, x509.DuplicateExtension, UnsupportedAlgorithm):
        return "the certificate cannot be read"


def read_chain(path: Path, pem: bytes) -> list[x509.Certificate]:
    """Return every certificate of a file of PEM, one or more.

    Raises:
        ConfigurationError: it is none, or ends within one, which would be passed over.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigurationError(
            "NOT_A_CERTIFICATE", f"`{path}` holds no PEM certificate; see [tls]"
        ) from error
    if pem.count(_BEGIN) > len(found):
        raise ConfigurationError(
            "NOT_A_CERTIFICATE", f"`{path}` ends within a certificate; write it whole"
        )
    return found


def weakness(certificate: x509.Certificate) -> str:
    """Return which of a certificate's algorithms is weak, or nothing."""
    try:
        return _weakness(certificate)
    except UnsupportedAlgorithm:
        return "its key or signature is of an algorithm that is not known"


def _weakness(certificate: x509.Certificate) -> str:
    """Return the same; raises where an algorithm is not known."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < limits.MIN_RSA_BITS:
            return "its RSA key is too short"
    elif not isinstance(key, ec.EllipticCurvePublicKey):
        return "its key is neither RSA nor of an elliptic curve"
    elif not isinstance(key.curve, _CURVES):
        return "its key is on a weak curve"
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        return "it was signed over a weak hash"
    return ""


def _fault(certificate: x509.Certificate) -> str:
    """Return what is wrong with a client's certificate, or nothing."""
    if weak := weakness(certificate):
        return weak
    if certificate.version is not x509.Version.v3:
        return "it is not of version 3"
    found = certificate.extensions
    if _signs(found):
        return "it is an authority's"
    try:
        uses = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "it does not say what it is for"
    if ExtendedKeyUsageOID.CLIENT_AUTH not in uses:
        return "it is not for clients"
    return ""


def _signs(found: x509.Extensions) -> bool:
    """Say whether a certificate may sign others."""
    try:
        if found.get_extension_for_class(x509.BasicConstraints).value.ca:
            return True
    except x509.ExtensionNotFound:
        pass
    try:
        usage = found.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return usage.key_cert_sign or usage.crl_sign


def _uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the URIs among a certificate's names."""
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))
