"""Brings the pages of the log from the exchange into a folder."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from biometrics import limits
from biometrics.audit import Checkpoint
from biometrics.audit.findings import forked, other_log, rolled_back
from biometrics.audit.misbehaviour import Misbehaviour
from biometrics.audit.pages import CHECKPOINT, KEY, OwnEntry, OwnKey, Pages
from biometrics.audit.tiles import WIDTH, split
from biometrics.errors import (
    ConfigurationError,
    DefectError,
    InvalidRequestError,
    NotFoundError,
)
from biometrics.signing import VerifierKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from biometrics.client import ExchangeClient

_REFUSED = "checkpoint.refused"


def log_key(folder: Path, given: str | None) -> VerifierKey | None:
    """Return the key of the log that was given, or that an export has.

    Raises:
        ConfigurationError: it is none, or not the one of before.
    """
    stored = Pages(folder).read(KEY)
    text = given or (stored or b"").decode(errors="replace").strip()
    if not text:
        return None
    try:
        key = VerifierKey.parse(text)
    except InvalidRequestError as error:
        where = "--key" if given else str(folder / KEY)
        raise ConfigurationError(error.reason, f"`{where}` {error.message}") from error
    if stored is not None and stored.decode(errors="replace").strip() != key.text:
        raise ConfigurationError(
            "OTHER_KEY",
            f"`{folder}` is an export of a log with another key; name another folder",
        )
    return key


def export_log(exchange: ExchangeClient, folder: Path, given: str | None) -> Checkpoint:
    """Bring what is new of the log into a folder; a stop loses nothing.

    Args:
        exchange: by an auditor's certificate.
        folder: of the export.
        given: the key of the log; the exchange is believed the first time if None.

    Raises:
        ConfigurationError: the exchange has another key than before.
        InvalidRequestError: it shows another history than before.
    """
    pages, told = Pages(folder), exchange.checkpoint()
    # 1. The log is the one that was exported before.
    key = log_key(folder, given) or VerifierKey.parse(told.verifier_key)
    if key.text != told.verifier_key:
        raise ConfigurationError(
            "OTHER_KEY",
            f"the exchange signs its log by another key than `{key.name}`: it is"
            " another exchange, or lost its key; ask before you believe it",
        )
    checkpoint = Checkpoint.parse(told.note, key)
    before = _before(pages, key)
    try:
        _refuse_other(before, checkpoint)
        # 2. Leaves, from the last bundle that was not full.
        _bring_leaves(exchange, pages, before, checkpoint)
    except InvalidRequestError:
        _keep_refused(exchange, pages, told.note, key)
        raise
    # 3. What is the member's own. Of an export that was stopped, anew.
    first = before.size if before else 0
    pages.drop_own_entries(first)
    for start in range(first, checkpoint.size, limits.MAX_PAGE_ENTRIES):
        most = min(limits.MAX_PAGE_ENTRIES, checkpoint.size - start)
        pages.add_own_entries(
            OwnEntry(e.leaf_index, e.slot, e.path, e.key_id, e.sealed)
            for e in exchange.log_entries(start, most)
        )
    pages.write_own_keys(
        OwnKey(each.key_id, each.hour, each.handed) for each in exchange.log_keys()
    )
    # 4. What witnesses have cosigned of it. Each is looked at by `verify`.
    pages.write_cosigned(dict(_cosigned(told.cosigned, checkpoint, key)))
    # 5. That it is there.
    pages.write(KEY, f"{key.text}\n".encode())
    pages.write(CHECKPOINT, told.note)
    return checkpoint


class ServedTiles:
    """Tiles of the log, as the exchange serves them."""

    def __init__(self, exchange: ExchangeClient) -> None:
        """Ask by a client."""
        self._exchange = exchange

    def tile(self, level: int, number: int, width: int) -> Sequence[bytes]:
        """Return the first `width` hashes of a tile.

        Raises:
            InvalidRequestError: it is cut off.
            NotFoundError: the log has fewer.
        """
        hashes = split(self._exchange.log_tile(level, number, width))
        if len(hashes) != width:
            raise DefectError("TILE_MISSING", "the exchange has served another tile")
        return hashes


def _before(pages: Pages, key: VerifierKey) -> Checkpoint | None:
    """Return the checkpoint that was exported before."""
    data = pages.read(CHECKPOINT)
    return None if data is None else Checkpoint.parse(data, key)


def _keep_refused(
    exchange: ExchangeClient, pages: Pages, note: bytes, key: VerifierKey
) -> None:
    """Keep a checkpoint that was refused, and the proof of it where there is one."""
    pages.write(_REFUSED, note)
    before = pages.read(CHECKPOINT)
    if before is None:
        return
    try:
        proof = Misbehaviour.of(before, note, key, ServedTiles(exchange))
    except (InvalidRequestError, NotFoundError, DefectError):
        return  # a log that was rolled back is not yet proved to be another one
    pages.write(proof.name, proof.data)


def _cosigned(
    notes: Iterable[bytes], checkpoint: Checkpoint, key: VerifierKey
) -> Iterator[tuple[int, bytes]]:
    """Yield what is cosigned of an export, by how many leaves it has."""
    for note in notes:
        each = Checkpoint.parse(note, key)
        if each.size <= checkpoint.size:
            yield each.size, note


def _refuse_other(before: Checkpoint | None, checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that cannot follow the one before."""
    if before is None:
        return
    if before.origin != checkpoint.origin:
        raise other_log(before.origin, checkpoint.origin)
    if before.size > checkpoint.size:
        raise rolled_back(before.size, checkpoint.size)


def _bring_leaves(
    exchange: ExchangeClient,
    pages: Pages,
    before: Checkpoint | None,
    checkpoint: Checkpoint,
) -> None:
    """Write the leaves that are new, after a look whether the old ones are the same."""
    known = before.size if before else 0
    start = known - known % WIDTH
    kept = pages.bundle(start // WIDTH, known - start) if known > start else []
    for first, leaves in _leaves(exchange, start, checkpoint.size):
        if first == start and list(leaves[: len(kept)]) != kept:
            raise forked(known)
        pages.add_leaves(first, leaves)


def _leaves(
    exchange: ExchangeClient, start: int, end: int
) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """Yield leaves, page by page."""
    for first in count(start, limits.MAX_PAGE_LEAVES):
        most = min(limits.MAX_PAGE_LEAVES, end - first)
        if most <= 0:
            return
        leaves = exchange.log_leaves(first, most)
        if len(leaves) != most:
            raise DefectError(
                "LEAVES_MISSING", "the exchange has signed for leaves that it lacks"
            )
        yield first, leaves
