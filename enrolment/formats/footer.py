"""A program that looks at the footers of Parquet files, in a process of its own.

pyarrow 26 ends the process that asks for a column whose statistics do not fit it. So it
is asked here, and `guard` outlives that. For each line of standard input, a path in
JSON, it writes a line: the most values that a column has, by row group; or null where
pyarrow cannot read the file. It imports nothing of ours.
"""

import json
import resource
import sys

import pyarrow as pa
import pyarrow.parquet


def main() -> None:
    """Answer until there is no more to be asked."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an end is no incident
    for line in sys.stdin:
        try:
            answer = most_values(json.loads(line))
        except Exception:  # noqa: BLE001 - whoever asked finds out why by itself
            answer = None
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def most_values(path: str) -> list[int]:
    """Return the most values that a column has, by row group."""
    with pa.OSFile(path, "rb") as file:
        parquet = pa.parquet.ParquetFile(file, pre_buffer=False)
        _ = parquet.schema_arrow
        metadata = parquet.metadata
        groups = [metadata.row_group(n) for n in range(metadata.num_row_groups)]
        return [
            max(
                (group.column(n).num_values for n in range(group.num_columns)),
                default=0,
            )
            for group in groups
        ]


if __name__ == "__main__":
    main()
