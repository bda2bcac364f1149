"""Witnesses: what they cosign, what they refuse, and whom a verifier believes."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.split_view import ORDERS, SIZES, tallied
from biometrics.audit import standalone
from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.cosignature import WitnessKey, WitnessSecret
from biometrics.audit.memory import Memory
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.policy import Policy
from biometrics.audit.quorum import Wanted
from biometrics.audit.tiles import LeafTiles
from biometrics.audit.tree import leaf_hash, root
from biometrics.audit.witness import Remembered, Witness
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.signing import Note, SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "exchange.test/log"
KEY = SigningKey(NAME, bytes(32))
OTHER = SigningKey("other.test/log", bytes(32))
SECRETS = {
    name: WitnessSecret(f"{name}.test/w", bytes([n]) * 32)
    for n, name in enumerate(("a", "b", "c"), 1)
}
WITNESS = Witness(KEY.verifier, SECRETS["a"])
NOW = 2_000_000_000
LEAVES = [leaf_hash(bytes([n])) for n in range(200)]
TILES = LeafTiles(LEAVES)
LINES = "".join(f"witness {n} {s.public.text}\n" for n, s in SECRETS.items())
TWO_OF_THREE = f"{LINES}group three 2 a b c\nquorum three\n"


def of(size: int, leaves: list[bytes] = LEAVES, origin: str = NAME) -> Checkpoint:
    """Return the checkpoint of some leaves."""
    return Checkpoint(origin=origin, size=size, root=root(leaves[:size]))


def cosigned(checkpoint: Checkpoint, *names: str, time: int = NOW) -> bytes:
    """Return a checkpoint that witnesses have cosigned."""
    lines = (SECRETS[name].cosign(checkpoint.text, time).line for name in names)
    return checkpoint.signed_by(KEY) + "".join(lines).encode()


def policy(text: str = TWO_OF_THREE) -> Policy:
    """Return a policy."""
    return Policy.parse(text.encode(), "policy")


def reason(call: Callable[[], object]) -> str:
    """Return why something is refused."""
    with pytest.raises((InvalidRequestError, ConfigurationError)) as caught:
        call()
    return caught.value.reason


# -- Cosignatures ---------------------------------------------------------------------


def test_keys_are_texts_that_can_be_read_out() -> None:
    """Of a kind of their own: no key of a log is one of a witness, nor the reverse."""
    secret = WitnessSecret.generate("a.test/w", secrets.token_bytes)
    assert WitnessSecret.parse(secret.text).text == secret.text
    assert WitnessKey.parse(secret.public.text) == secret.public
    assert reason(lambda: WitnessKey.parse(KEY.verifier.text)) == "NOT_A_KEY"
    assert reason(lambda: WitnessSecret.parse(KEY.text)) == "NOT_A_KEY"
    assert reason(lambda: WitnessSecret.parse(secret.public.text)) == "NOT_A_KEY"
    for text in (secret.public.text, secret.text.removeprefix("PRIVATE+KEY+")):
        name, key_id, rest = text.split("+", 2)
        wrong = f"{name}+{'0' * len(key_id)}+{rest}"
        assert reason(lambda w=wrong: WitnessKey.parse(w)) == "NOT_A_KEY"
        wrong = f"PRIVATE+KEY+{wrong}"
        assert reason(lambda w=wrong: WitnessSecret.parse(w)) == "NOT_A_KEY"
    assert reason(lambda: WitnessSecret("a b", bytes(32))) == "WRONG_KEY_NAME"


def test_a_cosignature_is_of_one_checkpoint_one_key_and_one_time() -> None:
    """Whatever is changed of it, it is none."""
    key = SECRETS["a"].public
    note = Note.parse(cosigned(of(7), "a", "b"))
    found = key.cosigned(note)
    assert found is not None
    assert found.time == NOW
    assert key.cosigned(Note.parse(cosigned(of(7), "b"))) is None
    (own,) = (s for s in note.signatures if s.name == key.name)
    changed = [
        bytes([*own.value[:place], own.value[place] ^ bit, *own.value[place + 1 :]])
        for place in range(len(own.value))
        for bit in (1, 128)
    ]
    for value in (*changed, own.value[:-1], own.value + b"0", own.value[:8]):
        line = replace(own, value=value)
        broken = Note(note.text, (line,))
        assert reason(lambda b=broken: key.cosigned(b)) == "FORGED_COSIGNATURE"
    moved = Note(of(8).text, (own,))
    assert reason(lambda: key.cosigned(moved)) == "FORGED_COSIGNATURE"
    twice = Note(note.text, (own, own))
    assert reason(lambda: key.cosigned(twice)) == "REPEATED_COSIGNATURE"
    ahead = Note(note.text, (SECRETS["a"].cosign(note.text, 1 << 63),))
    assert reason(lambda: key.cosigned(ahead)) == "FORGED_COSIGNATURE"


def test_the_other_verifier_reads_cosignatures_likewise() -> None:
    """The same time, and no other one."""
    key = SECRETS["a"].public.text
    assert standalone.cosigned_at(cosigned(of(7), "a", "b"), key) == NOW
    assert standalone.cosigned_at(cosigned(of(7), "b"), key) is None
    moved = cosigned(of(7), "a").replace(b"\n7\n", b"\n8\n")
    for note in (moved, cosigned(of(7), "a", "a")):
        with pytest.raises(standalone.WrongError, match="is forged"):
            standalone.cosigned_at(note, key)
    with pytest.raises(standalone.WrongError, match="no key of Ed25519"):
        standalone.cosigned_at(cosigned(of(7), "a"), KEY.verifier.text)


# -- Policies -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "enough", "few"),
    [
        ("quorum a", ["a", "ab"], ["", "bc"]),
        ("group g all a b c\nquorum g", ["abc"], ["ab", "bc", ""]),
        ("group g any a b\nquorum g", ["a", "b", "bc"], ["", "c"]),
        ("group g 2 a b c\nquorum g", ["ab", "bc", "ac", "abc"], ["a", "b", "c"]),
        ("group g any a b\ngroup h all g c\nquorum h", ["ac", "bc"], ["ab", "c"]),
        ("# no\n\n \t group\tg  2 a b \nquorum g", ["ab"], ["a", "b"]),
    ],
)
def test_a_policy_says_who_is_enough(
    rule: str, enough: list[str], few: list[str]
) -> None:
    """To both verifiers."""
    text = f"{LINES}{rule}\n"
    ours, other = policy(text), standalone.Policy(text, 0, 0)
    for names in enough:
        assert ours.is_met(set(names))
        assert other.is_met(set(names))
    for names in few:
        assert not ours.is_met(set(names))
        assert not other.is_met(set(names))


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINES,
        f"{LINES}quorum none\n",
        f"{LINES}quorum d\n",
        f"{LINES}quorum a\nquorum b\n",
        f"{LINES}quorum a b\n",
        f"{LINES}group g 0 a b\nquorum g\n",
        f"{LINES}group g 3 a b\nquorum g\n",
        f"{LINES}group g most a b\nquorum g\n",
        f"{LINES}group g -1 a b\nquorum g\n",
        f"{LINES}group g 10000000002 a b\nquorum g\n",
        f"{LINES}group g 2 a a\nquorum g\n",
        f"{LINES}group g 1\nquorum g\n",
        f"{LINES}group g any a none\nquorum g\n",
        f"{LINES}group g any a b\ngroup h all g a\nquorum h\n",
        f"{LINES}group g any h\ngroup h all a b\nquorum g\n",
        f"{LINES}group a any b\nquorum a\n",
        f"{LINES}{LINES}quorum a\n",
        f"{LINES}witness d {SECRETS['a'].public.text}\nquorum d\n",
        f"{LINES}witness none {KEY.verifier.text}\nquorum none\n",
        f"{LINES}witness d what+is+this\nquorum a\n",
        f"{LINES}quorum a\nanything else\n",
    ],
)
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    """By both verifiers, wherever it is wrong; nothing is left open."""
    assert reason(lambda: policy(text)) in {"WRONG_POLICY", "NOT_A_KEY"}
    with pytest.raises((standalone.WrongError, *standalone.DAMAGED)):
        standalone.Policy(text, 0, 0)


def test_every_wrong_line_of_a_policy_is_told() -> None:
    """Where it is, and what is wrong with it."""
    log = f"log {KEY.verifier.text}\n"
    with pytest.raises(ConfigurationError) as caught:
        policy(f"{log}{log}{LINES}group g 9 a\nquorum g\n")
    told = [fault.field for fault in caught.value.faults]
    assert told[:2] == ["policy, line 2", "policy, line 6"]
    many = "".join(
        f"witness w{n} {WitnessSecret(f'w{n}', n.to_bytes(32, 'big')).public.text}\n"
        for n in range(257)
    )
    with pytest.raises(ConfigurationError, match="one more than 256 names"):
        policy(f"{many}quorum w0\n")


def test_a_policy_is_for_its_logs() -> None:
    """For any, where it names none."""
    named = policy(f"log {KEY.verifier.text} https://exchange.test\n{TWO_OF_THREE}")
    assert named.is_for(KEY.verifier)
    assert not named.is_for(OTHER.verifier)
    assert policy().is_for(OTHER.verifier)


# -- Quorums --------------------------------------------------------------------------


def newest(wanted: Wanted, *notes: bytes) -> object:
    """Return up to where enough have cosigned."""
    return wanted.newest(
        [
            (Checkpoint.parse(note, KEY.verifier), wanted.cosigners(note)[0])
            for note in notes
        ]
    )


def test_the_largest_checkpoint_that_enough_have_cosigned_counts() -> None:
    """By the policy's names; the oldest of its cosignatures says how old it is."""
    wanted = Wanted(policy=policy(), earliest=NOW - 10, latest=NOW + 10)
    small = cosigned(of(3), "b", "c", time=NOW - 5)
    found = newest(wanted, cosigned(of(9), "a"), small)
    assert (found.checkpoint.size, found.names, found.time) == (  # type: ignore[attr-defined]
        3,
        ("b", "c"),
        NOW - 5,
    )
    stranger = WitnessSecret("x.test/w", bytes([9]) * 32)
    more = cosigned(of(9), "a") + stranger.cosign(of(9).text, NOW).line.encode()
    with pytest.raises(InvalidRequestError, match=r"`a` has 9, `b` has cosigned none"):
        newest(wanted, more)
    assert reason(lambda: newest(wanted)) == "NO_QUORUM"


