"""Databases that search vectors, used through their clients.

They answer the k nearest only, `NEAREST`, but for PostgreSQL without an index, which
answers whatever is at or above the threshold. What the client and the wire cost is part
of their times, as it is for who uses them. Bytes a template are those of files and
tables, vectors included.
"""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

import numpy as np

from benchmarks.peers.base import NEAREST, SLACK, Peer

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LanceDb", "MilvusLite", "PgVector"]

_DSN: Final = "BENCH_PGVECTOR_DSN"  # the environment's: it may hold a password
_LINKS: Final = 24
_CONSTRUCTION: Final = 100
_EFFORT: Final = 256
_INSERT: Final = 2000
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"


def _name(database: str, index: str | None) -> str:
    """Return what tables call a database with an index."""
    effort = f", ef={_EFFORT}" if index == "HNSW" else ""
    return f"{database} {index or 'no index'}{effort}"


def _size(folder: str) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*"))


class MilvusLite(Peer):
    """Milvus Lite in this process, by the client of Milvus."""

    needs: ClassVar[tuple[str, ...]] = ("pymilvus", "milvus_lite")
    kind: ClassVar[str] = "database"

    def __init__(self, threads: int, index: str) -> None:
        """Name it.

        Args:
            threads: that it may use; it has no setting, its cores are the process's.
            index: "FLAT" or "HNSW".
        """
        super().__init__(_name("Milvus Lite", index), threads)
        self._index = index

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Insert all vectors, and wait until they are indexed and loaded."""
        from pymilvus import DataType, MilvusClient  # noqa: PLC0415

        self._folder = tempfile.TemporaryDirectory()
        self._client = MilvusClient(f"{self._folder.name}/milvus.db")
        schema = self._client.create_schema()
        schema.add_field("row", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        index = self._client.prepare_index_params()
        links = {"M": _LINKS, "efConstruction": _CONSTRUCTION}
        index.add_index(
            "vector", index_type=self._index, metric_type="IP", params=links
        )
        self._client.create_collection("t", schema=schema, index_params=index)
        for start in range(0, len(vectors), _INSERT):
            block = enumerate(vectors[start : start + _INSERT], start)
            self._client.insert("t", [{"row": n, "vector": each} for n, each in block])
        self._client.flush("t")
        self._client.load_collection("t")
        self._bytes = _size(self._folder.name) / len(vectors)

    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the nearest within the range above the threshold."""
        within = {"radius": threshold - SLACK, "range_filter": 1.0 + SLACK}
        answers = self._client.search(
            "t",
            data=list(probes),
            limit=NEAREST,
            search_params={"metric_type": "IP", "params": within | {"ef": _EFFORT}},
        )
        return [np.array([hit["row"] for hit in hits], np.int64) for hits in answers]

    def bytes_per_template(self) -> float:
        """Return the bytes of its files."""
        return self._bytes

    def close(self) -> None:
        """Remove its files."""
        super().close()
        self._client.close()
        self._folder.cleanup()


class LanceDb(Peer):
    """LanceDB on local files, in this process."""

    needs: ClassVar[tuple[str, ...]] = ("lancedb",)
    kind: ClassVar[str] = "database"

    def __init__(self, threads: int, index: str | None) -> None:
        """Name it.

        Args:
            threads: that it may use, by the environment that the run sets.
            index: "IVF_PQ" as LanceDB shapes it for the gallery, or None.
        """
        super().__init__(_name("LanceDB", index), threads)
        self._index = index

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Write a table, and its index."""
        import lancedb  # noqa: PLC0415
        import pyarrow as pa  # noqa: PLC0415
        from lancedb.index import IvfPq  # noqa: PLC0415

        self._folder = tempfile.TemporaryDirectory()
        flat = pa.array(vectors.reshape(-1))
        columns = {
            "row": pa.array(np.arange(len(vectors))),
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
        }
        database = lancedb.connect(self._folder.name)
        self._table = database.create_table("t", pa.table(columns))
        if self._index is not None:
            self._table.create_index("vector", config=IvfPq(distance_type="dot"))
        self._bytes = _size(self._folder.name) / len(vectors)

    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return the nearest; without an index, those within the range.

        With one, distances are of codes, and a range would lose mates.
        """
        query = self._table.search(list(probes) if len(probes) > 1 else probes[0])
        query = query.distance_type("dot").limit(NEAREST).select(["row", "_distance"])
        if self._index is None:
            query = query.distance_range(upper_bound=1 - threshold + SLACK)
        found = query.to_arrow()
        rows = found["row"].to_numpy()
        if len(probes) == 1:
            return [rows]
        numbers = found["query_index"].to_numpy()
        return [rows[numbers == number] for number in range(len(probes))]

    def bytes_per_template(self) -> float:
        """Return the bytes of its files."""
        return self._bytes

    def close(self) -> None:
        """Remove its files."""
        super().close()
        del self._table
        self._folder.cleanup()


