"""Commands that ask: tables for people, JSON for programs, exit codes for both."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import grpc
import numpy as np
import pytest

from biometrics import limits
from biometrics.cli.output import (
    counted,
    print_error,
    print_json,
    print_prose,
    print_table,
)
from biometrics.client import ExchangeClient, RecordInfo
from biometrics.errors import Fault, PreconditionError
from tests.pocket import (
    Authority,
    Failure,
    RunningExchange,
    Script,
    info,
    write_profile,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Told

RECEIPT: Final = {
    "reference": "ref-1",
    "withdrawn_at": "2026-05-04T03:02:01+00:00",
    "reason": "withdrawn",
    "removed": [{"space": "faces-v1", "position": "face", "quality": 70}],
}
ROOT: Final = Path(__file__).resolve().parents[2]


def test_galleries_are_listed_for_people_and_for_programs(ask: Callable[..., Told]):
    """The same counts in a table and in JSON."""
    told = ask("galleries", "list")
    assert told.code == 0
    assert [word in told.out for word in ("space", "faces-v1", "ready")] == [True] * 3
    assert ask("galleries", "list", "--json").document == {
        "galleries": [
            {"space": "faces-v1", "records": 0, "templates": 0, "state": "ready"}
        ]
    }


def test_ones_own_records_are_listed_page_by_page(
    ask: Callable[..., Told], script: Script, monkeypatch: pytest.MonkeyPatch
):
    """With their references, which are the holder's own; every page is a table."""
    script.records = {f"ref-{number}": b"" for number in range(5)}
    monkeypatch.setattr(limits, "MAX_PAGE_RECORDS", 3)
    told = ask("records", "list")
    assert told.code == 0
    assert [f"ref-{number}" in told.out for number in range(5)] == [True] * 5
    assert told.out.count("legal basis") == 2
    document = ask("records", "list", "--json").document
    assert [each["reference"] for each in document["records"]] == sorted(script.records)
    assert document["records"][0]["enrolled_at"] == "2026-05-04T03:02:01+00:00"
    assert document["records"][0]["templates"][1] == {
        "space": "faces-v1",
        "position": "face",
        "quality": None,
    }


def test_no_record_is_said_in_words(ask: Callable[..., Told]):
    """And is an empty list for programs."""
    assert ask("records", "list").out == "no record is enrolled\n"
    assert ask("records", "list", "--json").document == {"records": []}


def test_records_are_shown_before_the_last_page_has_come(
    ask: Callable[..., Told], script: Script, monkeypatch: pytest.MonkeyPatch
):
    """A page is printed when it is there: what follows may fail."""
    script.records = {f"ref-{number}": b"" for number in range(4)}
    monkeypatch.setattr(limits, "MAX_PAGE_RECORDS", 2)
    real = ExchangeClient.records

    def broken(client: ExchangeClient) -> Iterator[RecordInfo]:
        records = real(client)
        yield from itertools.islice(records, 2)
        raise PreconditionError("BROKEN", "broken")

    monkeypatch.setattr(ExchangeClient, "records", broken)
    told = ask("records", "list")
    assert (told.code, told.err) == (1, "error: broken\n")
    assert "ref-1" in told.out


def test_nothing_is_cut_on_a_narrow_terminal(
    ask: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
):
    """Names that are typed stay whole; long texts give way, word by word."""
    monkeypatch.setenv("COLUMNS", "60")
    for command in ("spaces", "agreements", "galleries"):
        told = ask(command, "list")
        assert "\u2026" not in told.out
        assert max(map(len, told.out.splitlines())) <= 60
    assert "faces-v1 " in ask("spaces", "list").out
    monkeypatch.setenv("COLUMNS", "80")
    assert "threshold" in ask("spaces", "list").out
    monkeypatch.setenv("COLUMNS", "20")
    told = ask("agreements", "list")
    assert "\u2026" not in told.out


def test_numbers_stand_to_the_right_and_lists_in_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """No rows are no table."""
    monkeypatch.setenv("COLUMNS", "60")
    print_table(("n", "text"), [(5, ["a", "", "b"]), (1000, "c")])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == ["    5   a", "        b", "1,000   c"]
    print_table(("n",), [])
    assert capsys.readouterr().out == "none\n"


def test_prose_on_a_terminal_ends_its_lines_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """In a pipe it stays one line."""
    monkeypatch.setenv("COLUMNS", "20")
    print_prose("one `border-check` at a border")
    assert capsys.readouterr().out == "one `border-check` at a border\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    print_prose("one `border-check` at a border")
    assert capsys.readouterr().out == "one `border-check`\nat a border\n"


