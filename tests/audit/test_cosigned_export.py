"""What is cosigned of an export, to both verifiers; whatever is done to it shows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from biometrics.audit import Checkpoint, Leaf, standalone
from biometrics.audit.checkpoint import next_life, origin_of
from biometrics.audit.cosignature import WitnessSecret
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.pages import CHECKPOINT, KEY, SEEN, Pages
from biometrics.audit.policy import Policy
from biometrics.audit.quorum import Wanted
from biometrics.audit.tree import leaf_hash, root
from biometrics.audit.verify import verify
from biometrics.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "exchange.test/log"
LOG = SigningKey(NAME, bytes(32))
LEAVES = [Leaf(7, bytes([n]) * 32).data for n in range(200)]
OTHERS = [*LEAVES[:50], *(Leaf(8, bytes([n]) * 32).data for n in range(150))]
WITNESSES = {n: WitnessSecret(f"{n}.test/w", n.encode() * 32) for n in ("a", "b", "c")}
NOW = int(dt.datetime.now(dt.UTC).timestamp())
POLICY = (
    "".join(f"witness {n} {s.public.text}\n" for n, s in WITNESSES.items())
    + "group three 2 a b c\nquorum three\n"
)


def of(size: int, leaves: list[bytes] = LEAVES, origin: str = NAME) -> Checkpoint:
    """Return the checkpoint of some leaves."""
    hashes = [leaf_hash(leaf) for leaf in leaves[:size]]
    return Checkpoint(origin=origin, size=size, root=root(hashes))


def cosigned(checkpoint: Checkpoint, names: str, time: int = NOW) -> bytes:
    """Return a checkpoint that witnesses have cosigned."""
    lines = (WITNESSES[name].cosign(checkpoint.text, time).line for name in names)
    return checkpoint.signed_by(LOG) + "".join(lines).encode()


@pytest.fixture
def export(tmp_path: Path) -> Pages:
    """Return an export of which a quorum has cosigned the most part."""
    pages = Pages(tmp_path / "export")
    pages.write(KEY, LOG.verifier.text.encode())
    pages.add_leaves(0, LEAVES)
    pages.write(CHECKPOINT, of(200).signed_by(LOG))
    pages.write_cosigned({190: cosigned(of(190), "a"), 150: cosigned(of(150), "bc")})
    return pages


def check(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, *more: str, policy: str = POLICY
) -> tuple[set[str], int]:
    """Return what is wrong, and up to where there is a quorum; both must agree.

    Args:
        pages: of the export.
        monkeypatch: for the other verifier's command line.
        more: of that.
        policy: of the verifier.
    """
    path = pages.folder.with_name("policy")
    path.write_text(policy)
    given = ["-", str(pages.folder), "--policy", str(path), *more]
    monkeypatch.setattr("sys.argv", given)
    other = standalone.main()
    wanted = Wanted(
        policy=Policy.parse(policy.encode(), "policy"),
        earliest=NOW - 24 * 3600,
        latest=NOW + 300,
    )
    found = verify(pages.folder, LOG.verifier, wanted=wanted)
    reasons = {fault.reason for fault in found.faults}
    assert bool(reasons) == bool(other), reasons
    return reasons, found.witnessed.checkpoint.size if found.witnessed else 0


def test_a_quorum_has_cosigned_the_most_part(
    export: Pages, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The largest checkpoint that two of three have cosigned; more need not have."""
    assert check(export, monkeypatch) == (set(), 150)
    assert "150 of them cosigned" in capsys.readouterr().out
    export.write_cosigned({190: cosigned(of(190), "ac")})
    assert check(export, monkeypatch) == (set(), 190)
    assert export.cosigned() == ["cosigned/190"]


@pytest.mark.parametrize(
    ("size", "note", "reasons"),
    [
        (150, cosigned(of(150), "b"), {"NO_QUORUM"}),
        (150, cosigned(of(150), "bc", NOW - 90_000), {"COSIGNATURES_OLD"}),
        (150, cosigned(of(150), "bc", NOW + 90_000), {"COSIGNATURES_OLD"}),
        (150, cosigned(of(150), "bb"), {"NO_QUORUM", "REPEATED_COSIGNATURE"}),
        (
            150,
            of(150).signed_by(LOG) + cosigned(of(151), "bc").split(b"\n\n")[1],
            {"NO_QUORUM", "FORGED_COSIGNATURE"},
        ),
        (150, cosigned(of(150, OTHERS), "bc"), {"NO_QUORUM", "FORKED"}),
        (150, cosigned(of(150, origin=f"{NAME}.2"), "bc"), {"NO_QUORUM", "OTHER_LOG"}),
        (
            150,
            of(150).text.encode() + b"\n" + cosigned(of(150), "bc").split(b"\n", 5)[5],
            {"NO_QUORUM", "NOT_SIGNED"},
        ),
        (150, b"?", {"NO_QUORUM", "NOT_A_NOTE"}),
    ],
)
def test_what_is_wrong_with_cosignatures_is_told(
    export: Pages,
    monkeypatch: pytest.MonkeyPatch,
    *,
    size: int,
    note: bytes,
    reasons: set[str],
) -> None:
    """Too few, of another time, doubled, forged, of another log or history."""
    export.write(f"cosigned/{size}", note)
    found, witnessed = check(export, monkeypatch)
    assert (found - {"TWO_HISTORIES"}, witnessed) == (reasons, 0)


