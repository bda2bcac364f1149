"""Profiles are read strictly, and their certificates before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from biometrics import limits
from biometrics.client import Profile
from biometrics.client.channel import prepare_channel
from biometrics.errors import ConfigurationError
from tests.pocket import Authority, member_name, write_profile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path, authority: Authority):
    """A sound profile."""
    return write_profile(tmp_path, authority, 7443)


def test_paths_are_relative_to_the_profile(path: Path, tmp_path: Path):
    """A profile can be used from any directory."""
    profile = Profile.load(str(path))
    assert profile.authority == tmp_path / "authority.pem"
    assert profile.key == tmp_path / "client.key"
    assert profile.target == "127.0.0.1:7443"
    assert profile.deadline_seconds == 10


def test_deadline_and_server_name_may_be_left_out(path: Path):
    """The rest is required."""
    kept = [
        line
        for line in path.read_text().splitlines()
        if not line.startswith(("deadline", "server_name"))
    ]
    path.write_text("\n".join(kept))
    profile = Profile.load(path)
    assert profile.server_name == ""
    assert profile.deadline_seconds == limits.DEFAULT_DEADLINE_SECONDS


def test_every_fault_of_a_profile_is_told_at_once(path: Path):
    """An unknown key, a missing one, a wrong type and a value out of bounds."""
    path.write_text(
        'version = 2\ntarget = 7\nauthority = "a"\ncertificate = "c"\n'
        'deadline_seconds = 1000\ncolour = "blue"\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        Profile.load(path)
    assert {fault.field for fault in caught.value.faults} == {
        "version",
        "target",
        "key",
        "deadline_seconds",
        "colour",
    }
    assert "`colour`: unknown key; a profile has `version`" in caught.value.message
    assert "`key`: is missing" in caught.value.message
    assert str(path) in caught.value.message


@pytest.mark.parametrize("data", [b"version = ", b"\xff\xfe"])
def test_what_is_no_toml_is_told(path: Path, data: bytes):
    """The error names the file."""
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match="is not TOML") as caught:
        Profile.load(path)
    assert caught.value.reason == "NOT_TOML"


def test_a_profile_that_is_not_there_is_told(tmp_path: Path):
    """The error says what should be there."""
    with pytest.raises(ConfigurationError, match="a client profile") as caught:
        Profile.load(tmp_path / "absent.toml")
    assert caught.value.reason == "UNREADABLE_FILE"


def test_an_enormous_file_is_not_read(path: Path):
    """A bound protects from a wrong path."""
    path.write_bytes(b"#" * (limits.MAX_PROFILE_BYTES + 1))
    with pytest.raises(ConfigurationError) as caught:
        Profile.load(path)
    assert caught.value.reason == "FILE_TOO_LARGE"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("authority.pem", "NOT_A_CERTIFICATE"),
        ("client.pem", "NOT_A_CERTIFICATE"),
        ("client.key", "NOT_A_KEY"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(
    path: Path, tmp_path: Path, name: str, reason: str
):
    """Each of the three files has its own error."""
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ConfigurationError, match=name) as caught:
        prepare_channel(Profile.load(path))
    assert caught.value.reason == reason


def test_a_key_of_another_certificate_is_refused(
    path: Path, tmp_path: Path, authority: Authority
):
    """The two must have been made together."""
    (tmp_path / "client.key").write_bytes(authority.issue([member_name()])[1])
    with pytest.raises(ConfigurationError) as caught:
        prepare_channel(Profile.load(path))
    assert caught.value.reason == "KEY_OF_ANOTHER"


def test_an_encrypted_key_is_refused(path: Path, tmp_path: Path):
    """The client has nobody to ask for a password."""
    encrypted = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (tmp_path / "client.key").write_bytes(encrypted)
    with pytest.raises(ConfigurationError) as caught:
        prepare_channel(Profile.load(path))
    assert caught.value.reason == "KEY_ENCRYPTED"
