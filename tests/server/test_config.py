"""`exchange.toml` is read strictly, and everything wrong with it is told at once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import get_args

import pytest
from prints import FILES as OF_PRINTS
from prints import PRINTS
from world import SPACES

from biometrics.custody import HandedKey, KeyFile, TokenKey
from biometrics.errors import ConfigurationError
from biometrics.members import Member
from biometrics.server.config import read_config
from biometrics.server.config_file import ConfigFile
from biometrics.server.site import refuse_sets
from biometrics.settings import Settings
from biometrics.spaces import parse_spaces

ROOT = Path(__file__).parents[2]
TEXT = """\
version = 1
[exchange]
name = "pilot"
trust_domain = "exchange.test"
listen = "127.0.0.1:7443"
[tls]
certificate = "pki/server.pem"
key = "pki/server.key"
authority = "pki/authority.pem"
[store]
database = "data/exchange.sqlite"
[keys]
exchange = "keys/exchange.key"
[policy]
agreements = "agreements"
spaces = "spaces.toml"
[[member]]
code = "XAA"
name = "a state"
key = "keys/XAA.key"
[[member]]
code = "XBB"
name = "another state"
key = "keys/XBB.key"
"""
FILES = (
    "pki/server.pem",
    "pki/server.key",
    "pki/authority.pem",
    "keys/exchange.key",
    "signers.toml",
    "spaces.toml",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with every file that the settings name."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch(0o600)
    for name in ("agreements", "calibrations"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(folder: Path, text: str = TEXT) -> Path:
    """Write the settings."""
    path = folder / "exchange.toml"
    path.write_text(text)
    return path


def faults(path: Path) -> list[tuple[str, str]]:
    """Return place and reason of every fault in the file."""
    with pytest.raises(ConfigurationError) as caught:
        read_config(path)
    return [(fault.field, fault.reason) for fault in caught.value.faults]


def test_paths_are_taken_from_the_file(folder: Path):
    """Every path is relative to the file, not to the working folder."""
    config = read_config(write(folder))
    assert config.tls_key == folder / "pki/server.key"
    assert config.database == folder / "data/exchange.sqlite"
    assert config.exchange_key == folder / "keys/exchange.key"
    assert config.members == {
        Member("XAA"): KeyFile(folder / "keys/XAA.key"),
        Member("XBB"): KeyFile(folder / "keys/XBB.key"),
    }
    assert config.member_names[Member("XBB")] == "another state"
    assert (config.name, config.trust_domain) == ("pilot", "exchange.test")


def test_answers_are_held_back_unless_told_otherwise(folder: Path):
    """A slot that is not set is as long as the default, and none is off."""
    assert read_config(write(folder)).slot_seconds == 0.025
    text = TEXT.replace("[[member]]", "[answers]\nslot_ms = 20\n[[member]]", 1)
    assert read_config(write(folder, text)).slot_seconds == 0.02
    for wrong in ("0", "1001", "2.5"):
        changed = text.replace("slot_ms = 20", f"slot_ms = {wrong}")
        assert [field for field, _ in faults(write(folder, changed))] == [
            "exchange.toml: answers.slot_ms"
        ]


def test_absolute_paths_stay(folder: Path):
    """A path that is absolute already is taken as it is."""
    text = TEXT.replace('"spaces.toml"', f'"{folder / "spaces.toml"}"')
    assert read_config(write(folder, text)).spaces == folder / "spaces.toml"


def test_everything_wrong_is_told_at_once(folder: Path):
    """Unknown key, wrong type, missing key, wrong value: all in one error."""
    text = (
        TEXT.replace('name = "pilot"', 'name = "pilot"\ncolour = "red"')
        .replace('database = "data/exchange.sqlite"', "database = 1")
        .replace('exchange = "keys/exchange.key"', "")
        .replace('code = "XBB"', 'code = "ZZZ"')
        .replace("version = 1", "version = 2")
    )
    assert set(faults(write(folder, text))) == {
        ("exchange.toml: version", "UNKNOWN_VERSION"),
        ("exchange.toml: exchange.colour", "UNKNOWN_KEY"),
        ("exchange.toml: store.database", "INVALID_VALUE"),
        ("exchange.toml: keys.exchange", "MISSING_KEY"),
        ("exchange.toml:22: member[1].code", "UNKNOWN_MEMBER"),
    }


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:7443", "[::1]:7443", "localhost:0", "0.0.0.0:65535", "[::]:1"]
)
def test_addresses_that_can_be_listened_on(folder: Path, listen: str):
    """Names, IPv4 and bracketed IPv6, with a port."""
    text = TEXT.replace("127.0.0.1:7443", listen)
    assert read_config(write(folder, text)).listen == listen


@pytest.mark.parametrize(
    "listen",
    [
        "",
        "7443",
        ":7443",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "127.0.0.1:٣",
        "::1:7443",
        "[::1:7443",
        "[zz]:7443",
        "unix:/tmp/x:1",
        "a b:1",
    ],
)
def test_addresses_that_cannot(folder: Path, listen: str):
    """Each is told where it stands."""
    text = TEXT.replace("127.0.0.1:7443", listen)
    told = faults(write(folder, text))
    assert told == [("exchange.toml: exchange.listen", "WRONG_ADDRESS")]


@pytest.mark.parametrize(
    "domain", ["", "Exchange.test", "exchange.test/", "spiffe://x", "a b", ".x", "x:1"]
)
def test_a_trust_domain_is_a_lower_case_name(folder: Path, domain: str):
    """Anything that a SPIFFE ID could not have is told."""
    text = TEXT.replace('"exchange.test"', f'"{domain}"')
    told = faults(write(folder, text))
    assert told == [("exchange.toml: exchange.trust_domain", "WRONG_TRUST_DOMAIN")]


@pytest.mark.parametrize("path", ["", "a\\u0000b"])
def test_what_is_no_path_is_told(folder: Path, path: str):
    """An empty path, or one with control characters."""
    text = TEXT.replace("data/exchange.sqlite", path)
    assert faults(write(folder, text)) == [
        ("exchange.toml: store.database", "WRONG_PATH")
    ]


URL = "postgresql://exchange@db.test:5433,other.test/exchange?sslmode=verify-full"


def test_a_database_may_be_a_url(folder: Path):
    """It stays as it is: it is no path from the folder."""
    text = TEXT.replace("data/exchange.sqlite", URL)
    assert read_config(write(folder, text)).database == URL


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://exchange:secret@db.test/exchange",
        "postgresql://exchange:@db.test/exchange",
        "postgresql://db.test/exchange?user=exchange&password=secret",
        "postgresql://db.test/exchange?pass%77ord=secret",
        "postgresql://db.test/exchange?sslkey=a.key&sslpassword=secret",
    ],
)
def test_a_password_does_not_stand_in_the_settings(folder: Path, url: str):
    """However it is written; and the error does not repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        read_config(write(folder, TEXT.replace("data/exchange.sqlite", url)))
    (fault,) = caught.value.faults
    assert (fault.field, fault.reason) == (
        "exchange.toml: store.database",
        "SECRET_IN_SETTINGS",
    )
    assert "secret" not in f"{caught.value.message} {fault.message}"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db.test/exchange",
        "postgres+psycopg://db.test/exchange",
        "postgresql://[db.test/exchange",
        "postgresql://db.test/exchange?sslmode",
        "sqlite:///exchange.sqlite",
    ],
)
def test_what_is_no_url_of_a_database_is_told(folder: Path, url: str):
    """Another program's, or a broken one."""
    text = TEXT.replace("data/exchange.sqlite", url)
    assert faults(write(folder, text)) == [
        ("exchange.toml: store.database", "WRONG_DATABASE")
    ]


