"""The README's commands do what it says, run as a first-time reader would."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from biometrics.client import Profile
from biometrics.clock import SystemClock
from biometrics.demo.process import ServerProcess, free_port
from biometrics.server.blueprint import write_exchange

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
SECTIONS: Final = (
    "## Enrol a file and search it\n",
    "## Change an agreement\n",
    "## Your own template space\n",
)
FENCED: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SESSION_SECONDS: Final = 240
# What follows a block on stdout, so that each block's output can be told apart.
MARK: Final = "\x1e"
# Its environment is the one that runs the tests.
ACTIVATE: Final = ". .venv/bin/activate\n"
INIT: Final = "biometrics init pilot\n"
# Printed to the server's log, where the page sends it.
LOG: Final = "pilot/serve.log"


@dataclass(frozen=True)
class Session:
    """What one shell said while it ran the page.

    Attributes:
        outputs: by command block, what it printed.
        code: exit code of the shell.
        err: all that the commands wrote to stderr.
        log: what the server logged.
        port: where the server listened.
    """

    outputs: dict[str, str]
    code: int
    err: str
    log: str
    port: int

    def output_of(self, command: str) -> str:
        """Return what the one block printed that has this in it."""
        (output,) = (said for block, said in self.outputs.items() if command in block)
        return output


def blocks() -> Iterator[str]:
    """Yield the sections' commands in order, Python examples among them."""
    page = (ROOT / "README.md").read_text("utf-8")
    for heading in SECTIONS:
        _, _, rest = page.partition(heading)
        yield from commands(rest.partition("\n## ")[0])


def commands(page: str) -> Iterator[str]:
    """Yield what a reader types of some page, in order."""
    for language, text in FENCED.findall(page):
        if language == "python":
            yield f"python - <<'EXAMPLE'\n{text}EXAMPLE\n"
        elif language == "sh" and text != ACTIVATE:
            yield text


