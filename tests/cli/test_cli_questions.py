"""Commands that ask: tables for people, JSON for programs, exit codes for both."""

from __future__ import annotations

import io
import socket
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from biometrics import limits
from biometrics.cli.output import print_error, print_json
from biometrics.errors import Fault, PreconditionError
from tests.pocket import Authority, Failure, Script, info, write_profile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Told


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
    first, second = ask("agreements", "list", "--json").document["agreements"]
    assert first["valid_until"] == "2026-12-31"
    assert second["valid_from"] is None


def test_an_explanation_names_the_line_that_decides(ask: Callable[..., Told]):
    """Permitted or not is an answer: exit code 0."""
    question = ("--holder", "XAA", "--purpose", "visa", "--modality", "face")
    told = ask("agreements", "explain", "--requester", "XAB", *question)
    assert told.code == 0
    assert told.out.splitlines() == [
        "permitted, level holder",
        "permitted by the clause",
        "decided by XAA.toml:12",
    ]
    told = ask("agreements", "explain", "--requester", "XAC", *question)
    assert told.out.splitlines() == ["not permitted", "no clause"]
    told = ask("agreements", "explain", "--requester", "XAC", *question, "--json")
    assert told.document["permitted"] is False


def test_a_withdrawal_says_when(ask: Callable[..., Told], script: Script):
    """From the command line or, unseen by the shell's history, from stdin."""
    script.records["ref-1"] = b""
    told = ask("withdraw", "ref-1")
    assert told.out == "withdrawn at 2026-05-04 03:02:01 UTC\n"
    document = ask("withdraw", "ref-1", "--json").document
    assert document == {"withdrawn_at": "2026-05-04T03:02:01+00:00"}


def test_a_reference_can_be_read_from_stdin(
    ask: Callable[..., Told], script: Script, monkeypatch: pytest.MonkeyPatch
):
    """One line, without its end."""
    script.records["ref-1"] = b""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ref-1\r\n")))
    assert ask("withdraw", "-").code == 0
    assert script.requests[-1].reference == "ref-1"


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
        *("agreements", "spaces", "demo"),
    ):
        assert command in told.out


def test_what_json_cannot_say_is_a_mistake_of_ours():
    """A value without a form in JSON is not printed as something else."""
    with pytest.raises(TypeError, match="object has no form"):
        print_json({"value": object()})
