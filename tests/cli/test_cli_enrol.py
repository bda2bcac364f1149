"""`biometrics enrol`: a load that can be stopped, resumed and accounted for."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from biometrics import limits
from biometrics.cli import enrol as command
from biometrics.cli.load import Load, RefusalFile
from biometrics.client import (
    Chunk,
    ChunkOutcome,
    EnrolOutcome,
    EnrolStatus,
    ExchangeClient,
    Record,
    SpaceInfo,
)
from biometrics.errors import ConfigurationError
from enrolment.bulk import Batch, Refused
from enrolment.formats.source import Found
from tests.pocket import Failure, Script, info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Told


@pytest.fixture
def enrol(ask: Callable[..., Told]):
    """Enrol a file into the one space."""
    return lambda path, *options: ask("enrol", path, "--space", "faces-v1", *options)


HANDS = SpaceInfo(
    name="faces-v1",
    modality="fingerprint",
    extractor="test",
    extractor_version="1",
    positions=("right-thumb", "left-thumb"),
    dimension=16,
    data_type="float32",
    metric="cosine",
    normalisation="unit",
    quality_scale="NFIQ 2",
    identity="faces-v1@00",
    threshold_basis="unmeasured",
)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch):
    """Ten records a chunk."""
    monkeypatch.setattr(limits, "BULK_RECORDS_PER_CHUNK", 10)


def test_every_record_of_a_file_is_enrolled(
    enrol: Callable[..., Told], gallery: Callable[..., Path], script: Script
):
    """Exit code 0 and one line of counts."""
    told = enrol(gallery(1100))
    assert told.code == 0
    assert told.out.startswith("1,100 enrolled, 0 there already, 0 refused, in ")
    assert len(script.records) == 1100
    assert len(script.chunk_ids) == 3
    assert told.err == ""


@pytest.mark.usefixtures("script")
def test_the_terms_of_a_load_are_on_every_record(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
):
    """Position, legal basis, expiry at the end of the day, exclusions."""
    seen = []
    real = command.ExchangeClient.enrol_many

    def spy(
        self: ExchangeClient, chunks: Iterator[Chunk], **options: object
    ) -> Iterator[ChunkOutcome]:
        chunks = list(chunks)
        seen.extend(chunks)
        return real(self, iter(chunks), **options)

    monkeypatch.setattr(command.ExchangeClient, "enrol_many", spy)
    monkeypatch.setattr(command.ExchangeClient, "spaces", lambda _: (HANDS,))
    told = enrol(
        gallery(2),
        *("--position", "right-thumb", "--legal-basis", "article 9"),
        *("--expires", "2030-12-31", "--exclude", "XAC", "--exclude", "XAD"),
    )
    assert told.code == 0
    record = seen[0].records[1]
    assert record.reference == "ref-00001"
    assert record.templates[0].position == "right-thumb"
    assert record.excluded == ("XAC", "XAD")
    assert record.legal_basis == "article 9"
    assert record.expires_at == dt.datetime(
        2030, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC
    )


@pytest.mark.usefixtures("script")
def test_a_file_that_says_when_a_record_expires_beats_the_option(
    enrol: Callable[..., Told],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """Records of which it says nothing expire as the option says."""
    np.save(tmp_path / "v.npy", np.ones(16, np.float32))
    manifest = tmp_path / "list.csv"
    manifest.write_text("reference,file,expires\na,v.npy,2031-01-01\nb,v.npy,\n")
    seen: list[Chunk] = []
    real = command.ExchangeClient.enrol_many

    def spy(self: ExchangeClient, chunks: Iterator[Chunk]) -> Iterator[ChunkOutcome]:
        chunks = list(chunks)
        seen.extend(chunks)
        return real(self, iter(chunks))

    monkeypatch.setattr(command.ExchangeClient, "enrol_many", spy)
    assert enrol(manifest, "--expires", "2030-12-31").code == 0
    ends = [each.expires_at for each in seen[0].records]
    assert [end and end.date() for end in ends] == [
        dt.date(2031, 1, 1),
        dt.date(2030, 12, 31),
    ]


@pytest.mark.usefixtures("script")
def test_refused_records_are_listed_and_the_others_enrolled(
    enrol: Callable[..., Told], gallery: Callable[..., Path], tmp_path: Path
):
    """Exit code 1; rows and reasons are told, references only where it is safe."""
    taken = tmp_path / "refused.jsonl"
    path = gallery(25, zero=(3, 17))
    told = enrol(path, "--refused", taken, "--json")
    assert told.code == 1
    document = told.document
    assert (document["enrolled"], document["refused"]) == (23, 2)
    assert document["refusals"] == [
        {
            "file": str(path),
            "record": row,
            "by": "file",
            "faults": [
                {
                    "field": "templates[0].data",
                    "reason": "ZERO_VECTOR",
                    "message": (
                        "the vector is zero; the extractor failed, capture again"
                    ),
                }
            ],
        }
        for row in (3, 17)
    ]
    lines = [json.loads(line) for line in taken.read_text().splitlines()]
    assert [line["reference"] for line in lines] == ["ref-00003", "ref-00017"]
    assert stat.S_IMODE(taken.stat().st_mode) == 0o600


@pytest.mark.usefixtures("capsys")
def test_references_are_shown_on_a_terminal_only(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
):
    """A pipe or a log gets row numbers."""
    path = gallery(40, zero=range(30))
    told = enrol(path)
    assert told.code == 1
    assert "ref-00003" not in told.out
    assert "the vector is zero" in told.out
    assert "hidden; use --refused" in told.out
    assert "and 10 more; `--refused FILE.jsonl` takes all" in told.out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert "ref-00003" in enrol(path).out


def test_refusals_kept_are_bounded(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """The file takes all of them; memory and JSON do not."""
    monkeypatch.setattr(limits, "MAX_REFUSALS_LISTED", 3)
    taken = tmp_path / "refused.jsonl"
    told = enrol(gallery(9, zero=range(9)), "--refused", taken, "--json")
    assert told.document["refused"] == 9
    assert len(told.document["refusals"]) == 3
    assert len(taken.read_text().splitlines()) == 9


def test_a_refusal_file_is_never_overwritten(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    script: Script,
    tmp_path: Path,
):
    """Nothing is sent if the refusals could not be kept."""
    taken = tmp_path / "refused.jsonl"
    taken.write_text("mine")
    told = enrol(gallery(3), "--refused", taken)
    assert told.code == 2
    assert "is there already; it is kept as it is; name a file that is not" in told.err
    assert taken.read_text() == "mine"
    assert not script.chunk_ids


@pytest.mark.usefixtures("script")
def test_a_repetition_within_a_file_is_there_already(
    enrol: Callable[..., Told], tmp_path: Path
):
    """The same words as for what an earlier load enrolled, and true of both."""
    vectors = np.ones((3, 16), np.float32)
    path = tmp_path / "twice.npz"
    np.savez(path, embedding=vectors, reference=np.array(["a", "b", "a"]))
    assert enrol(path).out.startswith("2 enrolled, 1 there already, 0 refused")
    assert enrol(path).out.startswith("0 enrolled, 3 there already, 0 refused")


def test_a_load_without_refusals_leaves_no_refusal_file(
    enrol: Callable[..., Told], gallery: Callable[..., Path], tmp_path: Path
):
    """So that the same command can be run again."""
    for _ in range(2):
        assert enrol(gallery(3), "--refused", tmp_path / "refused.jsonl").code == 0
    assert not (tmp_path / "refused.jsonl").exists()


def test_a_refusal_file_needs_a_folder(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    script: Script,
    tmp_path: Path,
):
    """Found before anything is sent."""
    told = enrol(gallery(3), "--refused", tmp_path / "absent" / "refused.jsonl")
    assert told.code == 2
    assert "has no folder to be in; make that first" in told.err
    assert not script.chunk_ids


def test_a_refusal_that_cannot_be_kept_stops_the_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A full disk is an error with the file's name, and a close does not fail too."""
    real = os.open
    with RefusalFile(tmp_path / "refused.jsonl") as file:
        monkeypatch.setattr(os, "open", lambda *_: real("/dev/full", os.O_WRONLY))
        with pytest.raises(ConfigurationError, match="written: no space left") as told:
            file.write(Refused(file=Path("a"), number=1, reference="a", faults=()))
    assert "refused.jsonl" in told.value.message


