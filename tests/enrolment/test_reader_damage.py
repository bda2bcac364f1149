"""Whatever is in a file, a reader gives records or refuses, and never anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from fuzz.targets import TARGETS, read_file
from hypothesis import given, settings
from hypothesis import strategies as st

from enrolment.formats.source import Found, Unreadable

CORPUS: Final = Path(__file__).parents[1] / "fuzz" / "corpus"
KEPT: Final = sorted(path for path in CORPUS.rglob("*") if path.is_file())
TABLES: Final = [path for path in KEPT if path.parent.name in {"parquet", "arrow"}]


def name_of(path: Path) -> str:
    """Return what a kept input is called."""
    return f"{path.parent.name}-{path.name}"


each_kept = pytest.mark.parametrize("path", KEPT, ids=name_of)


def test_every_target_has_inputs_that_are_kept():
    """Else the fuzzer would begin with nothing."""
    assert {path.parent.name for path in KEPT} == set(TARGETS)


@each_kept
def test_what_is_cut_at_every_byte_is_read_or_refused(path: Path):
    """Every prefix, the empty one too."""
    target, data = TARGETS[path.parent.name], path.read_bytes()
    for end in range(len(data) + 1):
        target(data[:end])


@each_kept
@given(data=st.data())
@settings(max_examples=60)
def test_damage_anywhere_is_read_or_refused(path: Path, data: st.DataObject):
    """Bytes that are changed, left out, put in, or replaced by text."""
    target, damaged = TARGETS[path.parent.name], bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        end = min(len(damaged), at + data.draw(st.integers(0, 8)))
        damaged[at:end] = data.draw(
            st.binary(max_size=8)
            | st.sampled_from([b"text", b"\xff" * 8, b"-1", b"\0"])
        )
    target(bytes(damaged))


@pytest.mark.parametrize("path", TABLES, ids=name_of)
def test_a_table_that_is_cut_gives_no_record(path: Path):
    """Its end says where everything lies."""
    data = path.read_bytes()
    assert any(
        isinstance(each, Found) for each in read_file(f".{path.parent.name}", data)
    )
    for end in range(0, len(data), 7):
        (item,) = read_file(f".{path.parent.name}", data[:end])
        assert isinstance(item, Unreadable)
