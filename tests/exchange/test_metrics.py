"""Figures show load and health, and nothing of a person or of what was found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING

import pytest
from world import AGREEMENTS, World, face, record, unit

from biometrics import limits
from biometrics.cli.status import read_figures, summary
from biometrics.demo.process import free_port
from biometrics.errors import RefusedError
from biometrics.server.metrics import coarse

if TYPE_CHECKING:
    from pathlib import Path

NAMES = re.compile(r'(\w+)="([^"]*)"')
# By label, what may stand there: nothing that a caller writes or that a search finds.
LABELS = {
    "method": re.compile(r"/(biometrics\.v1|grpc\.health\.v1)\.\w+/\w+"),
    "role": re.compile(r"client|enroller|auditor|administrator|witness|coordinator|-"),
    "status": re.compile(r"[A-Z_0-9]+"),
    "le": re.compile(r"[0-9.]+|\+Inf"),
    "member": re.compile(r"X[A-Z]{2}"),
    "stage": re.compile(r"compare|store"),
    "space": re.compile(r"tiny-\w+"),
}


def run_status(settings: Path) -> subprocess.CompletedProcess[str]:
    """Run `biometrics status`."""
    command = [sys.executable, "-m", "biometrics.cli", "status", "--json"]
    return subprocess.run(
        [*command, "--config", settings], capture_output=True, text=True, check=False
    )


def read(port: int) -> dict[str, float]:
    """Return every figure by its name and labels."""
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        text = answer.read().decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines)}


def measured(folder: Path) -> tuple[World, int]:
    """Return a world that tells figures, not yet begun, and where it tells them."""
    world, port = World(folder, agreements=AGREEMENTS), free_port()
    settings = world.root / "exchange.toml"
    text = settings.read_text().replace("# [metrics]", "[metrics]")
    text = text.replace('# listen = "127.0.0.1:9464"', f'listen = "127.0.0.1:{port}"')
    settings.write_text(text)
    return world, port


def test_more_searches_begin_at_once_where_many_rows_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An exchange's own scanner says so to those who let searches in."""
    monkeypatch.setattr(limits, "ROWS_FOR_ONE_MORE_AT_ONCE", 1)
    world, port = measured(tmp_path)
    name = "biometrics_searches_at_once"
    with world:
        for number in range(40):
            world.enroller("XAA").enrol(record(f"one-{number}", unit(number)))
        before = read(port)[name]
        for _ in range(20):
            world.client("XCC").match(face(unit(99)), purpose="border-check")
        assert before == limits.LEAST_SEARCHES_AT_ONCE
        # Told as a power of two: by it nobody counts templates.
        assert read(port)[name] == 32


def test_figures_of_real_traffic_tell_load_and_nobodys_outcome(tmp_path: Path):
    """A match and no match count alike; no label has two members or a free text."""
    world, port = measured(tmp_path)
    settings = world.root / "exchange.toml"
    with world:
        world.enroller("XRA").enrol(record("secret-reference", unit(1)))
        client = world.client("XAA")
        for seed in (1, 1, 2):
            client.match(face(unit(seed)), purpose="border-check", holders=["XRA"])
        with pytest.raises(RefusedError):
            client.lock()
        found = read(port)
        figures = read_figures(f"127.0.0.1:{port}")
        told = summary(figures)
        assert told["serving"] is True
        assert told["searches"] == 3
        assert told["calls"] >= 5
        assert summary(figures, figures)["calls"] == 0
        seen = run_status(settings)
        assert seen.returncode == 0, seen.stderr
        assert json.loads(seen.stdout)["searches"] == 3
        own = 'method="/biometrics.v1.MatchService/Match",role="client",status="OK"'
        assert found[f"biometrics_calls_total{{{own}}}"] == 3
        assert found["biometrics_turn_wait_seconds_count"] == 3
        for stage in ("compare", "store"):
            count = f'biometrics_stage_seconds_count{{stage="{stage}"}}'
            assert found[count] == 3
        assert found["biometrics_templates_scanned_total"] == 3 * limits.COARSE_GALLERY
        assert found["biometrics_serving"] == 1
        assert found["biometrics_searches_waiting"] == 0
        assert found["biometrics_follower_behind_changes"] == 0
        assert 0 < found["biometrics_revocations_seconds_left"] < 31 * 24 * 3600
        size = found['biometrics_gallery_templates_at_most{member="XRA"}']
        assert size == limits.COARSE_GALLERY
        for name in found:
            for label, value in NAMES.findall(name):
                assert LABELS[label].fullmatch(value), name
            assert "secret-reference" not in name
            assert not ("member=" in name and "status=" in name)
    with pytest.raises(OSError, match="refused"):
        read(port)
    assert run_status(settings).returncode == 4


@pytest.mark.parametrize(
    ("templates", "told"), [(0, 0), (1, 256), (256, 256), (257, 1024), (5000, 16384)]
)
def test_sizes_of_galleries_are_told_in_powers_of_four(templates: int, told: int):
    """One enrolment more is not seen."""
    assert coarse(templates) == told
