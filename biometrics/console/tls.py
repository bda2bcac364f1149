"""The console's side of TLS: version 1.3, with a client certificate, or nothing."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509

from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    from biometrics.console.settings import ConsoleSettings

_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the port shows of itself.

    Attributes:
        context: whom it believes as well.
        names: hosts that its certificate is for, in lower case.
    """

    context: ssl.SSLContext
    names: frozenset[str]


def read_shown(settings: ConsoleSettings) -> Shown:
    """Read the files.

    Raises:
        ConfigurationError: one cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    # A session that is resumed would not ask for the certificate's validity again.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.certificate, settings.key, password="")
        context.load_verify_locations(cafile=settings.authority)
        own = x509.load_pem_x509_certificate(settings.certificate.read_bytes())
    except (OSError, ValueError) as error:  # of which `ssl.SSLError` is one
        raise ConfigurationError(
            "WRONG_TLS_FILES",
            f"`{settings.certificate}`, its unencrypted key `{settings.key}` or"
            f" `{settings.authority}` is not what it should be: PEM, and of one"
            " another",
        ) from error
    return Shown(context, _names(own))


def stamp_of(settings: ConsoleSettings) -> _Stamp:
    """Return what tells the files from what they were; empty while one is missing."""
    try:
        told = [
            path.stat()
            for path in (settings.certificate, settings.key, settings.authority)
        ]
    except OSError:
        return ()
    return tuple((each.st_mtime_ns, each.st_ino, each.st_size) for each in told)


def _names(own: x509.Certificate) -> frozenset[str]:
    """Return the hosts that a certificate is for, as browsers write them."""
    try:
        found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    names = {name.lower() for name in found.value.get_values_for_type(x509.DNSName)}
    for address in found.value.get_values_for_type(x509.IPAddress):
        names.add(f"[{address}]" if ":" in str(address) else str(address))
    return frozenset(names)