def test_a_quorum_of_another_time_is_told_as_such() -> None:
    """Too old, or by clocks that are ahead."""
    wanted = Wanted(policy=policy(), earliest=NOW, latest=NOW + 10)
    old = cosigned(of(3), "a", "b", time=NOW - 7200)
    with pytest.raises(InvalidRequestError, match="but 2 h ago"):
        newest(wanted, old)
    ahead = cosigned(of(3), "a", "b", time=NOW + 11)
    with pytest.raises(InvalidRequestError, match="by clocks that are ahead"):
        newest(wanted, ahead)


@given(st.binary())
def test_any_bytes_are_no_policy_and_no_proof(data: bytes) -> None:
    """Whatever somebody shows; nothing but the reader's own errors comes of it."""
    assert reason(lambda: Policy.parse(data, "policy"))
    assert reason(lambda: Misbehaviour.parse(data)) == "NOT_PROVED"


# -- What a witness refuses -----------------------------------------------------------


def look(
    before: Remembered | None,
    offered: bytes,
    *shown: bytes,
    tiles: LeafTiles = TILES,
    now: int = NOW,
) -> Remembered | Misbehaviour:
    """Have the witness look."""
    return WITNESS.look(before, offered, shown, tiles, now)


def seen(size: int, time: int = NOW) -> Remembered:
    """Return that the witness has cosigned some leaves."""
    return WITNESS.remember(cosigned(of(size), "a", time=time))


