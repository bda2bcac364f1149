"""Parquet and Arrow tables of embeddings; needs the extra `tables`.

Columns: `embedding`, lists of floating-point numbers, all of one length; `reference`,
texts or integers; where they are there, `position`, texts, `quality`, integers, and
`expires`, days, moments with a time zone, or texts.
Other columns are not read. One batch of rows is held at a time.
"""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute
import pyarrow.ipc
import pyarrow.parquet

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from enrolment.formats.expiry import end_of_day, read_expiry
from enrolment.formats.files import open_regular
from enrolment.formats.guard import GUARD, EndedError
from enrolment.formats.source import Block, Found, Unreadable, VectorSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    import numpy as np
    from numpy.typing import NDArray

_REQUIRED: Final = ("embedding", "reference")
_OPTIONAL: Final = ("position", "quality", "expires")
_PARQUET: Final = ".parquet"
# What pyarrow raises on damage; OSError is also how it tells of a truncated file.
_DAMAGE: Final = (
    pa.ArrowException,
    ArithmeticError,
    EOFError,
    MemoryError,
    OSError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose columns were found in order; see `source.Source`."""

    path: Path
    kind: str
    dimension: int | None
    _columns: tuple[str, ...]

    def blocks(self) -> Iterator[Block]:
        """Yield the records, a block at a time; see `source.Source`."""
        with _opened(self.path) as file:
            done = 0
            for share, batch in _batches(file, self.path, self._columns):
                batch.validate(full=True)  # before an offset in it is believed
                for start in range(0, len(batch), limits.BULK_RECORDS_PER_CHUNK):
                    part = batch.slice(start, limits.BULK_RECORDS_PER_CHUNK)
                    yield Block(share=share, items=tuple(self._items(part, done)))
                    done += len(part)

    def _items(self, batch: pa.RecordBatch, first: int) -> Iterator[Found | Unreadable]:
        """Yield the records of some rows."""
        vectors = _vectors(batch.column("embedding"))
        columns = {
            name: _values(name, batch.column(name))
            for name in self._columns
            if name != "embedding"
        }
        for row, vector in enumerate(vectors):
            said = {name: values[row] for name, values in columns.items()}
            reference = "" if said["reference"] is None else str(said["reference"])
            number = first + row
            if vector is None:
                message = "is null or holds a null"
                fault = Fault(field="embedding", reason="WRONG_VECTOR", message=message)
                yield Unreadable(number=number, reference=reference, faults=(fault,))
                continue
            try:
                expires_at = _expiry(said.get("expires"))
            except InvalidRequestError as error:
                faults = tuple(error.faults)
                yield Unreadable(number=number, reference=reference, faults=faults)
                continue
            sample = VectorSample(
                vector=vector,
                position=said.get("position"),
                quality=said.get("quality"),
            )
            yield Found(
                number=number,
                reference=reference,
                samples=(sample,),
                expires_at=expires_at,
            )


def _values(name: str, column: pa.Array) -> list[Any]:
    """Return what a column says in each row."""
    if name == "expires" and pa.types.is_timestamp(column.type):
        # Python's moments have no nanoseconds; what is cut off only ends it sooner.
        column = column.cast(pa.timestamp("us", "UTC"), safe=False)
    return list(column.to_pylist())


def _expiry(said: object) -> dt.datetime | None:
    """Return the moment at which a row says that its record expires.

    Raises:
        InvalidRequestError: it is a text that says none.
    """
    if isinstance(said, str):
        return read_expiry(said)
    if said is None or isinstance(said, dt.datetime):
        return said
    assert isinstance(said, dt.date)  # noqa: S101 - by the type of the column
    return end_of_day(said)


def open_table(path: Path) -> Table:
    """Open a table and check its columns.

    Args:
        path: of a Parquet file, or of an Arrow file (also called Feather).

    Raises:
        InvalidRequestError: it cannot be read, or has other columns.
    """
    with _opened(path) as file:
        if path.suffix.lower() == _PARQUET:
            most = _most_values(path)
            parquet = pa.parquet.ParquetFile(file)
            kind, schema = "Parquet table", parquet.schema_arrow
            columns = _check_columns(path, schema)
            _check_groups(path, schema, most)
        else:
            kind, schema = "Arrow table", pa.ipc.open_file(file).schema
            columns = _check_columns(path, schema)
        listed = schema.field("embedding").type
        dimension = listed.list_size if pa.types.is_fixed_size_list(listed) else None
    return Table(path, kind, dimension, columns)


def write_table(
    path: Path, embedding: NDArray[np.float32], **columns: Sequence[object]
) -> None:
    """Write a Parquet table that `open_table` reads.

    Args:
        path: of the table.
        embedding: (n, d).
        columns: all others by name, one value a row.
    """
    count, dimension = embedding.shape
    vectors = pa.FixedSizeListArray.from_arrays(
        pa.array(embedding.reshape(count * dimension)), dimension
    )
    table = pa.table({**columns, "embedding": vectors})
    pa.parquet.write_table(table, path, row_group_size=limits.TABLE_ROWS_PER_BATCH)


def _most_values(path: Path) -> list[int]:
    """Return the most values that a column has, by row group; see `guard`.

    Raises:
        InvalidRequestError: nobody outlives a look at the file.
    """
    try:
        return GUARD.most_values(path) or []
    except EndedError as error:
        message = (
            "is damaged: what reads it does not come back from a look at its footer;"
            " write it again"
        )
        raise _refusal(path, "FILE_DAMAGED", message) from error


def _check_groups(path: Path, schema: pa.Schema, found: list[int]) -> None:
    """Refuse row groups whose vectors may be all in one row, and too large for it.

    Lists of a fixed length are read a batch at a time, however many there are.
    """
    if pa.types.is_fixed_size_list(schema.field("embedding").type):
        return
    most = limits.MAX_LIST_VALUES
    for number, values in enumerate(found):
        if values > most:
            message = (
                f"row group {number} has more than {most} values in lists of any"
                " length; write smaller row groups, or lists of a fixed size"
            )
            raise _refusal(path, "GROUP_TOO_LARGE", message)


def _check_columns(path: Path, schema: pa.Schema) -> tuple[str, ...]:
    """Return the columns to read, if they have the right types."""
    names = schema.names
    faults = [
        Fault(field=f"{path}:{name}", reason="MISSING_COLUMN", message=message)
        for name in (*_REQUIRED, *_OPTIONAL)
        for count in (names.count(name),)
        for message in (
            "there is no column of this name; add it"
            if not count
            else "there are several columns of this name",
        )
        if count > 1 or (not count and name in _REQUIRED)
    ]
    wanted = [name for name in (*_REQUIRED, *_OPTIONAL) if names.count(name) == 1]
    for name in wanted:
        if not _fits(name, schema.field(name).type):
            message = f"is of type `{schema.field(name).type}`; must be {_TYPES[name]}"
            where = f"{path}:{name}"
            faults.append(Fault(field=where, reason="WRONG_TYPE", message=message))
    listed = schema.field("embedding").type if "embedding" in wanted else None
    if listed is not None and pa.types.is_fixed_size_list(listed):
        least, most = limits.MIN_DIMENSION, limits.MAX_DIMENSION
        if not least <= listed.list_size <= most:
            message = f"lists of {listed.list_size}; must be {least} to {most}"
            where = f"{path}:embedding"
            faults.append(Fault(field=where, reason="WRONG_DIMENSION", message=message))
    if faults:
        raise InvalidRequestError.of(faults)
    return tuple(wanted)


_TYPES: Final = {
    "embedding": "lists of float16, float32 or float64",
    "reference": "texts or integers",
    "position": "texts",
    "quality": "integers",
    "expires": "days, moments with a time zone, or texts",
}


def _fits(name: str, kind: pa.DataType) -> bool:
    """Say whether a column has a type that is read."""
    types = pa.types
    text = types.is_string(kind) or types.is_large_string(kind)
    if name == "embedding":
        listed = (
            types.is_list(kind)
            or types.is_large_list(kind)
            or types.is_fixed_size_list(kind)
        )
        return bool(listed and types.is_floating(kind.value_type))
    if name == "reference":
        return bool(text or types.is_integer(kind))
    if name == "expires":
        zoned = types.is_timestamp(kind) and kind.tz is not None
        return bool(text or types.is_date(kind) or zoned)
    return bool(text if name == "position" else types.is_integer(kind))


def _batches(
    file: BinaryIO, path: Path, columns: tuple[str, ...]
) -> Iterator[tuple[float, pa.RecordBatch]]:
    """Yield rows, and how much of the file is read with them."""
    if path.suffix.lower() == _PARQUET:
        parquet = pa.parquet.ParquetFile(file, pre_buffer=False)
        count, done = max(parquet.metadata.num_rows, 1), 0
        for batch in parquet.iter_batches(
            limits.TABLE_ROWS_PER_BATCH, columns=list(columns), use_threads=False
        ):
            done += len(batch)
            yield min(done / count, 1.0), batch
        return
    reader = pa.ipc.open_file(file)
    for number in range(reader.num_record_batches):
        batch = reader.get_batch(number).select(list(columns))
        yield (number + 1) / reader.num_record_batches, batch


def _vectors(column: pa.Array) -> list[NDArray[np.floating] | None]:
    """Return the vector of each row, or None where it has none."""
    lengths = set(pa.compute.list_value_length(column).to_pylist())
    values = column.flatten()  # of the rows that are not null
    if len(lengths) != 1 or None in lengths or values.null_count:
        return [_alone(row) for row in column]
    flat = values.to_numpy(zero_copy_only=False)
    return list(flat.reshape(len(column), -1))


def _alone(row: pa.Scalar) -> NDArray[np.floating] | None:
    """Return one row's vector, or None if it has nulls."""
    if not row.is_valid or row.values.null_count:
        return None
    return row.values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, and translate whatever goes wrong with reading it."""
    try:
        with open_regular(path) as file:
            yield file
    except _DAMAGE as error:
        message = "is damaged, or no Parquet or Arrow file; write it again"
        raise _refusal(path, "FILE_DAMAGED", message) from error


def _refusal(path: Path, reason: str, message: str) -> InvalidRequestError:
    """Return an error about the file as a whole."""
    fault = Fault(field=str(path), reason=reason, message=message)
    return InvalidRequestError.of([fault])
