"""The commands of those who sign: files in, files out, and no exchange asked."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.text import Text
from typer.main import get_command

from biometrics import disclosure
from biometrics.cli import main
from biometrics.cli.app import app
from biometrics.clock import SystemClock
from biometrics.server.development import write_agreement

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from tests.cli.conftest import Told

    Run = Callable[..., Told]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new exchange."""
    path = tmp_path_factory.mktemp("made") / "pilot"
    with pytest.raises(SystemExit) as ended:
        main(["init", str(path)])
    assert not ended.value.code
    return path


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The folder of agreements of a copy of it."""
    shutil.copytree(made, tmp_path / "pilot")
    return tmp_path / "pilot" / "agreements"


@pytest.fixture
def old(folder: Path, tmp_path: Path) -> Path:
    """A copy of it, in which XAA gives references, before XAA has edited its own."""
    copy = tmp_path / "old"
    shutil.copytree(folder, copy)
    path = folder / "XAA.toml"
    text = path.read_text()
    assert text.count('level = "reference"') == 1
    path.write_text(text.replace('level = "reference"', 'level = "holder"'))
    return copy


def key(folder: Path, name: str) -> Path:
    """Return a signing key that `init` has made."""
    return folder.parent / "signing" / f"{name}.key"


def test_an_edited_agreement_is_proposed_and_approved(
    run: Run, folder: Path, old: Path
) -> None:
    """Both commands say what was signed and by whom, and the check is content."""
    path = folder / "XAA.toml"
    told = run("agreements", "check", folder)
    assert told.code == 2
    assert "XAA.toml: is not the file that the note beside it is about" in told.err
    told = run("agreements", "propose", path, "--key", key(folder, "XAA-second"))
    assert told.code == 0, told.err
    assert "XAA, revision 2 of " in told.out
    assert "signed by second office of XAA (development only)\n" in told.out
    assert f"biometrics agreements approve {path}" in told.out
    told = run("agreements", "check", folder)
    assert told.code == 2
    assert "2 different ones must sign" in told.err
    for name, reason in (
        ("XAA-second", "has signed this revision"),
        ("XBB-first", "is not listed to sign for XAA"),
    ):
        told = run("agreements", "approve", path, "--key", key(folder, name))
        assert told.code == 2
        assert reason in told.err
    told = run("agreements", "approve", path, "--key", key(folder, "XAA-first"))
    assert told.code == 0, told.err
    assert "second office of XAA (development only) and first office" in told.out
    assert run("agreements", "check", folder).code == 0
    found = run("agreements", "check", folder, "--json").document
    (own,) = [each for each in found["agreements"] if each["holder"] == "XAA"]
    assert (own["revision"], own["clauses"]) == (2, 3)
    assert own["sha256"] in path.with_suffix(".note").read_text()
    assert (old / "XAA.toml").read_text() != path.read_text()


def test_an_unsigned_configuration_is_taken_over(run: Run, folder: Path) -> None:
    """What an older version has written needs nothing but two signatures."""
    path = folder / "XBB.toml"
    text = path.read_text()
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("revision", "dated"))]
    assert len(kept) == len(lines) - 2
    path.write_text("".join(kept))
    path.with_suffix(".note").unlink()
    told = run("agreements", "check", folder)
    assert "XBB.toml: is not signed; `biometrics agreements propose" in told.err
    for command, name in (("propose", "XBB-first"), ("approve", "XBB-second")):
        assert run("agreements", command, path, "--key", key(folder, name)).code == 0
    assert run("agreements", "check", folder).code == 0
    assert path.read_text().count("revision = 1\n") == 1


def test_check_lists_every_agreement_and_the_fingerprint(
    run: Run, folder: Path
) -> None:
    """By which members know whether the list of signers is theirs."""
    told = run("agreements", "check", folder)
    assert told.code == 0, told.err
    assert told.out.count("(development only)") == 2 * 8
    assert "8 agreements in order; list of signers: SHA-256 " in told.out
    found = run("agreements", "check", folder, "--json").document
    assert found["signers_sha256"] in told.out
    with (folder.parent / "signers.toml").open("a") as file:
        file.write("# more\n")
    assert found["signers_sha256"] not in run("agreements", "check", folder).out


def test_check_and_explain_know_promises_that_are_kept_nowhere(
    run: Run, folder: Path
) -> None:
    """By the calibrations beside the agreements; without these nothing is doubted."""
    path = folder / "XAA.toml"
    header = "\n[[permit]]\n"
    text = path.read_text().replace(header, f"{header}measured_only = true\n")
    write_agreement(folder.parent, text)
    told = run("agreements", "check", folder)
    assert told.code == 0, told.err
    assert told.err.count("warning: `XAA.toml:") == text.count(header)
    assert "and the calibration of `face-synthetic-512` is `unmeasured`" in told.err
    assert len(run("agreements", "check", folder, "--json").document["unkept"]) > 1
    question = (
        *("--holder", "XAA", "--requester", "XRA", "--modality", "face"),
        *("--purpose", "asylum-and-protection", "--agreements"),
    )
    for place in (folder, path):
        found = run("agreements", "explain", *question, place)
        assert found.out.startswith("not permitted\n")
        assert "demands a measured FPIR of 1e-3, which no calibration" in found.out
    shutil.rmtree(folder.parent / "calibrations")
    assert run("agreements", "check", folder).err == ""
    found = run("agreements", "explain", *question, folder)
    assert found.out.startswith("permitted, level reference\n")


def test_check_tells_every_fault_of_every_file(run: Run, folder: Path) -> None:
    """And lists what is in order."""
    (folder / "XAA.note").unlink()
    (folder / "XBB.toml").write_text("= 1\n")
    (folder / "XYZW.toml").write_text("")
    told = run("agreements", "check", folder)
    assert told.code == 2
    assert "4 things are wrong" in told.err
    faults = [line.split(":")[0] for line in told.err.splitlines()[1:]]
    assert faults == ["  XAA.toml", "  XBB.toml", "  XBB.toml", "  XYZW.toml"]
    assert "XCC" in told.out
    failed = run("agreements", "check", folder, "--json")
    assert failed.out == ""
    assert len(json.loads(failed.err)["error"]["faults"]) == 4


def test_check_tells_mistakes_before_that_nobody_has_signed(
    run: Run, folder: Path
) -> None:
    """What has to be mended before it is signed; and no table of nothing."""
    for path in folder.iterdir():
        if path.stem != "XAA":
            path.unlink()
    (folder / "XAA.note").unlink()
    path = folder / "XAA.toml"
    text = path.read_text()
    path.write_text(text.replace("level =", "levle =").replace("border-", "bodrer-"))
    told = run("agreements", "check", folder)
    assert (told.code, told.out) == (2, "")
    lines = told.err.splitlines()
    assert "levle: is no key of this table" in told.err
    assert "purposes[0]: must be `border-check`" in told.err
    assert "XAA.toml: is not signed; " in lines[-1]
    assert len(lines) == 1 + 2 * 2 + 1 + 1
    # Once they are mended nothing else is told.
    path.write_text(text)
    told = run("agreements", "check", folder)
    assert told.err.startswith("error: XAA.toml: is not signed; ")


def test_a_version_of_the_future_is_not_in_order_yet(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed where a clock was an hour fast: whoever approves or checks is warned."""
    path, hour = folder / "XAA.toml", dt.timedelta(hours=1)

    class Fast(SystemClock):
        """A clock that is fast."""

        def now(self) -> dt.datetime:
            """Return the time, and an hour."""
            return super().now() + hour

    with monkeypatch.context() as patch:
        patch.setattr("biometrics.cli.signing.SystemClock", Fast)
        told = run("agreements", "propose", path, "--key", key(folder, "XAA-first"))
        assert (told.code, told.err) == (0, "")
    told = run("agreements", "approve", path, "--key", key(folder, "XAA-second"))
    assert told.code == 0
    assert told.err.startswith("warning: `XAA.toml` is dated 2")
    assert "until then the exchange refuses it, as DATED_IN_FUTURE\n" in told.err
    found = run("agreements", "check", folder)
    (before, _, _) = told.err.partition(" by this computer's clock it is ")
    assert (found.code, found.err.startswith(before)) == (0, True)
    assert "7 agreements in order, 1 of the future; list of signers: " in found.out
    (warning,) = run("agreements", "check", folder, "--json").document["warnings"]
    assert f"warning: {warning}".startswith(before)