def test_a_number_agrees_with_its_noun():
    """`1 row`, and never `1 rows`."""
    assert [counted(number, "row") for number in (0, 1, 2000)] == [
        "0 rows",
        "1 row",
        "2,000 rows",
    ]


def test_an_error_is_json_for_programs(ask: Callable[..., Told], script: Script):
    """One line on stderr; stdout stays empty, and the exit code is the same."""
    failure = Failure(grpc.StatusCode.NOT_FOUND, "no such", (info("NOT_ENROLLED"),))
    script.failures.append(failure)
    told = ask("spaces", "list", "--json")
    assert (told.code, told.out) == (1, "")
    assert json.loads(told.err) == {
        "error": {"reason": "NOT_ENROLLED", "message": "no such", "faults": []}
    }


def test_every_fault_is_in_the_json_of_an_error(
    ask: Callable[..., Told], tmp_path: Path
):
    """By field, reason and message."""
    np.save(tmp_path / "one.npy", np.ones(16))
    told = ask(
        *("match", tmp_path / "one.npy", "--space", "faces-v1"),
        *("--position", "nose", "--purpose", "fun", "--json"),
    )
    faults = json.loads(told.err)["error"]["faults"]
    assert [(fault["field"], fault["reason"]) for fault in faults] == [
        ("purpose", "UNKNOWN_VALUE"),
        ("probe.templates[0].position", "UNKNOWN_VALUE"),
    ]


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_output_that_cannot_be_written_is_told(profile: Path, as_json: tuple[str, ...]):
    """A full disk is one line and exit code 1, not a traceback; JSON where asked."""
    with Path("/dev/full").open("wb") as full:
        told = start(profile, "agreements", "list", *as_json, stdout=full)
        _, err = told.communicate(timeout=30)
    assert told.returncode == 1
    message = "the output cannot be written: no space left on device"
    if as_json:
        assert json.loads(err)["error"]["message"] == message
    else:
        assert err == f"error: {message}\n"


@pytest.mark.usefixtures("script")
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_reader_that_has_gone_away_is_no_traceback(
    profile: Path, as_json: tuple[str, ...]
):
    """As in `| head -1`: nothing on stderr."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        told = start(profile, "agreements", "list", *as_json, stdout=pipe)
        _, err = told.communicate(timeout=30)
    assert (told.returncode, err) == (1, "")


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_a_foreign_certificate_is_one_line(
    running: RunningExchange, tmp_path: Path, as_json: tuple[str, ...]
):
    """Exit code 4, and nothing of gRPC's own on stderr."""
    profile = write_profile(tmp_path, Authority("another"), running.port)
    told = start(profile, "spaces", "list", *as_json, stdout=subprocess.DEVNULL)
    _, err = told.communicate(timeout=30)
    assert told.returncode == 4
    assert err.count("\n") == 1
    if as_json:
        assert json.loads(err)["error"]["reason"] == "SERVER_NOT_TRUSTED"
    else:
        assert "its certificate has expired or is not signed by" in err


def start(
    profile: Path, *command: str, stdout: IO[bytes] | int
) -> subprocess.Popen[str]:
    """Run a command in a process of its own, with this stdout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # As most are: buffered, so that what cannot be written is noticed late.
    for name in ("PYTHONUNBUFFERED", "GRPC_VERBOSITY"):
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-m", "biometrics.cli", "--profile", profile, *command],
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_file_that_cannot_be_written_is_named(
    run: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
):
    """Such as the demo's own, on a full disk."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/somewhere/XAA.npz")

    monkeypatch.setattr("biometrics.demo.pilot.run", full)
    told = run("demo")
    assert (told.code, told.err) == (
        1,
        "error: `/somewhere/XAA.npz`: no space left on device\n",
    )


def test_the_version_is_that_of_the_distribution(run: Callable[..., Told]):
    """One line, exit code 0, no command needed."""
    told = run("--version")
    assert (told.code, told.out) == (
        0,
        f"biometrics {version('regional-biometrics-exchange')}\n",
    )


def test_spaces_are_listed(ask: Callable[..., Told]):
    """A space with what its templates must be."""
    assert "unmeasured" in ask("spaces", "list").out
    (space,) = ask("spaces", "list", "--json").document["spaces"]
    assert (space["name"], space["dimension"]) == ("faces-v1", 16)
    assert space["positions"] == ["face"]


