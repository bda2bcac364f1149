"""`biometrics demo` as a user runs it, and its exit code."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from pilots import matches, run_demo

from biometrics import limits
from biometrics.cli import main
from biometrics.cli.demo import stopped_by_signals
from biometrics.demo import truth
from biometrics.demo.captures import Captures
from biometrics.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[2]
REAL: Final = "BIOMETRICS_DATA"
REQUESTERS: Final = 8


def test_the_synthetic_pilot_has_no_wrong_answer(tmp_path: Path):
    """Every requester searches, some find, and what is not agreed is refused."""
    document = run_demo(tmp_path, "--records", "300", "--searches", "20")
    assert document["wrong"] == 0
    assert document["records"] == document["rows"]["enrolled"] == 300
    by_name = {each["requester"]: each for each in document["requesters"]}
    assert by_name["XDD"]["searches"] == 20
    assert by_name["XDD"]["regional_matches"] > 0
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
    monkeypatch.setenv("COLUMNS", "80")
    kept = tmp_path / "kept"
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--records", "60", "--searches", "4", "--keep", str(kept)])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert re.search(r"6 unnamed +presence +\d/4 +4\b", told.out)
    assert "XDD asks for visa\n" in told.out
    for word in ("matches", "kept back", "wrong", "`no search`", "rows", "threshold"):
        assert re.search(rf"^(\S.*)?{word}", told.out, re.MULTILINE), word
    assert told.out.endswith("Wrong answers: 4\n")
    assert f"kept in {kept}" in told.err
    assert (kept / "exchange" / "exchange.toml").is_file()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert max(map(len, told.out.splitlines())) <= 80
    assert "\u2026" not in told.out


def test_real_faces_enrol_all_that_is_not_kept_to_search_with(tmp_path: Path):
    """Half of the subjects estimate, the other half is enrolled and searched."""
    folder = os.environ.get(REAL)
    if folder is None:
        pytest.skip(f"`{REAL}` names no folder of development data")
    path = str(Path(folder) / "faces-dlib128" / "gallery.npz")
    document = run_demo(tmp_path, "--embeddings", path)
    assert document["wrong"] == 0
    # Of ten subjects with ten rows each, two are enrolled nowhere.
    assert document["rows"] == {
        "estimating": 100,
        "enrolled": 56,
        "mated": 24,
        "non_mated": 20,
        "unused": 0,
    }
    assert document["searches"] == REQUESTERS * 44
    assert matches(document) > 0


def own_embeddings(path: Path, **changed: NDArray[Any]) -> Path:
    """Write embeddings of ten subjects, four rows each, but for what is changed."""
    arrays: dict[str, NDArray[Any]] = {
        "embedding": np.random.default_rng(3).standard_normal((40, 32)),
        "subject": np.repeat(np.arange(10), 4),
    }
    np.savez(path, **arrays | changed)
    return path


def row(number: int, value: float) -> NDArray[np.float64]:
    """Return embeddings with one row that is this value all over."""
    embedding = np.random.default_rng(3).standard_normal((40, 32))
    embedding[number] = value
    return embedding


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"subject": np.arange(40)}, ": `{}` has one row of each subject who would"),
        ({"subject": np.arange(40) % 3}, ": `{}` needs 8 subjects or more; it has 3"),
        ({"subject": np.ones(40)}, ": {}:subject: must have texts or integers"),
        ({"subject": np.arange(39)}, ": {}:subject: has shape `(39,)` where"),
        ({"subject": np.array(["a"] * 40, object)}, ": {}:subject: has elements that"),
        ({"embedding": row(7, np.nan)}, ": {}:embedding[7]: the row has NaN or inf"),
        ({"embedding": row(8, np.inf)}, ": {}:embedding[8]: the row has NaN or inf"),
        ({"embedding": row(39, 0.0)}, ": {}:embedding[39]: the row is zero"),
        ({"embedding": np.ones((40, 32))}, ": `{}`: centring and threshold need"),
        ({"embedding": np.ones(40)}, ": {}:embedding: has shape `(40,)`; must have"),
    ],
)
def test_embeddings_that_do_not_do_are_one_line(
    *,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, NDArray[Any]],
    told: str,
):
    """Exit code 2; the file is named, and the row where it is one."""
    path = own_embeddings(tmp_path / "own.npz", **changed)
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--embeddings", str(path)])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error{told.format(path)}"), err
    assert err.count("\n") == 1


def test_the_first_rows_that_do_not_do_are_told_and_the_others_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A file of nothing but NaN does not fill the screen."""
    path = own_embeddings(tmp_path / "own.npz", embedding=np.full((40, 32), np.nan))
    with pytest.raises(SystemExit):
        main(["demo", "--embeddings", str(path)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 + limits.MAX_FAULTS_TOLD + 1
    assert lines[-1].endswith("cannot be used either: 32")


def test_a_row_that_is_zero_once_it_is_centred_is_refused():
    """Its template would have no direction; the exchange would refuse it."""
    subject = np.repeat(np.arange(8, dtype=np.int32), 2)
    embedding = np.eye(16, 16, dtype=np.float32)
    embedding[9] = embedding[:8].mean(axis=0)
    captures = Captures(
        source="own.npz",
        embedding=embedding,
        subject=subject,
        estimating=subject < 4,
        records=None,
        records_each=None,
    )
    captures.check_rows(np.zeros(16))
    with pytest.raises(InvalidRequestError, match=r"own\.npz:embedding\[9\]: .* zero"):
        captures.estimate(gallery_size=4)


def test_subjects_may_be_texts_and_records_are_a_bound(tmp_path: Path):
    """`--records` is honoured beside `--embeddings`: rows beyond it are not used."""
    random = np.random.default_rng(7)
    names = np.repeat([f"person {number}" for number in range(60)], 5)
    path = own_embeddings(
        tmp_path / "own.npz",
        embedding=np.repeat(random.standard_normal((60, 32)), 5, axis=0)
        + 0.3 * random.standard_normal((300, 32)),
        subject=names,
    )
    bound = ("--records", "50", "--searches", "4")
    document = run_demo(tmp_path, "--embeddings", str(path), *bound)
    rows = document["rows"]
    assert (document["wrong"], document["records"]) == (0, 50)
    assert rows["enrolled"] == 50
    assert rows["unused"] > 0
    assert sum(rows.values()) == 300


@pytest.fixture
def running(tmp_path: Path):
    """A demo that has begun to enrol or search, and its server."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "biometrics.cli", "demo", "--records", "500"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: any("ready on" in log.read_text() for log in logs(tmp_path)))
        (server,) = servers(tmp_path)
        yield demo, server
    finally:
        demo.kill()
        demo.communicate()


def logs(folder: Path) -> list[Path]:
    """Return the logs of the servers of demos that keep their files there."""
    return list(folder.glob("biometrics-*/serve.log"))


def servers(folder: Path) -> list[int]:
    """Return the processes that serve from a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"--config\0{folder}/".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    """Return once it holds; fail if it does not in time."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_demo_that_is_told_to_stop_leaves_nothing_behind(
    running: tuple[subprocess.Popen[str], int], tmp_path: Path, number: signal.Signals
):
    """All are as good as Ctrl-C: neither server nor gallery files remain."""
    demo, server = running
    demo.send_signal(number)
    _, err = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert "Traceback" not in err
    assert not Path(f"/proc/{server}").exists()
    assert not list(tmp_path.iterdir())


def test_a_demo_outlives_its_terminal_under_nohup(request: pytest.FixtureRequest):
    """What was ignored when it started stays ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, before))
    with stopped_by_signals():
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_a_demo_that_is_killed_takes_its_server_with_it(
    running: tuple[subprocess.Popen[str], int], tmp_path: Path
):
    """Its folder remains, and is its owner's alone."""
    demo, _ = running
    demo.kill()
    demo.wait()
    wait_until(lambda: not servers(tmp_path))
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_console_is_open_on_live_traffic_until_ctrl_c(tmp_path: Path):
    """With the certificate that it names, and the password that it prints."""
    said = tmp_path / "said"
    command = [sys.executable, "-m", "biometrics.cli", "demo", "--console"]
    with said.open("wb") as out:
        demo = subprocess.Popen(
            [*command, "--records", "60", "--searches", "2", "--json"],
            stdout=subprocess.PIPE,
            stderr=out,
            # Not below the test's own folder, whose path is too long for a socket.
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    try:
        end = time.monotonic() + 60
        found = None
        while found is None and time.monotonic() < end and demo.poll() is None:
            time.sleep(0.2)
            found = re.search(r"(\S+XRA-coordinator\.p12)  (\w+)\n", said.read_text())
        assert found is not None, said.read_text()
        url = re.search(r"https://localhost:(\d+)/", said.read_text())
        assert url is not None
        context = browser_of(Path(found[1]), found[2], tmp_path)
        searches = 0
        while searches < 4 * REQUESTERS and time.monotonic() < end:  # beyond the demo's
            with urllib.request.urlopen(url[0], context=context) as answer:  # noqa: S310
                page = answer.read().decode()
            count = re.search(r"(\d+) searches answered", page)
            assert count is not None
            searches = int(count[1])
        assert searches >= 4 * REQUESTERS
        demo.send_signal(signal.SIGINT)
        out_of, _ = demo.communicate(timeout=30)
    finally:
        demo.kill()
        demo.communicate()
    assert demo.returncode == 0
    assert json.loads(out_of)["wrong"] == 0


def browser_of(path: Path, password: str, folder: Path) -> ssl.SSLContext:
    """Return the TLS of a browser that has imported a file."""
    key, certificate, above = pkcs12.load_key_and_certificates(
        path.read_bytes(), password.encode()
    )
    assert key is not None
    assert certificate is not None
    (authority,) = above
    own = folder / "own.pem"
    own.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    root = authority.public_bytes(serialization.Encoding.PEM).decode()
    context = ssl.create_default_context(cadata=root)
    context.load_cert_chain(own)
    return context
