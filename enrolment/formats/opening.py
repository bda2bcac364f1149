"""Which reader a file gets, by the end of its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.arrays import ArrayFile, read_npz
from enrolment.formats.files import open_regular
from enrolment.formats.manifests import open_csv, open_jsonl
from enrolment.formats.persons import PERSON_ENDINGS, open_person
from enrolment.formats.pictures import SUFFIXES, PictureFile
from enrolment.formats.source import Block, Found, VectorSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from enrolment.formats.source import Source


def open_source(path: Path) -> Source:
    """Open a file and check what can be checked before its records are read.

    Raises:
        InvalidRequestError: it cannot be read as what its name says, or its name says
            nothing known.
    """
    with open_regular(path):
        pass  # so that no library waits for a pipe
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(f"`{suffix}`" for suffix in sorted(_READERS))
        message = f"ends in none of {known}; by that its format is known"
        raise _refusal(path, "UNKNOWN_FORMAT", message)
    try:
        return reader(path)
    except InvalidRequestError as error:
        if error.faults:
            raise
        raise _refusal(path, error.reason, error.message) from error


def is_known(path: Path) -> bool:
    """Say whether a file in a folder is one to enrol, by its name."""
    return path.suffix.lower() in _READERS and path.suffix.lower() != _PARTS


@dataclass(frozen=True, slots=True)
class _Arrays:
    """A NumPy archive as a source."""

    file: ArrayFile
    kind: str = "NumPy archive"

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.file.path

    @property
    def dimension(self) -> int:
        """Of every vector."""
        return self.file.dimension

    def blocks(self) -> Iterator[Block]:
        """Yield the records, a block at a time; see `source.Source`."""
        for start, names, vectors in self.file.records(limits.BULK_RECORDS_PER_CHUNK):
            yield Block(
                share=(start + len(names)) / self.file.count,
                items=tuple(
                    Found(
                        number=number,
                        reference=name,
                        samples=(VectorSample(vector=vector),),
                    )
                    for number, (name, vector) in enumerate(
                        zip(names, vectors, strict=True), start
                    )
                ),
            )


def _open_arrays(path: Path) -> Source:
    """Open a NumPy archive that has references."""
    file = read_npz(path)
    file.check_references()
    return _Arrays(file)


def _open_table(path: Path) -> Source:
    """Open a Parquet or Arrow table, if what reads them is there."""
    try:
        from enrolment.formats.tables import open_table  # noqa: PLC0415 - an extra
    except ImportError as error:
        message = (
            "needs pyarrow, which is not installed: `pip install"
            " 'regional-biometrics-exchange[tables]'`"
        )
        raise _refusal(path, "EXTRA_MISSING", message) from error
    return open_table(path)


def _refuse_parts(path: Path) -> Source:
    """Refuse vectors without references."""
    message = (
        "has vectors without references: name it in a manifest, or save both with"
        " `numpy.savez(..., embedding=..., reference=...)`"
    )
    raise _refusal(path, "NO_REFERENCES", message)


def _refusal(path: Path, reason: str, message: str) -> InvalidRequestError:
    """Return an error about the file as a whole."""
    fault = Fault(field=str(path), reason=reason, message=message)
    return InvalidRequestError.of([fault])


def is_part(path: Path) -> bool:
    """Say whether a manifest in a folder above names such a file, and may say more."""
    return path.suffix.lower() in _NAMED


def is_manifest(path: Path) -> bool:
    """Say whether a file names others."""
    return path.suffix.lower() in _MANIFESTS


_PARTS: Final = ".npy"
_MANIFESTS: Final = frozenset({".csv", ".jsonl"})
_NAMED: Final = SUFFIXES.union(PERSON_ENDINGS)
_READERS: Final[dict[str, Callable[[Path], Source]]] = {
    ".npz": _open_arrays,
    ".parquet": _open_table,
    ".arrow": _open_table,
    ".feather": _open_table,
    ".csv": open_csv,
    ".jsonl": open_jsonl,
    **dict.fromkeys(PERSON_ENDINGS, open_person),
    _PARTS: _refuse_parts,
    **dict.fromkeys(SUFFIXES, PictureFile),
}