def test_agreements_are_listed(ask: Callable[..., Told]):
    """Days are ISO 8601, and brackets in a text are not markup."""
    told = ask("agreements", "list")
    assert "treaty [1]" in told.out
    assert "forbid" in told.out
    assert "2026-01-01 to 2026-12-31" in told.out
    assert "always" in told.out
    assert told.out.endswith(IN_FORCE)
    document = ask("agreements", "list", "--json").document
    first, second = document["agreements"]
    assert first["valid_until"] == "2026-12-31"
    assert second["valid_from"] is None
    assert document["own_version"]["sha256"] == "ab" * 32


IN_FORCE = f"revision 3       {'ab' * 32}   Ministry  \n{' ' * 84}Parliament\n"


def test_an_explanation_names_the_line_that_decides(ask: Callable[..., Told]):
    """Permitted or not is an answer: exit code 0."""
    question = ("--holder", "XAA", "--purpose", "visa", "--modality", "face")
    told = ask("agreements", "explain", "--requester", "XAB", *question)
    assert told.code == 0
    assert told.out.splitlines()[:3] == [
        "permitted, level holder",
        "permitted by the clause",
        "decided by XAA.toml:12",
    ]
    assert told.out.endswith(IN_FORCE)
    told = ask("agreements", "explain", "--requester", "XAC", *question)
    assert told.out.splitlines() == ["not permitted", "no clause"]
    told = ask("agreements", "explain", "--requester", "XAC", *question, "--json")
    assert told.document["permitted"] is False


def test_the_register_says_what_is_held_by_whom_it_may_be_matched_and_until_when(
    ask: Callable[..., Told],
):
    """Four tables for people, one document for programs."""
    told = ask("galleries", "register")
    assert told.code == 0
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    for line in (
        "as of 2026-05-04 03:02:01 UTC",
        "faces-v1 face 0 0 ready",
        "XAB face holder visa",
        "XAD face reference border-check",
        "has expired 1",
        "2026-05 2",
        "later 7",
        "never 5",
        "expired 2026-05 2",
    ):
        assert line in lines
    document = ask("galleries", "register", "--json").document
    assert document["disposed"] == {"expired": {"2026-05": 2}}
    assert document["may_match"][0] == {
        "requester": "XAB",
        "modality": "face",
        "purpose": "visa",
        "level": "holder",
    }
    assert document["expiring"] == {"2026-05": 2, "2031-01": 3}
    assert document["galleries"][0]["space"] == "faces-v1"


def test_the_register_has_a_line_for_each_record(
    ask: Callable[..., Told], script: Script
):
    """Whom a record excludes may not match it; a reference is one cell."""
    script.records.update({"ref-1": b"", 'ref, "2"': b""})
    told = ask("galleries", "register", "--csv")
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [row["reference"] for row in rows] == ["ref-1", 'ref, "2"'][::-1]
    assert {row["may_match"] for row in rows} == {"XAB/face/visa/holder"}
    assert {row["excluded"] for row in rows} == {"XAD"}
    assert rows[0]["templates"] == "faces-v1/face faces-v1/face"
    assert (rows[0]["enrolled_at"], rows[0]["replaced_at"]) == (
        "2026-05-04T03:02:01+00:00",
        "",
    )
    assert ask("galleries", "register", "--csv", "--json").code == 2


def test_a_withdrawal_says_when_and_what(ask: Callable[..., Told], script: Script):
    """For people and for programs."""
    script.records["ref-1"] = b""
    told = ask("withdraw", "ref-1")
    assert told.out == (
        "withdrawn at 2026-05-04 03:02:01 UTC\nremoved: 1 template: faces-v1 face\n"
    )
    assert ask("withdraw", "ref-1", "--json").document == RECEIPT


def test_a_receipt_is_written_once_and_for_its_owner(
    ask: Callable[..., Told], script: Script, tmp_path: Path
):
    """It says that it is not signed; where it cannot be made, nothing is withdrawn."""
    script.records["ref-1"] = b""
    path = tmp_path / "receipt.json"
    assert ask("withdraw", "ref-1", "--receipt", path).code == 0
    document = json.loads(path.read_text())
    assert "not signed" in document.pop("document")
    assert document == RECEIPT
    assert path.stat().st_mode & 0o777 == 0o600
    before = len(script.requests)
    for wrong in (path, tmp_path / "none" / "receipt.json"):
        told = ask("withdraw", "ref-1", "--receipt", wrong)
        assert told.code == 2
        assert str(wrong) in told.err
    assert len(script.requests) == before


