"""AuditService over a log of some leaves: full disks, damaged pages, cosignatures."""

from __future__ import annotations

import asyncio
import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any

import pytest
from audit.small_log import NAME, XAA, XBB, SmallLog

from biometrics import limits
from biometrics.audit import Checkpoint
from biometrics.audit.cosignature import WitnessSecret
from biometrics.audit.verify import verify
from biometrics.callers import CALLER, Caller, Role
from biometrics.errors import DefectError, ExchangeError, StorageError
from biometrics.server.audit import AuditService
from biometrics.v1 import audit_pb2 as v1

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ANSWERS = 260  # a full tile, and some more
SECRET = WitnessSecret(f"{NAME}/w", bytes(32))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallLog:
    """Return a log of more than a tile, closed."""
    made = SmallLog(tmp_path_factory.mktemp("made"))
    for number in range(ANSWERS):
        made.answer(f"number {number}\n")
    made.store.close()
    return made


@pytest.fixture
def log(made: SmallLog, tmp_path: Path) -> Iterator[SmallLog]:
    """Yield one like it, open."""
    log = SmallLog(tmp_path, made)
    yield log
    log.store.close()


def service(log: SmallLog) -> AuditService:
    """Return the service, as it is after a start."""
    return AuditService(
        log=log.store.log,
        cosignatures=log.store.cosignatures,
        key=log.key,
        witnesses={XAA: SECRET.public},
        clock=log.clock,
    )


def checkpoint(served: AuditService) -> Any:  # noqa: ANN401 - a message
    """Return what it says of the newest checkpoint."""
    return asyncio.run(served.GetCheckpoint(v1.GetCheckpointRequest(), None))  # type: ignore[arg-type]


def add(served: AuditService, note: bytes, member: Any = XAA) -> str:  # noqa: ANN401
    """Have a cosignature kept; return why it is not, or nothing."""
    token = CALLER.set(Caller(member=member, role=Role.WITNESS, name="w"))
    request = v1.AddCosignatureRequest(checkpoint=note)
    try:
        asyncio.run(served.AddCosignature(request, None))  # type: ignore[arg-type]
    except ExchangeError as error:
        return error.reason
    finally:
        CALLER.reset(token)
    return ""


def cosigned(log: SmallLog, note: bytes) -> bytes:
    """Return a checkpoint that the witness has cosigned now."""
    text = Checkpoint.parse(note, log.key.verifier).text
    line = SECRET.cosign(text, int(log.clock.now().timestamp())).line
    return note + line.encode()


def test_witnesses_of_a_minute_cosign_one_checkpoint(log: SmallLog) -> None:
    """However the log grows meanwhile; the newest one is shown as well."""
    served = service(log)
    first = checkpoint(served)
    assert first.offered == first.checkpoint
    log.answer("one more\n")
    second = checkpoint(served)
    assert (second.offered, second.checkpoint == first.checkpoint) == (
        first.offered,
        False,
    )
    log.clock.advance(dt.timedelta(seconds=limits.OFFER_SECONDS))
    assert checkpoint(served).offered == second.checkpoint
    assert add(served, cosigned(log, first.offered)) == ""
    assert list(checkpoint(served).cosigned) == [cosigned(log, first.offered)]


def test_a_cosignature_of_another_log_is_not_kept(log: SmallLog) -> None:
    """Of another name, of more than there is, of other leaves, of a nameless member."""
    served = service(log)
    told = checkpoint(served).checkpoint
    sound = Checkpoint.parse(told, log.key.verifier)
    for reason, origin, size, root in (
        ("OTHER_LOG", f"{NAME}.2", sound.size, sound.root),
        ("FOREIGN_LOG", "other.test/log", sound.size, sound.root),
        ("ROLLED_BACK", NAME, sound.size + 1, sound.root),
        ("FORKED", NAME, sound.size, bytes(32)),
        ("FORKED", NAME, 7, sound.root),
    ):
        wrong = Checkpoint(origin=origin, size=size, root=root).signed_by(log.key)
        text = wrong.partition(b"\n\n")[0].decode() + "\n"
        line = SECRET.cosign(text, int(log.clock.now().timestamp())).line
        assert add(served, wrong + line.encode()) == reason
    assert add(served, cosigned(log, told), XBB) == "NO_WITNESS"
    assert add(served, b"?") == "NOT_A_NOTE"
    assert checkpoint(served).cosigned == []
    assert add(served, cosigned(log, told)) == ""


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log_tile SET root = zeroblob(32)",
        "DELETE FROM log_tile",
        "UPDATE log_leaf SET leaf = zeroblob(37) WHERE leaf_index = 258",
        "DELETE FROM log_leaf WHERE leaf_index = 258",
        "UPDATE log_head SET size = 257",
    ],
)
@pytest.mark.parametrize("is_started_anew", [False, True])
def test_no_checkpoint_is_signed_over_a_damaged_page(
    log: SmallLog, damage: str, *, is_started_anew: bool
) -> None:
    """It would be another history than was signed before; a restart changes nothing."""
    served = service(log)
    assert add(served, cosigned(log, checkpoint(served).offered)) == ""
    log.store._writer.run(lambda connection: connection.exec_driver_sql(damage))
    if is_started_anew:
        served = service(log)
    with pytest.raises(DefectError) as caught:
        checkpoint(served)
    assert caught.value.reason == "LOG_DAMAGED"


def test_a_damaged_tile_is_served_to_nobody_as_whole(log: SmallLog) -> None:
    """One that is missing or cut off."""
    served = service(log)
    request = v1.GetTileRequest(level=0, number=0, width=256)
    for damage in (
        "UPDATE log_tile SET hashes = substr(hashes, 1, 8160)",
        "DELETE FROM log_tile",
    ):
        log.store._writer.run(lambda c, damage=damage: c.exec_driver_sql(damage))
        with pytest.raises(DefectError) as caught:
            asyncio.run(served.GetTile(request, None))  # type: ignore[arg-type]
        assert caught.value.reason == "LOG_DAMAGED"


def test_a_full_disk_under_the_log_leaves_no_answer_without_its_leaf(
    log: SmallLog, tmp_path: Path
) -> None:
    """Nor a leaf without its answer; and when there is room again, all goes on."""
    served, given = service(log), len(log.receipts)
    note = cosigned(log, checkpoint(served).offered)

    def pages(most: int) -> None:
        """Let the database have so many pages."""
        log.store._writer.run(
            lambda connection: connection.exec_driver_sql(
                f"PRAGMA max_page_count = {most}"
            )
        )

    pages(1)  # no more than there are

    def fill() -> None:
        """Answer for ever."""
        while True:
            log.answer(f"filler {secrets.token_hex(2000)}\n")

    with pytest.raises(StorageError) as caught:
        fill()
    assert caught.value.reason == "STORAGE_FULL"
    assert log.store.log.head().size == len(log.receipts) >= given
    told = {add(served, note) for _ in range(3)}
    assert told <= {"", "STORAGE_FULL"}
    pages(1_000_000)
    log.answer("after\n")
    assert add(served, note) == ""
    assert log.store.log.head().size == len(log.receipts)
    export = log.export(tmp_path / "export", XBB)
    found = verify(export, log.key.verifier, secret=log.secrets[XBB])
    assert found.faults == []
    assert [e.sequence for e in found.entries] == list(range(1, len(log.receipts) + 1))
