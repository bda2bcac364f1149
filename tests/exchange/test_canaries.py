"""Nothing on disk, in a log, in an error or on a terminal says a template or a name."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
from world import AGREEMENTS, SPACE, World, face, record, unit

from biometrics.client import Record, Template
from biometrics.errors import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REFERENCE = "canary-reference-7f3a9c"
LEAST_BYTES = 8  # a run that long does not come by chance


def encodings(vector: np.ndarray) -> dict[str, bytes]:
    """Return runs out of the middle of a vector in several encodings."""
    single = vector.astype("<f4")[4:7]
    raw = vector.astype("<f4").tobytes()
    found = {
        "float32": single.tobytes(),
        "float32 big-endian": single.astype(">f4").tobytes(),
        "float64": single.astype("<f8").tobytes(),
        "float16": vector.astype("<f2")[4:12].tobytes(),
        "int8": np.round(vector * 127).astype(np.int8)[:16].tobytes(),
        # Of float32 and float64, in JSON or as NumPy prints them: the same digits.
        "printed": f"{abs(float(single[0])):.12f}"[1:9].encode(),
        "hexadecimal": raw.hex()[16:48].encode(),
        "hexadecimal, upper case": raw.hex().upper()[16:48].encode(),
        "escaped": repr(raw[16:32])[2:-1].encode(),
    }
    for shift in range(3):  # whatever stands before shifts the alphabet's groups
        text = base64.b64encode(raw[shift:])[20:40]
        found[f"base64, shifted {shift}"] = text
        found[f"base64 of URLs, shifted {shift}"] = text.translate(
            bytes.maketrans(b"+/", b"-_")
        )
    return found


def canaries(**vectors: np.ndarray) -> dict[str, bytes]:
    """Return the encodings of each vector as it was sent, and normalised."""
    forms = {f"{name}, sent": vector for name, vector in vectors.items()} | {
        f"{name}, normalised": vector / np.linalg.norm(vector.astype(np.float64))
        for name, vector in vectors.items()
    }
    return {
        f"{form}, {encoding}": run
        for form, vector in forms.items()
        for encoding, run in encodings(vector).items()
    }


def refusal(call: Callable[[], object]) -> bytes:
    """Return everything that an error says."""
    with pytest.raises(ExchangeError) as caught:
        call()
    error = caught.value
    told = [repr(error), error.message, *map(repr, error.faults)]
    return "\n".join([*told, repr(error.__cause__)]).encode()


def test_no_template_and_no_reference_is_written_or_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Canaries are in no byte of a file, live or stopped, no log, error or output."""
    caplog.set_level(logging.DEBUG)
    enrolled, searched = 3.7 * unit(1), 2.9 * unit(2)
    broken = enrolled.copy()
    broken[0] = np.nan
    said = {}
    with World(tmp_path, agreements=AGREEMENTS) as world:
        enroller, client = world.enroller("XAA"), world.client("XCC")
        enroller.enrol(record(REFERENCE, enrolled))
        client.match(face(enrolled), purpose="border-check")
        client.match(face(searched), purpose="border-check")
        longer = Template(
            space=SPACE, position="face", vector=np.append(enrolled, searched)
        )
        wrong = Record(reference=REFERENCE + "\n", templates=(face(broken), longer))
        for name, call in {
            "another record": lambda: enroller.enrol(record(REFERENCE, searched)),
            "a faulty record": lambda: enroller.enrol(wrong),
            "a faulty probe": lambda: client.match(face(broken), purpose="visa"),
            "a long probe": lambda: client.match(longer, purpose="border-check"),
            "an unknown reference": lambda: enroller.withdraw(REFERENCE + "-2"),
        }.items():
            said[f"the error of {name}"] = refusal(call)
        live = contents(world.root)
        world.stop()
        stopped = {f"{name}, stopped": c for name, c in contents(world.root).items()}
    assert any(name.endswith("-wal") and content for name, content in live.items())
    formatter = logging.Formatter()  # with tracebacks
    said["the log"] = "\n".join(map(formatter.format, caplog.records)).encode()
    said["the terminal"] = "".join(capfd.readouterr()).encode()
    wanted = canaries(enrolled=enrolled, searched=searched)
    assert len(wanted) == 4 * len(encodings(enrolled))
    wanted["reference"] = REFERENCE.encode()
    found = [
        f"{name} in {place}"
        for name, run in wanted.items()
        for place, content in (live | stopped | said).items()
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
    printed = encodings(vector)["printed"].decode()
    assert printed in str(vector.tolist())
    assert printed in str(vector[:8])
