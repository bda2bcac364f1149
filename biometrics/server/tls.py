"""The server's side of mutual TLS, out of files that may be replaced while it serves.

All files are believed together, as they were at one moment, or not at all: a look that
finds the half of a new pair, or anything wrong, changes nothing. What is new is shown
to the next who connects, and each call is held against it: an authority that is taken
out, or a certificate that was revoked, ends with its next call. When one of the
certificates ends, the files are read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from biometrics.errors import ConfigurationError
from biometrics.server.authorities import read_authorities
from biometrics.server.certificate import read_chain, weakness
from biometrics.server.stamp import stamp_of
from biometrics.server.told import Told
from biometrics.settings import read_bytes

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from cryptography import x509

    from biometrics.clock import Clock
    from biometrics.server.authorities import Authorities
    from biometrics.server.config import Config
    from biometrics.server.stamp import Stamp

_WHAT: Final = "certificates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What the server shows of itself, and whom it believes.

    Attributes:
        certificate: PEM, with those above it.
        key: of it, PEM.
        begin: of the certificate's validity.
        end: of it.
        authorities: who signs clients' certificates.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    begin: dt.datetime
    end: dt.datetime
    authorities: Authorities

    @property
    def until(self) -> dt.datetime:
        """When the first of its certificates ends."""
        return min(self.end, self.authorities.end)

    @property
    def shown(self) -> grpc.ServerCertificateConfiguration:
        """What TLS needs of it."""
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.certificate)], root_certificates=self.authorities.pem
        )


class Trusted:
    """The trust of the moment. `look` is for one thread at a time."""

    def __init__(self, config: Config, clock: Clock) -> None:
        """Read the files.

        Raises:
            ConfigurationError: one is not what it should be.
        """
        self._config = config
        self._clock = clock
        self._stamps = self._now()
        self._read_at = clock.now()
        self._trust = read_trust(config, self._read_at)
        self._refused = self._said = ""
        self._ended = False

    @property
    def trust(self) -> Trust:
        """What counts now; any thread."""
        return self._trust

    def authorities(self) -> Authorities:
        """Return whom it believes now; any thread."""
        return self._trust.authorities

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port is opened with; it shows whatever counts at the moment.

        The client has to show a certificate. Whether it speaks TLS 1.3 is asked by
        each call, since gRPC's server can set no floor.
        """
        given = self._trust

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            """Return what is new since the last connection; gRPC asks at each."""
            nonlocal given
            if given is self._trust:
                return None
            given = self._trust
            return given.shown

        return grpc.dynamic_ssl_server_credentials(
            given.shown,
            fetch,  # type: ignore[arg-type]  # None is allowed: "for no change"
            require_client_authentication=True,
        )

    def is_good(self) -> bool:
        """Say whether clients can believe it now, and it any of them; any thread."""
        trust, now = self._trust, self._clock.now()
        return trust.begin <= now < trust.end and trust.authorities.believe(now)

    def look(self) -> list[Told]:
        """Take up what was replaced, if it is good as a whole.

        Returns:
            What is new. A refusal is told once, when the next look finds the same: two
            files are never replaced in the same moment.
        """
        return [*self._taken(), *self._ends()]

    def _taken(self) -> list[Told]:
        """Take up what was replaced."""
        stamps = self._now()
        now = self._clock.now()
        # A clock that was set back may have dropped what is still valid.
        is_of_now = self._read_at <= now < self._trust.until
        is_new = stamps != self._stamps or not is_of_now
        if not is_new and not self._refused:
            return []
        try:
            trust = read_trust(self._config, now)
        except ConfigurationError as error:
            refused = f"{_WHAT} refused as {error.reason}: {error.message}"
            before, self._refused, self._stamps = self._refused, refused, stamps
            if refused != before or refused == self._said:
                return []
            self._said = refused
            told = f"{refused}; those before them go on to count"
            return [Told(told, is_warning=True)]
        self._refused = self._said = ""
        self._stamps, self._read_at, self._trust = stamps, now, trust
        return [Told(_said(trust), is_warning=False)]

    def _ends(self) -> list[Told]:
        """Tell, once, that nobody is believed any more."""
        end = self._trust.authorities.lists_end
        was, self._ended = self._ended, end is not None and self._clock.now() >= end
        if self._ended and not was:
            text = (
                f"the list of revoked certificates in `{self._config.tls_revoked}`"
                f" ended at {end:%Y-%m-%d %H:%M} UTC: NO CALL of whom its authority"
                " signed IS ANSWERED until the next list is put in place"
            )
            return [Told(text, is_warning=True)]
        return []

    def _now(self) -> tuple[Stamp, ...]:
        """Return the stamps of all files."""
        return tuple(stamp_of(path) for path in _files(self._config))


def read_trust(config: Config, now: dt.datetime) -> Trust:
    """Return what the files say that the settings name.

    Raises:
        ConfigurationError: a file cannot be read or is no PEM, the key is not the
            certificate's, or something is weak or not valid now.
    """
    certificate = read_bytes(config.tls_certificate)
    key = read_bytes(config.tls_key)
    # The server's own stands before those above it.
    first, *_ = read_chain(config.tls_certificate, certificate)
    _check_pair(config, first, key)
    _check_validity(config.tls_certificate, first, now)
    revoked = config.tls_revoked
    lists = None if revoked is None else (revoked, read_bytes(revoked))
    return Trust(
        certificate=certificate,
        key=key,
        begin=first.not_valid_before_utc,
        end=first.not_valid_after_utc,
        authorities=read_authorities(
            config.tls_authority, read_bytes(config.tls_authority), lists, now
        ),
    )


def trust_notes(config: Config) -> list[str]:
    """Return what an operator should know of the settings of TLS."""
    if config.tls_revoked is not None:
        return []
    told = "there is no list of revoked certificates: one that is stolen is believed"
    return [f"{told} until it ends; see [tls] revoked"]


def _files(config: Config) -> list[Path]:
    """Return the files that trust is read from."""
    files = [config.tls_certificate, config.tls_key, config.tls_authority]
    return files if config.tls_revoked is None else [*files, config.tls_revoked]


def _check_pair(config: Config, certificate: x509.Certificate, key: bytes) -> None:
    """Refuse a key that is not the certificate's."""
    try:
        own = load_pem_private_key(key, None).public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        own = False
    if not own:
        raise ConfigurationError(
            "WRONG_TLS_PAIR",
            f"`{config.tls_key}` is not the unencrypted PEM key of the certificate in"
            f" `{config.tls_certificate}`; see [tls]",
        )


def _check_validity(path: Path, own: x509.Certificate, now: dt.datetime) -> None:
    """Refuse a certificate that is not valid now, or weak."""
    if not own.not_valid_before_utc <= now < own.not_valid_after_utc:
        raise ConfigurationError(
            "CERTIFICATE_NOT_VALID",
            f"the certificate in `{path}` is valid from"
            f" {own.not_valid_before_utc:%Y-%m-%d} to"
            f" {own.not_valid_after_utc:%Y-%m-%d}; replace it",
        )
    if weak := weakness(own):
        raise ConfigurationError(
            "WEAK_CERTIFICATE", f"the certificate in `{path}`: {weak}; replace it"
        )


def _said(trust: Trust) -> str:
    """Return what is told of files that were taken up."""
    lists = trust.authorities.lists_end
    revoked = f", revocations known until {lists:%Y-%m-%d %H:%M} UTC" if lists else ""
    return f"{_WHAT} taken up: the server's ends on {trust.end:%Y-%m-%d}{revoked}"
