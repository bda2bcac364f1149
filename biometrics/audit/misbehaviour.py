"""The proof that a log has shown two histories, for whoever did not see them.

    {
      "earlier": a checkpoint, signed by the log
      "later":   another one of the same origin, likewise, of as many leaves or more
      "root":    of as many leaves as `earlier` has, in the tree of `later`
      "proof":   that it is: an RFC 6962 consistency proof from `root` to `later`
    }

The root is another one than `earlier` has: the log has signed for both. Nobody but the
log can make such a file, and a log that keeps to its rules never can.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from biometrics.audit.checkpoint import Checkpoint
from biometrics.audit.tiles import root_of, span_hash
from biometrics.audit.tree import check_consistency, consistency, prove
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from biometrics.audit.tiles import Tiles
    from biometrics.signing import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """Two histories of one log.

    Attributes:
        earlier: a signed checkpoint.
        later: another one, of as many leaves or more.
        root: of the first leaves of `later`, as many as `earlier` has.
        proof: that it is; empty where both have one size.
    """

    earlier: bytes
    later: bytes
    root: bytes
    proof: Sequence[bytes]

    @classmethod
    def of(cls, earlier: bytes, later: bytes, key: VerifierKey, tiles: Tiles) -> Self:
        """Prove that two checkpoints are of two histories.

        Args:
            earlier: signed by the log, of one leaf at least.
            later: likewise.
            key: of the log.
            tiles: of the later one's tree.

        Raises:
            InvalidRequestError: the tiles are not those of `later`, or it begins with
                `earlier`: nothing is proved.
        """
        before, after = (Checkpoint.parse(note, key) for note in (earlier, later))
        if before.size == after.size:
            found = cls(earlier=earlier, later=later, root=after.root, proof=())
        else:
            found = cls(
                earlier=earlier,
                later=later,
                root=root_of(tiles, before.size),
                proof=prove(
                    consistency(before.size, after.size),
                    lambda span: span_hash(tiles, after.size, span),
                ),
            )
        found.check(key)
        return found

    def check(self, key: VerifierKey) -> tuple[Checkpoint, Checkpoint]:
        """Return the two checkpoints of which this is the proof.

        Raises:
            InvalidRequestError: it proves nothing.
        """
        before = Checkpoint.parse(self.earlier, key)
        after = Checkpoint.parse(self.later, key)
        if before.origin != after.origin or before.size < 1:
            raise _nothing("its checkpoints are not two of one log")
        check_consistency(
            (before.size, self.root), (after.size, after.root), self.proof
        )
        if self.root == before.root:
            raise _nothing("the later checkpoint goes on from the earlier one")
        return before, after

    @property
    def name(self) -> str:
        """A name for its file, of which there is one for each proof."""
        sizes = (_size(note) for note in (self.earlier, self.later))
        digest = hashlib.sha256(self.data).hexdigest()[:8]
        return f"two-histories-{'-'.join(sizes)}-{digest}.json"

    @property
    def data(self) -> bytes:
        """The file."""
        document = {
            "earlier": self.earlier.decode(),
            "later": self.later.decode(),
            "root": base64.b64encode(self.root).decode(),
            "proof": [base64.b64encode(each).decode() for each in self.proof],
        }
        return f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read such a file; what it says is not checked yet.

        Raises:
            InvalidRequestError: it is none.
        """
        try:
            document = json.loads(data)
            return cls(
                earlier=document["earlier"].encode(),
                later=document["later"].encode(),
                root=base64.b64decode(document["root"], validate=True),
                proof=tuple(
                    base64.b64decode(each, validate=True) for each in document["proof"]
                ),
            )
        except (
            *(AttributeError, KeyError, TypeError),
            *(ValueError, RecursionError, binascii.Error),
        ) as error:
            raise _nothing("it is no file that a witness or `verify` wrote") from error


def _size(note: bytes) -> str:
    """Return how many leaves a checkpoint has, as it says."""
    return note.split(b"\n")[1].decode()


def _nothing(told: str) -> InvalidRequestError:
    """Return the error of a proof that is none."""
    return InvalidRequestError("NOT_PROVED", f"proves no two histories: {told}")
