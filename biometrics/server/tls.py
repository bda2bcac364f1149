"""The server's side of mutual TLS, out of the files that the settings name."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import grpc
from cryptography import x509

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from biometrics.server.config import Config


def server_credentials(config: Config, now: dt.datetime) -> grpc.ServerCredentials:
    """Return what the server shows, and whose client certificates it asks for.

    Raises:
        ConfigurationError: a file cannot be read or is no PEM, the key is not the
            certificate's, or the certificate is not valid now.
    """
    certificate = _read(config.tls_certificate)
    key = _read(config.tls_key)
    authority = _read(config.tls_authority)
    _check_pair(config)
    _check_dates(config.tls_certificate, certificate, now)
    _check_dates(config.tls_authority, authority, now)
    return grpc.ssl_server_credentials(
        [(key, certificate)], root_certificates=authority, require_client_auth=True
    )


def _read(path: Path) -> bytes:
    """Return the bytes of a file."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            "UNREADABLE_FILE",
            f"`{path}` cannot be read: {(error.strerror or '?').lower()}; see [tls]",
        ) from error


def _check_pair(config: Config) -> None:
    """Refuse a key that is not the certificate's."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # An empty password, so that a key that has one is refused, not asked about.
        context.load_cert_chain(config.tls_certificate, config.tls_key, lambda: "")
    except ssl.SSLError as error:
        raise ConfigurationError(
            "WRONG_TLS_PAIR",
            f"`{config.tls_key}` is not the unencrypted PEM key of the certificate in"
            f" `{config.tls_certificate}`; see [tls]",
        ) from error


def _check_dates(path: Path, pem: bytes, now: dt.datetime) -> None:
    """Refuse a certificate that is not valid now."""
    try:
        first, *_ = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ConfigurationError(
            "NOT_A_CERTIFICATE", f"`{path}` holds no PEM certificate; see [tls]"
        ) from error
    if not first.not_valid_before_utc <= now <= first.not_valid_after_utc:
        raise ConfigurationError(
            "CERTIFICATE_NOT_VALID",
            f"the certificate in `{path}` is valid from"
            f" {first.not_valid_before_utc:%Y-%m-%d} to"
            f" {first.not_valid_after_utc:%Y-%m-%d}; replace it",
        )
