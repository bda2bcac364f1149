"""The log's hashes, proofs, notes and keys, against what others have published.

They are read from clones in the folder that the environment variable LOG_VECTORS
names: `merkle` of transparency-dev (proofs), `mod` of golang (signed notes, in the
tests of `sumdb/note`) and `C2SP` of C2SP (examples on its pages). Without, these skip.
"""

from __future__ import annotations

import base64
import json
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from biometrics import limits
from biometrics.audit import standalone
from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.tree import check_consistency, root_by_inclusion
from biometrics.errors import InvalidRequestError
from biometrics.signing import Note, Signature, SigningKey, VerifierKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Climb = Callable[[bytes, int, int, list[bytes]], bytes]

FOLDER = Path(os.environ.get("LOG_VECTORS", ""))
pytestmark = pytest.mark.skipif(
    not os.environ.get("LOG_VECTORS"),
    reason="LOG_VECTORS names no folder of public vectors",
)
Vector = dict[str, Any]


def vectors(kind: str) -> Iterator[Vector]:
    """Yield the vectors of a folder."""
    for path in sorted((FOLDER / "merkle/testdata" / kind).rglob("*.json")):
        yield json.loads(path.read_text("utf-8"))


def of(text: str | None) -> bytes:
    """Return the bytes of base64."""
    return base64.b64decode(text or "")


def holds(check: Callable[[], bool]) -> bool:
    """Say whether something is proved."""
    try:
        return check()
    except (InvalidRequestError, standalone.WrongError):
        return False


def is_consistent(vector: Vector, proof: list[bytes]) -> bool:
    """Say whether a consistency proof is taken."""
    before = vector["size1"], of(vector["root1"])
    after = vector["size2"], of(vector["root2"])
    check_consistency(before, after, proof)
    return True


def is_included(climb: Climb, vector: Vector) -> bool:
    """Say whether an inclusion proof is taken."""
    proof = [of(each) for each in vector["proof"] or ()]
    place = vector["leafIdx"], vector["treeSize"]
    return climb(of(vector["leafHash"]), *place, proof) == of(vector["root"])


def test_inclusion() -> None:
    """By both verifiers: the same root where there is one, and else nothing."""
    counts = {False: 0, True: 0}
    for vector in vectors("inclusion"):
        for climb in (root_by_inclusion, standalone.climb_partial):
            found = holds(partial(is_included, climb, vector))
            assert found != vector["wantErr"], vector["desc"]
        counts[not vector["wantErr"]] += 1
    assert counts[True] >= 5
    assert counts[False] >= 80


def test_consistency() -> None:
    """What is wrong is refused, and what is right is taken."""
    counts = {False: 0, True: 0}
    for vector in vectors("consistency"):
        proof = [of(each) for each in vector["proof"] or ()]
        found = holds(partial(is_consistent, vector, proof))
        assert found != vector["wantErr"], vector["desc"]
        counts[found] += 1
    assert counts[True] >= 5
    assert counts[False] >= 80


def go_text(name: str) -> str:
    """Return the Go source of published notes."""
    return (FOLDER / "mod/sumdb/note" / name).read_text("utf-8")


def literal(source: str, name: str) -> str:
    """Return the text that a name stands for in Go, wherever it is given first."""
    quoted = re.search(rf'\b{name} :?= "((?:[^"\\]|\\.)*)"', source)
    raw = re.search(rf"\b{name} :?= `([^`]*)`", source)
    if quoted:
        return quoted[1].replace("\\n", "\n")
    assert raw, name
    return raw[1]


def is_key(parse: Callable[[str], object], text: str) -> bool:
    """Say whether a text is taken as a key."""
    return holds(lambda: bool(parse(text)))


