"""Whose signatures under clients' certificates count, and which were taken back.

An authority takes a certificate back by its list of revoked ones (X.509 CRL, RFC 5280,
section 5), which ends: whoever may not see the next list cannot know what stands in it.
So once a list has ended, nothing that its authority signed is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from biometrics import limits
from biometrics.errors import ConfigurationError, UnauthenticatedError, UnavailableError
from biometrics.server.certificate import read_chain, weakness

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from biometrics.server.certificate import ClientCertificate

_BEGIN: Final = b"-----BEGIN X509 CRL-----"
_END: Final = b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """Which certificates of one authority were taken back, known until some moment."""

    numbers: frozenset[int]
    end: dt.datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """One that signs clients' certificates, and its list if lists are asked for."""

    certificate: x509.Certificate
    revoked: RevocationList | None

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Say whether its key signed a certificate."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


class Authorities:
    """All authorities of an exchange, as their files were at one moment."""

    def __init__(self, authorities: Sequence[Authority]) -> None:
        """Believe these."""
        self._authorities = tuple(authorities)
        self._signers: dict[x509.Certificate, Authority] = {}

    @property
    def pem(self) -> bytes:
        """Their certificates, as TLS takes them."""
        return b"".join(
            each.certificate.public_bytes(serialization.Encoding.PEM)
            for each in self._authorities
        )

    @property
    def lists_end(self) -> dt.datetime | None:
        """When the first of the lists ends; None where none is asked for."""
        return min(
            (e.revoked.end for e in self._authorities if e.revoked), default=None
        )

    @property
    def end(self) -> dt.datetime:
        """When the first of them ends."""
        return min(each.certificate.not_valid_after_utc for each in self._authorities)

    def believe(self, now: dt.datetime) -> bool:
        """Say whether anybody can be believed."""
        return any(
            now < each.certificate.not_valid_after_utc
            and (each.revoked is None or now < each.revoked.end)
            for each in self._authorities
        )

    def check(self, certificate: ClientCertificate, now: dt.datetime) -> None:
        """Refuse a certificate that none of them signed, or that was taken back.

        Raises:
            UnauthenticatedError: it is so.
            UnavailableError: nobody can know, because the list has ended.
        """
        signer = self._signer(certificate.certificate)
        # TLS asks for that when a connection begins, and not when it is resumed.
        if signer is None or now >= signer.certificate.not_valid_after_utc:
            raise UnauthenticatedError(
                "AUTHORITY_UNKNOWN",
                "the authority that signed the client certificate is not one of this"
                " exchange, or is none any more; connect with a new certificate",
            )
        if signer.revoked is None:
            return
        if now >= signer.revoked.end:
            raise UnavailableError(
                "REVOCATIONS_UNKNOWN",
                "the exchange's list of revoked certificates has ended, so that it"
                " believes none; its operator has to put the next one in place",
            )
        if certificate.number in signer.revoked.numbers:
            raise UnauthenticatedError(
                "CERTIFICATE_REVOKED",
                "the client certificate was revoked; connect with another",
            ) from ValueError(f"number {certificate.number:x}")

    def _signer(self, certificate: x509.Certificate) -> Authority | None:
        """Return who signed a certificate; it is found out once."""
        if certificate not in self._signers:
            found = next(
                (each for each in self._authorities if each.has_signed(certificate)),
                None,
            )
            if found is None:
                return None
            if len(self._signers) >= limits.CACHED_CERTIFICATES:
                self._signers.clear()
            self._signers[certificate] = found
        return self._signers[certificate]


def read_authorities(
    path: Path, pem: bytes, lists: tuple[Path, bytes] | None, now: dt.datetime
) -> Authorities:
    """Return the authorities of a file that are valid now, each with its list.

    Args:
        path: of their certificates, for messages.
        pem: what is in it.
        lists: the file of their lists, and what is in it; None to ask for none.
        now: the moment.

    Raises:
        ConfigurationError: a file is not what it should be, an authority is weak or
            none is valid, or one has no list that is.
    """
    certificates = read_chain(path, pem)
    valid = [
        each
        for each in certificates
        if each.not_valid_before_utc <= now < each.not_valid_after_utc
    ]
    if not valid:
        raise ConfigurationError(
            "CERTIFICATE_NOT_VALID",
            f"no certificate in `{path}` is valid now; the last ends on"
            f" {max(each.not_valid_after_utc for each in certificates):%Y-%m-%d}."
            " Replace it",
        )
    for each in valid:
        if weak := weakness(each):
            raise ConfigurationError(
                "WEAK_AUTHORITY",
                f"an authority in `{path}`, {_named(each)}: {weak}; replace it",
            )
    if lists is None:
        return Authorities([Authority(each, None) for each in valid])
    found = _read_lists(*lists)
    return Authorities(
        [Authority(each, _list_of(each, found, lists[0], now)) for each in valid]
    )


def _read_lists(path: Path, data: bytes) -> list[x509.CertificateRevocationList]:
    """Return every list of a file of PEM."""
    parts = [part.partition(_END)[0] for part in data.split(_BEGIN)[1:]]
    try:
        found = [x509.load_pem_x509_crl(_BEGIN + part + _END + b"\n") for part in parts]
    except ValueError as error:
        raise _no_list(path, "holds a list that cannot be read") from error
    if not found:
        raise _no_list(path, "holds no PEM list of revoked certificates")
    return found


def _list_of(
    authority: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    path: Path,
    now: dt.datetime,
) -> RevocationList:
    """Return an authority's list, the latest that it signed.

    Raises:
        ConfigurationError: it has none, or one that cannot be relied on.
    """
    own = [each for each in lists if _is_signed(each, authority)]
    if not own:
        raise _no_list(path, f"has no list that {_named(authority)} signed")
    last = max(own, key=lambda each: each.last_update_utc)
    begin, end = last.last_update_utc, last.next_update_utc
    try:
        is_whole = not any(extension.critical for extension in last.extensions)
    except (ValueError, x509.DuplicateExtension):
        is_whole = False
    if not is_whole:
        raise _no_list(path, f"has a list of {_named(authority)} that is not whole")
    if end is None or not begin <= now < end:
        until = "no moment" if end is None else f"{end:%Y-%m-%d %H:%M} UTC"
        raise ConfigurationError(
            "REVOCATIONS_UNKNOWN",
            f"the list of {_named(authority)} in `{path}` is valid from"
            f" {begin:%Y-%m-%d %H:%M} UTC until {until}, and not now; put the next one"
            " in place. Until then nobody with a certificate of it is believed",
        )
    return RevocationList(frozenset(each.serial_number for each in last), end)


def _is_signed(
    revoked: x509.CertificateRevocationList, authority: x509.Certificate
) -> bool:
    """Say whether an authority signed a list."""
    if revoked.issuer != authority.subject:
        return False
    try:
        # The kinds of keys that `weakness` lets pass are those that can sign lists.
        return revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _named(authority: x509.Certificate) -> str:
    """Return an authority's name, for messages."""
    return f"`{authority.subject.rfc4514_string()}`"


def _no_list(path: Path, told: str) -> ConfigurationError:
    """Return the error of a file that has not the lists that it should."""
    return ConfigurationError(
        "NO_REVOCATION_LIST",
        f"`{path}` {told}: it needs one of each authority in [tls] authority, none of"
        " them partial; see [tls] revoked",
    )