def test_a_template_is_replaced_from_a_file(
    ask: Callable[..., Told], script: Script, tmp_path: Path
):
    """With all that its options say."""
    np.save(tmp_path / "new.npy", np.ones((2, 16), np.float32))
    options = ("--space", "faces-v1", "--row", 1, "--quality", 90, "--sample", 4)
    told = ask("records", "replace", "ref-1", tmp_path / "new.npy", *options)
    assert told.out == (
        "template 4 replaced at 2026-05-04 03:02:01 UTC; generation 2\n"
    )
    (request,) = script.requests
    assert (request.reference, request.template.quality) == ("ref-1", 90)
    assert not request.accept_lower_quality
    told = ask(
        *("records", "replace", "ref-1", tmp_path / "new.npy", "--json"),
        *(*options, "--accept-lower-quality"),
    )
    assert told.document == {
        "replaced_at": "2026-05-04T03:02:01+00:00",
        "sample": 4,
        "generation": 2,
    }
    assert script.requests[-1].accept_lower_quality


def test_a_reference_can_be_read_from_stdin(
    ask: Callable[..., Told], script: Script, monkeypatch: pytest.MonkeyPatch
):
    """One line, without its end."""
    script.records["ref-1"] = b""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ref-1\r\n")))
    assert ask("withdraw", "-").code == 0
    assert script.requests[-1].reference == "ref-1"


def test_a_protection_says_what_it_changed(ask: Callable[..., Told], script: Script):
    """Whom it excludes now, who was added, and who may learn of the record again."""
    told = ask("records", "protect", "ref-1", "--exclude", "XAD", "--exclude", "XAC")
    assert told.out.splitlines() == [
        "excluded since 2026-05-04 03:02:01 UTC: XAC, XAD",
        "added: XAD, XAC",
        "excluded no longer: XAF; searches may tell them of the record again",
    ]
    (request,) = script.requests
    assert (request.reference, request.exclude_nobody) == ("ref-1", False)
    assert list(request.excluded_requesters) == ["XAD", "XAC"]
    told = ask("records", "protect", "ref-1", "--exclude", "XAD", "--json")
    assert told.document == {
        "protected_at": "2026-05-04T03:02:01+00:00",
        "added": ["XAD"],
        "removed": ["XAF"],
    }


def test_excluding_nobody_is_said(
    ask: Callable[..., Told], script: Script, monkeypatch: pytest.MonkeyPatch
):
    """By an option of its own; the reference may come from stdin."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ref-same\n")))
    told = ask("records", "protect", "-", "--exclude-nobody")
    assert told.out.splitlines() == [
        "excluded since 2026-05-04 03:02:01 UTC: nobody",
        "nothing changed",
    ]
    (request,) = script.requests
    assert (request.reference, request.exclude_nobody) == ("ref-same", True)
    assert list(request.excluded_requesters) == []


def test_withdrawing_what_was_never_enrolled_is_not_done(ask: Callable[..., Told]):
    """Exit code 1, one line, no traceback."""
    told = ask("withdraw", "nobody")
    assert told.code == 1
    assert told.err == "error: no record is enrolled under this reference\n"
    assert told.out == ""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, 3),
        (grpc.StatusCode.UNAUTHENTICATED, 3),
        (grpc.StatusCode.UNAVAILABLE, 4),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 4),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 4),
        (grpc.StatusCode.INVALID_ARGUMENT, 2),
        (grpc.StatusCode.FAILED_PRECONDITION, 1),
        (grpc.StatusCode.INTERNAL, 1),
    ],
)
def test_exit_codes_say_what_sort_of_failure_it_was(
    *,
    ask: Callable[..., Told],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    code: grpc.StatusCode,
    expected: int,
):
    """Every kind of error has its code and one line."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    failure = Failure(code, "what is wrong", (info("REASON"),))
    script.failures.extend([failure] * limits.CLIENT_TRIES)
    told = ask("spaces", "list")
    assert (told.code, told.err) == (expected, "error: what is wrong\n")


def test_control_characters_do_not_reach_the_terminal(
    ask: Callable[..., Told], script: Script
):
    """Neither from an error nor from an answer."""
    failure = Failure(grpc.StatusCode.NOT_FOUND, "no\x1b[31m\nred", (info("REASON"),))
    script.failures.append(failure)
    told = ask("spaces", "list")
    assert told.err == "error: no\ufffd[31m\ufffdred\n"


