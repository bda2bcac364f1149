"""Verifies an export of a log, and imports nothing of the exchange.

For a member's own engineer, who wants to know what is verified without trusting whoever
wrote the rest. It needs Python 3.11 and `cryptography` 50; copy this one file, read it,
and run it:

    python standalone.py EXPORT [--key KEY] [--secret FILE] [--receipt FILE]...
                         [--policy FILE [--max-age HOURS]]

It ends with 0 and `ok` if everything is as it must be, and else with 1 and the first
thing that is not. The format is described in the README.md beside it.
"""

import argparse
import base64
import datetime as dt
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    Suite,
)

BUNDLE = 256  # leaves in one file
LEAF = 37  # bytes: version, hour, root
HASH = 32  # bytes
KEY = 33  # bytes: kind of the signature, public key
OPENING = 32  # bytes
TEXT = 416  # bytes of an entry's text, behind 32 random ones
LIFE = re.compile(r"(\.[0-9]{1,9}(-([0-9a-f]{16}))?)?")  # behind the name of its key
AHEAD = 300  # seconds that a witness's clock may be from ours
SAID = "A match is never the sole basis of a decision.\n"


# What comes of reading something that is not what it should be.
DAMAGED = (
    *(InvalidTag, KeyError, OSError, OverflowError),
    *(RecursionError, TypeError, ValueError),
)


class WrongError(Exception):
    """Something is not as it must be."""


def sha256(*parts: bytes) -> bytes:
    """Return the hash of some bytes."""
    return hashlib.sha256(b"".join(parts)).digest()


def from64(text: str) -> bytes:
    """Return the bytes of base64."""
    return base64.b64decode(text, validate=True)


# -- Hashes: RFC 6962, section 2.1 ---------------------------------------------------


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash above two subtrees."""
    return sha256(b"\x01", left, right)


def tree_root(hashes: list[bytes]) -> bytes:
    """Return the root above leaves with these hashes, as the RFC defines it."""
    if not hashes:
        return sha256()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(tree_root(hashes[:split]), tree_root(hashes[split:]))


def check_hashes(hashes: list[bytes]) -> None:
    """Refuse what is no hash: two of them must not be read as two others."""
    if any(len(each) != HASH for each in hashes):
        raise WrongError("a hash has another length")


def climb(found: bytes, slot: int, path: list[bytes]) -> bytes:
    """Return the root that a path leads to, in a tree that is full."""
    check_hashes(path)
    for sibling in path:
        pair = (sibling, found) if slot & 1 else (found, sibling)
        found, slot = node_hash(*pair), slot >> 1
    if slot:
        raise WrongError("a slot is outside its tree")
    return found


def climb_partial(found: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to, in a tree of any size."""
    rest = list(path)

    def root(low: int, high: int) -> bytes:
        if high - low == 1:
            return found
        split = low + (1 << ((high - low - 1).bit_length() - 1))
        if not rest:
            raise WrongError("a proof is too short")
        sibling = rest.pop()  # from the top down
        if index < split:
            return node_hash(root(low, split), sibling)
        return node_hash(sibling, root(split, high))

    check_hashes([found, *path])
    if not 0 <= index < size:
        raise WrongError("an answer is outside its request")
    top = root(0, size)
    if rest:
        raise WrongError("a proof is too long")
    return top


# -- Signed notes: C2SP, "signed-note" -----------------------------------------------


def public_of(key: str, kind: bytes) -> tuple[str, bytes, bytes]:
    """Return name, id and public key of `name+id+base64` of a kind and 32 bytes.

    Args:
        key: itself.
        kind: of its signatures: 1 of signed notes, 4 of cosignatures.
    """
    name, _, rest = key.partition("+")
    told_id, _, encoded = rest.partition("+")
    public = from64(encoded)
    key_id = sha256(name.encode(), b"\n", public)[:4]
    if public[:1] != kind or len(public) != KEY or key_id.hex() != told_id:
        raise WrongError(f"the key {name} is no key of Ed25519 of its kind")
    return name, key_id, public[1:]


def signatures(note: bytes, key: str, kind: bytes) -> tuple[str, list[bytes], bytes]:
    """Return the text of a note, what stands below it as of a key, and that key."""
    name, key_id, public = public_of(key, kind)
    text, _, lines = note.decode().rpartition("\n\n")
    found = []
    for line in lines.splitlines():
        dash, signer, value = line.split(" ")
        data = from64(value)
        if (dash, signer, data[:4]) == ("\N{EM DASH}", name, key_id):
            found.append(data[4:])
    return f"{text}\n", found, public


