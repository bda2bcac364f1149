"""Certificates are taken up together, when all of them are good, and told once."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
from typing import TYPE_CHECKING, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from odd_certificates import Plan, Signer, short_key

from biometrics.clock import ManualClock, SystemClock
from biometrics.errors import ConfigurationError
from biometrics.server.blueprint import write_exchange
from biometrics.server.config import read_config
from biometrics.server.development_pki import DevelopmentPki
from biometrics.server.tls import Trusted, trust_notes

if TYPE_CHECKING:
    from pathlib import Path


PEM: Final = b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n"
PEM_END: Final = b"-----END CERTIFICATE-----"
P256: Final = bytes.fromhex("06082a8648ce3d030107")
BY_SHA256: Final = bytes.fromhex("06082a8648ce3d040302")


DAY: Final = dt.timedelta(days=1)


class Desk:
    """The certificates of an exchange, and its view of them."""

    def __init__(self, root: Path) -> None:
        """Write an exchange's files, and read them."""
        self.config = write_exchange(
            root / "exchange",
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen="127.0.0.1:0",
            members={"XAA": "a"},
        )
        self.place = self.config.parent / "pki"
        self.clock = ManualClock(SystemClock().now())
        self.trusted = Trusted(read_config(self.config), self.clock)

    @property
    def pki(self) -> DevelopmentPki:
        """The development authority."""
        made, _ = DevelopmentPki.of(
            self.config, clock=self.clock, random_bytes=secrets.token_bytes
        )
        return made

    def look(self) -> list[str]:
        """Return what a look tells."""
        return [each.text for each in self.trusted.look()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Return a new one."""
    return Desk(tmp_path)


def test_nothing_new_is_nothing_told(desk: Desk):
    """Files that did not change are not read again."""
    before = desk.trusted.trust
    assert desk.look() == []
    assert desk.trusted.trust is before


def test_what_is_renewed_is_taken_up(desk: Desk):
    """The next connection is shown it."""
    desk.clock.advance(dt.timedelta(days=1))
    desk.pki.renew()
    (told,) = desk.look()
    assert told.startswith("certificates taken up: the server's ends on ")
    assert desk.trusted.trust.certificate == (desk.place / "server.pem").read_bytes()
    assert desk.look() == []


def test_half_a_pair_changes_nothing_and_is_not_told_at_once(desk: Desk):
    """Two files are never replaced in one moment; a second look says so, once."""
    before = desk.trusted.trust
    key = (desk.place / "server.key").read_bytes()
    (desk.place / "server.key").write_bytes(
        (desk.place / "XAA-client.key").read_bytes()
    )
    assert desk.look() == []
    (told,) = desk.look()
    assert told.startswith("certificates refused as WRONG_TLS_PAIR: ")
    assert told.endswith("those before them go on to count")
    assert desk.look() == []
    assert desk.trusted.trust is before
    (desk.place / "server.key").write_bytes(key)
    assert desk.look()[0].startswith("certificates taken up")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("server.pem", "NOT_A_CERTIFICATE"),
        ("server.key", "WRONG_TLS_PAIR"),
        ("authority.pem", "NOT_A_CERTIFICATE"),
        ("revoked.pem", "NO_REVOCATION_LIST"),
    ],
)
def test_files_that_are_none_change_nothing(desk: Desk, name: str, reason: str):
    """Torn or empty, the ones before them count."""
    before = desk.trusted.trust
    (desk.place / name).write_bytes(b"")
    told = [*desk.look(), *desk.look()]
    assert [reason in each for each in told] == [True]
    assert desk.trusted.trust is before


@pytest.mark.parametrize("oid", [P256, BY_SHA256], ids=["curve", "signature"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [("server.pem", "WEAK_CERTIFICATE"), ("authority.pem", "WEAK_AUTHORITY")],
)
def test_algorithms_that_nobody_knows_change_nothing(
    desk: Desk, name: str, reason: str, oid: bytes
):
    """Neither does a look end in a defect, nor a start."""
    own = x509.load_pem_x509_certificate((desk.place / name).read_bytes())
    data = own.public_bytes(serialization.Encoding.DER)
    before = desk.trusted.trust
    (desk.place / name).write_bytes(
        PEM % base64.encodebytes(data.replace(oid, oid[:-1] + b"\x7f"))
    )
    told = [*desk.look(), *desk.look()]
    assert [reason in each or "WRONG_TLS_PAIR" in each for each in told] == [True]
    assert desk.trusted.trust is before
    with pytest.raises(ConfigurationError):
        Trusted(read_config(desk.config), desk.clock)


@pytest.mark.parametrize("name", ["server.pem", "authority.pem"])
def test_a_file_that_is_cut_off_changes_nothing(desk: Desk, name: str):
    """Though its first certificates are whole: of the last nobody would be believed."""
    desk.clock.advance(DAY)
    desk.pki.renew()
    desk.look()
    before, whole = desk.trusted.trust, (desk.place / "authority.pem").read_bytes()
    first = (desk.place / name).read_bytes().partition(PEM_END)[0] + PEM_END
    (desk.place / name).write_bytes(first + b"\n" + whole[:-40])
    told = [*desk.look(), *desk.look()]
    assert ["NOT_A_CERTIFICATE" in each for each in told] == [True]
    assert desk.trusted.trust is before


def test_a_file_that_is_gone_changes_nothing(desk: Desk):
    """It is told which."""
    (desk.place / "revoked.pem").unlink()
    told = [*desk.look(), *desk.look()]
    assert ["revoked.pem" in each for each in told] == [True]


def test_the_end_of_a_list_is_told_in_capitals_once(desk: Desk):
    """From then on nobody is answered; the next list is taken up."""
    desk.clock.advance(dt.timedelta(days=30))
    (told,) = desk.look()
    assert "NO CALL" in told
    assert not any("NO CALL" in text for _ in range(3) for text in desk.look())
    desk.clock.advance(-dt.timedelta(days=2))
    desk.pki.renew()
    assert desk.look()[0].startswith("certificates taken up")


def test_the_end_of_a_certificate_is_told_once_and_of_an_authority_too(desk: Desk):
    """Files that did not change are looked at again when something in them ends."""
    older = desk.trusted.trust.authorities
    desk.clock.advance(10 * DAY)
    desk.pki.renew()
    assert desk.look()[0].startswith("certificates taken up")
    both = desk.trusted.trust.authorities
    desk.clock.advance(25 * DAY)
    assert desk.look()[0].startswith("certificates taken up")
    left = desk.trusted.trust.authorities
    assert len(both._authorities) == 2
    assert left._authorities == both._authorities[:1] != older._authorities
    assert desk.look() == []
    desk.clock.advance(10 * DAY)
    told = [text for _ in range(3) for text in desk.look()]
    assert any("CERTIFICATE_NOT_VALID" in text for text in told)
    assert len(told) == len(set(told)) == 2


def test_an_authority_that_a_wrong_clock_ended_is_back_once_the_clock_is_right(
    desk: Desk,
):
    """A machine that wakes up in the wrong month must not lose it until a restart."""
    desk.clock.advance(10 * DAY)
    desk.pki.renew()
    desk.look()
    both = desk.trusted.trust.authorities._authorities
    desk.clock.advance(25 * DAY)
    desk.look()
    assert len(desk.trusted.trust.authorities._authorities) == 1
    desk.clock.advance(-25 * DAY)
    desk.look()
    assert len(desk.trusted.trust.authorities._authorities) == len(both) == 2
    assert desk.look() == []


def test_nobody_can_be_believed_once_the_lists_or_its_own_certificate_have_ended(
    desk: Desk,
):
    """And can again, without a restart, when there are others."""
    assert desk.trusted.is_good()
    desk.clock.advance(40 * DAY)
    assert not desk.trusted.is_good()
    desk.pki.renew()
    desk.look()
    assert desk.trusted.is_good()


def test_whoever_asks_for_no_list_is_warned(desk: Desk):
    """A stolen certificate is good until it ends."""
    text = desk.config.read_text().replace("revoked = ", "# revoked = ")
    desk.config.write_text(text)
    config = read_config(desk.config)
    assert "one that is stolen is believed until it ends" in trust_notes(config)[0]
    trusted = Trusted(config, desk.clock)
    assert trusted.authorities().lists_end is None
    assert trusted.look() == []


def test_a_weak_certificate_of_the_server_is_refused(desk: Desk):
    """The server keeps to what it asks of others."""
    made = Plan(key=short_key()).by(Signer.new())
    (desk.place / "server.pem").write_bytes(made.certificate)
    (desk.place / "server.key").write_bytes(made.key)
    with pytest.raises(ConfigurationError) as caught:
        Trusted(read_config(desk.config), desk.clock)
    assert caught.value.reason == "WEAK_CERTIFICATE"
