"""Nothing on disk, and nothing in a log, says a template or a reference."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from pathlib import Path

REFERENCE = "canary-reference-7f3a9c"
LEAST_BYTES = 12  # three components: a run that long does not come by chance


def encodings(vector: np.ndarray) -> dict[str, bytes]:
    """Return a run out of the middle of a vector in several encodings."""
    single = vector.astype("<f4")[4:7]
    found = {
        "float32": single.tobytes(),
        "float32 big-endian": single.astype(">f4").tobytes(),
        "float64": single.astype("<f8").tobytes(),
        "float16": vector.astype("<f2")[4:12].tobytes(),
        "int8": np.round(vector * 127).astype(np.int8)[:16].tobytes(),
        "text": ", ".join(repr(float(x)) for x in single).encode(),
    }
    raw = vector.astype("<f4").tobytes()
    found["base64"] = base64.b64encode(raw)[20:40]
    found["hexadecimal"] = raw.hex()[16:48].encode()
    return found


def canaries(vector: np.ndarray) -> dict[str, bytes]:
    """Return the encodings of a vector as it was sent, and normalised."""
    sent = {f"sent, {name}": run for name, run in encodings(vector).items()}
    normal = encodings(vector / np.linalg.norm(vector.astype(np.float64)))
    return sent | {f"normalised, {name}": run for name, run in normal.items()}


def test_no_template_and_no_reference_reaches_the_disk_or_a_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Canary templates and references are in no byte of any file, live or stopped."""
    caplog.set_level(logging.DEBUG)
    enrolled, searched = 3.7 * unit(1), 2.9 * unit(2)
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller, client = world.enroller("XAA"), world.client("XCC")
        enroller.enrol(record(REFERENCE, enrolled))
        client.match(face(enrolled), purpose="border-check")
        client.match(face(searched), purpose="border-check")
        with pytest.raises(ExchangeError):
            enroller.enrol(record(REFERENCE, searched))
        live = contents(world.root)
        world.stop()
        stopped = contents(world.root)
    logged = "\n".join(r.getMessage() for r in caplog.records).encode()
    found = [
        f"{name} in {place}"
        for name, run in (
            {"reference": REFERENCE.encode()} | canaries(enrolled) | canaries(searched)
        ).items()
        for place, content in (live | stopped | {"the log": logged}).items()
        if run in content
    ]
    assert found == []


def contents(root: Path) -> dict[str, bytes]:
    """Return every byte of every file below `root`."""
    files = [p for p in root.rglob("*") if p.is_file()]
    assert any(p.suffix == ".sqlite" for p in files)
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def test_the_canaries_would_be_found(tmp_path: Path) -> None:
    """The search above bites: a template in the clear is seen in each encoding."""
    vector = unit(3)
    for name, run in encodings(vector).items():
        (tmp_path / "exchange.sqlite").write_bytes(b"before" + run + b"after")
        (content,) = contents(tmp_path).values()
        assert run in content, name
        assert len(run) >= LEAST_BYTES