def test_a_policy_for_another_log_is_refused(
    export: Pages, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is cosigned of this one."""
    text = f"log {LOG.verifier.text}\n{POLICY}"
    assert check(export, monkeypatch, policy=text) == (set(), 150)
    other = SigningKey("other.test/log", bytes(32)).verifier.text
    path = export.folder.with_name("policy")
    path.write_text(f"log {other}\n{POLICY}")
    given = ["-", str(export.folder), "--policy", str(path)]
    monkeypatch.setattr("sys.argv", given)
    assert standalone.main() == 1
    assert "the policy is for other logs" in capsys.readouterr().out


def test_what_others_were_shown_is_of_this_history(export: Pages) -> None:
    """Or the proof that it is not is kept; of more leaves nothing is known yet."""

    def reasons(note: bytes) -> list[str]:
        found = verify(export.folder, LOG.verifier, others={"of XBB": note})
        return [fault.reason for fault in found.faults]

    assert reasons(of(70).signed_by(LOG)) == []
    assert reasons(of(200).signed_by(LOG)) == []
    assert reasons(b"?") == ["NOT_A_NOTE"]
    for size in (51, 128, 200):
        assert reasons(of(size, OTHERS).signed_by(LOG)) == ["FORKED", "TWO_HISTORIES"]
        (path,) = export.folder.glob(f"two-histories-{size}-*")
        Misbehaviour.parse(path.read_bytes()).check(LOG.verifier)
    export.add_leaves(0, LEAVES[:190])
    export.write(CHECKPOINT, of(190).signed_by(LOG))
    export.write_cosigned({})
    (export.folder / SEEN).unlink()
    assert reasons(of(200).signed_by(LOG)) == ["CHECKPOINT_BEHIND"]


@pytest.mark.parametrize("name", [SEEN, "cosigned/190"])
def test_what_others_were_shown_takes_the_place_of_nothing(
    export: Pages, name: str
) -> None:
    """Whatever its file is called: `seen` and `cosigned/190` are in others' exports."""
    assert verify(export.folder, LOG.verifier).faults == []
    export.add_leaves(0, LEAVES[:180])
    export.write(CHECKPOINT, of(180).signed_by(LOG))
    found = verify(export.folder, LOG.verifier, others={name: of(170).signed_by(LOG)})
    reasons = {fault.reason for fault in found.faults}
    assert reasons == {"ROLLED_BACK", "CHECKPOINT_BEHIND"}


def rename(life: str) -> Callable[[Pages], None]:
    """Return what makes an export one of a log of another life."""

    def change(pages: Pages) -> None:
        checkpoint = of(200, origin=origin_of(NAME, life))
        pages.write(CHECKPOINT, checkpoint.signed_by(LOG))
        pages.write_cosigned({200: cosigned(checkpoint, "ab")})

    return change


@pytest.mark.parametrize(
    ("life", "reasons"),
    [
        (next_life("1", leaf_hash(LEAVES[120])), set()),
        (next_life("2-0011223344556677", leaf_hash(LEAVES[0])), set()),
        (next_life("1", bytes(32)), {"FOREIGN_LOG"}),
        ("2", set()),  # as they were named once
    ],
)
def test_a_restored_log_is_named_by_a_leaf_that_it_has(
    export: Pages, monkeypatch: pytest.MonkeyPatch, life: str, reasons: set[str]
) -> None:
    """Another one under its name is found out."""
    rename(life)(export)
    assert check(export, monkeypatch)[0] == reasons


@pytest.mark.parametrize(
    "life", ["", "x", "2-", "2-001122334455667", "2-00112233445566777", f"2-{16 * 'G'}"]
)
def test_no_other_name_is_one_of_the_log(export: Pages, life: str) -> None:
    """A name is that of the key, or says which life."""
    export.write(CHECKPOINT, of(200, origin=f"{NAME}.{life}").signed_by(LOG))
    with pytest.raises(Exception, match="is of the log"):
        verify(export.folder, LOG.verifier)
    with pytest.raises(standalone.WrongError, match="is not a log of the key"):
        standalone.verify(export.folder, LOG.verifier.text, None, [])
