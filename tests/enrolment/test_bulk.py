"""A file is cut into chunks that a transaction and a message take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics import limits
from biometrics.client import Chunk, Record, Template
from biometrics.client.messages import RequestMaker
from biometrics.errors import InvalidRequestError
from enrolment.bulk import cut_rows
from enrolment.formats.arrays import ArrayFile, read_npz

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def file(tmp_path: Path):
    """Three hundred rows."""
    rows = np.arange(300 * 16, dtype=np.float32).reshape(300, 16)
    references = np.array([f"ref-{row}" for row in range(300)])
    np.savez(tmp_path / "gallery.npz", embedding=rows, reference=references)
    return read_npz(tmp_path / "gallery.npz")


def test_chunks_hold_every_row_once_and_in_order(file: ArrayFile):
    """References stay with their vectors."""
    chunks = list(cut_rows(file))
    assert [(chunk.start, len(chunk.vectors)) for chunk in chunks] == [
        (0, 128),
        (128, 128),
        (256, 44),
    ]
    for chunk in chunks:
        assert chunk.references[0] == f"ref-{chunk.start}"
        assert len(chunk.references) == len(chunk.vectors)
        assert chunk.vectors[0, 0] == chunk.start * 16


def test_a_later_start_leaves_the_later_chunks_as_they_were(file: ArrayFile):
    """Only the first chunk is shorter."""
    whole, late = list(cut_rows(file)), list(cut_rows(file, start=200))
    assert (late[0].start, len(late[0].vectors)) == (200, 56)
    assert late[0].references[0] == "ref-200"
    assert late[0].vectors[0, 0] == 200 * 16
    assert late[1].references == whole[2].references
    assert list(cut_rows(file, start=300)) == []


@pytest.mark.parametrize("start", [-1, 301])
def test_a_start_beyond_the_file_is_refused(file: ArrayFile, start: int):
    """Before anything is read."""
    with pytest.raises(InvalidRequestError) as caught:
        cut_rows(file, start=start)
    assert caught.value.reason == "WRONG_START"
    assert f"`{file.path}`" in str(caught.value)


def test_a_file_without_references_is_refused(tmp_path: Path):
    """A record cannot be enrolled without one."""
    np.savez(tmp_path / "plain.npz", embedding=np.ones((3, 16), np.float32))
    with pytest.raises(InvalidRequestError) as caught:
        cut_rows(read_npz(tmp_path / "plain.npz"))
    assert caught.value.reason == "NO_REFERENCES"


def test_a_chunk_of_the_longest_records_fits_into_a_message():
    """The largest vectors, and every text at its longest, in four bytes a character."""
    wide = "\N{OLD PERSIAN SIGN A}"
    template = Template(
        space="s" * limits.MAX_NAME_CHARACTERS,
        position="left-iris",
        vector=np.ones(limits.MAX_DIMENSION, np.float32),
        quality=100,
    )
    record = Record(
        reference=wide * limits.MAX_REFERENCE_CHARACTERS,
        templates=(template,),
        excluded=("UNHCR",) * limits.MAX_EXCLUDED_REQUESTERS,
        legal_basis=wide * limits.MAX_LEGAL_BASIS_CHARACTERS,
    )
    chunk = Chunk(records=(record,) * limits.BULK_RECORDS_PER_CHUNK)
    message = RequestMaker(bytes).chunk(chunk)
    assert message.ByteSize() <= limits.MAX_MESSAGE_BYTES
