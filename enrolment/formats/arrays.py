"""Arrays of embeddings in a NumPy archive (`.npz`), read in blocks of rows.

The archive has `embedding`, floating-point (n, d), and `reference`, texts or integers
(n,). Nothing is unpickled, sizes are checked before anything is decompressed, and a
file may be larger than memory: references are read beside their vectors. What both
say, such as NaN, is for admission to judge, record by record.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.archive import Archive, open_archive

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from enrolment.formats.npy import Header

_EMBEDDING: Final = "embedding"
_REFERENCE: Final = "reference"
_TEXT: Final = "USiu"  # kinds of elements that are read as texts
_KIND_NAMES: Final = {
    "f": "float16, float32 or float64",
    _TEXT: "texts or integers",
}
_SHAPES: Final = {1: "the form `(n,)`", 2: "the form `(n, dimension)`"}
_SURROGATES: Final = range(0xD800, 0xE000)  # no message can carry them


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFile:
    """An archive that was found in order when it was opened.

    Attributes:
        path: where it is.
        count: number of rows, at least 1.
        dimension: components of a vector.
    """

    path: Path
    count: int
    dimension: int
    _header: Header = field(repr=False)
    _references: Header | None = field(repr=False)
    _texts: Mapping[str, list[str]] = field(repr=False)

    def rows(self, chunk: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield the number of a first row, and up to `chunk` rows from there.

        Blocks are float32 (rows, dimension) and may be read-only. Float64 beyond the
        range of float32 becomes infinite. Holds one block at a time, unless the array
        is in Fortran order.

        Raises:
            InvalidRequestError: the file was changed or damaged since it was opened.
            ValueError: `chunk` is less than 1.
        """
        if chunk < 1:
            raise ValueError("a chunk has at least one row")
        with open_archive(self.path) as archive:
            for start, block in archive.elements(_EMBEDDING, self._header, chunk):
                with np.errstate(over="ignore", invalid="ignore"):
                    single = np.ascontiguousarray(block, np.float32)
                yield start, single

    def check_references(self) -> Header:
        """Return the header of the references.

        Raises:
            InvalidRequestError: there are none.
        """
        if self._references is None:
            message = (
                "there is no array of this name; add one of texts, as many as rows,"
                " each the opaque reference that the record is enrolled under"
            )
            where = f"{self.path}:{_REFERENCE}"
            fault = Fault(field=where, reason="NO_REFERENCES", message=message)
            raise InvalidRequestError.of([fault])
        return self._references

    def records(
        self, chunk: int
    ) -> Iterator[tuple[int, list[str], NDArray[np.float32]]]:
        """Yield what `rows` does, with the reference of each row in between.

        Raises:
            InvalidRequestError: the file has no references, or was changed or damaged
                since it was opened.
            ValueError: `chunk` is less than 1.
        """
        references = self.check_references()
        with open_archive(self.path) as archive:
            named = archive.elements(_REFERENCE, references, chunk)
            for (start, block), (_, names) in zip(self.rows(chunk), named, strict=True):
                yield start, _texts(names), block

    @property
    def references(self) -> list[str] | None:
        """All references, read into memory; None if the archive has none.

        Raises:
            InvalidRequestError: the file was changed or damaged since it was opened.
        """
        if self._references is None:
            return None
        with open_archive(self.path) as archive:
            return _read_texts(archive, _REFERENCE, self._references)

    def texts(self, name: str) -> list[str]:
        """Return an array of texts (n,) that was asked for on opening."""
        return self._texts[name]


def read_npz(path: Path, *, texts: Sequence[str] = ()) -> ArrayFile:
    """Open an archive, check it from end to end, and read the texts asked for.

    Args:
        path: of the archive.
        texts: names of arrays of texts (n,) that it must have as well; integers are
            read as texts.

    Raises:
        InvalidRequestError: it cannot be read, with every fault at once.
    """
    with open_archive(path) as archive:
        # 1. Headers: types, shapes and sizes, before anything is decompressed.
        kinds = {_EMBEDDING: "f", **dict.fromkeys(texts, _TEXT)}
        if archive.has(_REFERENCE):
            kinds[_REFERENCE] = _TEXT
        columns = {
            name: header
            for name, kind in kinds.items()
            if (header := _header(archive, name, kind)) is not None
        }
        _check_rows(archive, columns)
        if archive.faults:
            raise InvalidRequestError.of(archive.faults)
        # 2. The texts; references are only looked at, and read again with their rows.
        embedding = columns.pop(_EMBEDDING)
        reference = columns.get(_REFERENCE)
        if reference is not None and _REFERENCE not in texts:
            del columns[_REFERENCE]
            for _ in _text_blocks(archive, _REFERENCE, reference):
                pass
        read = {
            name: _read_texts(archive, name, header) for name, header in columns.items()
        }
        if archive.faults:
            raise InvalidRequestError.of(archive.faults)
        # 3. The embeddings' checksum: no half of a damaged file is enrolled.
        archive.run_through(_EMBEDDING)
    return ArrayFile(
        path=path,
        count=embedding.shape[0],
        dimension=embedding.shape[1],
        _header=embedding,
        _references=reference,
        _texts=read,
    )