def test_keys_of_signed_notes() -> None:
    """Those of `sumdb/note`, and whatever its tests make of them, which is none."""
    source = go_text("note_test.go")
    wrong = re.findall(r'badKey\("([^"]+)"\)', source)
    for parse, text in (
        (VerifierKey.parse, literal(source, "vkey")),
        (SigningKey.parse, literal(source, "skey")),
    ):
        assert is_key(parse, text)
        for i in range(len(text) + 1):
            for j in range(i + 1, len(text) + 1):
                if j - i < len(text):
                    assert not is_key(parse, text[i:j])
        for place, letter in enumerate(text):
            changed = text[:place] + chr(ord(letter) + 1) + text[place + 1 :]
            assert not is_key(parse, changed)
    assert len(wrong) >= 2
    for text in wrong:
        assert not is_key(VerifierKey.parse, text)


def signed_by(data: bytes, *keys: VerifierKey) -> int:
    """Return how many lines below a note are signatures by these keys."""
    note = Note.parse(data)
    return sum(
        (key.name, key.key_id) == (each.name, each.key_id)
        and key.has_signed(note.text, each)
        for each in note.signatures
        for key in keys
    )


def test_signed_notes() -> None:
    """Made as `sumdb/note` makes them, read as it reads them, refused as it refuses."""
    source = go_text("note_test.go")
    peter = VerifierKey.parse(literal(source, "peterKey"))
    enoch = VerifierKey.parse(literal(source, "enochKey"))
    want = literal(source, "want")
    signer = SigningKey.parse(literal(source, "skey"))
    text = want.partition("\n\n")[0] + "\n"
    made: Signature = signer.sign(text)
    assert Note(text, (made,)).data == want.encode()
    by_peter, by_enoch = literal(source, "peterSig"), literal(source, "enochSig")
    both = f"{text}\n{by_peter}{by_enoch}".encode()
    assert signed_by(both, peter, enoch) == 2
    assert signed_by(both, peter) == 1
    misnamed = both.replace(b"PeterNeumann", b"CarmenSandiego")
    assert signed_by(misnamed, peter) == 0
    assert signed_by(both.replace(b"x08g", b"xxxx"), peter) == 0
    many = f"{text}\n{by_peter * (limits.MAX_NOTE_SIGNATURES + 1)}".encode()
    other = f"{text}\n{by_peter[:60]}ABCD{by_peter[60:]}".encode()
    assert signed_by(other, peter) == 0
    refused = [
        text,
        f"{text}\n",
        f"{text}\n{by_peter[:-1]}",
        f"\x01{text}\n{by_peter}",
        f"{text}\n\N{EM DASH} Bad Name {by_peter.split(' ')[2]}",
        f"{text}\n{by_peter}Unexpected line.\n",
    ]
    for data in (many, b"\xff" + both, *(each.encode() for each in refused)):
        with pytest.raises(InvalidRequestError):
            Note.parse(data)


def test_the_examples_of_the_pages_of_c2sp() -> None:
    """A note with its key; and checkpoints as logs and witnesses sign them."""
    page = (FOLDER / "C2SP/signed-note.md").read_text("utf-8")
    example = page.partition("### Example\n")[2]
    key = re.search(r"^ {4}(\S+\+\S+)$", example, re.MULTILINE)
    note = re.search(r"```\n(.*?)```", example, re.DOTALL)
    assert key
    assert note
    assert signed_by(note[1].encode(), VerifierKey.parse(key[1])) == 1
    assert standalone.signed_text(note[1].encode(), key[1]) in note[1]
    page = (FOLDER / "C2SP/tlog-cosignature.md").read_text("utf-8")
    example = re.search(r"```\n(.*?)```", page, re.DOTALL)
    assert example
    found = Note.parse(example[1].encode())
    log, witness = found.signatures
    assert (log.name, witness.name) == (
        "example.com/behind-the-sofa",
        "witness.example.com/w1",
    )
    assert len(witness.value) == 8 + 64
    assert f"time {int.from_bytes(witness.value[:8], 'big')}\n" in page
    checkpoint = Checkpoint.of(found.text)
    assert (checkpoint.size, checkpoint.text) == (20852163, found.text)
