"""A load that is stopped in every way there is ends with what the files hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from world import DIMENSION, SPACE, World

from biometrics import limits

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTS = {"arrays.npz": 9000, "table.parquet": 5000, "list.csv": 300}
BAD = {"cut.npz": "FILE_DAMAGED", "cut.parquet": "FILE_DAMAGED"}
TOTAL = sum(COUNTS.values())
SECONDS = 60
# More than the exchange still enrols of a load that was killed.
FAR = (limits.STREAM_CHUNKS_AHEAD + 1) * limits.BULK_RECORDS_PER_CHUNK


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A running exchange."""
    (tmp_path / "world").mkdir()
    with World(tmp_path / "world") as world:
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of three formats, and two that are damaged."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    random = np.random.default_rng(1)
    for name, count in COUNTS.items():
        rows = random.standard_normal((count, DIMENSION), "f4")
        names = [f"{name}-{number}" for number in range(count)]
        path = folder / name
        if path.suffix == ".npz":
            np.savez(path, embedding=rows, reference=np.array(names))
        elif path.suffix == ".parquet":
            vectors = pa.FixedSizeListArray.from_arrays(
                pa.array(rows.ravel()), DIMENSION
            )
            pa.parquet.write_table(
                pa.table([names, vectors], ["reference", "embedding"]), path
            )
        else:
            np.save(folder / "rows.npy", rows)
            lines = (f"{each},rows.npy,{row}\n" for row, each in enumerate(names))
            path.write_text("reference,file,row\n" + "".join(lines))
    (folder / "cut.npz").write_bytes((folder / "arrays.npz").read_bytes()[:5000])
    (folder / "cut.parquet").write_bytes((folder / "table.parquet").read_bytes()[:500])
    return folder


def start(world: World, folder: Path, refused: Path) -> subprocess.Popen[bytes]:
    """Begin the load in a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "biometrics.cli"),
            *("--profile", str(world.profile_file("XAA", "enroller"))),
            *("enrol", str(folder), "--space", SPACE, "--json"),
            *("--refused", str(refused)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def enrolled(world: World) -> int:
    """Return how many records the exchange has."""
    return sum(gallery.records for gallery in world.enroller("XAA").galleries())


def stop(
    world: World, process: subprocess.Popen[bytes], after: int, how: signal.Signals
) -> int:
    """Stop a load once the exchange has more than `after` records; return its code."""
    end = time.monotonic() + SECONDS
    while enrolled(world) <= after:
        assert process.poll() is None, "it ended before it was stopped"
        assert time.monotonic() < end
        time.sleep(0.01)
    os.kill(process.pid, how)
    process.communicate(timeout=SECONDS)
    return process.returncode


def test_a_load_stopped_three_times_ends_with_every_record_once(
    world: World, folder: Path, tmp_path: Path
):
    """By Ctrl-C and by `kill -9`; the damaged files are told, and stop nothing."""
    seen = [0]
    for number, how in enumerate((signal.SIGINT, signal.SIGKILL, signal.SIGINT)):
        process = start(world, folder, tmp_path / f"{number}.jsonl")
        code = stop(world, process, seen[-1] + FAR, how)
        assert code == (1 if how is signal.SIGINT else -signal.SIGKILL)
        seen.append(enrolled(world))
    assert seen[-1] < TOTAL
    process = start(world, folder, tmp_path / "refused.jsonl")
    told = json.loads(process.communicate(timeout=SECONDS)[0])
    assert process.returncode == 1
    assert enrolled(world) == TOTAL
    assert told["already_enrolled"] >= seen[-1]
    assert told["enrolled"] + told["already_enrolled"] == TOTAL
    assert (told["stopped"], told["refused"]) == (False, len(BAD))
    assert {
        (failure["file"], failure["by"], failure["reason"], failure["count"])
        for failure in told["failures"]
    } == {(str(folder / name), "file", reason, 1) for name, reason in BAD.items()}
    lines = (tmp_path / "refused.jsonl").read_text().splitlines()
    assert {json.loads(line)["file"] for line in lines} == {
        str(folder / name) for name in BAD
    }
    references = {record.reference for record in world.enroller("XAA").records()}
    assert references == {
        f"{name}-{number}" for name, count in COUNTS.items() for number in range(count)
    }
