"""What all benchmarks share keeps figures where it may, and nowhere else."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.kit import command, results
from benchmarks.kit.tables import Column

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    path.stem: path.read_text("utf-8")
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "__main__" in path.read_text("utf-8")
}
KEPT = sorted((ROOT / "benchmarks/results").glob("*.json"))
QUESTION = "how much?"
SLOW = """
import sys, tempfile, time
from benchmarks.kit import command

def main():
    with tempfile.TemporaryDirectory() as folder:
        print(folder, flush=True)
        time.sleep(60)

command.run(main)
"""


def parsed(*arguments: str) -> argparse.Namespace:
    """Return the options of a benchmark that was called so."""
    parser = command.Parser("any", None, quick={"records": 5}, plots=True)
    parser.add_argument("--records", default=1000)
    parser.add_argument("--seconds", default=1.5, help="of each")
    parser.add_argument("--sizes", nargs="*", default=[1, 2])
    parser.add_argument("--root", type=Path)
    parser.add_argument("--postgres")
    return parser.parse_args(arguments)


def begun(*arguments: str, question: str = QUESTION) -> results.Results:
    """Return a run that was called so."""
    return results.Results(
        question, key=("n",), settings={"seed": 1}, options=parsed(*arguments)
    )


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work where there are folders for results and pictures, and nothing in them."""
    for name in ("results", "pictures"):
        (tmp_path / "benchmarks" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"# A page of somebody's\n",
        b'{"question": "how long?", "settings": {}, "machine": {}, "rows": []}',
        b'{"question": "how much?", "settings": {"seed": 1}, "mach',
        b'{"question": "how much?"}',
        b"[1, 2]",
        b"\xff\xfe",
        b"",
    ],
)
@pytest.mark.parametrize("more", [(), ("--resume",)])
def test_a_foreign_file_is_refused_and_left(
    content: bytes, more: Sequence[str]
) -> None:
    """What has no figures of this benchmark is not replaced, and said in a line."""
    path = Path("other.json")
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=r"`other\.json` has no figures"):
        begun("--json", "other.json", *more)
    assert path.read_bytes() == content
    assert set(Path().iterdir()) == {Path("benchmarks"), path}


def test_a_folder_that_is_not_there_is_not_made() -> None:
    """A name that was mistyped makes nothing."""
    with pytest.raises(SystemExit, match="there is no folder `nowhere`"):
        begun("--json", "nowhere/x.json")
    assert not Path("nowhere").exists()


def test_a_run_replaces_its_own_file_or_goes_on_with_it() -> None:
    """Anew without --resume, and with it what the file has is kept."""
    begun("--json", "own.json").add([{"n": 1, "ms": 2}])
    went_on = begun("--json", "own.json", "--resume")
    assert went_on.has(n=1)
    went_on.add([{"n": 2, "ms": 3}])
    kept = json.loads(Path("own.json").read_bytes())
    assert [row["n"] for row in kept["rows"]] == [1, 2]
    assert kept["earlier"][0]["commit"] == kept["commit"]
    assert kept["seconds"] >= 0
    begun("--json", "own.json").add([{"n": 3, "ms": 4}])
    assert len(json.loads(Path("own.json").read_bytes())["rows"]) == 1


