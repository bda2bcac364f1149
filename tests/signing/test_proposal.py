"""One proposes, another approves; the file is changed in nothing else."""

from __future__ import annotations

import datetime as dt
import hashlib
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from signing.signed import (
    FIRST,
    OTHER,
    PERMIT,
    SECOND,
    SIGNERS,
    THIRD,
    XAA,
    note,
    toml,
)

from biometrics.errors import ConfigurationError
from biometrics.signing import (
    Note,
    SignedVersion,
    approve,
    create_signing_key,
    propose,
    read_signing_key,
    verify_version,
)
from biometrics.signing.proposal import restate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = dt.datetime(2026, 6, 1, 12, 30, 15, 999_999, tzinfo=dt.UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An agreement of XAA's, signed as revision 3."""
    path = tmp_path / "XAA.toml"
    data = toml(3, more=PERMIT)
    path.write_bytes(data)
    path.with_suffix(".note").write_bytes(note(data, 3, (FIRST, SECOND)))
    return path


def verified(path: Path) -> SignedVersion:
    """Return the version that an exchange would put in force."""
    beside = path.with_suffix(".note").read_bytes()
    return verify_version(
        path.read_bytes(), beside, holder=XAA, source=path.name, signers=SIGNERS
    )


def reason(call: Callable[[], object], path: Path) -> str:
    """Return why something is refused, which changes no file."""
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises(ConfigurationError) as refused:
        call()
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before
    return refused.value.reason


def test_two_people_make_an_edited_file_a_new_revision(path: Path):
    """It counts with the second signature and not before."""
    path.write_text(path.read_text().replace("treaty", "another treaty"))
    first = propose(path, SECOND, SIGNERS, NOW)
    assert [signer.name for signer in first.signers] == ["Parliament"]
    with pytest.raises(ConfigurationError, match="2 different"):
        verified(path)
    both = approve(path, FIRST, SIGNERS)
    assert {signer.name for signer in both.signers} == {"Ministry", "Parliament"}
    found = verified(path).version
    assert (found.revision, found.dated) == (4, NOW.replace(microsecond=0))
    assert found == both.version
    assert found.clauses[0].legal_basis == "another treaty"
    assert "sha256 " in both.statement


def test_a_file_of_before_there_were_signatures_is_taken_over(path: Path):
    """It gets its first revision, and keeps its comments and everything else."""
    old = f'# Ours.\nversion = 1\nholder = "XAA" # us\n{PERMIT}'
    path.write_text(old)
    path.with_suffix(".note").unlink()
    propose(path, FIRST, SIGNERS, NOW)
    approve(path, THIRD, SIGNERS)
    assert verified(path).version.revision == 1
    added = "revision = 1\ndated = 2026-06-01T12:30:15Z\n"
    assert path.read_text().replace(added, "") == old


def test_a_third_can_approve_too(path: Path):
    """All of them are named."""
    propose(path, FIRST, SIGNERS, NOW)
    approve(path, SECOND, SIGNERS)
    assert len(approve(path, THIRD, SIGNERS).signers) == 3
    assert len(verified(path).signers) == 3


def test_a_revision_is_never_used_twice(path: Path):
    """Proposed again, or set back by hand, the next one is higher than any before."""
    propose(path, FIRST, SIGNERS, NOW)
    propose(path, FIRST, SIGNERS, NOW)
    path.write_bytes(toml(1))  # as one goes back to an earlier text
    assert propose(path, FIRST, SIGNERS, NOW).version.revision == 6
    path.with_suffix(".note").write_text("no note")
    assert propose(path, FIRST, SIGNERS, NOW).version.revision == 7


def test_proposing_again_drops_the_signatures_of_before(path: Path):
    """What the second person signed was another file."""
    propose(path, FIRST, SIGNERS, NOW)
    approve(path, SECOND, SIGNERS)
    propose(path, FIRST, SIGNERS, NOW)
    assert len(Note.parse(path.with_suffix(".note").read_bytes()).signatures) == 1


def test_who_has_signed_cannot_approve(path: Path):
    """Neither with the same key, nor with one that is not listed for the holder."""
    propose(path, FIRST, SIGNERS, NOW)
    assert reason(lambda: approve(path, FIRST, SIGNERS), path) == "ALREADY_SIGNED"
    assert reason(lambda: approve(path, OTHER, SIGNERS), path) == "NOT_A_SIGNER"
    assert reason(lambda: propose(path, OTHER, SIGNERS, NOW), path) == "NOT_A_SIGNER"


def test_what_was_edited_since_cannot_be_approved(path: Path):
    """The second person signs what the first has signed, or nothing."""
    propose(path, FIRST, SIGNERS, NOW)
    path.write_bytes(path.read_bytes() + b"# more\n")
    changed = "CHANGED_SINCE_SIGNED"
    assert reason(lambda: approve(path, SECOND, SIGNERS), path) == changed


def test_only_the_file_that_is_meant_is_approved(path: Path):
    """The second person names the SHA-256 that the first has read out."""
    propose(path, FIRST, SIGNERS, NOW)
    meant = hashlib.sha256(path.read_bytes()).digest()
    # Another has changed it, and proposed it with a key of its own.
    path.write_text(path.read_text().replace("treaty", "another treaty"))
    propose(path, THIRD, SIGNERS, NOW)
    other = "OTHER_SHA256"
    assert reason(lambda: approve(path, SECOND, SIGNERS, digest=meant), path) == other
    meant = hashlib.sha256(path.read_bytes()).digest()
    assert len(approve(path, SECOND, SIGNERS, digest=meant).signers) == 2


def test_what_nobody_proposed_cannot_be_approved(path: Path):
    """Without a note, with a wrong one, and with one of strangers."""
    beside = path.with_suffix(".note")
    beside.write_bytes(note(path.read_bytes(), 3, (OTHER,)))
    assert reason(lambda: approve(path, FIRST, SIGNERS), path) == "NOT_PROPOSED"
    beside.write_text("no note")
    assert reason(lambda: approve(path, FIRST, SIGNERS), path) == "NOT_A_NOTE"
    beside.unlink()
    assert reason(lambda: approve(path, FIRST, SIGNERS), path) == "UNREADABLE_FILE"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("= 1\n", "INVALID_TOML"),
        ('version = 1\nholder = "XAA"\nquota = 1\n', "UNKNOWN_KEY"),
        ('version = 1\nholder = "XBB"\n', "WRONG_NAME"),
        ('"version" = 1\n"holder" = "XAA"\n', "CANNOT_RESTATE"),
    ],
)
def test_what_is_no_agreement_is_not_signed(path: Path, text: str, told: str):
    """A mistake is told to whoever proposes, not to the exchange's log."""
    path.write_text(text)
    assert reason(lambda: propose(path, FIRST, SIGNERS, NOW), path) == told


