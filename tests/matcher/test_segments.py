"""Files of codes give back what they were made of, or the store does."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from archive import (
    FACES,
    FINGER,
    LEFT_FINGERS,
    OTHER_FACES,
    RIGHT_FINGERS,
    XAA,
    XRA,
    Archive,
    warnings,
)
from world import SPACE

from biometrics.custody import Vault
from matcher.engine import Engine
from matcher.galleries import Galleries, GalleryName, GalleryState
from matcher.index import Index
from matcher.segments import SegmentFiles, StaleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matcher.segments import Snapshot

EVERYBODY = range(300)
PRESENT = {
    FACES: set(range(80)) - {5, 70},
    OTHER_FACES: set(range(100, 140)),
    LEFT_FINGERS: set(range(200, 240)) - {230},
    RIGHT_FINGERS: set(range(220, 260)),
}
XAA_FACES = GalleryName(XAA, SPACE)
XRA_FACES = GalleryName(XRA, SPACE)
XAA_FINGERS = GalleryName(XAA, FINGER)
KILLS = int(os.environ.get("CODES_KILLS", "5"))
SEED = int(os.environ.get("CODES_SEED", "11"))


@pytest.fixture
def kept(archive: Archive) -> Archive:
    """An archive whose galleries are kept on disk."""
    archive.save()
    return archive


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each template that is opened."""
    entries: list[None] = []
    open_into = Vault.open_into

    def counting(*arguments: object) -> None:
        entries.append(None)
        open_into(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Vault, "open_into", counting)
    return entries


def load(archive: Archive, gallery: GalleryName) -> Snapshot | None:
    """Load what is kept of a gallery, as another process would."""
    files = SegmentFiles(archive.folder, os.urandom)
    space = archive.spaces.named(gallery.space)
    codings = {
        shelf.position.value: archive.engine.coding(shelf)
        for shelf in PRESENT
        if shelf[:2] == gallery
    }
    journal = archive.store.journal
    key = archive.vault.codes(*gallery)
    return files.load(gallery, space.identity, codings, journal.entry, key=key)


def stale(archive: Archive, gallery: GalleryName = XAA_FACES) -> str:
    """Return why what is kept of a gallery cannot be used."""
    with pytest.raises(StaleError) as refused:
        load(archive, gallery)
    return str(refused.value)


def is_whole(archive: Archive) -> bool:
    """Say whether exactly those are found who are enrolled, and all are ready."""
    states = {
        archive.galleries.state(*gallery) for gallery in archive.galleries.known()
    }
    return states == {GalleryState.READY} and all(
        archive.found(shelf, EVERYBODY) == people for shelf, people in PRESENT.items()
    )


def content(archive: Archive) -> dict[Path, bytes]:
    """Return every byte that is kept."""
    files = [path for path in archive.folder.rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in files}


def test_what_was_kept_is_found_and_no_template_is_opened(
    kept: Archive, opened: list[None]
) -> None:
    """Several positions, segments and holders come back without those withdrawn."""
    assert [len(kept.segments(shelf)) for shelf in PRESENT] == [3, 2, 4, 4]
    kept.start()
    assert is_whole(kept)
    assert kept.restored == kept.store.journal.end()
    assert opened == []


def test_codes_come_back_as_they_were(kept: Archive) -> None:
    """A search of restored codes has the same candidates at every threshold."""
    probes = np.array([np.eye(128, dtype=np.float32)[n] for n in range(9)])
    thresholds = np.linspace(-0.2, 0.3, 9)
    before = kept.engine.search(FACES, probes, thresholds)
    kept.start()
    after = kept.engine.search(FACES, probes, thresholds)
    assert [sorted(ids) for ids in before] == [sorted(ids) for ids in after]
    assert any(len(ids) for ids in after)


def test_a_restored_gallery_goes_on(kept: Archive, opened: list[None]) -> None:
    """What came after is opened, added and removed; and kept in its turn."""
    kept.enrol(FACES, 90, 91)
    kept.withdraw(FACES, 0, 91)
    for _ in range(2):
        kept.start()
        assert kept.found(FACES, EVERYBODY) == PRESENT[FACES] - {0} | {90}
        kept.save()
    assert len(opened) == 1


