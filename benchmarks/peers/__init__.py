"""Other ways to find everyone at or above a threshold, behind one interface.

    base.py         the interface, and the exact decision that all share
    exhaustive.py   float32 products: NumPy, FAISS
    codes.py        short codes scanned whole: FAISS RaBitQ, FAISS sign bits
    graphs.py       neighbourhood graphs: FAISS HNSW, usearch, hnswlib
    databases.py    Milvus Lite, LanceDB, PostgreSQL with pgvector
    ours.py         the exchange's own engine, behind the same interface

Each is used as its documentation says, and held to the run's threads. What can only be
asked for the k nearest is asked for `NEAREST`, if its name says no other number.
"""

from benchmarks.peers.base import NEAREST, Peer
from benchmarks.peers.codes import FaissRaBitQ, FaissSignBits
from benchmarks.peers.databases import LanceDb, MilvusLite, PgVector
from benchmarks.peers.exhaustive import FaissFlat, NumpyProduct
from benchmarks.peers.graphs import FaissHnsw, HnswLib, Usearch
from benchmarks.peers.ours import Ours

__all__ = [
    "NEAREST",
    "FaissFlat",
    "FaissHnsw",
    "FaissRaBitQ",
    "FaissSignBits",
    "HnswLib",
    "LanceDb",
    "MilvusLite",
    "NumpyProduct",
    "Ours",
    "Peer",
    "PgVector",
    "Usearch",
    "fast",
    "references",
    "slow",
]


def references(threads: int) -> list[Peer]:
    """Return what stands in every table: ours, and what it is measured against."""
    return [Ours(threads), NumpyProduct(threads), FaissFlat(threads)]


def fast(threads: int) -> list[Peer]:
    """Return the contenders that a million templates are built into in a minute."""
    return [
        *references(threads),
        FaissRaBitQ(threads),
        FaissRaBitQ(threads, nearest=1000),
        FaissSignBits(threads),
        FaissSignBits(threads, nearest=1000),
    ]


def slow(threads: int) -> list[Peer]:
    """Return those that take many minutes to build, or searches of seconds."""
    graph = FaissHnsw(threads, effort=64)
    usearch, hnswlib = Usearch(threads, effort=64), HnswLib(threads, effort=64)
    return [
        graph,
        FaissHnsw(threads, effort=256, built=graph),
        FaissHnsw(threads, effort=1024, built=graph),
        usearch,
        Usearch(threads, effort=1024, built=usearch),
        hnswlib,
        HnswLib(threads, effort=1024, built=hnswlib),
        MilvusLite(threads, index="FLAT"),
        MilvusLite(threads, index="HNSW"),
        LanceDb(threads, index=None),
        LanceDb(threads, index="IVF_PQ"),
        PgVector(threads, index=None),
        PgVector(threads, index="HNSW"),
    ]