class PgVector(Peer):
    """PostgreSQL with the extension pgvector, on a server of one's own.

    The server is given by the environment variable BENCH_PGVECTOR_DSN, as
    `postgresql://user:password@host:port/database`. A table of its own is made there,
    and dropped. The run's threads set how many workers a query has; what else the
    server does is its own.
    """

    needs: ClassVar[tuple[str, ...]] = ("pg8000",)
    kind: ClassVar[str] = "database"

    def __init__(self, threads: int, index: str | None) -> None:
        """Name it.

        Args:
            threads: that a query may use.
            index: "HNSW", or None.
        """
        super().__init__(_name("pgvector", index), threads)
        self._index = index

    def available(self) -> str | None:
        """Return why it cannot run here: no driver, or no server given."""
        given = None if os.environ.get(_DSN) else f"needs a server: set {_DSN}"
        return super().available() or given

    def make(self, vectors: NDArray[np.float32]) -> None:
        """Copy all vectors into a table, and index them."""
        self._server = _connect(os.environ[_DSN])
        run = self._server.run
        run("CREATE EXTENSION IF NOT EXISTS vector")
        run(f"SET max_parallel_workers_per_gather = {self.threads - 1}")
        run(f"SET hnsw.ef_search = {_EFFORT}")
        run("SET maintenance_work_mem = '1GB'")
        # Gone with the connection; but a temporary one would have no parallel workers.
        self._name = f"bench_{os.getpid()}_{(self._index or 'none').lower()}"
        dimension = vectors.shape[1]
        run(f"CREATE TABLE {self._name} (row bigint, vector vector({dimension}))")
        run(f"ALTER TABLE {self._name} ALTER vector SET STORAGE PLAIN")
        for start in range(0, len(vectors), _INSERT):
            copied = _as_copy(start, vectors[start : start + _INSERT])
            run(f"COPY {self._name} FROM STDIN WITH (FORMAT binary)", stream=[copied])
        if self._index is not None:
            run(
                f"CREATE INDEX ON {self._name} USING hnsw (vector vector_ip_ops) "
                f"WITH (m = {_LINKS}, ef_construction = {_CONSTRUCTION})"
            )
        run(f"VACUUM ANALYZE {self._name}")
        ((total,),) = run(f"SELECT pg_total_relation_size('{self._name}')")
        self._bytes = total / len(vectors)

    def propose(
        self, probes: NDArray[np.float32], threshold: float
    ) -> list[NDArray[np.int64]]:
        """Return what a query a probe finds: in range, or by the index the nearest."""
        which = (
            f"WHERE vector <#> cast(:probe AS vector) <= {SLACK - threshold}"
            if self._index is None
            else f"ORDER BY vector <#> cast(:probe AS vector) LIMIT {NEAREST}"
        )
        query = f"SELECT row FROM {self._name} {which}"  # noqa: S608 - a name of our own
        answers = (
            self._server.run(query, probe=str(probe.tolist())) for probe in probes
        )
        return [np.array(rows, np.int64).reshape(-1) for rows in answers]

    def bytes_per_template(self) -> float:
        """Return the bytes of the table and its index."""
        return self._bytes

    def close(self) -> None:
        """Drop the table."""
        super().close()
        self._server.run(f"DROP TABLE {self._name}")
        self._server.close()


def _connect(address: str) -> Any:
    """Return a connection to the server of an address."""
    import pg8000.native  # noqa: PLC0415

    parts = urlsplit(address)
    wire = socket.create_connection((parts.hostname or "localhost", parts.port or 5432))
    # Else the driver's small writes wait 40 ms for an acknowledgement.
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return pg8000.native.Connection(
        unquote(parts.username or "postgres"),
        password=unquote(parts.password) if parts.password else None,
        database=parts.path.lstrip("/") or None,
        sock=wire,
    )


def _as_copy(first: int, vectors: NDArray[np.float32]) -> bytes:
    """Return rows as PostgreSQL's binary COPY and pgvector's `vector_recv` read them.

    A row is a count of fields, and each field its length and its bytes, all big-endian;
    a vector is its dimension, two bytes of zeros, and its components.
    """
    dimension = vectors.shape[1]
    layout = [
        *(("fields", ">i2"), ("row_bytes", ">i4"), ("row", ">i8")),
        *(("vector_bytes", ">i4"), ("dimension", ">i2"), ("unused", ">i2")),
        ("vector", ">f4", (dimension,)),
    ]
    rows = np.zeros(len(vectors), layout)
    rows["fields"], rows["row_bytes"] = 2, 8
    rows["row"] = np.arange(first, first + len(vectors))
    rows["vector_bytes"], rows["dimension"] = 4 + 4 * dimension, dimension
    rows["vector"] = vectors
    return _HEADER + rows.tobytes() + _TRAILER