def write_npz(
    path: Path, embedding: NDArray[np.floating], references: Sequence[str]
) -> None:
    """Write an archive that `read_npz` reads; one that is there is replaced.

    Args:
        path: of the archive.
        embedding: (n, d).
        references: one for each row.

    Raises:
        ValueError: there are more or fewer references than rows.
    """
    if len(references) != len(embedding):
        raise ValueError("there must be as many references as rows")
    with path.open("wb") as file:
        np.savez(
            file,
            embedding=np.ascontiguousarray(embedding),
            reference=np.array(references, np.str_),
        )


def _header(archive: Archive, name: str, kinds: str) -> Header | None:
    """Return an array's header if its type and number of dimensions are right."""
    header = archive.header(name)
    if header is None:
        return None
    dimensions = 2 if name == _EMBEDDING else 1
    before = len(archive.faults)
    if header.dtype.kind not in kinds:
        message = f"must have {_KIND_NAMES[kinds]} as elements"
        archive.refuse(name, "WRONG_TYPE", message)
    if len(header.shape) != dimensions:
        message = f"has shape `{header.shape}`; must have {_SHAPES[dimensions]}"
        archive.refuse(name, "WRONG_SHAPE", message)
    return header if len(archive.faults) == before else None


def _check_rows(archive: Archive, headers: Mapping[str, Header]) -> None:
    """Note what is wrong with the sizes of arrays that are right otherwise."""
    embedding = headers.get(_EMBEDDING)
    if embedding is not None:
        _check_embedding(archive, embedding)
    for name, header in headers.items():
        if embedding is not None and header.shape[0] != embedding.shape[0]:
            message = (
                f"has shape `{header.shape}` where `{_EMBEDDING}` has"
                f" `{embedding.shape}`; must be as many rows"
            )
            archive.refuse(name, "WRONG_COUNT", message)
        most = limits.MAX_REFERENCE_COLUMN_CHARACTERS
        width = header.dtype.itemsize // (4 if header.dtype.kind == "U" else 1)
        if width > most:
            message = f"texts of {width} characters; must be at most {most}"
            archive.refuse(name, "WRONG_WIDTH", message)


def _check_embedding(archive: Archive, header: Header) -> None:
    """Note what is wrong with the size of the embeddings."""
    count, dimension = header.shape
    most = limits.MAX_ARRAY_ROWS
    if not 1 <= count <= most:
        message = f"{count} rows; must be 1 to {most}"
        archive.refuse(_EMBEDDING, "WRONG_COUNT", message)
    least, most = limits.MIN_DIMENSION, limits.MAX_DIMENSION
    if not least <= dimension <= most:
        message = f"rows of dimension {dimension}; must be {least} to {most}"
        archive.refuse(_EMBEDDING, "WRONG_DIMENSION", message)
    most = limits.MAX_COLUMN_ORDER_BYTES
    if header.by_column and header.data_bytes > most:
        message = "too large in Fortran order; write `numpy.ascontiguousarray` of it"
        archive.refuse(_EMBEDDING, "WRONG_ORDER", message)


def _read_texts(archive: Archive, name: str, header: Header) -> list[str]:
    """Return an array's texts, or note that some are none."""
    return [text for block in _text_blocks(archive, name, header) for text in block]


def _text_blocks(archive: Archive, name: str, header: Header) -> Iterator[list[str]]:
    """Yield an array's texts in blocks, and note which are none."""
    rows = limits.ARRAY_PIECE_BYTES // header.dtype.itemsize
    for start, block in archive.elements(name, header, rows):
        try:
            yield _texts(block)
        except ValueError:
            message = (
                f"rows {start} to {start + len(block) - 1} hold what is no text in"
                " Unicode or UTF-8"
            )
            archive.refuse(name, "WRONG_TEXT", message)


def _texts(block: NDArray[Any]) -> list[str]:
    """Return texts, numbers as texts, or bytes as UTF-8 texts.

    Raises:
        ValueError: some are no text.
    """
    if block.dtype.kind == "S":
        return [text.decode() for text in block.tolist()]
    if block.dtype.kind == "U":
        codes = block.view(np.dtype("u4").newbyteorder(block.dtype.byteorder))
        surrogate = (codes >= _SURROGATES.start) & (codes < _SURROGATES.stop)
        if (surrogate | (codes > sys.maxunicode)).any():
            raise ValueError("no text has these code points")
    return [str(text) for text in block.tolist()]
