"""Files are one stream of batches that a message takes; nothing in it gets lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics import limits
from biometrics.client import Chunk, Record, Template
from biometrics.client.messages import RequestMaker
from biometrics.errors import InvalidRequestError
from enrolment.bulk import Batch, read_batches
from enrolment.formats.source import VectorSample
from enrolment.gather import gather

if TYPE_CHECKING:
    from collections.abc import Iterator

    from enrolment.formats.source import Source

WIDE = "\N{OLD PERSIAN SIGN A}"


def save(path: Path, rows: int, dimension: int = 16, first: int = 0) -> Path:
    """Write a file of as many rows, all different."""
    vectors = first + 1 + np.arange(rows * dimension, dtype=np.float32)
    references = np.array([f"ref-{first + row}" for row in range(rows)])
    np.savez(path, embedding=vectors.reshape(rows, -1), reference=references)
    return path


def batches(*paths: Path, start: int = 0) -> Iterator[Batch]:
    """Read paths; every file fits."""
    return read_batches(gather(paths), lambda _source: None, start=start)


def test_batches_hold_every_record_once_and_in_order(tmp_path: Path):
    """References stay with their vectors, across files too."""
    paths = [save(tmp_path / f"{first}.npz", 300, first=first) for first in (0, 300)]
    told = list(batches(*paths))
    assert [(each.start, each.end) for each in told] == [(0, 512), (512, 600)]
    found = [each for batch in told for each in batch.records]
    assert [record.reference for _, record in found] == [f"ref-{n}" for n in range(600)]
    assert [record.number for _, record in found] == [*range(300), *range(300)]
    assert [file for file, _ in found] == [paths[0]] * 300 + [paths[1]] * 300
    assert all(
        record.samples[0].vector[0]
        == (record.number * 16 + 1 + (file == paths[1]) * 300)
        for file, record in found
    )
    assert told[-1].bytes_read == sum(path.stat().st_size for path in paths)


def test_a_later_start_numbers_records_as_they_were(tmp_path: Path):
    """It leaves out what is before it."""
    path = save(tmp_path / "gallery.npz", 300)
    late = list(batches(path, start=200))
    assert [(each.start, each.end) for each in late] == [(200, 300)]
    assert late[0].records[0][1].reference == "ref-200"
    assert list(batches(path, start=300)) == []


def test_a_start_beyond_all_files_is_refused(tmp_path: Path):
    """It is a mistake, or the files are others than they were."""
    with pytest.raises(InvalidRequestError) as caught:
        list(batches(save(tmp_path / "gallery.npz", 3), start=4))
    assert caught.value.reason == "WRONG_START"


def test_a_damaged_file_does_not_stop_the_others(tmp_path: Path):
    """It is refused in its place, by name."""
    good = [save(tmp_path / name, 2) for name in ("a.npz", "c.npz")]
    bad = tmp_path / "b.npz"
    bad.write_bytes(good[0].read_bytes()[:200])
    (batch,) = batches(tmp_path)
    assert [file for file, _ in batch.records] == [good[0]] * 2 + [good[1]] * 2
    (refused,) = batch.refused
    assert (refused.file, refused.number, refused.by) == (bad, None, "file")
    assert refused.faults[0].reason == "FILE_DAMAGED"
    assert (batch.start, batch.end) == (0, 5)


def test_a_file_that_does_not_fit_is_refused_as_a_whole(tmp_path: Path):
    """Not record by record."""
    path = save(tmp_path / "wide.npz", 300, dimension=20)

    def fits(source: Source) -> None:
        assert source.dimension == 20
        raise InvalidRequestError("WRONG_DIMENSION", "no")

    (batch,) = read_batches(gather([path]), fits)
    assert (len(batch.records), len(batch.refused)) == (0, 1)


def test_every_fault_of_a_record_is_told_at_once(tmp_path: Path):
    """And the records beside it are sent."""
    vectors = np.ones((4, 16), np.float32)
    vectors[1] = np.nan
    vectors[2] = 0
    references = np.array(["a", "b\n", "c", "d"])
    np.savez(tmp_path / "bad.npz", embedding=vectors, reference=references)
    (batch,) = batches(tmp_path)
    assert [record.reference for _, record in batch.records] == ["a", "d"]
    assert [
        (each.number, [(f.field, f.reason) for f in each.faults])
        for each in batch.refused
    ] == [
        (1, [("reference", "WRONG_CHARACTER"), ("templates[0].data", "NOT_FINITE")]),
        (2, [("templates[0].data", "ZERO_VECTOR")]),
    ]


def test_refusals_alone_are_batches_too(tmp_path: Path):
    """Memory is bounded even where nothing can be sent."""
    vectors = np.zeros((556, 16), np.float32)
    np.savez(tmp_path / "bad.npz", embedding=vectors, reference=np.arange(556))
    told = list(batches(tmp_path))
    assert [len(each.refused) for each in told] == [512, 44]


@pytest.mark.parametrize("scale", [1e-30, 1e30, 3e38])
def test_vectors_of_any_length_are_sent(tmp_path: Path, scale: float):
    """Also where their square is zero or infinite as float32."""
    vectors = np.full((2, 16), scale, np.float32)
    np.savez(tmp_path / "far.npz", embedding=vectors, reference=np.arange(2))
    (batch,) = batches(tmp_path)
    assert (len(batch.records), len(batch.refused)) == (2, 0)


def longest(batch: Batch) -> Chunk:
    """Return a batch's records with every text at its longest."""
    records = tuple(
        Record(
            reference=found.reference,
            templates=tuple(
                Template(
                    space="s" * limits.MAX_NAME_CHARACTERS,
                    position="left-iris",
                    vector=sample.vector,
                    quality=100,
                )
                for sample in found.samples
                if isinstance(sample, VectorSample)
            ),
            excluded=("UNHCR",) * limits.MAX_EXCLUDED_REQUESTERS,
            legal_basis=WIDE * limits.MAX_LEGAL_BASIS_CHARACTERS,
        )
        for _, found in batch.records
    )
    return Chunk(records=records)


