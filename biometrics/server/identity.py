"""Who is calling, from what TLS proved and nothing else.

A caller is its client certificate's one URI,
`spiffe://<trust domain>/member/<CODE>/<role>/<name>` (SPIFFE ID and X.509-SVID,
section 2). gRPC fills `peer_spiffe_id` only where a certificate has exactly one URI
and it is a valid SPIFFE ID; two URIs, or none, leave it empty. It cuts a URI off at a
NUL, so that it is compared with the certificate.

Every certificate that does not name a caller is refused with one and the same text,
so that nobody learns from it who is a member. What was wrong is the cause of the
error, for the server's own log.
"""

from __future__ import annotations

import re
import ssl
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Never

from biometrics import limits
from biometrics.callers import Caller, Role
from biometrics.errors import InvalidRequestError, UnauthenticatedError
from biometrics.members import Member
from biometrics.server.certificate import read_certificate

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Mapping

    from biometrics.server.authorities import Authorities
    from biometrics.server.certificate import ClientCertificate

# A server cannot set a floor in grpcio; so each call is asked. A list of what is
# good, since texts of versions do not order.
_GOOD_TLS: Final = frozenset({b"TLSv1.3"})

# Neither percent-encoding nor dot segments nor empty parts, queries or fragments
# can be written with these characters; the role and the domain are lower case.
_SPIFFE_ID: Final = re.compile(
    r"spiffe://(?P<domain>[a-z0-9._-]+)/member/(?P<code>[A-Z]+)/(?P<role>[a-z]+)"
    rf"/(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{{0,{limits.MAX_NAME_CHARACTERS - 1}}})",
    re.ASCII,
)
TRUST_DOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,253}[a-z0-9])?", re.ASCII)


def spiffe_id(domain: str, caller: Caller) -> str:
    """Return the SPIFFE ID that names `caller`; `parse_spiffe_id` reads it back."""
    return f"spiffe://{domain}/member/{caller.member}/{caller.role}/{caller.name}"


@lru_cache(limits.CACHED_CERTIFICATES)
def parse_spiffe_id(uri: str, domain: str) -> Caller:
    """Return the caller that a SPIFFE ID names.

    Args:
        uri: as it stands in the certificate; nothing is decoded or normalised.
        domain: the exchange's trust domain.

    Raises:
        UnauthenticatedError: it names none of this domain.
    """
    found = _SPIFFE_ID.fullmatch(uri)
    if found is None:
        _refuse("no SPIFFE ID of a member's system")
    if found["domain"] != domain:
        _refuse("another trust domain")
    try:
        member, role = Member(found["code"]), Role(found["role"])
    except InvalidRequestError:
        _refuse("no member code of the region")
    except ValueError:
        _refuse("no such role")
    return Caller(member=member, role=role, name=found["name"])


def identify(
    auth_context: Mapping[str, Iterable[bytes]],
    *,
    domain: str,
    members: Collection[Member],
    authorities: Authorities,
    now: dt.datetime,
) -> Caller:
    """Return the caller of one call.

    TLS asks for the certificate's validity when a connection begins, and not when a
    session is resumed, for which a server's tickets are good for two days; so each
    call is asked again.

    Args:
        auth_context: of the call's connection, as grpcio gives it.
        domain: the exchange's trust domain.
        members: the members configured here.
        authorities: whose signatures count.
        now: the moment of the call.

    Raises:
        UnauthenticatedError: TLS is older than 1.3, the certificate is not valid now,
            weak or revoked, or it names no system of one of `members`.
        UnavailableError: nobody can know whether it was revoked.
    """
    versions = tuple(auth_context.get("ssl_tls_version", ()))
    if len(versions) != 1 or versions[0] not in _GOOD_TLS:
        raise UnauthenticatedError(
            "TLS_TOO_OLD", "the connection must use TLS 1.3; update the client's TLS"
        )
    uri = _uri(auth_context)
    caller = parse_spiffe_id(uri, domain)
    if caller.member not in members:
        _refuse("not a member configured here")
    certificate = _certificate(auth_context)
    if certificate.uris != (uri,):
        _refuse("the certificate has another URI than TLS tells")
    _check_validity(certificate, now)
    authorities.check(certificate, now)
    return caller


def shown_proof(certificate: bytes) -> Mapping[str, Iterable[bytes]]:
    """Return of a certificate that was shown elsewhere, over TLS 1.3, what TLS tells.

    Args:
        certificate: DER, as it came.
    """
    pem = ssl.DER_cert_to_PEM_cert(certificate).encode()
    try:
        uris = read_certificate(pem).uris
    except ValueError:
        uris = ()
    return {
        "ssl_tls_version": tuple(_GOOD_TLS),
        "peer_spiffe_id": tuple(uri.encode("utf-8", "replace") for uri in uris),
        "x509_pem_cert": (pem,),
    }


def _uri(auth_context: Mapping[str, Iterable[bytes]]) -> str:
    """Return the one SPIFFE ID that TLS tells of."""
    ids = tuple(auth_context.get("peer_spiffe_id", ()))
    if len(ids) != 1:
        _refuse("no client certificate with exactly one SPIFFE ID")
    try:
        return ids[0].decode("ascii")
    except UnicodeDecodeError:
        _refuse("not ASCII")


def _certificate(auth_context: Mapping[str, Iterable[bytes]]) -> ClientCertificate:
    """Return the client's certificate.

    Raises:
        UnauthenticatedError: there is none, or it is not good enough.
    """
    certificates = tuple(auth_context.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        _refuse("TLS tells of no certificate")
    try:
        return read_certificate(certificates[0])
    except ValueError as error:
        raise UnauthenticatedError(
            "CERTIFICATE_NOT_GOOD",
            "the client certificate is none that this exchange takes; it needs a key on"
            " P-256, P-384 or P-521 or of RSA with 2048 bits or more, a signature over"
            " SHA-256 or better, and to be for clients and nothing that signs others",
        ) from error


def _check_validity(certificate: ClientCertificate, now: dt.datetime) -> None:
    """Refuse a certificate that is not valid now."""
    if now < certificate.begin:
        raise UnauthenticatedError(
            "CERTIFICATE_NOT_YET_VALID",
            "the client certificate is not valid yet; check the clock of its signer",
        )
    if now >= certificate.end:
        raise UnauthenticatedError(
            "CERTIFICATE_EXPIRED",
            "the client certificate has expired; connect with a new one",
        )


def _refuse(cause: str) -> Never:
    """Raise the one error for whoever is nobody here.

    Args:
        cause: fixed words for the server's log, never text of the caller's.
    """
    raise UnauthenticatedError(
        "NO_IDENTITY",
        "the client certificate does not name a system of a member of this exchange;"
        " it needs exactly one URI, `spiffe://<trust domain>/member/<CODE>/<role>"
        "/<name>`, as agreed with the exchange's operator",
    ) from ValueError(cause)