def test_every_missing_file_is_told(folder: Path):
    """All files that a start needs, in one error."""
    path = write(folder)
    for name in FILES:
        (folder / name).unlink()
    (folder / "agreements").rmdir()
    (folder / "calibrations").rmdir()
    assert faults(path) == [
        ("exchange.toml: tls.certificate", "MISSING_FILE"),
        ("exchange.toml: tls.key", "MISSING_FILE"),
        ("exchange.toml: tls.authority", "MISSING_FILE"),
        ("exchange.toml: keys.exchange", "MISSING_FILE"),
        ("exchange.toml: policy.signers", "MISSING_FILE"),
        ("exchange.toml: policy.spaces", "MISSING_FILE"),
        ("exchange.toml: policy.agreements", "MISSING_FOLDER"),
        ("exchange.toml: policy.calibrations", "MISSING_FOLDER"),
    ]


def test_a_member_that_took_its_key_away_stops_nobody(folder: Path):
    """The settings are good without a member's key: its galleries stay locked."""
    source = read_config(write(folder)).members[Member("XAA")]
    assert isinstance(source, KeyFile)
    assert not source.path.exists()


def test_a_key_may_be_handed_over_or_on_a_token(folder: Path):
    """Any number of members hand theirs over; a key on a token is one member's."""
    uri = "pkcs11:token=t;object=XBB?module-path=m.so&pin-source=pin"
    text = TEXT.replace("keys/XAA.key", "handed-over")
    config = read_config(write(folder, text.replace("keys/XBB.key", uri)))
    token = TokenKey(
        module=folder / "m.so", token="t", label="XBB", pin_file=folder / "pin"
    )
    assert list(config.members.values()) == [HandedKey(), token]
    both = read_config(write(folder, text.replace("keys/XBB.key", "handed-over")))
    assert list(both.members.values()) == [HandedKey(), HandedKey()]
    for other in (
        uri,
        uri.replace("=pin", "=./pin"),
        uri.replace("object=X", "object=%58"),
    ):
        twice = TEXT.replace("keys/XAA.key", uri).replace("keys/XBB.key", other)
        assert faults(write(folder, twice)) == [
            ("exchange.toml:21: member[1].key", "REPEATED_KEY")
        ]
    wrong = TEXT.replace("keys/XAA.key", "pkcs11:token=t")
    assert [reason for _, reason in faults(write(folder, wrong))] == ["WRONG_KEY_URI"]