def test_other_settings_do_not_go_on() -> None:
    """Rows of one file are measured in one way."""
    begun("--json", "own.json").add([{"n": 1}])
    kept = json.loads(Path("own.json").read_bytes())
    Path("own.json").write_text(json.dumps(kept | {"settings": {"seed": 2}}))
    with pytest.raises(SystemExit, match="settings differ"):
        begun("--json", "own.json", "--resume")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--quick", "--json"),
        ("--quick", "--json", "benchmarks/results/other.json"),
        ("--quick", "--json", "benchmarks/pictures/../results/any.json"),
        ("--resume",),
        ("--plot",),
        ("--records", "0"),
        ("--records", "-5"),
        ("--records", "few"),
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--sizes", "3", "0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_measured(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Quick figures among the committed ones, counts of nothing, a picture nowhere."""
    with pytest.raises(SystemExit) as ended:
        parsed(*arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err.splitlines()[-1]


def test_quick_options_are_defaults() -> None:
    """What is given beside --quick holds."""
    assert parsed("--quick").records == 5
    assert parsed("--quick", "--records", "7").records == 7
    assert parsed().records == 1000
    assert parsed("--quick", "--json", "own.json").json == Path("own.json")


def test_help_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """Of every option that has one."""
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    for told in ("(default: 1000)", "of each (default: 1.5)", "(default: 1 2)"):
        assert told in shown
    assert "default: None" not in shown


def test_a_picture_stands_beside_its_file() -> None:
    """Committed pictures are those of committed figures, and no others."""
    (Path("pictures")).mkdir()
    assert begun("--json", "own.json").picture("-2") == Path("own-2.png")
    assert begun("--json", "pictures/a.json").picture() == Path("pictures/a.png")
    assert begun("--json").picture() == Path("benchmarks/pictures/any.png")


def test_a_picture_of_somebody_is_refused() -> None:
    """A picture without figures beside it is not ours."""
    Path("cat.png").write_bytes(b"a cat")
    with pytest.raises(SystemExit, match=r"`cat\.png` is not ours"):
        begun("--json", "cat.json", "--plot")
    begun("--json", "cat.json").add([{"n": 1}])
    begun("--json", "cat.json", "--plot")


def test_a_file_names_no_place_and_no_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a database's URL and of folders nothing is kept."""
    url = "postgresql://me:secret@host/db"
    arguments = ("--root", "/home/me/kept", "--postgres", url, "--json", "own.json")
    monkeypatch.setattr(
        sys, "orig_argv", ["/usr/bin/python", *arguments, f"--postgres={url}"]
    )
    begun(*arguments).add([{"n": 1}])
    text = Path("own.json").read_text("utf-8")
    for word in ("secret", "host/db", "/home", "/usr"):
        assert word not in text


def test_a_quick_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody takes it for what was found; and every table says how it was measured."""
    for arguments, is_quick in ((("--quick",), True), ((), False)):
        run = begun(*arguments)
        run.add([{"n": 1}])
        run.show("how many", [Column("n", "n", ",d")])
        shown = capsys.readouterr().out
        assert ("not what it finds" in shown) is is_quick
        assert ("records 5," if is_quick else "records 1,000,") in shown
        assert "seed 1" in shown


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_stopped_clears_up(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM are one line, and leave no folder."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        text=True,
    ) as running:
        assert running.stdout is not None
        folder = Path(running.stdout.readline().strip())
        time.sleep(0.05)
        running.send_signal(number)
        _, told = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert len(told.splitlines()) == 1
    assert not folder.exists()


def test_what_is_not_installed_is_a_line() -> None:
    """No traceback for an extra that is missing."""

    def main() -> None:
        raise ModuleNotFoundError(name="psycopg")

    with pytest.raises(SystemExit, match="`psycopg` is not installed: pip install"):
        command.run(main)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_benchmark_begins_and_ends_as_all(name: str) -> None:
    """None has a parser, a file or an end of its own."""
    source = PROGRAMS[name]
    assert f'command.Parser("{name}", __doc__' in source
    assert source.endswith("    command.run(main)\n")
    assert "ArgumentParser" not in source
    assert "options=options" in source


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_every_committed_file_is_of_its_benchmark(path: Path) -> None:
    """Its question is asked there, so that a run may replace it or go on."""
    source = PROGRAMS[path.stem]
    doc = ast.get_docstring(ast.parse(source)) or ""
    question = json.loads(path.read_bytes())["question"]
    assert question == doc.splitlines()[0] or f'"{question}"' in source