@pytest.mark.parametrize(
    "text",
    [
        'holder = "XAA"',
        'revision = 1\nholder = "XAA"\ndated = 2026-01-01T00:00:00Z\nversion = 1\n',
        'version = 1\r\nholder = "XAA"\r\nrevision = 9\r\n',
        f'version = 1\nholder = "XAA"\n{PERMIT.replace("treaty", "revision = 7")}',
        'version = 1\nholder = "XAA"\n[other]\nrevision = 5\nholder = "XBB"\n',
        '# holder = "XBB"\nversion = 1\n holder  =  "XAA"\n',
    ],
)
def test_only_revision_and_date_are_set(text: str):
    """Wherever they stood, and whatever looks like them elsewhere."""
    dated = NOW.replace(microsecond=0)
    stated = tomllib.loads(restate(text, "XAA.toml", 12, dated))
    assert stated == tomllib.loads(text) | {"revision": 12, "dated": dated}


@pytest.mark.parametrize(
    "text",
    [
        'version = 1\nholder = "XAA"\nreason = """\nrevision = 4\n"""\n',
        'version = 1\nholder = "XAA"\nrevision = """\n4"""\n',
        'version = 1\nholder = """\nXAA"""\n',
    ],
)
def test_a_text_in_which_they_cannot_be_found_is_refused(text: str):
    """Rather than changed in something else."""
    with pytest.raises(ConfigurationError) as refused:
        restate(text, "XAA.toml", 12, NOW)
    assert refused.value.reason == "CANNOT_RESTATE"


def test_a_signing_key_is_for_its_owner_alone(tmp_path: Path):
    """It is written once, and not read where others could have read it."""
    path = tmp_path / "mine.key"
    create_signing_key(path, FIRST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_signing_key(path).verifier == FIRST.verifier
    assert reason(lambda: create_signing_key(path, SECOND), path) == "FILE_EXISTS"
    path.chmod(0o640)
    assert reason(lambda: read_signing_key(path), path) == "KEY_FILE_EXPOSED"
    path.chmod(0o600)
    path.write_text("no key")
    assert reason(lambda: read_signing_key(path), path) == "NOT_A_KEY"


def test_a_disk_that_fails_leaves_no_draft(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor half a file."""

    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fail)
    told = reason(lambda: propose(path, FIRST, SIGNERS, NOW), path)
    assert told == "CANNOT_WRITE"


def test_a_file_that_cannot_be_written_is_told(path: Path, tmp_path: Path):
    """And nothing is left of it."""
    gone = tmp_path / "none" / "mine.key"
    assert reason(lambda: create_signing_key(gone, FIRST), path) == "CANNOT_WRITE"
    path.with_suffix(".note").unlink()
    path.with_suffix(".note").mkdir()
    names = {each.name for each in path.parent.iterdir()}
    with pytest.raises(ConfigurationError) as refused:
        propose(path, FIRST, SIGNERS, NOW)
    assert refused.value.reason == "CANNOT_WRITE"
    assert {each.name for each in path.parent.iterdir()} == names
