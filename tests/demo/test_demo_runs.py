"""`biometrics demo` as a user runs it, and its exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from biometrics.cli import main
from biometrics.demo import truth

ROOT: Final = Path(__file__).resolve().parents[2]
REQUESTERS: Final = 8


def run_demo(folder: Path, *options: str) -> dict[str, Any]:
    """Run the demo in a process of its own; it must succeed."""
    told = subprocess.run(
        [sys.executable, "-m", "biometrics.cli", "demo", "--json", *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    document: dict[str, Any] = json.loads(told.stdout)
    return document


def matches(document: dict[str, Any]) -> int:
    """Return how many matches named their holder."""
    return sum(
        pair["matches"]
        for requester in document["requesters"]
        for pair in requester["holders"].values()
        if pair["level"] != "presence"
    )


def test_the_synthetic_pilot_has_no_wrong_answer(tmp_path: Path):
    """Every requester searches, some find, and what is not agreed is refused."""
    document = run_demo(tmp_path, "--records", "300", "--searches", "20")
    assert document["wrong"] == 0
    assert document["records"] == 300
    assert document["searches"] == REQUESTERS * 20
    assert matches(document) > 0
    assert document["refused"]["count"] == document["refused"]["of"] > 0
    assert not list(tmp_path.iterdir())


def test_a_pilot_with_a_users_own_embeddings_has_no_wrong_answer(tmp_path: Path):
    """Another dimension, another number of samples a subject."""
    random = np.random.default_rng(5)
    subject = np.repeat(np.arange(120), 3)
    people = random.standard_normal((120, 96))
    embedding = people[subject] + 0.3 * random.standard_normal((360, 96))
    path = tmp_path / "own.npz"
    np.savez(path, embedding=embedding.astype(np.float32), subject=subject)
    document = run_demo(tmp_path, "--searches", "10", "--embeddings", str(path))
    assert document["wrong"] == 0
    assert document["dimension"] == 96
    assert document["searches"] == REQUESTERS * 10
    assert matches(document) > 0


def test_a_pilot_with_wrong_answers_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Judged by a rule that the exchange does not follow, its answers are wrong."""
    # As if the unnamed holders that XDD asks were too few to count.
    monkeypatch.setattr(truth, "LEAST_PRESENCE_HOLDERS", 99)
    kept = tmp_path / "kept"
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--records", "60", "--searches", "4", "--keep", str(kept)])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert re.search(r"6 unnamed +presence +\d/4 +4\b", told.out)
    assert told.out.endswith("Wrong answers: 4\n")
    assert f"kept in {kept}" in told.err
    assert (kept / "exchange" / "exchange.toml").is_file()