def write_own_embeddings(path: Path) -> None:
    """Write what the reader's own extractor would have given."""
    random = np.random.default_rng(1)
    embedding = 1.0 + random.standard_normal((60, 32))
    np.savez(path, embedding=embedding, subject=np.arange(60) // 2)


def write_commands(folder: Path) -> None:
    """Write `biometrics` and `python` that run with this interpreter."""
    folder.mkdir()
    for name, command in (("biometrics", "-m biometrics.cli"), ("python", "")):
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
        path.chmod(0o755)


def run_script(script: str, folder: Path) -> int:
    """Run one bash session in `folder`; return its exit code."""
    # What pytest's workers take the terminal for is not the reader's.
    ours = {"BIOMETRICS_PROFILE", "COLUMNS"}
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        shell = subprocess.Popen(
            ["bash", "-c", script],  # noqa: S607 - whichever bash the reader has
            cwd=folder / "work",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            return shell.wait(SESSION_SECONDS)
        finally:
            # Whatever went wrong, the server does not outlive the test.
            if shell.poll() is None or shell.returncode:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The whole page in one shell, from `init` to a template space of one's own."""
    folder = tmp_path_factory.mktemp("readme")
    write_commands(folder / "bin")
    (folder / "work").mkdir()
    write_own_embeddings(folder / "work" / "own.npz")
    port = free_port()
    told = list(blocks())
    script = "".join(f"{block}printf '{MARK}'\n" for block in told)
    # The page's port may be taken here; nothing else of it is changed.
    assert script.count(INIT) == 1
    script = script.replace(INIT, f"{INIT[:-1]} --listen 127.0.0.1:{port}\n")
    code = run_script(f"set -euo pipefail\n{script}", folder)
    said = (folder / "out").read_text("utf-8").split(MARK)
    return Session(
        outputs=dict(zip(told, said, strict=False)),
        code=code,
        err=(folder / "err").read_text("utf-8"),
        log=(folder / "work" / LOG).read_text("utf-8"),
        port=port,
    )


def test_every_command_of_the_page_succeeds(session: Session):
    """In order, in one shell that stops at the first failure."""
    assert session.code == 0, (session.err, session.log)
    assert len(session.outputs) == len(list(blocks()))


def test_the_server_says_when_it_is_ready_and_when_it_stopped(session: Session):
    """In the log file that the page names; the terminal stays the reader's."""
    assert session.output_of("biometrics init").endswith("is in order\n")
    assert f"ready on 127.0.0.1:{session.port} as pilot\n" in session.log
    assert session.log.endswith("stopped\n")
    told = session.err.splitlines()
    assert [line for line in told if not line.startswith("written: ")] == []


def test_a_server_that_does_not_start_is_not_waited_for(tmp_path: Path):
    """Where its port is taken the page's own lines end, and say so."""
    write_commands(tmp_path / "bin")
    (tmp_path / "work").mkdir()
    (block,) = (block for block in blocks() if block.startswith("biometrics serve"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        write_exchange(
            tmp_path / "work" / "pilot",
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
            listen=f"127.0.0.1:{taken.getsockname()[1]}",
        )
        run_script(block, tmp_path)
    said = (tmp_path / "out").read_text("utf-8")
    assert re.fullmatch(r"error: .*127\.0\.0\.1:\d+.*\n", said)
    # A process that is gone without a word is not waited for either.
    (tmp_path / "bin" / "biometrics").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "work" / "pilot" / "serve.log").unlink()  # or what it says is read
    run_script(block, tmp_path)
    assert (tmp_path / "out").read_text("utf-8") == ""


def test_the_sample_gallery_is_enrolled_at_once(session: Session):
    """All 1,000 records, though the server is still starting."""
    said = session.output_of("biometrics enrol")
    assert said.startswith("1,000 enrolled, 0 there already, 0 refused, in ")
    assert re.search(r"face-synthetic-512 +1,000 +1,000 +ready", said)


def test_the_match_is_followed_up(session: Session):
    """The officer sees the record, and the requester reads what was given."""
    said = session.output_of("followup request")
    assert re.search(r"XAA .*first office of XAA .*requested until .* case-42", said)
    assert "given by second office of XRA (development only)\n" in said


def test_the_probe_is_no_match_while_its_record_is_protected(session: Session):
    """What is set and what is taken away again is told."""
    said = session.output_of("--exclude XAA")
    first, rest = said.split("added: XAA\n")
    assert re.fullmatch(r"excluded since [-0-9]{10} [:0-9]{8} UTC: XAA\n", first)
    assert "regional outcome: no-match\n" in rest
    assert re.search(r"XRA +no-match +-", rest)
    assert "UTC: nobody\nexcluded no longer: XAA; searches may" in rest


def test_the_probe_matches_until_its_record_is_withdrawn(session: Session):
    """A match with a reference, then a no-match without."""
    before = session.output_of("biometrics spaces list")
    assert "permitted, level reference\n" in before
    assert "regional outcome: match\n" in before
    assert re.search(r"XRA +match +[0-9a-f]{32}\b", before)
    after = session.output_of("withdraw case-42")
    assert after.startswith("withdrawn at ")
    assert "regional outcome: no-match\n" in after
    assert re.search(r"XRA +no-match +-", after)


def test_the_sdk_example_asks_the_same(session: Session):
    """It runs as it stands, and is answered as the command was."""
    said = session.output_of("import ExchangeClient")
    assert said.startswith("match (HolderAnswer(holder='XRA', outcome=")


def test_a_locked_gallery_is_an_outage(session: Session):
    """UNAVAILABLE while it is closed."""
    said = session.output_of("galleries lock")
    assert said.startswith("locked since ")
    assert re.search(r"XRA +unavailable +-", said)
    assert "\nunlocked since " in said


def test_what_keys_are_no_more_is_certified(session: Session):
    """Of the withdrawal by the rotation; of all else, canaries too, at the end."""
    said = session.output_of("galleries rotate")
    assert said.count("biometrics.exchange erasure\n") == 2
    assert "by rotation\n" in said
    assert "records 1\n" in said
    assert "by destruction\n" in said
    assert "records 1019\n" in said
    assert re.search(r"2 +destruction +[-0-9]{10} [:0-9]{8} +1,019 +issued", said)


def test_an_edited_agreement_is_compared_and_signed(session: Session):
    """Who would learn less is told before it is signed by both."""
    said = session.output_of("agreements propose")
    assert said.startswith("XAA would learn LESS from XRA\n")
    assert "signed by first office of XRA (development only)\n" in said
    assert "and second office of XRA (development only)\n" in said
    assert "8 agreements in order; list of signers: SHA-256 " in said


def test_a_template_space_of_ones_own_is_calibrated(session: Session):
    """What thirty people support is told, and the check accepts the file."""
    said = session.output_of("biometrics calibrate own.npz")
    assert said.startswith("30 searches against 60 templates, each but for the person")
    assert said.count("not established: that takes searches of") == 3
    assert said.endswith("pilot/exchange.toml is in order\n")


def test_the_page_for_operators_brings_files_to_a_searchable_gallery(tmp_path: Path):
    """Every command of it, in order, beside an exchange as `init` makes it."""
    write_commands(tmp_path / "bin")
    (tmp_path / "work").mkdir()
    config = write_exchange(
        tmp_path / "work" / "pilot",
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen=f"127.0.0.1:{free_port()}",
    )
    page = (ROOT / "enrolment" / "README.md").read_text("utf-8")
    with ServerProcess(config, tmp_path / "serve.log") as server:
        profile = tmp_path / "work" / "pilot/clients/XRA-enroller.toml"
        server.wait_until_ready(Profile.load(profile))
        script = "".join(commands(page))
        code = run_script(f"set -euo pipefail\n{script}", tmp_path)
    said = (tmp_path / "out").read_text("utf-8")
    told = (tmp_path / "err").read_text("utf-8")
    assert code == 0, told
    assert "2,000 in order, 0 refused, in " in said
    assert "2,000 enrolled, 0 there already, 0 refused, in " in said
    assert re.search(r"face-synthetic-512 +2,000 +2,000 +(ready|loading)", said)
    assert set(told.splitlines()) == {"passed over in folders: 1 of `.npy`"}


def test_the_page_for_those_who_keep_it_backs_up_and_restores(tmp_path: Path):
    """Every command of it, in order; what is restored is whole."""
    write_commands(tmp_path / "bin")
    (tmp_path / "work").mkdir()
    write_exchange(
        tmp_path / "work" / "pilot",
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
        listen=f"127.0.0.1:{free_port()}",
    )
    page = (ROOT / "biometrics/server/README.md").read_text("utf-8")
    code = run_script(f"set -euo pipefail\n{''.join(commands(page))}", tmp_path)
    said = (tmp_path / "out").read_text("utf-8")
    assert code == 0, (tmp_path / "err").read_text("utf-8")
    assert "no key is in it" in said
    assert re.search(r"^restored [1-9]\d* keys", said, re.MULTILINE)
    assert said.count("everything is whole\n") == 2
    assert "\nunlocked since " in said
