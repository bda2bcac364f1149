"""What a benchmark ran on: enough to compare, nothing that names a host or a person."""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

__all__ = ["PACKAGES", "commit", "fingerprint", "resident_bytes", "use_threads"]

PACKAGES: Final = (
    "numpy",
    "faiss-cpu",
    "grpcio",
    "protobuf",
    "cryptography",
    "sqlalchemy",
    "usearch",
    "hnswlib",
    "pymilvus",
    "milvus-lite",
    "lancedb",
    "pg8000",
    "psycopg",
    "matplotlib",
)
# Instructions that products of vectors and look-ups in registers are made of.
_FLAGS: Final = frozenset(
    (
        *("aes", "amx_bf16", "amx_int8", "asimd", "asimddp", "avx2", "avx512_bf16"),
        *("avx512_fp16", "avx512_vnni", "avx512_vpopcntdq", "avx512bw", "avx512f"),
        *("avx512vl", "avx_vnni", "fma", "sha_ni", "sve"),
    )
)


def fingerprint() -> dict[str, Any]:
    """Return processor, kernel, versions, linear algebra and load, as JSON takes it.

    Has no name of a host or user and no path.
    """
    processor = _processor()
    return {
        "processor": processor.get("model name", platform.machine()),
        "flags": sorted(_FLAGS.intersection(_flags(processor))),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": _versions(),
        "linear_algebra": _linear_algebra(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "load_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def commit() -> str:
    """Return the project's commit that is measured, marked if the tree differs.

    Figures and pictures are no part of what is measured: those of a run before count
    as no difference.
    """
    told = _git("describe", "--always").stdout.strip()
    if not told:
        return "unknown"
    apart = (f":(top,exclude)benchmarks/{name}" for name in ("results", "pictures"))
    differs = _git("diff", "--quiet", "HEAD", "--", ":(top)", *apart).returncode
    return f"{told}-dirty" if differs else told


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Return what git says of the project; of no project, or without git, nothing."""
    git = shutil.which("git")
    if git is None:
        return subprocess.CompletedProcess(arguments, 1, "", "")
    return subprocess.run(  # noqa: S603 - no shell, and nothing that a user gave
        [git, "-C", Path(__file__).parent, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def use_threads(threads: int) -> None:
    """Hold this process, and the libraries in it, to so many threads.

    Libraries that take no setting are held by the cores that the process may use, so
    call this before they are imported, and before the first search.

    Args:
        threads: from 1 to the cores that the process may use.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if not 1 <= threads <= len(allowed):
        raise SystemExit(f"threads must be from 1 to {len(allowed)} on this machine")
    os.sched_setaffinity(0, allowed[:threads])
    for variable in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS"):
        os.environ[variable] = str(threads)
    if importlib.util.find_spec("threadpoolctl"):
        importlib.import_module("threadpoolctl").threadpool_limits(threads)
    if importlib.util.find_spec("faiss"):
        importlib.import_module("faiss").omp_set_num_threads(threads)


def processor_seconds(process: int) -> float:
    """Return how long a process has kept cores busy, all its threads together."""
    stat = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2]
    user, system = map(int, stat.split()[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def resident_bytes() -> int:
    """Return the memory that this process holds, what it freed given back first."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processor() -> dict[str, str]:
    """Return the fields of the first processor, none where the system tells none."""
    source = Path("/proc/cpuinfo")
    text = source.read_text("utf-8") if source.exists() else ""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _flags(processor: dict[str, str]) -> list[str]:
    """Return the processor's flags, as x86 or as Arm names the field."""
    return processor.get("flags", processor.get("Features", "")).split()


def _memory_bytes() -> int:
    """Return the memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _versions() -> dict[str, str]:
    """Return the versions of those packages which are here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _linear_algebra() -> list[dict[str, Any]]:
    """Return each BLAS and OpenMP that is loaded, or what NumPy was built with."""
    if importlib.util.find_spec("threadpoolctl"):
        kept = ("internal_api", "version", "architecture", "threading_layer")
        kept += ("num_threads", "prefix")
        pools = importlib.import_module("threadpoolctl").threadpool_info()
        return [{name: pool.get(name) for name in kept} for pool in pools]
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return [{"internal_api": blas.get("name"), "version": blas.get("version")}]
