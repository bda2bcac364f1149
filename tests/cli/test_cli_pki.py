"""`biometrics pki`: for development only, and for nothing else."""

from __future__ import annotations

import secrets
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from biometrics.client import Profile
from biometrics.clock import SystemClock
from biometrics.server.blueprint import write_exchange

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a new exchange's folder, which the tests change one after the other."""
    folder = tmp_path_factory.mktemp("pki") / "pilot"
    write_exchange(
        folder,
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen="127.0.0.1:7443",
    )
    return folder


def numbers(root: Path) -> list[int]:
    """Return what the authority has taken back."""
    revoked = x509.load_pem_x509_crl((root / "pki/revoked.pem").read_bytes())
    return [each.serial_number for each in revoked]


def pki(run: Callable[..., Told], root: Path, verb: str, *more: object) -> Told:
    """Return what `biometrics pki` says."""
    return run("pki", verb, "--config", root / "exchange.toml", *more)


def test_issue_writes_a_certificate_and_its_profile(
    run: Callable[..., Told], root: Path
):
    """It warns, and the profile can be loaded."""
    named = ("--member", "XAA", "--role", "witness")
    told = pki(run, root, "issue", *named)
    assert told.code == 0, told.err
    assert "development only" in told.err
    profile = Profile.load(root / "clients/XAA-witness.toml")
    assert b"CERTIFICATE" in profile.certificate.read_bytes()
    told = pki(run, root, "issue", *named)
    assert told.code == 2
    assert "revoke it before it is issued anew" in told.err
    assert pki(run, root, "issue", *named, "--name", "second").code == 0
    assert Profile.load(root / "clients/XAA-witness-second.toml")


def test_what_is_revoked_can_be_issued_anew(run: Callable[..., Told], root: Path):
    """The list has its number, and those before it."""
    for role in ("client", "enroller"):
        path = root / f"pki/XBB-{role}.pem"
        number = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
        told = pki(run, root, "revoke", path)
        assert told.code == 0, told.err
        assert number in numbers(root)
    assert len(numbers(root)) == 2
    assert pki(run, root, "issue", "--member", "XBB", "--role", "client").code == 0


def test_a_browser_gets_a_certificate_under_a_password(
    run: Callable[..., Told], root: Path
):
    """Of this authority, for its owner's eyes, and another password each time."""
    path, passwords = root / "pki/XCC-auditor.p12", set()
    for _ in range(2):
        told = pki(run, root, "browser", root / "pki/XCC-auditor.pem")
        assert told.code == 0, told.err
        assert "development only" in told.err
        password = told.out.split()[-1]
        passwords.add(password)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        key, own, above = pkcs12.load_key_and_certificates(
            path.read_bytes(), password.encode()
        )
        assert key is not None
        assert own is not None
        assert own.serial_number == serial(root / "pki/XCC-auditor.pem")
        assert len(above) == 1
    assert len(passwords) == 2
    with pytest.raises(ValueError, match="password"):
        pkcs12.load_key_and_certificates(path.read_bytes(), b"another")
    for wrong in ("pki/authority.pem", "pki/server.pem", "signers.toml", "none.pem"):
        told = pki(run, root, "browser", root / wrong)
        assert told.code == 2
        assert "is no certificate that the authority" in told.err


def serial(path: Path) -> int:
    """Return the number of a certificate."""
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def test_a_folder_of_an_earlier_version_gets_its_list(
    run: Callable[..., Told], root: Path
):
    """It has none; who revokes is told to have the exchange ask for it."""
    settings, kept = root / "exchange.toml", (root / "pki/revoked.pem").read_bytes()
    text = settings.read_text()
    (root / "pki/revoked.pem").unlink()
    settings.write_text(text.replace("revoked = ", "# revoked = "))
    told = pki(run, root, "revoke", root / "pki/XDD-client.pem")
    assert told.code == 0, told.err
    assert "the exchange asks for no list" in told.err
    assert len(numbers(root)) == 1
    settings.write_text(text)
    (root / "pki/revoked.pem").write_bytes(kept)


def test_what_another_authority_signed_is_not_revoked(
    run: Callable[..., Told], root: Path, tmp_path: Path
):
    """Nor what is no certificate."""
    (tmp_path / "x.pem").write_text("no")
    assert pki(run, root, "revoke", tmp_path / "x.pem").code == 2


def test_renew_signs_all_that_is_good_anew(run: Callable[..., Told], root: Path):
    """By a new authority; the one before is believed for those who have not renewed."""
    before = (root / "pki/authority.pem").read_bytes()
    told = pki(run, root, "renew")
    assert told.code == 0, told.err
    assert "renewed XCC-client" in told.out
    assert "renewed XBB-enroller" not in told.out  # revoked above
    new, old = x509.load_pem_x509_certificates(
        (root / "pki/authority.pem").read_bytes()
    )
    assert old == x509.load_pem_x509_certificate(before)
    for name in ("server", "XCC-client"):
        made = (root / f"pki/{name}.pem").read_bytes()
        x509.load_pem_x509_certificate(made).verify_directly_issued_by(new)
    told = run("serve", "--check", "--config", root / "exchange.toml")
    assert told.code == 0, told.err


def test_an_exchange_of_another_authority_is_left_alone(
    run: Callable[..., Told], root: Path
):
    """Without the mark nothing is signed."""
    (root / "pki/DEVELOPMENT-ONLY.txt").unlink()
    told = pki(run, root, "renew")
    assert told.code == 2
    assert "which is the one to ask" in told.err
