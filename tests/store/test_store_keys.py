"""Wrapped keys: the first writer wins, and all get its row."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from store.shelf import START, XAA, XBB, digest

from biometrics.sealed import NewGalleryKey

if TYPE_CHECKING:
    from store.shelf import Shelf


def gallery_key(gallery: str, *, epoch: int = 1, wrapped: bytes) -> NewGalleryKey:
    """Return a key of XBB."""
    return NewGalleryKey(
        member=XBB,
        gallery=gallery,
        epoch=epoch,
        wrapped=wrapped,
        commitment=digest(gallery),
        created_at=START,
    )


def test_gallery_keys_come_back_as_they_were_added(shelf: Shelf) -> None:
    """Each with its own number, those of other members left out."""
    new = [
        gallery_key("face-a", wrapped=b"one"),
        gallery_key("face-a", epoch=2, wrapped=b"two"),
        gallery_key("REFERENCES", wrapped=b"three"),
    ]
    added = [shelf.store.keys.add_gallery_key(row) for row in new]
    assert shelf.store.keys.gallery_keys(XBB) == added
    assert len({row.key_id for row in added}) == 3
    for row, given in zip(added, new, strict=True):
        assert (row.member, row.gallery, row.epoch) == (XBB, given.gallery, given.epoch)
        assert (row.wrapped, row.commitment) == (given.wrapped, given.commitment)
        assert row.created_at == START
    assert [row.key_id for row in shelf.store.keys.gallery_keys(XAA)] == [shelf.key_id]


def test_the_first_gallery_key_of_an_epoch_wins(shelf: Shelf) -> None:
    """Whoever comes later gets the row that is there."""
    with ThreadPoolExecutor(8) as pool:
        rows = list(
            pool.map(
                lambda n: shelf.store.keys.add_gallery_key(
                    gallery_key("face-a", wrapped=bytes([n]))
                ),
                range(8),
            )
        )
    assert len(set(rows)) == 1
    assert shelf.store.keys.gallery_keys(XBB) == rows[:1]


def test_the_first_index_key_wins(shelf: Shelf) -> None:
    """A second one is not kept, and none is found for others."""
    assert shelf.store.keys.index_key(XAA) is None
    assert shelf.store.keys.add_index_key(XAA, b"first") == b"first"
    assert shelf.store.keys.add_index_key(XAA, b"second") == b"first"
    assert shelf.store.keys.index_key(XAA) == b"first"
    assert shelf.store.keys.index_key(XBB) is None