def test_a_gallery_that_is_empty_again_is_kept(archive: Archive) -> None:
    """That everybody was withdrawn needs no template to be known."""
    archive.withdraw(OTHER_FACES, *PRESENT[OTHER_FACES])
    archive.follow()
    archive.compact()
    archive.save()
    assert archive.segments(OTHER_FACES) == []
    kept = load(archive, XRA_FACES)
    assert kept is not None
    assert kept.position == archive.store.journal.end()
    archive.start()
    assert archive.found(OTHER_FACES, EVERYBODY) == set()


def test_nobody_else_may_read_what_is_kept(kept: Archive) -> None:
    """Files are their owner's alone, and so is every folder on the way."""
    found = list(kept.folder.rglob("*"))
    modes = {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()}
    assert modes == {0o600}
    folders = [kept.folder, *(path for path in found if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_what_did_not_change_is_not_written_again(kept: Archive) -> None:
    """A segment is written once; later only the manifest, and what is new."""
    before = set(kept.segments(FACES))
    kept.enrol(FACES, 90)
    kept.save()
    after = set(kept.segments(FACES))
    assert len(before & after) == 2  # all but the tail
    kept.start()
    kept.save()
    assert set(kept.segments(FACES)) == after


def test_what_was_deleted_while_it_was_served_is_written_anew(kept: Archive) -> None:
    """No manifest names a file that somebody has taken away meanwhile."""
    shutil.rmtree(kept.folder)
    kept.save()
    kept.start()
    assert kept.restored == kept.store.journal.end()
    assert is_whole(kept)


def test_what_no_longer_counts_is_deleted_and_nothing_else(kept: Archive) -> None:
    """Joined segments and unfinished files go; what others put there stays."""
    folder = kept.gallery(FACES)
    old = kept.segments(FACES)
    (folder / "manifest.new").write_bytes(b"unfinished")
    (folder / f"{'a' * 32}.segment.new").write_bytes(b"unfinished")
    foreign = [folder / name for name in ("notes.txt", "backup.segment", "manifest~")]
    for path in foreign:
        path.write_bytes(b"somebody's")
    (folder / "lost+found").mkdir()
    (folder / f"{'b' * 32}.segment").mkdir()
    kept.compact()
    kept.save()
    assert not any(path.exists() for path in old)
    assert not list(folder.glob("*.new"))
    assert all(path.read_bytes() == b"somebody's" for path in foreign)
    kept.start()
    assert is_whole(kept)


# -- what is wrong with files -------------------------------------------------


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)


def cut(path: Path) -> None:
    """Take the last byte of a file away."""
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    """Leave a file without content."""
    path.write_bytes(b"")


def behead(path: Path) -> None:
    """Leave a file's first bytes only."""
    path.write_bytes(path.read_bytes()[:10])


def lengthen(path: Path) -> None:
    """Write something behind a file."""
    path.write_bytes(path.read_bytes() + bytes(17))


def replace_by_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    """Put a pipe in a file's place, from which nothing ever comes."""
    path.unlink()
    os.mkfifo(path)


def replace_by_terabyte(path: Path) -> None:
    """Put a file there that no memory holds."""
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def replace_by_ring(path: Path) -> None:
    """Put a link to itself in the place of a file: it cannot be read."""
    path.unlink()
    path.symlink_to(path)


def replace_by_link_to_nothing(path: Path) -> None:
    """Put a link that leads nowhere in the place of a file."""
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


DAMAGES = [
    flip,
    cut,
    empty,
    behead,
    lengthen,
    Path.unlink,
    replace_by_folder,
    replace_by_ring,
    replace_by_link_to_nothing,
]


def swap(one: Path, other: Path) -> None:
    """Let two files or folders trade places."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def swap_segments(archive: Archive) -> None:
    """Swap two segments of one gallery."""
    swap(*archive.segments(FACES)[:2])


def swap_positions(archive: Archive) -> None:
    """Swap the first segments of two positions of one gallery."""
    by_part = archive.files._names[XAA_FINGERS]
    left, right = (
        archive.gallery(shelf)
        / f"{by_part[archive.engine.parts(shelf)[0].origin].hex()}.segment"
        for shelf in (LEFT_FINGERS, RIGHT_FINGERS)
    )
    swap(left, right)


def swap_spaces(archive: Archive) -> None:
    """Swap two galleries of one holder."""
    swap(archive.gallery(FACES), archive.gallery(LEFT_FINGERS))


def swap_holders(archive: Archive) -> None:
    """Swap two holders' galleries of one space."""
    swap(archive.gallery(FACES), archive.gallery(OTHER_FACES))


def swap_manifests(archive: Archive) -> None:
    """Swap two holders' manifests."""
    swap(archive.gallery(FACES) / "manifest", archive.gallery(OTHER_FACES) / "manifest")


def put_back_manifest(archive: Archive) -> None:
    """Put an older manifest back beside newer segments."""
    manifest = archive.gallery(FACES) / "manifest"
    before = manifest.read_bytes()
    archive.compact()
    archive.save()
    assert manifest.read_bytes() != before
    manifest.write_bytes(before)


def turn_key(archive: Archive) -> None:
    """Give a gallery a key of the next epoch."""
    archive.rotate(XAA_FACES)
    archive.reopen()


def test_codes_are_kept_under_the_key_that_they_were_made_by(kept: Archive) -> None:
    """Kept under a newer one, they would be read by another rotation than their own."""
    kept.rotate(XAA_FACES)
    kept.vault.adopt(XAA, kept.store.keys.gallery_keys(XAA))
    kept.enrol(FACES, 990)
    kept.save()
    kept.reopen()
    kept.start()
    assert 990 in kept.found(FACES, range(980, 1000))
    assert kept.index.has_older_codes(XAA)  # which the rotation goes on with


def test_a_stop_in_a_rotation_makes_no_codes_anew(
    kept: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    """What was kept by the older key is read by it, for as long as that is there."""
    turn_key(kept)
    kept.start()
    assert kept.restored == kept.store.journal.end()
    assert is_whole(kept)
    assert list(warnings(caplog.records)) == []


def test_files_of_a_destroyed_gallery_do_not_close_it(kept: Archive) -> None:
    """A stop may have left some: its holder has no gallery, and none that is locked."""
    kept.vault.lock(XAA)
    destroyed = Galleries()
    destroyed.destroy(XAA)
    index = Index(
        vault=kept.vault, spaces=kept.spaces, engine=Engine(), galleries=destroyed
    )
    index.restore(SegmentFiles(kept.folder, os.urandom), kept.store.journal)
    assert destroyed.closed(XAA) is GalleryState.DESTROYED


@pytest.mark.parametrize(
    ("kind", "damage"), list(itertools.product(["manifest", "*.segment"], DAMAGES))
)
def test_a_damaged_file_is_told_and_the_gallery_made_anew(
    kept: Archive,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    damage: Callable[[Path], None],
) -> None:
    """Whatever is wrong with one file: right answers, a line, and no other gallery."""
    damage(max(kept.gallery(FACES).glob(kind)))
    kept.start()
    assert is_whole(kept)
    assert kept.restored == 0
    (line,) = warnings(caplog.records)
    assert f"codes of XAA in {SPACE} are made anew from the database: " in line


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (swap_segments, 1),
        (swap_positions, 1),
        (swap_spaces, 2),
        (swap_holders, 2),
        (swap_manifests, 2),
        (put_back_manifest, 1),
    ],
)
def test_files_in_the_place_of_others_are_told_and_never_believed(
    kept: Archive,
    caplog: pytest.LogCaptureFixture,
    change: Callable[[Archive], None],
    lines: int,
) -> None:
    """Whoever moves files, or brings old ones back, gets right answers all the same."""
    change(kept)
    kept.start()
    assert is_whole(kept)
    assert len(list(warnings(caplog.records))) == lines
    caplog.clear()
    kept.save()
    kept.start()
    assert is_whole(kept)
    assert list(warnings(caplog.records)) == []


