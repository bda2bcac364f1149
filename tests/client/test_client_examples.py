"""The examples and the page of a member's developer run against a real exchange."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from biometrics.client import Record, Template, aio, client
from biometrics.errors import ConfigurationError
from biometrics.testing import ExchangeInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType
    from typing import Any

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "biometrics/client/examples"
PAGE = ROOT / "biometrics/client/README.md"
SECONDS = 120
NODE = shutil.which("node")
INDENTED = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def exchange():
    """The samples, where their profiles say that they are."""
    with ExchangeInProcess() as exchange:
        for profile in (exchange.root / "clients").glob("X*.toml"):
            text = profile.read_text()
            profile.write_text(text.replace("127.0.0.1:0", exchange.target))
        yield exchange


@pytest.fixture(scope="module")
def clients(exchange: ExchangeInProcess):
    """The folder of profiles."""
    return exchange.root / "clients"


def said(*command: str | Path, cwd: Path = ROOT) -> list[str]:
    """Run a command that is to end well; return its lines."""
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_a_system_that_is_not_there_is_named(exchange: ExchangeInProcess):
    """Whoever asks for one is told of those that there are."""
    with pytest.raises(ConfigurationError, match=r"no `XQQ-client`.*XAA-officer"):
        exchange.client("XQQ")


def test_the_synchronous_example(clients: Path):
    """One search, several, and two refusals."""
    assert said(sys.executable, EXAMPLES / "search.py", clients) == [
        "enrolled: enrolled",
        "one: match",
        "  XRA: match with a reference",
        "many: match",
        "many: no-match",
        "refused: NOT_PERMITTED",
        "wrong: probe.templates[0].space: UNKNOWN_SPACE",
    ]


def test_the_asynchronous_example(clients: Path):
    """Five searches at once, of three holders each who have enrolled nobody."""
    lines = said(sys.executable, EXAMPLES / "search_async.py", clients)
    assert lines == ["not-comparable XBB XCC XDD"] * 5


def test_the_test_of_a_members_own_system(tmp_path: Path):
    """It brings its own exchange."""
    file = shutil.copy(EXAMPLES / "test_border_desk.py", tmp_path)
    lines = said(sys.executable, "-m", "pytest", "-q", file, cwd=tmp_path)
    assert lines[-1].startswith("2 passed")


def test_the_example_of_a_command_line_tool(
    exchange: ExchangeInProcess, tmp_path: Path
):
    """`buf` comes with the extra `test`."""
    vector = np.random.default_rng(4).standard_normal(512).astype("<f4")
    face = Template(space="face-synthetic-512", position="face", vector=vector)
    record = Record(reference="shell", templates=(face,))
    exchange.client("XRA", "enroller").enrol(record)
    (tmp_path / "face.f32").write_bytes(vector.tobytes())
    buf = Path(sys.executable).parent / "buf"
    script = (EXAMPLES / "search.sh").read_text().replace("buf curl", f"{buf} curl")
    named = [exchange.target, exchange.root / "pki", "proto", tmp_path / "face.f32"]
    lines = "\n".join(said("sh", "-c", script, "search.sh", *named))
    assert '"name": "face-synthetic-512"' in lines
    assert '"regionalOutcome": "OUTCOME_MATCH"' in lines


@pytest.mark.skipif(
    NODE is None or not (EXAMPLES / "node/node_modules").is_dir(),
    reason="needs Node, and `npm ci` in biometrics/client/examples/node",
)
def test_the_example_for_node(clients: Path):
    """Public packages and the contract: enrolment, searches, errors and details."""
    assert NODE is not None
    lines = said(NODE, EXAMPLES / "node/search.mjs", clients, ROOT / "proto")
    assert lines[:4] == [
        "enrolled: ENROL_OUTCOME_ENROLLED",
        "one: OUTCOME_MATCH",
        "  XRA: OUTCOME_MATCH, reference of 16 bytes",
        "many: OUTCOME_MATCH, OUTCOME_NO_MATCH",
    ]
    assert lines[4].startswith("INVALID_ARGUMENT WRONG_DIMENSION: probe.templates[0]")
    assert lines[5] == "  probe.templates[0].data: WRONG_DIMENSION"
    assert lines[6].startswith("PERMISSION_DENIED NOT_PERMITTED: no agreement permits")


@pytest.mark.parametrize("module", [client, aio])
def test_the_examples_in_the_docstrings(
    clients: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
):
    """As they stand at the head of each client."""
    monkeypatch.chdir(clients)
    assert module.__doc__ is not None
    (example,) = INDENTED.findall(module.__doc__)
    session: dict[str, Any] = {
        "embedding": np.random.default_rng(6).standard_normal(512)
    }
    exec(textwrap.dedent(example), session)  # noqa: S102 - our own
    assert session["answer"].regional in {"no-match", "not-comparable"}


def blocks() -> Iterator[str]:
    """Yield the page's Python, block by block."""
    yield from BLOCK.findall(PAGE.read_text("utf-8"))


def test_the_page_runs_from_its_first_block_to_its_last(
    clients: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """In one session, as a reader would type them."""
    monkeypatch.chdir(clients)
    vector = np.random.default_rng(5).standard_normal(512)
    session: dict[str, object] = {"embedding": vector, "embeddings": [vector, -vector]}
    count = 0
    for block in blocks():
        exec(compile(block, str(PAGE), "exec"), session)  # noqa: S102 - our own page
        count += 1
    assert count >= 5
    assert "match" in capsys.readouterr().out


def test_an_exchange_that_does_not_stop_well_keeps_no_process_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its thread ends, and the error is told."""
    exchange = ExchangeInProcess(tmp_path)
    stop = exchange.stop

    def failing() -> None:
        stop()
        raise TimeoutError("it took too long")

    monkeypatch.setattr(exchange, "stop", failing)
    with pytest.raises(TimeoutError), exchange:
        pass
    assert not exchange._thread.is_alive()