def test_a_key_that_everybody_can_read_is_refused(folder: Path):
    """The server's private key is for the server alone."""
    path = write(folder)
    (folder / "pki/server.key").chmod(0o604)
    assert faults(path) == [("exchange.toml: tls.key", "OPEN_KEY")]


def test_a_member_stands_there_once(folder: Path):
    """The second table of a code is told by its line."""
    text = TEXT.replace('code = "XBB"', 'code = "XAA"')
    assert faults(write(folder, text)) == [
        ("exchange.toml:21: member[1].code", "REPEATED_MEMBER")
    ]


@pytest.mark.parametrize("other", ["keys/XAA.key", "keys/../keys/exchange.key"])
def test_no_two_share_a_key(folder: Path, other: str):
    """Another's key file, however its path is written, is told."""
    text = TEXT.replace("keys/XBB.key", other)
    assert faults(write(folder, text)) == [
        ("exchange.toml:21: member[1].key", "REPEATED_KEY")
    ]


def test_an_exchange_has_members(folder: Path):
    """Without a member there is nobody to answer."""
    text = TEXT[: TEXT.index("[[member]]")]
    told = faults(write(folder, text))
    assert told == [("exchange.toml: member", "MISSING_KEY")]


def test_a_file_that_is_not_there_is_told(tmp_path: Path):
    """The settings themselves may be missing."""
    with pytest.raises(ConfigurationError) as caught:
        read_config(tmp_path / "exchange.toml")
    assert caught.value.reason == "UNREADABLE_FILE"
    assert os.fspath(tmp_path) in caught.value.message