def test_no_changed_byte_of_a_manifest_is_believed(kept: Archive) -> None:
    """Each byte of it counts."""
    path = kept.gallery(FACES) / "manifest"
    sealed = path.read_bytes()
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 0x40
        path.write_bytes(changed)
        assert "manifest is damaged" in stale(kept)
    path.write_bytes(sealed)
    assert load(kept, XAA_FACES) is not None


def test_segments_of_very_many_pieces_are_read_again(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a tag of its own: large ones are not taken for too large."""
    monkeypatch.setattr("biometrics.custody.codes.SEALED_PIECE_BYTES", 64)
    monkeypatch.setattr("biometrics.custody.codes._STORED_PIECE_BYTES", 80)
    archive.save()
    assert any(path.stat().st_size > 2048 for path in archive.segments(FACES))
    assert load(archive, XAA_FACES) is not None


def test_segments_that_have_rows_in_common_are_refused(kept: Archive) -> None:
    """Nobody is searched for twice, nor in rows of which some may be missing."""
    snapshot = kept.index.snapshot(XAA_FACES)
    (position, parts), *_ = snapshot.parts.items()
    twice = replace(snapshot, parts={position: [*parts, *parts]})
    kept.files.save(XAA_FACES, twice)
    assert "do not go together" in stale(kept)


def test_each_reason_has_words(kept: Archive) -> None:
    """The line in the log says what is wrong."""
    manifest, segment = kept.gallery(FACES) / "manifest", kept.segments(FACES)[0]
    whole = kept.gallery(FACES)
    shutil.copytree(whole, whole.with_name("copy"))
    told = []
    for path, damage in [
        (manifest, empty),
        (manifest, flip),
        (manifest, Path.unlink),
        (manifest, replace_by_folder),
        (manifest, replace_by_pipe),
        (manifest, replace_by_terabyte),
        (segment, flip),
        (segment, Path.unlink),
        (segment, replace_by_ring),
        (segment, replace_by_pipe),
        (segment, replace_by_terabyte),
    ]:
        damage(path)
        told.append(stale(kept))
        shutil.rmtree(whole)
        shutil.copytree(whole.with_name("copy"), whole)
    assert told == [
        "the manifest is cut off",
        "the manifest is damaged, of another gallery, or of another key",
        "there is no manifest",
        "one of them is no file",
        "one of them is no file",
        "one of them is larger than it can be",
        "a segment is damaged, or of another gallery",
        "a segment cannot be read: No such file or directory",
        "a segment cannot be read: Too many levels of symbolic links",
        "one of them is no file",
        "one of them is larger than it can be",
    ]


@pytest.mark.parametrize("content", [b"", b"anything", bytes(5000)])
def test_files_of_a_gallery_that_never_was_make_none(
    kept: Archive, content: bytes
) -> None:
    """Whoever never enrolled stays NOT_COMPARABLE, whatever lies in the folder."""
    for name in (FINGER, "no space of ours", "two\nlines"):
        folder = kept.folder / XRA.code / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest").write_bytes(content)
    kept.reopen()
    kept.start()
    assert not kept.galleries.has(XRA, FINGER)
    assert is_whole(kept)


def test_codes_of_another_version_are_made_anew(
    kept: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another FAISS or another codebook lays codes out as it likes."""
    monkeypatch.setattr("matcher.segments.layout", lambda: "1 faiss-0.0.0 other")
    assert "another version" in stale(kept)


def test_codes_of_another_definition_of_the_space_are_made_anew(kept: Archive) -> None:
    """What was made by another extractor or about another centre is not compared."""
    codings = {FACES.position.value: kept.engine.coding(FACES)}
    entry = kept.store.journal.entry
    key = kept.vault.codes(*XAA_FACES)
    with pytest.raises(StaleError, match="template space"):
        kept.files.load(XAA_FACES, f"{SPACE}@0123", codings, entry, key=key)
    identity = kept.spaces.named(FINGER).identity
    only_left = {LEFT_FINGERS.position.value: kept.engine.coding(LEFT_FINGERS)}
    key = kept.vault.codes(*XAA_FINGERS)
    with pytest.raises(StaleError, match="positions"):
        kept.files.load(XAA_FINGERS, identity, only_left, entry, key=key)


def test_an_older_database_does_not_go_with_newer_codes(
    kept: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    """A database put back has people whom the codes lack, and lacks some they have."""
    kept.close()
    copy = kept.database.read_bytes()
    kept.open()
    kept.enrol(FACES, 90, 91)
    kept.withdraw(FACES, 1)
    kept.save()
    kept.close()
    kept.database.write_bytes(copy)
    # It would be refused; somebody goes on without what it lacks.
    kept.database.with_name(kept.database.name + ".lock").unlink()
    kept.open()
    for written in range(2):
        kept.start()
        assert is_whole(kept)
        told = list(warnings(caplog.records))
        assert len(told) == 3
        assert all("journal of the database" in line for line in told)
        caplog.clear()
        if not written:  # another history, beyond the position of the codes
            kept.enrol(FACES, 92, 93)
            kept.withdraw(FACES, 92, 93)


def test_older_codes_go_with_a_newer_database(
    kept: Archive, opened: list[None], caplog: pytest.LogCaptureFixture
) -> None:
    """A whole folder put back is an earlier position of the same journal."""
    copy = kept.folder.with_name("copy")
    shutil.copytree(kept.folder, copy)
    kept.enrol(FACES, 90)
    kept.withdraw(FACES, 1)
    kept.save()
    opened.clear()
    shutil.rmtree(kept.folder)
    shutil.copytree(copy, kept.folder)
    kept.start()
    assert kept.found(FACES, EVERYBODY) == PRESENT[FACES] - {1} | {90}
    assert len(opened) == 1
    assert list(warnings(caplog.records)) == []


def test_junk_is_passed_over(
    kept: Archive, opened: list[None], caplog: pytest.LogCaptureFixture
) -> None:
    """What is no gallery's is neither read nor deleted."""
    for name in ("notes/manifest", "xaa/tiny-face/manifest", "XAA/empty/nothing"):
        path = kept.folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"junk")
    (kept.folder / "manifest").write_bytes(b"junk")
    junk = {p: c for p, c in content(kept).items() if c == b"junk"}
    assert len(junk) == 4
    kept.start()
    kept.save()
    assert is_whole(kept)
    assert list(warnings(caplog.records)) == []
    assert opened == []
    assert junk.items() <= content(kept).items()


def test_a_locked_holders_files_stay(kept: Archive) -> None:
    """Codes cannot be opened without their key, and are there when it comes back."""
    before = content(kept)
    kept.vault.lock(XAA)
    kept.start()
    assert kept.galleries.state(*XAA_FACES) is GalleryState.LOCKED
    assert kept.found(FACES, EVERYBODY) == set()
    assert kept.found(OTHER_FACES, EVERYBODY) == PRESENT[OTHER_FACES]
    assert content(kept) == before
    kept.vault.unlock(XAA)
    kept.start()
    assert is_whole(kept)


def test_a_lock_while_files_are_read_is_a_lock(
    kept: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that goes away at that moment is that holder's outage alone."""
    codes = Vault.every_codes

    def locking(vault: Vault, holder: object, gallery: str) -> object:
        if holder == XAA:
            vault.lock(XAA)
        return codes(vault, holder, gallery)  # type: ignore[arg-type]

    monkeypatch.setattr(Vault, "every_codes", locking)
    kept.start()
    assert kept.galleries.state(*XAA_FACES) is GalleryState.LOCKED
    assert kept.galleries.state(*XRA_FACES) is GalleryState.READY
    assert kept.found(OTHER_FACES, EVERYBODY) == PRESENT[OTHER_FACES]


def test_what_cannot_be_deleted_is_not_read_either(
    kept: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes that are given up count no more, though their files are still there."""
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    kept.files.discard_all()
    kept.index.restore(kept.files, kept.store.journal)
    assert kept.index.position == 0
    assert kept.segments(FACES)


# -- while they are written ---------------------------------------------------


class Killed(BaseException):
    """The process ends here: nothing cleans up behind it."""


class Tripwire:
    """Lets so many of the system's calls happen, and none after."""

    def __init__(self, calls: int, error: BaseException) -> None:
        """Raise `error` after `calls`."""
        self._left = calls
        self._error = error
        self.is_tripped = False

    def on(self, call: Callable[..., object]) -> Callable[..., object]:
        """Return a call that may fail."""

        def made(*arguments: object, **named: object) -> object:
            if self._left == 0:
                self.is_tripped = True
                raise self._error
            self._left -= 1
            return call(*arguments, **named)

        return made

    def set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Watch every call that changes what is on disk; a full one can be deleted."""
        deleting = ("unlink",) if isinstance(self._error, Killed) else ()
        for name in ("open", "fsync", "replace", "mkdir", *deleting):
            monkeypatch.setattr(os, name, self.on(getattr(os, name)))


def try_to_save(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, tripwire: Tripwire
) -> None:
    """Save, as far as that comes."""
    with monkeypatch.context() as watched:
        tripwire.set(watched)
        try:
            archive.files.save(XAA_FACES, archive.index.snapshot(XAA_FACES))
        except (Killed, OSError):
            assert tripwire.is_tripped


@pytest.mark.parametrize("error", [Killed(), OSError(28, "No space left on device")])
def test_a_save_that_ends_anywhere_leaves_the_old_or_the_new(
    kept: Archive, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """At every call of the system: never a mixture, and the next save is whole."""
    old = kept.index.position
    kept.enrol(FACES, *range(80, 90))
    kept.withdraw(FACES, 7)
    kept.follow()
    kept.compact()
    folder, new = kept.folder, kept.index.position
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    reached = []
    names = dict(kept.files._names[XAA_FACES])
    for calls in range(100):
        tripwire = Tripwire(calls, error)
        kept.files._names[XAA_FACES] = dict(names)
        try_to_save(kept, monkeypatch, tripwire)
        held = load(kept, XAA_FACES)
        assert held is not None
        reached.append(held.position)
        if not tripwire.is_tripped:
            break
        kept.files._names[XAA_FACES] = dict(names)
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
    else:
        pytest.fail("it never came to an end")
    assert reached == sorted(reached)
    assert set(reached) == {old, new}
    assert len(reached) > 10


def test_a_full_disk_is_not_filled_by_trying(
    kept: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often a save fails, and where: no more than one try's files are left."""
    kept.enrol(FACES, *range(80, 90))
    kept.follow()
    kept.compact()
    before = len(content(kept))
    for calls in range(20):
        for _ in range(3):
            tripwire = Tripwire(calls, OSError(28, "No space left on device"))
            try_to_save(kept, monkeypatch, tripwire)
            assert load(kept, XAA_FACES) is not None
        assert len(content(kept)) <= before + 3
    kept.save()
    assert len(kept.segments(FACES)) == len(kept.engine.parts(FACES))
    assert not list(kept.gallery(FACES).glob("*.new"))


def test_a_link_in_the_place_of_an_unfinished_file_is_not_followed(
    kept: Archive,
) -> None:
    """Nothing outside is overwritten by way of the folder."""
    outside = kept.root / "outside"
    outside.write_bytes(b"precious")
    (kept.gallery(FACES) / "manifest.new").symlink_to(outside)
    manifest = kept.gallery(FACES) / "manifest"
    manifest.unlink()
    manifest.symlink_to(outside)
    kept.save()
    assert outside.read_bytes() == b"precious"
    assert not manifest.is_symlink()
    kept.start()
    assert is_whole(kept)


def test_a_kill_at_any_moment_leaves_codes_that_count(
    kept: Archive, caplog: pytest.LogCaptureFixture
) -> None:
    """After each of several kill -9 the codes are whole, and nobody is missing."""
    random = np.random.default_rng(SEED)
    script = Path(__file__).with_name("loop_keeper.py")
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    for turn in range(KILLS):
        kept.close()
        process = subprocess.Popen(
            [sys.executable, str(script), str(kept.root), str(1000 * (turn + 1))],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"saving\n"
        time.sleep(float(random.uniform(0.05, 0.4)))
        process.kill()
        process.wait()
        process.stdout.close()
        kept.open()
        kept.start()
        assert list(warnings(caplog.records)) == []
        assert kept.restored > 0
        assert kept.found(FACES, range(80)) == PRESENT[FACES]
        held = kept.engine.count(FACES)
        (counted,) = kept.store.register.galleries(XRA)
        assert kept.engine.count(OTHER_FACES) == counted.templates
        assert held == len(PRESENT[FACES])
    assert counted.templates > len(PRESENT[OTHER_FACES])
