"""The folder of a development authority: issue, revoke and renew, for trying things.

Whoever can read the folder can be any member. An exchange that members rely on has
another authority, and nothing of this; see the page of the server, Certificates.

    ROOT/pki/DEVELOPMENT-ONLY.txt    says so; without it nothing here is done
    ROOT/pki/authority.pem, .key     the authority, and the one before it
    ROOT/pki/revoked.pem             what each of them took back
    ROOT/pki/server.pem, .key        of the exchange
    ROOT/pki/XAA-client.pem, .key    of a member's system, and so on
    ROOT/clients/XAA-client.toml     its profile
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.server.certificate import read_certificate
from biometrics.server.config import read_config
from biometrics.server.identity import parse_spiffe_id
from biometrics.server.pki import LIFE, Credential, DevelopmentAuthority
from biometrics.server.samples import NOTICE, PROFILE
from biometrics.settings import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from biometrics.callers import Caller
    from biometrics.clock import Clock
    from biometrics.members import Member
    from biometrics.server.config import Config

_AUTHORITY: Final = "authority"
_SERVER: Final = "server"
_MARK: Final = "DEVELOPMENT-ONLY.txt"
_LISTS_END: Final = b"-----END X509 CRL-----\n"
_EVERY_ADDRESS: Final = ("0.0.0.0", "[::]")  # noqa: S104 - compared with, not bound


class DevelopmentPki:
    """What one authority signed, and it itself."""

    def __init__(
        self,
        root: Path,
        domain: str,
        *,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Work in the exchange's folder `root`.

        Args:
            root: of the exchange.
            domain: its trust domain.
            clock: for what is valid, and how long.
            random_bytes: for serial numbers.
        """
        self._root = root
        self._place = root / "pki"
        self._domain = domain
        self._clock = clock
        self._random_bytes = random_bytes

    @classmethod
    def of(
        cls, config: Path, *, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> tuple[DevelopmentPki, Config]:
        """Return the one that `biometrics init` made beside `exchange.toml`.

        Raises:
            ConfigurationError: there is none, or the settings are wrong.
        """
        settings = read_config(config)
        root = config.parent
        if not (root / "pki" / _MARK).is_file():
            raise ConfigurationError(
                "NO_DEVELOPMENT_AUTHORITY",
                f"there is no `pki/{_MARK}` beside `{config}`: certificates of this"
                " exchange come from another authority, which is the one to ask",
            )
        made = cls(root, settings.trust_domain, clock=clock, random_bytes=random_bytes)
        return made, settings

    def begin(self, callers: Iterable[Caller]) -> None:
        """Make the folder, a new authority, and what it signs for all of them."""
        self._place.mkdir(0o700)
        authority = self._new_authority()
        self._write(_SERVER, authority.issue_server())
        for caller in callers:
            self._write(_name(caller), authority.issue_client(caller))
        until = self._clock.now().date() + LIFE
        (self._place / _MARK).write_text(NOTICE.format(until=until), "utf-8")

    def issue(self, caller: Caller, target: str) -> Path:
        """Sign for one more system of a member's; return its profile.

        Raises:
            ConfigurationError: it has a certificate that is good.
        """
        name = _name(caller)
        if (self._place / f"{name}.pem").exists() and self._is_good(name):
            raise ConfigurationError(
                "CERTIFICATE_THERE",
                f"`{self._place / name}.pem` is good; revoke it before it is issued"
                " anew, or name another system with `--name`",
            )
        self._write(name, self._authority().issue_client(caller))
        return self.write_profile(caller, target)

    def ensure(self, caller: Caller, target: str) -> Path:
        """Sign for a system that has no good certificate; return its profile."""
        name = _name(caller)
        if (self._place / f"{name}.pem").exists() and self._is_good(name):
            return self.write_profile(caller, target)
        return self.issue(caller, target)

    def revoke_all(self, member: Member) -> list[int]:
        """Take back whatever is good of a member; return the serial numbers."""
        return [
            self.revoke(path)
            for path in sorted(self._place.glob(f"{member}-*.pem"))
            if self._is_good(path.stem)
        ]

    def revoke(self, path: Path) -> int:
        """Take a certificate back; return its serial number.

        Raises:
            ConfigurationError: it cannot be read, or the authority did not sign it.
        """
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            certificate.verify_directly_issued_by(self._authorities()[0])
        except Exception as error:
            raise ConfigurationError(
                "NOT_OF_THIS_AUTHORITY",
                f"`{path}` is no certificate that the authority in `{self._place}`"
                " signed",
            ) from error
        numbers = {*self._revoked(), certificate.serial_number}
        before = self._lists().partition(_LISTS_END)[2]
        self._replace("revoked.pem", self._authority().revoke(sorted(numbers)) + before)
        return certificate.serial_number

    def renew(self) -> list[str]:
        """Begin with a new authority, which signs everything anew that is good.

        Whoever has a certificate of the one before is believed until that authority
        ends, so that nothing stops while systems take up the new ones.

        Returns:
            Names of what was signed.
        """
        names = sorted(
            path.stem
            for path in self._place.glob("*.pem")
            if path.stem not in {_AUTHORITY, "revoked", _SERVER}
            and self._is_good(path.stem)
        )
        before, *_ = self._authorities()
        own, end, _ = self._lists().partition(_LISTS_END)
        authority = self._new_authority(before, own + end)
        self._write(_SERVER, authority.issue_server())
        for name in names:
            self._write(name, authority.issue_client(self._caller(name)))
        until = self._clock.now().date() + LIFE
        (self._place / _MARK).write_text(NOTICE.format(until=until), "utf-8")
        return [_SERVER, *names]

    def write_profile(self, caller: Caller, target: str) -> Path:
        """Write the profile of a member's system; return it."""
        path = self._root / "clients" / f"{_name(caller)}.toml"
        path.parent.mkdir(exist_ok=True)
        text = PROFILE.format(
            member=caller.member,
            role=caller.role,
            name=_name(caller),
            target=quoted(target),
            deadline=limits.DEFAULT_DEADLINE_SECONDS,
        )
        path.write_text(text, "utf-8")
        return path

    def _new_authority(
        self, before: x509.Certificate | None = None, its_list: bytes = b""
    ) -> DevelopmentAuthority:
        """Make an authority, and write it and its empty list above the one before."""
        made = DevelopmentAuthority(
            self._domain, clock=self._clock, random_bytes=self._random_bytes
        )
        pem = made.credential.certificate
        if before is not None:
            pem += before.public_bytes(serialization.Encoding.PEM)
        self._replace("revoked.pem", made.revoke([]) + its_list)
        self._write(_AUTHORITY, Credential(certificate=pem, key=made.credential.key))
        return made

    def _authority(self) -> DevelopmentAuthority:
        """Return the authority that signs at present.

        Raises:
            ConfigurationError: its files are not there, or another's.
        """
        try:
            credential = Credential(
                certificate=(self._place / f"{_AUTHORITY}.pem").read_bytes(),
                key=(self._place / f"{_AUTHORITY}.key").read_bytes(),
            )
            return DevelopmentAuthority(
                self._domain,
                clock=self._clock,
                random_bytes=self._random_bytes,
                credential=credential,
            )
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                "NO_DEVELOPMENT_AUTHORITY",
                f"there is no development authority in `{self._place}` that can sign;"
                " write a new exchange by `biometrics init`",
            ) from error

    def _authorities(self) -> list[x509.Certificate]:
        """Return the authority that signs at present, and those before it."""
        pem = (self._place / f"{_AUTHORITY}.pem").read_bytes()
        return x509.load_pem_x509_certificates(pem)

    def _revoked(self) -> list[int]:
        """Return the numbers that the authority has taken back."""
        lists = self._lists()
        first = x509.load_pem_x509_crl(lists) if lists else ()
        return [each.serial_number for each in first]

    def _lists(self) -> bytes:
        """Return the lists, nothing where an earlier version made the folder."""
        path = self._place / "revoked.pem"
        return path.read_bytes() if path.exists() else b""

    def _is_good(self, name: str) -> bool:
        """Say whether a certificate is neither revoked nor at its end."""
        read = read_certificate((self._place / f"{name}.pem").read_bytes())
        return read.number not in self._revoked() and self._clock.now() < read.end

    def _caller(self, name: str) -> Caller:
        """Return whom a certificate names."""
        read = read_certificate((self._place / f"{name}.pem").read_bytes())
        return parse_spiffe_id(read.uris[0], self._domain)

    def _write(self, name: str, credential: Credential) -> None:
        """Write a certificate, and its key that was never readable by others."""
        self._replace(f"{name}.key", credential.key)
        self._replace(f"{name}.pem", credential.certificate)

    def _replace(self, name: str, data: bytes) -> None:
        """Put a whole file in the place of another."""
        draft = self._place / f".{name}.new"
        opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(data)
        draft.replace(self._place / name)


def target_of(listen: str) -> str:
    """Return where clients on this machine reach what listens there."""
    host, _, port = listen.rpartition(":")
    return f"localhost:{port}" if host in _EVERY_ADDRESS else listen


def _name(caller: Caller) -> str:
    """Return what the files of a caller are called."""
    own = f"{caller.member}-{caller.role}"
    return own if caller.name == f"{caller.role}-1" else f"{own}-{caller.name}"