def test_a_code_of_nobody_is_warned_of_before_anybody_signs(
    run: Run, folder: Path, old: Path
) -> None:
    """A prohibition that is mistyped protects from nobody, now or later."""
    shutil.copy(old / "XAA.toml", folder)
    path = folder / "XAA.toml"
    text = path.read_text()
    assert text.count('requester = "XBB"') == 1
    path.write_text(text.replace('requester = "XBB"', 'requester = "XBD"'))
    warning = "has no agreement here, and nobody is listed to sign for it: if it is"
    for before, after in ((old, folder), (old / "XAA.toml", path)):
        told = run("agreements", "diff", before, after)
        assert told.out.startswith("XAA would NO LONGER FORBID XBB, whatever is perm")
        assert "XAA would newly forbid XBD, whatever is permitted\n" in told.out
        assert "nobody would learn more or less, from " in told.out
        assert told.err.startswith("warning: `XAA.toml:")
        assert f"`: XBD {warning}" in told.err
    found = run("agreements", "diff", old, folder, "--json").document
    assert len(found["warnings"]) == 1
    assert {
        (each["holder"], each["requester"], each["comes"])
        for each in found["prohibitions"]
    } == {("XAA", "XBB", False), ("XAA", "XBD", True)}
    for command, name in (("propose", "XAA-first"), ("approve", "XAA-second")):
        told = run("agreements", command, path, "--key", key(folder, name))
        assert (told.code, f"XBD {warning}" in told.err) == (0, True)
    told = run("agreements", "check", folder)
    assert (told.code, told.err.count("warning:")) == (0, 1)
    # Who is listed to sign is known, though there is no agreement yet.
    (folder / "XBB.toml").unlink()
    path.write_text(text)
    assert run("agreements", "diff", old, folder).err == ""