def test_galleries_are_on_a_cluster_if_the_settings_say_so(folder: Path):
    """They are in this process if nothing is said."""
    assert read_config(write(folder)).cluster is None
    local = f'{TEXT}\n[matcher]\nengine = "local"\n'
    assert read_config(write(folder, local)).cluster is None
    there = (
        f'{TEXT}\n[matcher]\nengine = "ray"\naddress = "10.0.0.2:6379"\nshards = 3\n'
    )
    cluster = read_config(write(folder, there)).cluster
    assert cluster is not None
    assert (cluster.address, cluster.shards) == ("10.0.0.2:6379", 3)
    assert cluster.copies == 1
    cluster = read_config(write(folder, f"{there}copies = 2\n")).cluster
    assert cluster is not None
    assert cluster.copies == 2


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('engine = "ray"', ("matcher.address", "MISSING_ADDRESS")),
        ("shards = 3", ("matcher.shards", "NOT_OF_THIS_ENGINE")),
        ('engine = "dask"', ("matcher.engine", "INVALID_VALUE")),
        (
            'engine = "ray"\naddress = "127.0.0.1:1"\nshards = 129',
            ("matcher.shards", "INVALID_VALUE"),
        ),
        (
            'engine = "ray"\naddress = "127.0.0.1:1"\ncopies = 3',
            ("matcher.copies", "INVALID_VALUE"),
        ),
    ],
)
def test_a_cluster_is_described_whole_or_not_at_all(
    folder: Path, table: str, told: tuple[str, str]
):
    """A setting that would do nothing is a mistake."""
    ((where, reason),) = faults(write(folder, f"{TEXT}\n[matcher]\n{table}\n"))
    assert (where.rpartition(": ")[2], reason) == told


def test_a_file_is_no_database_of_several_front_ends(folder: Path):
    """A second one would read what the first one's memory has."""
    text = TEXT.replace('exchange.sqlite"', 'exchange.sqlite"\nshared = true')
    ((where, reason),) = faults(write(folder, text))
    assert (where.rpartition(": ")[2], reason) == ("store.shared", "NOT_SHARED")
    url = text.replace("data/exchange.sqlite", "postgresql://database/exchange")
    assert read_config(write(folder, url)).is_shared


def test_every_setting_stands_in_the_operators_reference():
    """Table by table, and nothing that there is not."""
    page = (ROOT / "biometrics/server/README.md").read_text("utf-8")
    rows = page.partition("\n## Settings\n")[2].partition("\n## ")[0].splitlines()
    told: dict[str, set[str]] = {"": set()}
    table = ""
    for row in rows:
        if row.startswith("| `"):
            cell = row.split("|")[1]
            if named := re.search(r"\[+(\w+)\]+", cell):
                table = named[1]
            told.setdefault(table, set()).update(re.findall(r"\b[a-z_]+\b", cell))
            told[table].discard(table)
    assert told.pop("") == {"version"}
    tables = {
        name: set(_settings_of(field.annotation).model_fields)
        for name, field in ConfigFile.model_fields.items()
        if name != "version"
    }
    assert told == tables


def _settings_of(annotation: object) -> type[Settings]:
    """Return the one class of settings in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    found = [a for a in get_args(annotation) if a is not type(None)]
    return _settings_of(found[0])


def test_shards_do_not_take_spaces_of_minutiae():
    """It is said at the start, rather than a print searched by one minutia."""
    spaces = parse_spaces(OF_PRINTS["spaces.toml"], "spaces.toml")
    with pytest.raises(ConfigurationError) as caught:
        refuse_sets(spaces)
    assert caught.value.reason == "KIND_NOT_SHARDED"
    assert PRINTS in caught.value.message
    refuse_sets(parse_spaces(SPACES, "spaces.toml"))
