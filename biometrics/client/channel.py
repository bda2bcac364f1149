"""What a channel to the exchange is opened with: TLS, limits and retries."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from biometrics import limits
from biometrics.client.profile import read_small_file
from biometrics.errors import ConfigurationError

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from biometrics.client.profile import Profile

# As `biometrics.server.identity` reads it.
_MEMBER: Final = re.compile(r"spiffe://[^/]+/member/([A-Z]+)/")
_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_SERVICES: Final = (
    "MatchService",
    "EnrolmentService",
    "CustodyService",
    "AgreementService",
    "SpaceService",
    "DuplicateService",
    "AuditService",
    "ReviewService",
    "FollowUpService",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Who talks to whom, for the text of a connection error.

    Attributes:
        target: where the exchange is.
        authority: file of the authority that the exchange's certificate needs.
        certificate: file of the client's certificate.
        member: code in the client's certificate; empty if it names no member.
        valid_until: when the client's certificate expires, aware.
        is_of_authority: whether that authority has signed the client's certificate,
            or one of those in its file that stand between the two.
    """

    target: str
    authority: Path
    certificate: Path
    member: str
    valid_until: dt.datetime
    is_of_authority: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """Everything that a channel is opened with."""

    credentials: grpc.ChannelCredentials
    options: tuple[tuple[str, str | int], ...]
    peers: Peers


def prepare_channel(profile: Profile) -> ChannelSettings:
    """Read a profile's files and return what its channel is opened with.

    Raises:
        ConfigurationError: a file cannot be read, is not what it should be, or the
            key is not that of the certificate.
    """
    authority = read_small_file(profile.authority, "the authority's certificate")
    chain = read_small_file(profile.certificate, "the client's certificate")
    key = read_small_file(profile.key, "the client's private key")
    signers = _read_certificates(profile.authority, authority)
    own, *above = _read_certificates(profile.certificate, chain)
    _check_key(profile, own, key)
    options: list[tuple[str, str | int]] = [
        ("grpc.max_send_message_length", limits.MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", limits.MAX_MESSAGE_BYTES),
        ("grpc.service_config", service_config()),
        # A call larger than this is not tried again; gRPC's own is 256 KiB.
        ("grpc.per_rpc_retry_buffer_size", 2 * limits.MAX_MESSAGE_BYTES),
        # gRPC's own would be two minutes in which a server that is back is not seen.
        (
            "grpc.max_reconnect_backoff_ms",
            round(1000 * limits.CLIENT_RECONNECT_SECONDS),
        ),
        (
            "grpc.initial_reconnect_backoff_ms",
            round(1000 * limits.CLIENT_FIRST_WAIT_SECONDS),
        ),
    ]
    if profile.server_name:
        options.append(("grpc.ssl_target_name_override", profile.server_name))
    return ChannelSettings(
        credentials=grpc.ssl_channel_credentials(authority, key, chain),
        options=tuple(options),
        peers=Peers(
            target=profile.target,
            authority=profile.authority,
            certificate=profile.certificate,
            member=_member_of(own),
            valid_until=own.not_valid_after_utc,
            is_of_authority=any(
                _has_signed(signer, link)
                for signer in signers
                for link in [own, *above]
            ),
        ),
    )


def service_config() -> str:
    """Return gRPC's service config: every call but the bulk stream is retried.

    That is safe because every call with effects carries a request id. The bulk
    stream is resumed chunk by chunk instead: see `biometrics.client.bulk`. The exchange
    says by `grpc-retry-pushback-ms` when a call that it refused may come again, and
    gRPC keeps to it, so retries add no load that it did not ask for. Clients of other
    languages take the same from `proto/biometrics/v1/service_config.json`.
    """
    retry = {
        "maxAttempts": limits.CLIENT_TRIES,
        "initialBackoff": f"{limits.CLIENT_FIRST_WAIT_SECONDS}s",
        "maxBackoff": f"{limits.CLIENT_MOST_WAIT_SECONDS}s",
        "backoffMultiplier": 2,
        # CANCELLED, by the other side: a call that came just when the exchange stopped.
        "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED"],
    }
    services = [{"service": f"biometrics.v1.{name}"} for name in _SERVICES]
    stream = {"service": "biometrics.v1.EnrolmentService", "method": "BulkEnrol"}
    methods = [{"name": services, "retryPolicy": retry}, {"name": [stream]}]
    return json.dumps({"methodConfig": methods}, indent=2) + "\n"


def _read_certificates(path: Path, data: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, at least one."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise ConfigurationError(
            "NOT_A_CERTIFICATE", f"`{path}` is not a certificate in PEM"
        ) from error
    if data.count(_BEGIN) != len(found):  # the last is cut off, and was passed over
        raise ConfigurationError(
            "NOT_A_CERTIFICATE", f"`{path}` ends within a certificate; write it whole"
        )
    return found


def _member_of(own: x509.Certificate) -> str:
    """Return the member code in a certificate's one SPIFFE ID, or nothing."""
    try:
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ""
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    found = _MEMBER.match(uris[0]) if len(uris) == 1 else None
    return found[1] if found else ""


def _has_signed(signer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Say whether one certificate was signed by the key of another."""
    try:
        certificate.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_key(profile: Profile, own: x509.Certificate, data: bytes) -> None:
    """Refuse a private key that cannot be read or belongs to another certificate."""
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        raise ConfigurationError(
            "KEY_ENCRYPTED",
            f"`{profile.key}` is encrypted; give an unencrypted key that only this"
            " account can read",
        ) from error
    except ValueError as error:
        raise ConfigurationError(
            "NOT_A_KEY", f"`{profile.key}` is not a private key in PEM"
        ) from error
    if key.public_key() != own.public_key():
        raise ConfigurationError(
            "KEY_OF_ANOTHER",
            f"`{profile.key}` is not the key of the certificate"
            f" `{profile.certificate}`; give the two that were made together",
        )
