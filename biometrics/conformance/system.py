"""The member's own system: its profile, certificates and key files, unconnected."""

from __future__ import annotations

import datetime as dt
import stat
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from biometrics import limits
from biometrics.client.channel import prepare_channel
from biometrics.conformance.sheet import NotSoError
from biometrics.server.certificate import read_certificate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from biometrics.callers import Role
    from biometrics.client import Profile
    from biometrics.members import Member

_FIRST = "-----END CERTIFICATE-----\n"


def check_files(profile: Profile) -> str:
    """Return what the profile names, which can be read and belongs together."""
    prepare_channel(profile)
    return str(profile.certificate)


def check_key_file(profile: Profile) -> str:
    """Return the mode of the private key's file, which its owner alone can read.

    Raises:
        NotSoError: others can.
    """
    mode = stat.S_IMODE(profile.key.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise NotSoError(
            f"`{profile.key}` has mode {mode:04o}: others can read it; find out who"
            " may have, get a new certificate where somebody may, and `chmod 600` it"
        )
    return f"{mode:04o}"


def check_name(profile: Profile, member: Member, role: Role) -> str:
    """Return the one URI of a certificate, which names a system in this role.

    Raises:
        NotSoError: it does not, or the exchange takes no such certificate.
    """
    try:
        own = read_certificate(_own(profile))
    except ValueError as error:
        raise NotSoError(
            f"`{profile.certificate}`: {error}; ask its authority for another"
        ) from error
    uri = own.uris[0] if len(own.uris) == 1 else ""
    _, _, path = uri.removeprefix("spiffe://").partition("/")
    if not path.startswith(f"member/{member}/{role}/"):
        raise NotSoError(
            f"`{profile.certificate}` has to have one URI, `spiffe://<trust domain>"
            f"/member/{member}/{role}/<name>`, and has {', '.join(own.uris) or 'none'}"
        )
    return uri


def check_life(profile: Profile, now: dt.datetime) -> str:
    """Return how long a certificate is good, which is neither too short nor too long.

    Raises:
        NotSoError: it is, or it is not valid now.
    """
    own = read_certificate(_own(profile))
    life, left = own.end - own.begin, own.end - now
    if not own.begin <= now < own.end:
        raise NotSoError(
            f"`{profile.certificate}` is valid from {own.begin:%Y-%m-%d %H:%M} to"
            f" {own.end:%Y-%m-%d %H:%M} UTC, and by this computer's clock it is"
            f" {now:%Y-%m-%d %H:%M}: renew it, or set the clock"
        )
    if left < dt.timedelta(hours=limits.CERTIFICATE_LEFT_HOURS):
        raise NotSoError(
            f"`{profile.certificate}` ends in {_hours(left)} hours: see that it is"
            " renewed in time, by a program"
        )
    if life > dt.timedelta(days=limits.CERTIFICATE_LIFE_DAYS):
        raise NotSoError(
            f"`{profile.certificate}` is good for {life.days} days: what is stolen is"
            f" good as long; have it issued for {limits.CERTIFICATE_LIFE_DAYS} days at"
            " most, better for seven"
        )
    return f"{_hours(left)} of {_hours(life)} hours left"


def check_own_keys(profiles: Iterable[Profile]) -> str:
    """Return how many systems there are, each with a key of its own.

    Raises:
        NotSoError: two share one.
    """
    seen: dict[bytes, Profile] = {}
    for profile in profiles:
        public = x509.load_pem_x509_certificate(_own(profile)).public_key()
        key = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key in seen:
            raise NotSoError(
                f"`{profile.certificate}` has the key of `{seen[key].certificate}`:"
                " whoever takes the one system over has the role of the other; make a"
                " key for each"
            )
        seen[key] = profile
    return f"{len(seen)} key{'s' * (len(seen) != 1)}"


def _own(profile: Profile) -> bytes:
    """Return the client's own certificate, PEM, without those above it."""
    text = profile.certificate.read_text("ascii")
    return f"{text.partition(_FIRST)[0]}{_FIRST}".encode()


def _hours(span: dt.timedelta) -> int:
    return span // dt.timedelta(hours=1)