@pytest.mark.usefixtures("small_chunks")
def test_the_advice_after_a_stop_does_not_fail_on_the_refusal_file(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
):
    """If the file was made, another one is asked for."""
    real = Load.add

    def interrupted(self: Load, outcome: ChunkOutcome) -> None:
        real(self, outcome)
        raise KeyboardInterrupt

    monkeypatch.setattr(Load, "add", interrupted)
    taken = tmp_path / "refused.jsonl"
    told = enrol(gallery(30), "--refused", taken)
    assert "Run the same command again to go on" in told.err
    told = enrol(gallery(30, zero=(1,)), "--refused", taken)
    assert (
        "Run the same command again with another file for `--refused` to go on"
    ) in told.err


@pytest.mark.parametrize(
    ("options", "reason", "told"),
    [
        (("--space", "nose"), "UNKNOWN_SPACE", "it has `faces-v1`"),
        (("--position", "right-thumb"), "WRONG_POSITION", "it allows `face`"),
        (("--expires", "2020-01-01"), "EXPIRED", "lies in the past"),
        (("--legal-basis", "x" * 257), "WRONG_LENGTH", "must be at most 256"),
        (("--exclude", "ZZZ"), "UNKNOWN_MEMBER", "`ZZZ` is no member code"),
        (("--exclude", "XAB") * 65, "TOO_MANY", "must be at most 64"),
    ],
)
def test_what_is_wrong_with_every_row_is_told_once(
    *,
    ask: Callable[..., Told],
    gallery: Callable[..., Path],
    script: Script,
    options: tuple[str, ...],
    reason: str,
    told: str,
):
    """Exit code 2, one line that names the option, and no row is sent."""
    answer = ask("enrol", gallery(600), "--space", "faces-v1", *options)
    assert answer.code == 2
    assert answer.err.startswith(f"error: {options[0]}: ")
    assert answer.err.count("\n") == 1
    assert told in answer.err
    assert not script.chunk_ids
    answer = ask("enrol", gallery(6), "--space", "faces-v1", *options, "--json")
    assert json.loads(answer.err)["error"]["reason"] == reason