def test_of_single_files_no_group_is_known(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    """A holder that comes back to `presence` may be the fifth: that tells more."""
    before = tmp_path / "before"
    shutil.copytree(folder, before)
    path = before / "XGG.toml"
    text = path.read_text()
    assert '"presence"' in text
    path.write_text(text.replace('"presence"', '"holder"'))
    whole = run("agreements", "diff", before, folder)
    assert "LESS from XGG" in whole.out
    assert "would learn MORE from holders without a name" in whole.out
    assert whole.err == ""
    told = run("agreements", "diff", path, folder / "XGG.toml")
    assert "MORE" not in told.out
    assert told.err.startswith("warning: of 1 agreement no group at `presence` is know")
    assert told.err.endswith("give the whole folders, OLD and NEW\n")
    one = run("agreements", "diff", path, folder)  # and so of one file and a folder
    assert told.err in one.err
    path.write_text((folder / "XGG.toml").read_text() + "# another remark\n")
    assert run("agreements", "diff", path, folder / "XGG.toml").err == ""


def test_only_the_file_that_was_read_out_is_approved(run: Run, folder: Path) -> None:
    """All digits of its SHA-256, in any letters, as `propose` prints them."""
    path = folder / "XAA.toml"
    told = run("agreements", "propose", path, "--key", key(folder, "XAA-first"))
    (digits,) = (
        line.removeprefix("sha256 ")
        for line in told.out.splitlines()
        if line.startswith("sha256 ")
    )
    approve = ("agreements", "approve", path, "--key", key(folder, "XAA-second"))
    for wrong, reason in (
        (digits[::-1], f"has the SHA-256 {digits}, which is not the one"),
        (digits[:16], "must be all 64 hexadecimal digits"),
        (digits + "00", "must be all 64 hexadecimal digits"),
    ):
        refused = run(*approve, "--sha256", wrong)
        assert (refused.code, reason in refused.err) == (2, True)
    assert run(*approve, "--sha256", digits.upper()).code == 0


def test_what_is_not_there_is_told(run: Run, folder: Path, tmp_path: Path) -> None:
    """A folder without agreements, and one without a list of signers."""
    (tmp_path / "empty").mkdir()
    signers = folder.parent / "signers.toml"
    told = run("agreements", "check", tmp_path / "empty", "--signers", signers)
    assert (told.code, "has no agreement" in told.err) == (2, True)
    told = run("agreements", "diff", tmp_path / "empty", folder)
    assert (told.code, "has no agreement" in told.err) == (2, True)
    signers.unlink()
    told = run("agreements", "check", folder)
    assert (told.code, "--signers FILE" in told.err) == (2, True)


def test_a_key_is_made_and_can_be_listed(run: Run, folder: Path) -> None:
    """What is printed goes into the list of signers as it is."""
    mine = folder.parent / "mine.key"
    name = "exchange.test/XZZ/office"
    told = run("agreements", "key", mine, "--name", name)
    assert told.code == 0, told.err
    assert mine.read_text().startswith(f"PRIVATE+KEY+{name}+")
    assert mine.read_text().strip() not in told.out
    again = run("agreements", "key", mine, "--name", name)
    assert (again.code, "is not overwritten" in again.err) == (2, True)
    assert run("agreements", "key", folder / "k", "--name", "a b").code == 2
    other = run("agreements", "key", folder.parent / "other.key", "--name", "b")
    path = folder / "XZZ.toml"
    path.write_text('version = 1\nholder = "XZZ"\n')
    with (folder.parent / "signers.toml").open("a") as file:
        for number, each in enumerate((told.out, other.out)):
            text = each.replace('"CODE"', '"XZZ"')
            file.write("\n" + text.replace("PERSON OR OFFICE", f"office {number}"))
    assert run("agreements", "propose", path, "--key", mine).code == 0
    second = folder.parent / "other.key"
    assert run("agreements", "approve", path, "--key", second).code == 0
    assert run("agreements", "check", folder).code == 0


def test_diff_says_who_would_learn_more_and_who_less(
    run: Run, folder: Path, old: Path
) -> None:
    """In words, for folders and for one file; in JSON, question by question."""
    told = run("agreements", "diff", old, folder)
    assert told.code == 0, told.err
    assert told.out.startswith("XRA would learn LESS from XAA\n")
    assert "asylum-and-protection, missing-or-deceased-person with face:" in told.out
    back = run("agreements", "diff", folder / "XAA.toml", old / "XAA.toml")
    assert back.out.startswith("XRA would learn MORE from XAA\n")
    found = run("agreements", "diff", old, folder, "--json").document
    assert found["groups"] == []
    assert {each["purpose"] for each in found["differences"]} == {
        "asylum-and-protection",
        "missing-or-deceased-person",
    }
    for each in found["differences"]:
        assert (each["requester"], each["holder"]) == ("XRA", "XAA")
        assert (each["before"], each["after"]) == ("reference", "holder")
        assert not each["tells_more"]
    over = run("agreements", "diff", old, folder, "--on", "2999-01-01")
    assert over.out == "nobody would learn more or less, from 2999-01-01 on\n"
    assert run("agreements", "diff", old, folder, "--on", "tomorrow").code == 2


def test_a_wrong_file_is_not_compared(run: Run, folder: Path, old: Path) -> None:
    """A holder's word in another's file would be a lie."""
    (folder / "XAA.toml").rename(folder / "XZZ.toml")
    told = run("agreements", "diff", old, folder)
    assert (told.code, "nobody permits for another" in told.err) == (2, True)


def test_explain_answers_from_files(run: Run, folder: Path) -> None:
    """The line is the file's own, and no exchange is asked."""
    question = ("--holder", "XAA", "--requester", "XCC", "--modality", "face")
    asked = ("agreements", "explain", "--agreements", folder, *question, "--purpose")
    told = run(*asked, "border-check")
    assert told.code == 0, told.err
    assert told.out.startswith("permitted, level holder\n`XAA.toml:")
    line = int(told.out.partition("XAA.toml:")[2].partition("`")[0])
    assert (folder / "XAA.toml").read_text().splitlines()[line - 1] == "[[permit]]"
    found = run(*asked, "visa", "--json").document
    assert not found["permitted"]
    over = run(*asked, "border-check", "--on", "2999-01-01")
    assert over.out.startswith("not permitted\n")
    assert "no agreement of" not in over.out
    (folder / "XAA.toml").unlink()
    gone = run(*asked, "border-check")
    assert gone.out.endswith(f"; there is no agreement of XAA in `{folder}`\n")
    for wrong in (("tourism",), ("visa", "--on", "x")):
        assert run(*asked, *wrong).code == 2
    day = ("--purpose", "visa", "--on", "2026-01-01")
    told = run("agreements", "explain", *question, *day)
    assert (told.code, "name files by `--agreements`" in told.err) == (2, True)


def drawn(path: Path) -> tuple[tuple[int, ...], float]:
    """Return a picture's size, and how much of it has the colour of `reference`."""
    image = imread(path)
    colour = np.frombuffer(bytes.fromhex("08457e"), np.uint8) / 255
    same = np.abs(image[:, :, :3] - colour).max(axis=2) < 1 / 255
    return image.shape[:2], float(same.mean())


def written(run: Run, monkeypatch: pytest.MonkeyPatch, *about: object) -> list[str]:
    """Return the texts on a matrix."""
    texts: list[str] = []

    def keep(figure: Figure, _: Path) -> None:
        texts.extend(each.get_text() for each in figure.findobj(Text))

    with monkeypatch.context() as patch:
        patch.setattr("biometrics.cli.pictures.save", keep)
        told = run("agreements", "matrix", *about, "matrix.png")
    assert told.code == 0, told.err
    return [*texts, told.err]


def test_a_matrix_says_what_it_was_drawn_of(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each version with its digest, whether it is signed, and when it was drawn."""
    path = folder / "XAA.toml"
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    line = f"XAA revision 1, SHA-256 {digits}, "
    *texts, err = written(run, monkeypatch, folder)
    footing = "\n".join(texts)
    assert f"{line}signed" in footing
    assert (footing.count(", signed"), err) == (8, "")
    assert f"made {SystemClock().now():%Y-%m-%d}" in footing
    path.write_bytes(path.read_bytes() + b"# edited\n")
    (folder / "XBB.note").unlink()
    *texts, err = written(run, monkeypatch, folder)
    footing = "\n".join(texts)
    assert (footing.count(", signed"), footing.count("NOT SIGNED")) == (6, 2)
    assert (err.count("NOT SIGNED"), f"{line}" in footing) == (2, False)
    signers = (folder.parent / "signers.toml").rename(folder.parent / "elsewhere")
    *texts, _ = written(run, monkeypatch, folder)
    assert "\n".join(texts).count("signatures not checked") == 8
    *texts, _ = written(run, monkeypatch, folder, "--signers", signers)
    assert "\n".join(texts).count(", signed") == 6


def test_a_matrix_tells_forbidden_and_unknown_from_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of nobody's agreement is not a row of nothing."""
    texts = written(run, monkeypatch, folder)
    assert (texts.count("x"), texts.count("?")) == (2, 0)
    (folder / "XCC.toml").unlink()
    texts = written(run, monkeypatch, folder)
    assert (texts.count("x"), texts.count("?")) == (2, 7)
    # Where one purpose alone is forbidden, so is the field of that purpose alone.
    path = folder / "XDD.toml"
    forbid = '[[forbid]]\nrequester = "*"\npurposes = ["visa"]\nreason = "no basis"\n'
    path.write_text(path.read_text() + forbid)
    assert written(run, monkeypatch, folder).count("x") == 2
    visa = ("--purpose", "visa")
    assert written(run, monkeypatch, folder, *visa).count("x") == 2 + 7


def test_matrix_draws_a_picture(run: Run, folder: Path, tmp_path: Path) -> None:
    """Large enough to be printed, and another one for another question."""
    whole, narrow = tmp_path / "whole.png", tmp_path / "narrow.png"
    told = run("agreements", "matrix", folder, whole)
    assert (told.code, told.out) == (0, f"written to {whole}\n"), told.err
    told = run(
        *("agreements", "matrix", folder, narrow),
        *("--purpose", "visa", "--modality", "face", "--on", "2999-01-01"),
    )
    assert told.code == 0, told.err
    size, share = drawn(whole)
    assert min(size) > 1000
    # XCC and XRA give references, two fields of 64; on that day there is but a legend.
    assert share > 0.01 > 5 * drawn(narrow)[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("picture.jpg",), "must end in `.png`"),
        (("none/picture.png",), "cannot be written"),
        (("picture.png", "--purpose", "tourism"), "--purpose: `tourism` is none of"),
        (("picture.png", "--modality", "gait"), "--modality: `gait` is none of"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_told(
    run: Run, folder: Path, arguments: tuple[str, ...], told: str
) -> None:
    """With what to do, and exit code 2."""
    found = run("agreements", "matrix", folder, *arguments)
    assert (found.code, told in found.err) == (2, True), found.err


def test_a_picture_needs_an_extra(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it one line says how to get it; everything else works."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = run("agreements", "matrix", folder, "picture.png")
    assert found.code == 2
    assert "regional-biometrics-exchange[pictures]" in found.err
    assert run("agreements", "check", folder).code == 0


def test_a_log_is_simulated(run: Run, folder: Path, old: Path, tmp_path: Path) -> None:
    """Whose outcomes would change, counted by requester and by change."""
    today = json.loads(run("agreements", "diff", old, folder, "--json").out)["from"]
    question = {
        "time": f"{today}T12:00:00Z",
        "requester": "XRA",
        "purpose": "asylum-and-protection",
        "modality": "face",
    }
    other = question | {"requester": "XBB"}
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, [question, question, other])))
    told = run("agreements", "simulate", old, folder, log)
    assert told.code == 0, told.err
    searches = "XRA of XAA, asylum-and-protection with face"
    assert told.out.endswith(f"{searches}: reference -> holder: 2 searches\n")
    found = run("agreements", "simulate", old, folder, log, "--json").document
    assert found["requesters"] == {
        "XBB": {"searches": 1, "changed": 0, "refused": 0, "permitted": 0},
        "XRA": {"searches": 2, "changed": 2, "refused": 0, "permitted": 0},
    }
    (change,) = found["changes"]
    assert (change["holder"], change["before"], change["count"]) == (
        "XAA",
        "reference",
        2,
    )
    log.write_text("no question\n")
    told = run("agreements", "simulate", old, folder, log)
    assert (told.code, "line 1: " in told.err) == (2, True)
    told = run("agreements", "simulate", old, folder, tmp_path / "none")
    assert (told.code, "cannot be read" in told.err) == (2, True)


def test_every_command_on_the_page_for_signers_is_one_of_ours() -> None:
    """With every option that stands beside it."""
    root = get_command(app)
    page = (Path(disclosure.__file__).parent / "README.md").read_text("utf-8")
    told = re.findall(r"`biometrics ([^`]*)`", page)
    assert len(told) > 15
    for text in told:
        words = text.split()
        command: Any = root
        while words and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {name for each in command.params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= options, text