def test_a_witness_cosigns_what_goes_on_from_the_last() -> None:
    """From nothing, from the same, and from every smaller size."""
    for size in (0, 1, 2, 3, 64, 100, 199, 200):
        for more in (size, size + 1, 200):
            if more <= len(LEAVES):
                found = look(seen(size, NOW - 1), of(more).signed_by(KEY))
                assert isinstance(found, Remembered)
                assert found == WITNESS.remember(found.note)
                assert (found.checkpoint, found.time) == (of(more), NOW)
    assert isinstance(look(None, of(9).signed_by(KEY)), Remembered)


def test_a_witness_refuses_what_does_not_go_on() -> None:
    """Each by a reason of its own; of two histories it makes the proof."""
    forged = of(9).signed_by(KEY)[:-9] + b"AAAAAAA=\n"
    assert reason(lambda: look(None, forged)) == "NOT_SIGNED"
    foreign = of(9, origin="other.test/log").signed_by(KEY)
    assert reason(lambda: look(None, foreign)) == "FOREIGN_LOG"
    assert reason(lambda: look(seen(9), of(8).signed_by(KEY))) == "ROLLED_BACK"
    others = [*LEAVES[:5], *map(leaf_hash, LEAVES[5:])]
    for size, later in ((9, 9), (9, 10), (9, 150), (64, 128)):
        offered = of(later, others).signed_by(KEY)
        found = look(seen(size), offered, tiles=LeafTiles(others[:later]))
        assert isinstance(found, Misbehaviour)
        before, after = Misbehaviour.parse(found.data).check(KEY.verifier)
        assert (before, after) == (of(size), of(later, others))
        assert str(size) in found.name
    # Pages that are not of what was signed prove nothing, and nothing is cosigned.
    offered = of(150).signed_by(KEY)
    assert reason(lambda: look(seen(9), offered, tiles=LeafTiles(others))) == (
        "NOT_PROVED"
    )