def test_vectors_of_another_dimension_are_told_once(
    enrol: Callable[..., Told], tmp_path: Path, script: Script
):
    """By file and space, with both dimensions."""
    path = tmp_path / "wide.npz"
    np.savez(path, embedding=np.ones((9, 20)), reference=np.arange(9))
    told = enrol(path)
    assert (told.code, told.err) == (
        2,
        f"error: {path}:embedding: vectors of dimension 20 where `faces-v1` has 16\n",
    )
    assert not script.chunk_ids


@pytest.mark.usefixtures("small_chunks")
def test_a_program_is_told_how_far_a_broken_load_came(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """One document on stdout of what is done, one on stderr of what went wrong."""
    monkeypatch.setattr(limits, "CHUNKS_IN_FLIGHT", 1)
    script.breaks = [3]
    script.break_with = Failure(
        grpc.StatusCode.PERMISSION_DENIED, "no longer", (info("REVOKED"),)
    )
    told = enrol(gallery(100), "--json")
    assert told.code == 3
    document = told.document
    assert (document["stopped"], document["next_record"]) == (True, 20)
    assert json.loads(told.err)["error"]["reason"] == "REVOKED"


@pytest.mark.usefixtures("small_chunks")
def test_a_load_may_begin_at_a_row(
    enrol: Callable[..., Told], gallery: Callable[..., Path], script: Script
):
    """The rows before it are not sent."""
    told = enrol(gallery(40), "--start", "15", "--json")
    assert told.document["settled"] == 25
    assert sorted(script.records) == [f"ref-{row:05d}" for row in range(15, 40)]
    assert enrol(gallery(40), "--start", "41").code == 2


def test_a_file_without_references_is_refused(
    enrol: Callable[..., Told], tmp_path: Path, script: Script
):
    """The error says what to add."""
    np.savez(tmp_path / "plain.npz", embedding=np.ones((3, 16), np.float32))
    told = enrol(tmp_path / "plain.npz")
    assert told.code == 2
    assert "add one of texts" in told.err
    assert not script.chunk_ids


@pytest.mark.usefixtures("small_chunks")
def test_ctrl_c_stops_and_says_how_to_go_on(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
):
    """What is acknowledged is counted; the exit code says that it is not all."""
    real = Load.add

    def interrupted(self: Load, outcome: ChunkOutcome) -> None:
        real(self, outcome)
        if self.settled == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(Load, "add", interrupted)
    told = enrol(gallery(100))
    assert told.code == 1
    assert told.out.startswith("20 enrolled, ")
    assert "stopped after 20 records." in told.err
    assert "`--start 20`" in told.err
    assert "Traceback" not in told.err
    monkeypatch.setattr(Load, "add", real)
    told = enrol(gallery(100), "--start", "20", "--json")
    assert told.code == 0
    assert told.document["next_record"] == 100


@pytest.mark.usefixtures("small_chunks")
def test_a_load_that_breaks_for_good_says_where_it_was(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
):
    """Exit code of the error, one line of it, and how to go on."""
    monkeypatch.setattr(limits, "CHUNKS_IN_FLIGHT", 1)
    script.breaks = [3]
    script.break_with = Failure(
        grpc.StatusCode.PERMISSION_DENIED, "no longer", (info("REVOKED"),)
    )
    told = enrol(gallery(100))
    assert told.code == 3
    assert "stopped after 20 records." in told.err
    assert "error: no longer" in told.err


def test_a_load_that_never_began_has_nothing_to_resume(
    enrol: Callable[..., Told], gallery: Callable[..., Path], script: Script
):
    """One line, and exit code 3."""
    script.breaks = [1]
    script.break_with = Failure(
        grpc.StatusCode.PERMISSION_DENIED, "not an enroller", (info("WRONG_ROLE"),)
    )
    told = enrol(gallery(5))
    assert (told.code, told.err) == (3, "error: not an enroller\n")


@pytest.mark.usefixtures("small_chunks")
def test_the_bar_shows_rate_and_refusals_on_a_terminal(
    enrol: Callable[..., Told],
    gallery: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
):
    """It is on stderr, so that stdout stays one document."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    told = enrol(gallery(50, zero=(1,)), "--json")
    assert told.document["settled"] == 50
    assert "enrolling" in told.err
    assert "/s" in told.err
    assert "1 refused" in told.err


def batch(start: int, records: int) -> Batch:
    """Return a batch of as many records."""
    found = Found(number=0, reference="a", samples=())
    return Batch(
        start=start,
        records=((Path("a.npz"), found),) * records,
        refused=(),
        bytes_read=0,
    )


def outcome(start: int, *told: EnrolStatus) -> ChunkOutcome:
    """Return what the exchange says of a batch."""
    record = Record(reference="a", templates=())
    return ChunkOutcome(
        chunk=Chunk(records=(record,) * len(told), start=start),
        outcomes=tuple(EnrolOutcome(status=status) for status in told),
    )


def test_records_count_as_done_only_behind_a_closed_front():
    """An acknowledgement out of order does not move the place to go on from."""
    load = Load(0, lambda _refused: None)
    for start in (0, 5, 10):
        load.begin(batch(start, 5))
    seen = []
    for start in (0, 10, 5):
        load.add(outcome(start, *[EnrolStatus.ENROLLED] * 5))
        seen.append(load.next_record)
    assert seen == [5, 5, 15]


def test_a_status_of_a_newer_exchange_counts_as_not_enrolled():
    """What cannot be read is never taken for done."""
    load = Load(0, lambda _refused: None)
    load.begin(batch(0, 1))
    load.add(outcome(0, EnrolStatus.UNKNOWN))
    assert (load.refused, load.enrolled) == (1, 0)