def has_signed(public: bytes, signature: bytes, message: str) -> bool:
    """Say whether a signature of Ed25519 is that of a message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message.encode())
    except InvalidSignature:
        return False
    return True


def signed_text(note: bytes, key: str) -> str:
    """Return the text of a note that a verifier key has signed."""
    text, found, public = signatures(note, key, b"\x01")
    if any(has_signed(public, each, text) for each in found):
        return text
    raise WrongError(f"a note is not signed by {key.partition('+')[0]}")


def checkpoint(note: bytes, key: str) -> tuple[str, int, bytes]:
    """Return origin, size and root of a checkpoint."""
    origin, size, root, end = signed_text(note, key).split("\n")
    name, _, life = origin.partition(key.split("+", maxsplit=1)[0])
    if name or end or not LIFE.fullmatch(life):
        raise WrongError(f"{origin} is not a log of the key")
    return origin, int(size), from64(root)


# -- Witnesses: C2SP, "tlog-cosignature" and "tlog-policy" ----------------------------


def cosigned_at(note: bytes, key: str) -> int | None:
    """Return when a witness has cosigned a checkpoint, in seconds since 1970."""
    text, found, public = signatures(note, key, b"\x04")
    if not found:
        return None
    time = int.from_bytes(found[0][:8], "big")
    stated = f"cosignature/v1\ntime {time}\n{text}"
    if len(found) > 1 or time >> 63 or not has_signed(public, found[0][8:], stated):
        raise WrongError(f"a cosignature by {key.partition('+')[0]} is forged")
    return time


class Policy:
    """Which witnesses have to have cosigned, and when."""

    def __init__(self, text: str, earliest: float, latest: float) -> None:
        """Read a policy; what was cosigned at other times does not count."""
        self.earliest, self.latest = earliest, latest
        self.logs: list[str] = []
        self.witnesses: dict[str, str] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        self.quorum = ""
        for line in text.splitlines():
            words = line.split()
            if words and not words[0].startswith("#"):
                self.add(*words)
        if not self.quorum:
            raise WrongError("the policy has no quorum")

    def add(self, word: str, *rest: str) -> None:
        """Take one line; whatever it names stands above it."""
        if word == "log":
            self.logs.append(rest[0])
        elif word == "witness":
            keys = [public_of(k, b"\x04")[2] for k in self.witnesses.values()]
            if public_of(rest[1], b"\x04")[2] in keys:
                raise WrongError("the policy has a witness twice")
            self.witnesses[self.new(rest[0])] = rest[1]
        elif word == "group":
            name, told, *members = rest
            least = {"all": len(members), "any": 1}.get(told) or int(told)
            used = [each for _, group in self.groups.values() for each in group]
            if not 1 <= least <= len(members) or not self.are_new(members, used):
                raise WrongError(f"the group {name} of the policy is wrong")
            self.groups[self.new(name)] = (least, members)
        elif word == "quorum" and not self.quorum and self.are_new(list(rest), []):
            (self.quorum,) = rest
        else:
            raise WrongError(f"the policy has a wrong line: {word}")

    def new(self, name: str) -> str:
        """Return a name that is not taken."""
        if name == "none" or name in self.witnesses or name in self.groups:
            raise WrongError(f"the policy has the name {name} twice")
        return name

    def are_new(self, names: list[str], used: list[str]) -> bool:
        """Say whether names are known, and none of them was used before."""
        known = set(names) <= {*self.witnesses, *self.groups}
        return known and len({*names, *used}) == len(names) + len(used)

    def is_met(self, cosigned: set[str], name: str = "") -> bool:
        """Say whether these witnesses are enough."""
        if (name := name or self.quorum) in self.witnesses:
            return name in cosigned
        least, members = self.groups[name]
        return sum(self.is_met(cosigned, each) for each in members) >= least

    def witnessed(
        self, export: Path, key: str, origin: str, hashes: list[bytes]
    ) -> int:
        """Return how many leaves enough witnesses have cosigned."""
        if self.logs and key not in self.logs:
            raise WrongError("the policy is for other logs")
        most = 0
        for path in (export / "cosigned").glob("[0-9]*"):
            note, names = path.read_bytes(), set()
            of, size, root = checkpoint(note, key)
            for name, witness in self.witnesses.items():
                time = cosigned_at(note, witness)
                if time is not None and self.earliest <= time <= self.latest:
                    names.add(name)
            if self.is_met(names) and size > most:
                if (of, tree_root(hashes[:size])) != (origin, root):
                    raise WrongError("witnesses were shown another history")
                most = size
        if not most:
            raise WrongError("too few witnesses have cosigned one checkpoint lately")
        return most


# -- The pages: C2SP, "tlog-tiles" ---------------------------------------------------


def bundle_path(number: int, width: int) -> str:
    """Return where a bundle of leaves lies."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03d}")
    return f"tile/entries/{'/'.join(groups)}" + (
        "" if width == BUNDLE else f".p/{width}"
    )