def test_without_a_profile_the_error_says_how_to_name_one(
    run: Callable[..., Told], monkeypatch: pytest.MonkeyPatch
):
    """Exit code 2."""
    monkeypatch.delenv("BIOMETRICS_PROFILE", raising=False)
    told = run("spaces", "list")
    assert told.code == 2
    assert "`--profile FILE` or set BIOMETRICS_PROFILE" in told.err


@pytest.mark.usefixtures("script")
def test_a_profile_may_be_named_in_three_places(
    run: Callable[..., Told],
    profile: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """After the command, before it, in the environment: the nearest counts."""
    assert run("spaces", "list", "--profile", profile).code == 0
    monkeypatch.setenv("BIOMETRICS_PROFILE", str(profile))
    assert run("spaces", "list").code == 0
    assert run("--profile", tmp_path / "absent.toml", "spaces", "list").code == 2
    wrong = ("--profile", tmp_path / "absent.toml")
    assert run(*wrong, "spaces", "list", "--profile", profile).code == 0


def test_every_fault_of_a_profile_has_its_line(run: Callable[..., Told], profile: Path):
    """One headline with the file's name, then a line each."""
    profile.write_text('version = 1\ntarget = 7\ncolour = "blue"\n')
    told = run("--profile", profile, "spaces", "list")
    assert told.code == 2
    head, *lines = told.err.splitlines()
    assert head == f"error: `{profile}`: 5 things are wrong:"
    assert len(lines) == 5
    assert any(line.startswith("  colour: unknown key") for line in lines)


def test_every_fault_of_a_request_has_its_line(
    ask: Callable[..., Told], tmp_path: Path
):
    """A headline without a file, then a line each."""
    np.save(tmp_path / "one.npy", np.ones(16))
    told = ask(
        *("match", tmp_path / "one.npy", "--space", "faces-v1"),
        *("--position", "nose", "--purpose", "fun"),
    )
    assert told.code == 2
    head, *lines = told.err.splitlines()
    assert head == "error: 2 things are wrong:"
    assert [line.split(":")[0].strip() for line in lines] == [
        "purpose",
        "probe.templates[0].position",
    ]


def test_faults_beside_a_message_of_its_own_follow_it(
    capsys: pytest.CaptureFixture[str],
):
    """A message that does not repeat its faults is shown whole."""
    faults = [Fault(field=name, reason="R", message=f"is {name}") for name in "ab"]
    print_error(PreconditionError("R", "not ready", faults=faults))
    assert capsys.readouterr().err == (
        "error: not ready; 2 things are wrong:\n  a: is a\n  b: is b\n"
    )


def test_a_server_that_is_not_running_is_unavailable(
    run: Callable[..., Told], tmp_path: Path, authority: Authority
):
    """Exit code 4, and the line says what to check."""
    with socket.socket() as bound:  # bound and not listening: refuses connections
        bound.bind(("127.0.0.1", 0))
        path = write_profile(tmp_path, authority, bound.getsockname()[1])
        told = run("--profile", path, "spaces", "list")
    assert told.code == 4
    assert "nothing listens there" in told.err
    assert "Traceback" not in told.err


def test_wrong_usage_exits_with_2(run: Callable[..., Told]):
    """Unknown commands, missing options."""
    assert run("dance").code == 2
    assert run("match", "file.npz").code == 2


def test_help_lists_every_command(run: Callable[..., Told]):
    """The first thing that a new user sees."""
    told = run("--help")
    assert told.code == 0
    for command in (
        *("init", "serve", "enrol", "withdraw", "match", "galleries"),
        *("agreements", "spaces", "demo", "records", "slots", "--version"),
    ):
        assert command in told.out


def test_what_json_cannot_say_is_a_mistake_of_ours():
    """A value without a form in JSON is not printed as something else."""
    with pytest.raises(TypeError, match="object has no form"):
        print_json({"value": object()})


def test_an_interrupt_while_a_command_loads_is_no_traceback(tmp_path: Path):
    """Ctrl-C in the first second ends it without a word."""
    program = tmp_path / "interrupted.py"
    program.write_text(
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "from biometrics.cli import main\n"
        "main()\n"
    )
    told = subprocess.run(
        [sys.executable, program, "--version"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert (told.returncode, told.stdout, told.stderr) == (130, "", "")