def test_a_chunk_of_the_longest_records_fits_into_a_message(tmp_path: Path):
    """The widest vectors, and texts in four bytes a character."""
    vectors = np.ones((300, limits.MAX_DIMENSION), np.float32)
    named = np.array([WIDE * limits.MAX_REFERENCE_CHARACTERS] * 300)
    np.savez(tmp_path / "long.npz", embedding=vectors, reference=named)
    for batch in batches(tmp_path):
        chunk = longest(batch)
        size = len(RequestMaker(bytes).chunk(chunk).body)
        assert size <= limits.BULK_BYTES_PER_CHUNK
        assert len(chunk.records) > 1


def test_a_chunk_of_records_with_many_templates_fits_too(tmp_path: Path):
    """It has fewer of them."""
    np.save(tmp_path / "one.npy", np.ones(limits.MAX_DIMENSION, np.float32))
    lines = (
        f"{number},one.npy\n" * limits.MAX_TEMPLATES_PER_RECORD for number in range(20)
    )
    (tmp_path / "list.csv").write_text("reference,file\n" + "".join(lines))
    told = list(batches(tmp_path))
    assert sum(len(batch.records) for batch in told) == 20
    for batch in told:
        size = len(RequestMaker(bytes).chunk(longest(batch)).body)
        assert size <= limits.BULK_BYTES_PER_CHUNK


def test_a_folder_stands_for_its_files_by_name_and_for_no_links(tmp_path: Path):
    """A loop is no loop; what is passed over is counted."""
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        save(tmp_path / "gallery.npz", 1).rename(tmp_path / name / "gallery.NPZ")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "z.npz").symlink_to(tmp_path / "a" / "gallery.NPZ")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "vector.npy").write_bytes(b"")
    found = gather([tmp_path])
    assert found.files == [tmp_path / name / "gallery.NPZ" for name in ("a", "b")]
    assert found.passed == {"symbolic links": 2, "`.txt`": 1, "`.npy`": 1}
    assert gather([Path("absent")]).files == [Path("absent")]