def read_leaves(export: Path, size: int) -> Iterator[bytes]:
    """Yield the leaves of an export, in their order."""
    for number in range(-(-size // BUNDLE)):
        width = min(BUNDLE, size - number * BUNDLE)
        path = export / bundle_path(number, width)
        data = (
            path if path.exists() else export / bundle_path(number, BUNDLE)
        ).read_bytes()
        for place in range(width):
            start = place * (2 + LEAF)
            leaf = data[start + 2 : start + 2 + LEAF]
            if data[start : start + 2] != LEAF.to_bytes(2, "big") or len(leaf) != LEAF:
                raise WrongError(f"leaf {number * BUNDLE + place} is damaged")
            yield leaf


def leaf_of(hour_text: str, root: bytes) -> bytes:
    """Return the leaf of an hour such as `2026-03-01T12Z`, and a root."""
    moment = dt.datetime.strptime(hour_text, "%Y-%m-%dT%HZ").replace(tzinfo=dt.UTC)
    hours = int(moment.timestamp()) // 3600
    return b"\x01" + hours.to_bytes(4, "big") + root


# -- Entries: what one member is told ------------------------------------------------


def fields(text: str) -> dict[str, str]:
    """Return the values of lines by their first words."""
    lines = [line.partition(" ") for line in text.rstrip("\n").split("\n")]
    return {name: value for name, _, value in lines}


def open_entries(
    export: Path, secret: str, leaves: list[bytes]
) -> tuple[list[dict[str, str]], int, set[tuple[str, int]]]:
    """Return the member's own entries, opened; how many nobody can open; and where."""
    member, _, encoded = secret.removeprefix("PRIVATE+AUDITOR+").partition("+")
    seeds = from64(encoded)
    private = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(seeds[:64]),
        X25519PrivateKey.from_private_bytes(seeds[64:]),
    )
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    keys: dict[str, bytes | None] = {}
    for line in (export / "own/keys.jsonl").read_text().splitlines():
        told = json.loads(line)
        key_id, handed = bytes.fromhex(told["key"]), from64(told["handed"])
        bound_to = (
            *(b"biometrics.exchange sealed 1", member.encode()),
            *(b"key of log entries", key_id),
        )
        info = b"".join(len(f).to_bytes(4, "big") + f for f in bound_to)
        keys[told["key"]] = suite.decrypt(handed, private, info) if handed else None
    entries: list[dict[str, str]] = []
    sealed_to_nobody, places = 0, set()
    for line in (export / "own/entries.jsonl").read_text().splitlines():
        told = json.loads(line)
        key = keys[told["key"]]
        places.add((member, told["leaf"]))
        if key is None:
            if entries:  # it would fill a gap, whatever is in it
                raise WrongError("a key was handed to nobody, after others were")
            sealed_to_nobody += 1
            continue
        sealed = from64(told["sealed"])
        context = f"biometrics.exchange log entry 1 {member}".encode()
        data = AESGCM(key).decrypt(sealed[:12], sealed[12:], context)
        entry = fields(data[32:].decode())
        path = [from64(each) for each in told["path"]]
        root = climb(leaf_hash(data), told["slot"], path)
        if not 0 <= told["leaf"] < len(leaves) or (
            leaves[told["leaf"]] != leaf_of(entry["hour"], root)
        ):
            raise WrongError(f"an entry is not below leaf {told['leaf']}")
        if entry["member"] != member:
            raise WrongError("an entry is another member's")
        entries.append(entry)
    return entries, sealed_to_nobody, places


def check_sequence(numbers: list[int], sealed_to_nobody: int) -> None:
    """Refuse numbers that are not 1, 2, 3 and so on."""
    if numbers != sorted(set(numbers)):
        raise WrongError("numbers of entries are there twice, or out of their order")
    if max(numbers, default=0) - len(numbers) > sealed_to_nobody:
        raise WrongError("numbers of entries are missing")


# -- Receipts ------------------------------------------------------------------------


def check_receipt(
    document: dict[str, str], key: str, origin: str, leaves: list[bytes]
) -> tuple[str, int]:
    """Return whose a receipt is, and its leaf; refuse one not kept or of another."""
    head_text, _, note = document["receipt"].partition("\n\n")
    place_text, _, told = signed_text(note.encode(), key).partition("\n\n")
    head, place = fields(head_text), fields(place_text.partition("\n")[2])
    if not place_text.startswith("biometrics.exchange receipt\n") or (
        not told.endswith(SAID)
    ):
        raise WrongError("a note is no receipt")
    text = told.removesuffix(SAID).encode()
    entry = fields(text.decode())
    data = from64(place["blind"]) + text.ljust(TEXT, b"\n")
    path = [from64(each) for each in place["path"].split()]
    leaf = leaf_of(entry["hour"], climb(leaf_hash(data), int(place["slot"]), path))
    if place["log"] != origin:
        raise WrongError("a receipt is of another log")
    index = int(place["leaf"])
    if index >= len(leaves):
        raise WrongError("a receipt is newer than the export")
    if index < 0:
        raise WrongError("a receipt is of no leaf")
    if leaves[index] != leaf:
        raise WrongError(f"the log has another leaf at {index} than was promised")
    number, _, count = head["answer"].partition(" of ")
    # The head is not signed: an opening that is longer would take in the end of the
    # answer's text, and another count would give the answer another number.
    opening = from64(head["opening"])
    if len(opening) != OPENING or count != entry["count"]:
        raise WrongError("the head of a receipt is not as it was given")
    committed = sha256(document["answer"].encode(), opening)
    branch = [from64(each) for each in head.get("branch", "").split()]
    what = climb_partial(leaf_hash(committed), int(number), int(count), branch)
    if what != from64(entry["what"]):
        raise WrongError("a receipt is of another answer")
    return entry["member"], index


# -- All of it -----------------------------------------------------------------------


def check_history(export: Path, key: str, origin: str, hashes: list[bytes]) -> None:
    """Refuse a log that is not what was seen before, or not what its name says."""
    life = LIFE.fullmatch(origin.removeprefix(key.split("+", maxsplit=1)[0]))
    born = bytes.fromhex((life and life[3]) or "")
    if not any(each.startswith(born) for each in hashes):
        raise WrongError("the log is not the one that is named after its first leaf")
    if (export / "seen").exists():
        before, seen, seen_root = checkpoint((export / "seen").read_bytes(), key)
        if before != origin or seen > len(hashes):
            raise WrongError("the log was rolled back, or is another one")
        if tree_root(hashes[:seen]) != seen_root:
            raise WrongError("the log shows another history than before")


def verify(
    export: Path,
    key: str,
    secret: str | None,
    receipts: list[Path],
    *,
    policy: Policy | None = None,
) -> str:
    """Return what was verified, or raise WrongError."""
    origin, size, root = checkpoint((export / "checkpoint").read_bytes(), key)
    leaves = list(read_leaves(export, size))
    hashes = [leaf_hash(leaf) for leaf in leaves]
    if tree_root(hashes) != root:
        raise WrongError("the leaves are not those that the checkpoint stands for")
    check_history(export, key, origin, hashes)
    told = [f"{size} leaves of {origin}"]
    if policy:
        size = policy.witnessed(export, key, origin, hashes)
        told.append(f"{size} of them cosigned by enough witnesses")
    own: set[tuple[str, int]] = set()
    if secret:
        entries, sealed, own = open_entries(export, secret, leaves)
        check_sequence([int(entry["sequence"]) for entry in entries], sealed)
        told.append(f"{len(entries)} own entries, {sealed} sealed to nobody")
    for path in receipts:
        place = check_receipt(json.loads(path.read_text()), key, origin, leaves)
        if secret and place not in own and secret.split("+")[2] == place[0]:
            raise WrongError(f"the own entry below leaf {place[1]} was kept back")
        if place[1] >= size:
            raise WrongError(f"leaf {place[1]} is newer than what witnesses cosigned")
    return ", ".join([*told, f"{len(receipts)} receipts: ok"])


def main() -> int:
    """Verify what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--key", help="of the log; else what is in its log.pub")
    parser.add_argument("--secret", type=Path, help="file of your auditor's key")
    parser.add_argument("--receipt", type=Path, action="append", default=[])
    parser.add_argument("--policy", type=Path, help="file: whose cosignatures you want")
    parser.add_argument("--max-age", type=float, default=24.0, help="of them, in hours")
    asked = parser.parse_args()
    now = dt.datetime.now(dt.UTC).timestamp()
    earliest, latest = now - 3600 * asked.max_age, now + AHEAD
    try:
        key = asked.key or (asked.export / "log.pub").read_text().strip()
        secret = asked.secret.read_text().strip() if asked.secret else None
        policy = asked.policy and Policy(asked.policy.read_text(), earliest, latest)
        told = verify(asked.export, key, secret, asked.receipt, policy=policy)
    except WrongError as error:
        told = str(error)
    except DAMAGED as error:
        told = f"something is missing or damaged: {type(error).__name__} {error}"
    else:
        sys.stdout.write(f"{told}\n")
        return 0
    sys.stdout.write(f"wrong: {told}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
