"""A development authority that also signs what it should not, for tests."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from biometrics.callers import Caller, Role
from biometrics.clock import ManualClock, SystemClock
from biometrics.members import Member
from biometrics.server.authorities import Authorities, read_authorities
from biometrics.server.pki import Credential, DevelopmentAuthority, _name

DOMAIN = "exchange.test"


def caller(code: str = "XAA", role: str = "client", name: str = "border-1") -> Caller:
    """Return a caller."""
    return Caller(member=Member(code), role=Role(role), name=name)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority, and a clock to sign in the past with."""

    clock: ManualClock
    signs: DevelopmentAuthority

    @classmethod
    def make(cls, domain: str = DOMAIN) -> Authority:
        """Return a new authority."""
        clock = ManualClock(SystemClock().now())
        signs = DevelopmentAuthority(
            domain, clock=clock, random_bytes=secrets.token_bytes
        )
        return cls(clock, signs)

    def trusted(self) -> Authorities:
        """Return it as an exchange believes it that asks for no list."""
        pem = self.signs.credential.certificate
        return read_authorities(Path("authority.pem"), pem, None, self.clock.now())

    def client(
        self, code: str = "XAA", role: str = "client", *, days: int = 0
    ) -> Credential:
        """Return a client's certificate, signed `days` ago."""
        ago = dt.timedelta(days=days)
        self.clock.advance(-ago)
        try:
            return self.signs.issue_client(caller(code, role))
        finally:
            self.clock.advance(ago)

    def client_named(self, *uris: str) -> Credential:
        """Return a client's certificate with these URIs."""
        return self.signs._issue(
            _name("DEVELOPMENT ONLY"),
            [x509.UniformResourceIdentifier(uri) for uri in uris],
            ExtendedKeyUsageOID.CLIENT_AUTH,
        )
