"""Receipts: what a requester shows of one answer.

    answer 0 of 1
    opening base64 of 32 random bytes
    filler 000

    biometrics.exchange receipt
    log exchange.test/log
    leaf 1234
    slot 57
    blind base64
    path base64 base64 base64 base64 base64 base64 base64

    member XAA
    sequence 18
    ...
    A match is never the sole basis of a decision.

    — exchange.test/log base64 of key id and signature

The note below the first empty line is one for all answers of a request. It is a promise
that the leaf is at its place in the log; that the log keeps it, a checkpoint and the
log's pages show. What the entry is about is the root over commitments, one for each
answer: SHA-256 of the answer's text and the opening. Without the opening the receipt
tells nothing of the answer; with it, and the text, anybody can check it. A receipt has
one size. It names no holder, no size of a gallery and no score.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from biometrics import limits
from biometrics.audit.entry import Entry, encode
from biometrics.audit.leaf import Leaf
from biometrics.audit.slots import root_by_path
from biometrics.audit.tree import Range, inclusion, leaf_hash, prove, root_by_inclusion
from biometrics.errors import DefectError, InvalidRequestError
from biometrics.signing import Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.audit.scribe import Written
    from biometrics.audit.tree import Span
    from biometrics.disclosure import Answer
    from biometrics.signing import SigningKey, VerifierKey

OPENING_BYTES: Final = 32
_KIND: Final = "biometrics.exchange receipt"
_SAID: Final = "A match is never the sole basis of a decision."
_FILLER: Final = "filler "
_STEP_BYTES: Final = 128


def answer_text(answer: Answer) -> str:
    """Return what a requester was told, as the lines that are committed to.

    The outcome over the region; then that of each holder that was named, by code, with
    the reference that it gave; then each other position that was compared with.
    """
    lines = [f"regional {answer.regional.value}"]
    for named in answer.holders:
        given = f" {named.reference.hex()}" if named.reference else ""
        lines.append(f"{named.holder} {named.outcome.value}{given}")
    lines += [f"fallback {position.value}" for position in answer.fallback]
    return "\n".join(lines) + "\n"


def commitment(text: str, opening: bytes) -> bytes:
    """Return what stands for an answer in the log."""
    return hashlib.sha256(text.encode() + opening).digest()


class ReceiptIssuer:
    """Signs receipts with the log's key."""

    def __init__(self, key: SigningKey) -> None:
        """Sign with `key`."""
        self._key = key

    @property
    def name(self) -> str:
        """Name of the key, and of the log."""
        return self._key.verifier.name

    def issue(
        self,
        written: Written,
        index: int,
        origin: str,
        *,
        items: Sequence[bytes],
        openings: Sequence[bytes],
    ) -> list[bytes]:
        """Return a receipt for each answer of a request, to be filled up by `fill`.

        Args:
            written: its leaf, in which the requester was mentioned first.
            index: where the leaf is.
            origin: name of the log.
            items: the commitments to the answers.
            openings: of each.
        """
        text = (
            f"{_KIND}\nlog {origin}\nleaf {index}\nslot {written.slot:03d}\n"
            f"blind {encode(written.blind)}\npath {_encoded(written.path)}\n\n"
            f"{written.entry.text}{_SAID}\n"
        )
        note = Note(text, (self._key.sign(text),)).data
        hashes = [leaf_hash(item) for item in items]
        return [
            _written(
                f"answer {number} of {len(items)}\nopening {encode(opening)}\n",
                _branch(hashes, number),
                note,
            )
            for number, opening in enumerate(openings)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt whose parts are consistent and signed; nothing of the log yet.

    Attributes:
        number: of the answer in its request, from 0.
        count: answers in the request.
        opening: 32 bytes.
        branch: from the answer to the root over all of them.
        origin: name of the log.
        index: of the leaf.
        leaf: that the log must have there.
        entry: what the log tells the requester.
    """

    number: int
    count: int
    opening: bytes = field(repr=False)
    branch: list[bytes] = field(repr=False)
    origin: str
    index: int
    leaf: Leaf
    entry: Entry

    @classmethod
    def parse(cls, data: bytes, key: VerifierKey) -> Self:
        """Read a receipt that the log's key has signed.

        Raises:
            InvalidRequestError: it is none, forged, or of another exchange.
        """
        head, _, signed = data.partition(b"\n\n")
        note = Note.parse(signed)
        if not any(
            (each.name, each.key_id) == (key.name, key.key_id)
            and key.has_signed(note.text, each)
            for each in note.signatures
        ):
            raise InvalidRequestError(
                "NOT_SIGNED",
                f"the receipt is not signed by `{key.name}`: it is another exchange's,"
                " or forged",
            )
        place, _, told = note.text.partition("\n\n")
        kind, _, place = place.partition("\n")
        entry_text, said, _ = told.rpartition(f"{_SAID}\n")
        if kind != _KIND or not said:
            raise _no_receipt()
        try:
            top, rest = _fields(head.decode("ascii")), _fields(place)
            number, _, count = top["answer"].partition(" of ")
            entry = Entry.parse(entry_text)
            blind = base64.b64decode(rest["blind"], validate=True)
            root = root_by_path(
                entry.hash(blind), int(rest["slot"]), _decoded(rest["path"])
            )
            opening = base64.b64decode(top["opening"], validate=True)
            # The head is not signed. An opening that is longer takes the end of the
            # answer's text in; another count gives the answer another number.
            if len(opening) != OPENING_BYTES or count != entry["count"]:
                raise _no_receipt()
            return cls(
                number=int(number),
                count=int(count),
                opening=opening,
                branch=_decoded(top.get("branch", "")),
                origin=rest["log"],
                index=int(rest["leaf"]),
                leaf=Leaf(entry.hour, root),
                entry=entry,
            )
        except (KeyError, ValueError, binascii.Error) as error:
            raise _no_receipt() from error

    def check_answer(self, text: str) -> None:
        """Refuse a text that is not the answer that this is the receipt of.

        Raises:
            InvalidRequestError: it is not.
        """
        other = InvalidRequestError(
            "OTHER_ANSWER", "the receipt is of another answer than this"
        )
        try:
            item = leaf_hash(commitment(text, self.opening))
        except UnicodeEncodeError as error:  # no text that anybody was told
            raise other from error
        found = root_by_inclusion(item, self.number, self.count, self.branch)
        if encode(found) != self.entry["what"]:
            raise other


def _branch(hashes: Sequence[bytes], number: int) -> list[bytes]:
    """Return what leads from one answer to the root over all."""

    def hash_of(span: Span) -> bytes:
        first, size = span
        return Range.of(hashes[first : first + size]).root

    return prove(inclusion(number, len(hashes)), hash_of)


def _written(head: str, branch: Sequence[bytes], note: bytes) -> bytes:
    """Return a receipt that is not filled up yet, but to a multiple of 128 bytes.

    As it is stored, its size tells next to nothing, and no outcome.
    """
    if branch:
        head += f"branch {_encoded(branch)}\n"
    size = len(head) + len(_FILLER) + len("\n\n") + len(note)
    return f"{head}{_FILLER}{'0' * (-size % _STEP_BYTES)}\n\n".encode() + note


def fill(receipt: bytes) -> bytes:
    """Return a receipt of `ReceiptIssuer.issue` in the one size of all."""
    head, gap, note = receipt.partition(b"\n\n")
    room = limits.RECEIPT_BYTES - len(receipt)
    if room < 0:
        raise DefectError("RECEIPT_SIZE", "a receipt does not fit into its size")
    return head + b"0" * room + gap + note


def _encoded(hashes: Sequence[bytes]) -> str:
    """Return hashes as one line."""
    return " ".join(map(encode, hashes))


def _decoded(line: str) -> list[bytes]:
    """Return the hashes of a line."""
    return [base64.b64decode(each, validate=True) for each in line.split()]


def _fields(text: str) -> dict[str, str]:
    """Return the values of lines by their first words."""
    return {
        name: value
        for name, _, value in (line.partition(" ") for line in text.split("\n"))
    }


def _no_receipt() -> InvalidRequestError:
    """Return the error of what is no receipt."""
    return InvalidRequestError("NOT_A_RECEIPT", "is no receipt of an exchange")
