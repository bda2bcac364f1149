"""What is deployed names only figures that there are, and runs as no one's user."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from biometrics import limits
from biometrics.clock import SystemClock
from biometrics.server.descriptors import wanted_descriptors
from biometrics.server.hour import Hour
from biometrics.server.metrics import Gauges, Metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / ".deploy"
NAMES = re.compile(r"biometrics_\w+")
OF_COUNTERS = re.compile(r"_(total|bucket|count|sum|created)$")


def served() -> set[str]:
    """Return the names of all figures."""
    metrics = Metrics(Hour(SystemClock()))
    metrics.watch(
        Gauges(
            serving=lambda: True,
            waiting=int,
            at_once=float,
            overruns=int,
            behind=int,
            galleries=dict,
            calibrations=dict,
            canaries=dict,
            certificate_seconds=float,
            revocation_seconds=float,
            shards=list,
        )
    )
    return {family.name for family in metrics._registry.collect()}


@pytest.mark.parametrize("name", ["grafana/exchange.json", "alerts.yml"])
def test_dashboard_and_alerts_name_figures_that_there_are(name: str):
    """A figure that is renamed would leave an empty panel, or no alert."""
    named = set(NAMES.findall((DEPLOY / name).read_text()))
    assert len(named) >= 5
    assert {OF_COUNTERS.sub("", each) for each in named} <= served()


def test_the_dashboard_shows_every_figure():
    """Whatever is measured can be looked at."""
    panels = json.loads((DEPLOY / "grafana/exchange.json").read_text())["panels"]
    text = json.dumps(panels)
    assert all(name in text for name in served())


def test_what_is_deployed_goes_with_the_sources():
    """As these tests do, which read it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    targets = settings["tool"]["hatch"]["build"]["targets"]
    assert {"/.ci", "/.deploy", "/.lock", "/Dockerfile"} <= set(
        targets["sdist"]["include"]
    )


def test_the_image_runs_as_a_user_of_its_own_and_builds_in_another():
    """No compiler, no package manager of ours, no root."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    last = lines[stages[-1] :]
    assert len(stages) == 2
    assert "USER 10001" in last
    assert not any("pip install" in line or "apt" in line for line in last)
    # The image that it begins with brings pip along.
    gone = next(number for number, line in enumerate(last) if "pip uninstall" in line)
    assert gone < last.index("USER 10001")
    assert any(line.startswith("HEALTHCHECK") for line in last)
    # Its folder has an exchange's keys and passwords, by then.
    assert ".deploy" in (ROOT / ".dockerignore").read_text().splitlines()
    compose = (DEPLOY / "compose.yaml").read_text()
    assert "read_only: true" in compose
    assert "cap_drop: [ALL]" in compose


def test_the_unit_lets_all_connections_in_and_keeps_keys_out_of_swap():
    """As the container does, whose numbers are the engine's."""
    unit = (DEPLOY / "exchange.service").read_text()
    allowed = re.search(r"^LimitNOFILE=(\d+)$", unit, re.MULTILINE)
    assert allowed is not None
    assert int(allowed[1]) >= wanted_descriptors(limits.DEFAULT_CONNECTIONS)
    assert {"LimitCORE=0", "MemorySwapMax=0", "User=exchange"} <= set(unit.splitlines())
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > limits.DRAIN_SECONDS
