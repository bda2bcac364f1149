"""`biometrics init` writes a whole exchange, or nothing."""

from __future__ import annotations

import itertools
import re
import secrets
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from biometrics import limits
from biometrics.audit import AuditorSecret
from biometrics.audit.cosignature import WitnessSecret
from biometrics.client import Profile
from biometrics.clock import SystemClock
from biometrics.custody import FileKeyProvider, KeyFile
from biometrics.disclosure import Level, Purpose, explain
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.members import Member
from biometrics.server import blueprint
from biometrics.server.blueprint import write_exchange
from biometrics.server.config import Config, read_config
from biometrics.server.identity import parse_spiffe_id
from biometrics.server.in_force import InForce
from biometrics.server.policy import (
    read_auditors,
    read_calibrations,
    read_spaces,
    read_witnesses,
)
from biometrics.server.samples import SAMPLE_MEMBERS
from biometrics.signing import read_signers
from biometrics.spaces import parse_spaces
from biometrics.templates import Basis, Modality

if TYPE_CHECKING:
    from pathlib import Path

    from biometrics.disclosure import Agreements

XAA, XBB, XRA = Member("XAA"), Member("XBB"), Member("XRA")


def write(folder: Path, **more: object) -> Path:
    """Write an exchange."""
    given = {"listen": "127.0.0.1:7443", **more}
    return write_exchange(
        folder, clock=SystemClock(), random_bytes=secrets.token_bytes, **given
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an exchange, as it was written."""
    made = tmp_path_factory.mktemp("parent") / "exchange"
    assert write(made) == made / "exchange.toml"
    return made


@pytest.fixture(scope="module")
def config(folder: Path) -> Config:
    """Return its settings."""
    return read_config(folder / "exchange.toml")


@pytest.fixture(scope="module")
def agreements(config: Config) -> Agreements:
    """Return its agreements."""
    return in_force(config)


def in_force(config: Config) -> Agreements:
    """Return the agreements that a first start puts in force, without a warning."""
    found = InForce(
        config.agreements,
        members=config.members,
        signers=read_signers(config.signers),
        keep=lambda _row: None,
        clock=SystemClock(),
    )
    told = found.look()
    assert [each.text for each in told if each.is_warning] == []
    assert len(told) == len(config.members)
    return found.agreements()


def level(agreements: Agreements, holder: Member, requester: Member, purpose: Purpose):
    """Return the level that is permitted today, or None."""
    told = explain(
        agreements,
        holder=holder,
        requester=requester,
        purpose=purpose,
        modality=Modality.FACE,
        today=SystemClock().now().date(),
    )
    return told.permission.level if told.permission else None


def test_what_is_written_can_be_read(config: Config):
    """The settings are valid as they are, with every sample member."""
    assert {member.code for member in config.members} == set(SAMPLE_MEMBERS)
    assert config.listen == "127.0.0.1:7443"


def test_the_samples_portray_no_state():
    """Every code is a user-assigned one."""
    assert all(len(code) == 3 and code[0] == "X" for code in SAMPLE_MEMBERS)


def test_the_spaces_are_valid(config: Config):
    """One space is there, its thresholds known to be unmeasured."""
    spaces = read_spaces(config.spaces)
    (space,) = spaces
    assert (space.name, space.dimension) == ("face-synthetic-512", 512)
    (calibration,) = read_calibrations(config.calibrations, spaces)
    assert calibration.basis is Basis.UNMEASURED
    for size in (1, 2**30):
        told = calibration.thresholds(size)
        assert [each.cosine for each in told.values()] == [0.38, 0.40, 0.42]
        assert not any(each.is_established for each in told.values())


def test_spaces_that_are_commented_out_are_valid_with_a_centre(config: Config):
    """Taking the signs away and filling in the centre is all there is to do."""
    text = config.spaces.read_text()
    centre = ", ".join(["0.1"] * 128)
    for block in re.findall(r"(?m)^# \[\[space\]\]\n(?:# .+\n)+", text):
        text = text.replace(block, re.sub(r"(?m)^# ", "", block))
    text = text.replace('centre_file = "face-dlib-128.npy"', f"centre = [{centre}]")
    names = [space.name for space in parse_spaces(text, "x")]
    assert names == ["face-dlib-128", "face-synthetic-512", "finger-minutiae"]


def test_a_state_never_finds_those_who_fled_it(agreements: Agreements):
    """The state that people flee learns nothing from host state and agency."""
    for holder, purpose in itertools.product((XAA, XRA), Purpose):
        assert level(agreements, holder, XBB, purpose) is None


def test_the_samples_show_every_level_and_a_prohibition(agreements: Agreements):
    """Reference, holder, presence; forbidden to one and to everybody."""
    asylum = Purpose.ASYLUM_AND_PROTECTION
    assert level(agreements, XRA, XAA, asylum) is Level.REFERENCE
    assert level(agreements, XBB, XAA, Purpose.VISA) is Level.HOLDER
    forbidden = [clause for clause in agreements.clauses if clause.level is None]
    assert {clause.requester for clause in forbidden} == {XBB, None}


def test_a_presence_question_has_enough_holders(agreements: Agreements, config: Config):
    """The border state can ask the region one question without naming a holder."""
    victim = Purpose.TRAFFICKING_VICTIM_IDENTIFICATION
    levels = [level(agreements, holder, XAA, victim) for holder in config.members]
    assert levels.count(Level.PRESENCE) >= limits.MIN_PRESENCE_HOLDERS


def test_every_member_has_a_file_of_agreements(config: Config):
    """A holder who permits nothing says so in its own file."""
    names = {path.name for path in config.agreements.iterdir()}
    suffixes = ("toml", "note")
    assert names == {f"{c}.{suffix}" for c in SAMPLE_MEMBERS for suffix in suffixes}


def test_keys_and_private_keys_are_for_their_owner_alone(folder: Path):
    """0600 on every key, 0700 on the folders that hold them."""
    keys = [
        *folder.glob("keys/*"),
        *folder.glob("pki/*.key"),
        *folder.glob("signing/*"),
        *folder.glob("auditors/*.key"),
        *folder.glob("witnesses/*.key"),
    ]
    assert len(keys) == 1 + len(SAMPLE_MEMBERS) + 2 + 9 * len(SAMPLE_MEMBERS)
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    for name in ("", "keys", "pki", "data", "signing", "auditors", "witnesses"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700


def test_every_member_has_an_auditor_of_its_own(folder: Path, config: Config):
    """What is handed to the public key opens by the secret one beside it alone."""
    auditors = read_auditors(config.auditors)
    assert {member.code for member in auditors} == set(SAMPLE_MEMBERS)
    for member, public in auditors.items():
        text = (folder / f"auditors/{member}.key").read_text()
        handed = public.seal(b"k" * 32, b"i" * 8)
        assert AuditorSecret.parse(text).open(handed, b"i" * 8) == b"k" * 32
        assert AuditorSecret.parse(text).public == public
        with pytest.raises(InvalidRequestError, match="does not open"):
            AuditorSecret.parse(text).open(handed, b"j" * 8)
    settings = folder / "exchange.toml"
    swapped = settings.read_text().replace("auditors/XAA.pub", "auditors/XBB.pub", 1)
    other = settings.with_name("other.toml")
    other.write_text(swapped)
    with pytest.raises(ConfigurationError, match="is the key of an auditor of XBB"):
        read_auditors(read_config(other).auditors)
    other.write_text(swapped.replace("auditors/XBB.pub", "signers.toml", 1))
    with pytest.raises(ConfigurationError, match="is no such key of an auditor"):
        read_auditors(read_config(other).auditors)
    other.write_text(swapped.replace("auditors/XBB.pub", "nowhere", 1))
    with pytest.raises(ConfigurationError, match="there is no file"):
        read_config(other)
    other.unlink()


def test_every_member_has_a_witness_of_its_own(folder: Path, config: Config):
    """Two members with one key would count as two witnesses that are one."""
    witnesses = read_witnesses(config.witnesses)
    assert {member.code for member in witnesses} == set(SAMPLE_MEMBERS)
    for member, public in witnesses.items():
        text = (folder / f"witnesses/{member}.key").read_text().strip()
        assert WitnessSecret.parse(text).public == public
        assert public.name == f"exchange.test/{member}/witness"
    settings = folder / "exchange.toml"
    other = settings.with_name("other.toml")

    def refused(name: str) -> str:
        """Return why another file is no key of XAA's witness."""
        text = settings.read_text().replace("witnesses/XAA.pub", name, 1)
        other.write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            read_witnesses(read_config(other).witnesses)
        return caught.value.reason

    assert refused("witnesses/XBB.pub") == "REPEATED_WITNESS"
    assert refused("auditors/XAA.pub") == "NOT_A_KEY"
    assert refused("witnesses/XAA.key") == "NOT_A_KEY"
    assert refused("nowhere") == "MISSING_FILE"
    other.unlink()


def test_nothing_of_it_is_committed_by_accident(folder: Path):
    """The folder tells git to leave all of it alone."""
    assert (folder / ".gitignore").read_text() == "*\n"


def test_the_files_say_that_a_restart_is_needed(folder: Path):
    """Settings and template spaces; signers and agreements say that none is."""
    calibration = "calibrations/face-synthetic-512.toml"
    for name in ("exchange.toml", "spaces.toml", calibration):
        head = (folder / name).read_text().partition("\nversion")[0]
        assert "restart it after an edit" in " ".join(head.split()), name
    head = (folder / "agreements/XAA.toml").read_text().partition("\nversion")[0]
    assert "No restart is needed" in head


def test_every_key_is_one_of_its_own(config: Config):
    """The keys are accepted by their provider, and no two are equal."""
    members = [s.path for s in config.members.values() if isinstance(s, KeyFile)]
    assert len(members) == len(config.members)
    paths = [config.exchange_key, *members]
    for path in paths:
        provider = FileKeyProvider(path)
        assert provider.unwrap(provider.wrap(b"k" * 32, b"x"), b"x") == b"k" * 32
    assert len({path.read_bytes() for path in paths}) == len(paths)


def test_every_profile_belongs_to_its_certificate(folder: Path, config: Config):
    """Each profile can be loaded, and its certificate names member and role."""
    profiles = sorted(folder.glob("clients/*.toml"))
    assert len(profiles) == 5 * len(SAMPLE_MEMBERS)
    for path in profiles:
        profile = Profile.load(path)
        made = x509.load_pem_x509_certificate(profile.certificate.read_bytes())
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        (uri,) = names.value.get_values_for_type(x509.UniformResourceIdentifier)
        caller = parse_spiffe_id(uri, config.trust_domain)
        assert path.stem == f"{caller.member}-{caller.role}"
        assert profile.target == config.listen
        assert profile.key.is_file()
        assert profile.authority.is_file()


def test_everything_readable_says_what_it_is(folder: Path):
    """Every file of settings begins with a comment, and the authority warns."""
    for path in folder.rglob("*.toml"):
        assert path.read_text().startswith("# "), path
    notice = (folder / "pki/DEVELOPMENT-ONLY.txt").read_text()
    assert notice.startswith("DEVELOPMENT ONLY")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    """Nothing is overwritten, and nothing is added."""
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange/notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty") as caught:
        write(tmp_path / "exchange")
    assert caught.value.reason == "NOT_EMPTY"
    assert [path.name for path in tmp_path.rglob("*")] == ["exchange", "notes.txt"]


def test_an_empty_folder_is_filled(tmp_path: Path):
    """An empty folder is as good as none."""
    (tmp_path / "exchange").mkdir()
    assert read_config(write(tmp_path / "exchange"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none/exchange", "NO_PARENT"),
        ("file", "NOT_A_FOLDER"),
        ("link", "NOT_A_FOLDER"),
        (".", "WORKING_FOLDER"),
    ],
)
def test_where_nothing_can_be_made_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
):
    """Each with what to do; and nothing changes."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    if name != ".":
        (here / "file").touch()
        (here / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError) as caught:
        write(here / name)
    assert caught.value.reason == reason
    assert sorted(tmp_path.rglob("*")) == before


def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A full disk in the middle is one error, and no file."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blueprint, "write_signers", full)
    with pytest.raises(ConfigurationError, match="no space left") as caught:
        write(tmp_path / "exchange")
    assert caught.value.reason == "CANNOT_WRITE"
    assert not list(tmp_path.iterdir())


def test_what_is_handed_in_is_checked_before_anything_is_there(tmp_path: Path):
    """A bad address or code is told as such, and leaves nothing."""
    with pytest.raises(ConfigurationError, match=r"exchange\.listen"):
        write(tmp_path / "exchange", listen="nowhere")
    with pytest.raises(InvalidRequestError):
        write(tmp_path / "exchange", members={"ZZZ": "nobody"})
    assert not list(tmp_path.iterdir())


def test_other_members_get_what_of_the_samples_is_about_them(tmp_path: Path):
    """Clauses with others are left out; names are text, whatever they contain."""
    name = 'a "state"\\ with\u00fc # and = [x]'
    path = write(tmp_path / "exchange", members={"XAA": name, "XZZ": "new", "XBB": "b"})
    config = read_config(path)
    assert config.member_names[XAA] == name
    agreements = in_force(config)
    parties = {(clause.holder, clause.requester) for clause in agreements.clauses}
    assert parties == {(XAA, XBB), (XBB, XAA)}
    text = (config.agreements / "XZZ.toml").read_text()
    found = tomllib.loads(text)
    assert found.keys() == {"version", "holder", "revision", "dated"}
    assert (found["holder"], found["revision"]) == ("XZZ", 1)


@pytest.mark.parametrize(
    ("listen", "target"),
    [
        ("0.0.0.0:7443", "localhost:7443"),
        ("[::]:7443", "localhost:7443"),
        ("[::1]:7443", "[::1]:7443"),
    ],
)
def test_profiles_say_what_can_be_reached(tmp_path: Path, listen: str, target: str):
    """An exchange on every address is reached on this machine."""
    write(tmp_path / "exchange", listen=listen, members={"XAA": "a"})
    profile = Profile.load(tmp_path / "exchange/clients/XAA-client.toml")
    assert profile.target == target