def test_a_witness_that_has_forgotten_cosigns_nothing() -> None:
    """By what its own key has cosigned, as the exchange shows it."""
    offered = of(20).signed_by(KEY)
    own = cosigned(of(12), "a", "b")
    assert reason(lambda: look(None, offered, own)) == "MEMORY_BEHIND"
    assert reason(lambda: look(seen(9), offered, own)) == "MEMORY_BEHIND"
    later = cosigned(of(12), "a", time=NOW + 1)
    assert reason(lambda: look(seen(12), offered, later)) == "MEMORY_BEHIND"
    assert isinstance(look(seen(12), offered, own), Remembered)
    noise = (cosigned(of(15), "b"), b"?", cosigned(of(15, origin=f"{NAME}.2"), "a"))
    assert isinstance(look(seen(12), offered, own, *noise), Remembered)
    assert reason(lambda: look(seen(12, NOW + 5), offered)) == "CLOCK_BEHIND"
    assert reason(lambda: WITNESS.remember(cosigned(of(9), "b"))) == "NOT_COSIGNED"


def test_a_proof_of_two_histories_cannot_be_made_up() -> None:
    """A log that keeps to its rules never has one against it."""
    others = [*LEAVES[:5], *map(leaf_hash, LEAVES[5:])]
    sound = Misbehaviour.of(
        of(9).signed_by(KEY),
        of(20, others).signed_by(KEY),
        KEY.verifier,
        LeafTiles(others),
    )
    sound.check(KEY.verifier)
    assert reason(lambda: sound.check(OTHER.verifier)) == "NOT_SIGNED"
    elsewhere = of(20, others, f"{NAME}.2").signed_by(KEY)
    for wrong in (
        replace(sound, root=of(9).root),
        replace(sound, root=bytes(32)),
        replace(sound, proof=sound.proof[1:]),
        replace(sound, later=of(20).signed_by(KEY)),
        replace(sound, later=elsewhere),
        replace(sound, earlier=of(0).signed_by(KEY)),
        replace(sound, earlier=sound.later, later=sound.earlier),
    ):
        assert reason(lambda w=wrong: w.check(KEY.verifier)) == "NOT_PROVED"
    honest = (of(9).signed_by(KEY), of(20).signed_by(KEY), KEY.verifier, TILES)
    assert reason(lambda: Misbehaviour.of(*honest)) == "NOT_PROVED"
    same = (of(9).signed_by(KEY), of(9).signed_by(KEY), KEY.verifier, TILES)
    assert reason(lambda: Misbehaviour.of(*same)) == "NOT_PROVED"
    document = json.loads(sound.data)
    for data in (b"", b"[]", b"{", json.dumps(document | {"root": "?"}).encode()):
        assert reason(lambda d=data: Misbehaviour.parse(d)) == "NOT_PROVED"


def test_what_is_remembered_is_on_the_disk_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full, or fails to flush, is told: nothing may be shown then."""
    with Memory.opened(tmp_path / "memory") as memory:
        assert (memory.origin, memory.read(NAME)) == ("", None)
        memory.write(NAME, b"first")
        assert (memory.origin, memory.read(NAME)) == (NAME, b"first")

        def fail(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", fail)
            assert reason(lambda: memory.write(NAME, b"second")) == "CANNOT_WRITE"
        assert memory.read(NAME) == b"first"
        memory.write(f"{NAME}.2", b"other")
        assert (memory.origin, memory.read(NAME)) == (f"{NAME}.2", b"first")
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(ConfigurationError, match="cannot be written"),
        Memory.opened(tmp_path / "file"),
    ):
        pass


# -- Split views ----------------------------------------------------------------------


def test_two_histories_never_have_two_of_three_witnesses_each() -> None:
    """Forks at every size to 300; `benchmarks.split_view` tries every order of each."""
    tallies = [tallied(range(n, SIZES + 1, 8), [ORDERS[n]], n) for n in range(8)]
    assert sum(tally.forks for tally in tallies) == SIZES + 1
    assert sum(tally.both for tally in tallies) == 0
    assert sum(tally.proofs for tally in tallies) > SIZES


def test_witnesses_that_forget_would_be_found_out() -> None:
    """The same, without memory: either history has its quorum."""
    tally = tallied(range(40, 60, 10), ORDERS, 1, forgets=True)
    assert tally.both == tally.forks == 16
