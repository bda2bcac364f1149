"""Members whose key-encryption keys the exchange does not have: they hold them."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest
from softhsm import SoftToken, needs_softhsm
from world import AGREEMENTS, World, agreement, face, permit, record, unit

from biometrics import limits
from biometrics.client import ExchangeClient, Outcome
from biometrics.client.blocking import finish
from biometrics.clock import ManualClock, SystemClock
from biometrics.custody import create_key_file, read_key_file
from biometrics.errors import (
    ConfigurationError,
    ExchangeError,
    PreconditionError,
    StorageError,
    UnauthenticatedError,
    UnavailableError,
)
from biometrics.server.check import check
from biometrics.server.examination import examine
from biometrics.signing import SigningKey
from biometrics.v1 import custody_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from biometrics.clock import Clock


HOLDERS = AGREEMENTS | {"XBB": agreement("XBB", permit("XCC", "holder"))}


class Keeper(NamedTuple):
    """XAA, which keeps its key, in a world where others leave it to the exchange."""

    world: World
    key: Path

    @property
    def administrator(self) -> ExchangeClient:
        """Its administrator."""
        return self.world.client("XAA", "administrator")

    @property
    def verifier(self) -> str:
        """The exchange's verifier key, as its operator would tell it."""
        assert self.world.exchange is not None
        return self.world.exchange.verifier

    def knowing(
        self, verifier: str | None = None, member: str = "XAA"
    ) -> ExchangeClient:
        """Return an administrator whose profile has a verifier key."""
        profile = self.world.profile(member, "administrator")
        return ExchangeClient(replace(profile, verifier=verifier or self.verifier))

    def unlock(self, key: Path | None = None, verifier: str | None = None) -> None:
        """Hand a key over, by default the right one to the right exchange."""
        with self.knowing(verifier) as administrator:
            administrator.unlock(key=read_key_file(key or self.key))

    def outcomes(self, number: int = 1) -> dict[str, Outcome]:
        """Return what a search for somebody answers, by holder."""
        probe = face(unit(number))
        answer = self.world.client("XCC").match(
            probe, purpose="border-check", holders=["XAA", "XBB"]
        )
        return {told.holder: told.outcome for told in answer.holders}


def keeping(root: Path, source: str, clock: Clock | None = None) -> World:
    """Return a world in which XAA's key is kept elsewhere."""
    world = World(root, agreements=HOLDERS, clock=clock)
    settings = world.root / "exchange.toml"
    text = settings.read_text()
    assert 'key = "keys/XAA.key"' in text
    settings.write_text(text.replace("keys/XAA.key", source))
    (world.root / "keys/XAA.key").unlink()
    return world


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    """XAA and XBB have each enrolled somebody; XAA is open."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    create_key_file(tmp_path / "XAA.key", secrets.token_bytes)
    with keeping(tmp_path, "handed-over") as world:
        keeper = Keeper(world, tmp_path / "XAA.key")
        keeper.unlock()
        for holder in ("XAA", "XBB"):
            world.enroller(holder).enrol(record(f"case-{holder}", unit(1)))
        yield keeper


BOTH = {"XAA": Outcome.MATCH, "XBB": Outcome.MATCH}
ONE = {"XAA": Outcome.UNAVAILABLE, "XBB": Outcome.MATCH}
# What an unlocking does with the database before and after it has the key.
FAILING = [("keys", "gallery_keys"), ("custody", "set_open")]


def test_the_exchange_has_the_key_until_it_stops(keeper: Keeper):
    """Then it is asked for again, and what was enrolled is there."""
    assert keeper.outcomes() == BOTH
    keeper.world.restart()
    assert keeper.outcomes() == ONE
    with pytest.raises(UnavailableError):
        keeper.world.enroller("XAA").enrol(record("case-2", unit(2)))
    with pytest.raises(PreconditionError) as refused:
        keeper.administrator.unlock()
    assert refused.value.reason == "KEY_NOT_HANDED_OVER"
    keeper.unlock()
    assert keeper.outcomes() == BOTH


def test_a_member_that_never_handed_over_cannot_enrol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing is sealed under a key that nobody has, nor in the clear."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    with keeping(tmp_path, "handed-over") as world:
        with pytest.raises(UnavailableError):
            world.enroller("XAA").enrol(record("case-2", unit(2)))
        assert world.client("XAA", "administrator").custody().state == "locked"


def test_a_lock_drops_the_key_too(keeper: Keeper):
    """An unlocking without it does not open them again."""
    keeper.administrator.lock()
    with pytest.raises(PreconditionError) as refused:
        keeper.administrator.unlock()
    assert refused.value.reason == "KEY_NOT_HANDED_OVER"
    assert keeper.outcomes() == ONE
    keeper.unlock()
    assert keeper.outcomes() == BOTH


def test_a_wrong_key_opens_nothing_and_is_forgotten(keeper: Keeper, tmp_path: Path):
    """The right one does, then as before."""
    create_key_file(tmp_path / "wrong.key", secrets.token_bytes)
    keeper.administrator.lock()
    with pytest.raises(PreconditionError) as refused:
        keeper.unlock(tmp_path / "wrong.key")
    assert refused.value.reason == "KEY_NOT_THE_ONE"
    with pytest.raises(PreconditionError) as refused:
        keeper.administrator.unlock()
    assert refused.value.reason == "KEY_NOT_HANDED_OVER"
    assert keeper.outcomes() == ONE
    keeper.unlock()
    assert keeper.outcomes() == BOTH


def send_unlock(client: ExchangeClient, request: custody_pb2.UnlockRequest) -> None:
    """Send a request as it is."""
    asker = client._asker
    finish(asker.send(asker.line.services.custody.Unlock, request, 10))


def test_what_was_recorded_on_the_way_opens_nothing_later(keeper: Keeper):
    """Not in another request, not as a replay, and not after a restart."""
    keeper.administrator.lock()
    number = uuid.uuid4()
    with keeper.knowing() as knowing:
        recipient = finish(knowing._asker.learn(None))
        sealed = recipient.hand_over(read_key_file(keeper.key), str(number))

        def unlock(request_id: uuid.UUID) -> None:
            """Send what was recorded, as whoever recorded it would."""
            request = custody_pb2.UnlockRequest(
                request_id=str(request_id), sealed_key=sealed
            )
            send_unlock(knowing, request)

        unlock(number)
        first = keeper.administrator.lock()
        with pytest.raises(PreconditionError) as refused:
            unlock(uuid.uuid4())
        assert refused.value.reason == "SEALED_TO_ANOTHER"
        with pytest.raises(UnavailableError):
            unlock(number)
        assert keeper.administrator.lock() == first  # it was not open in between
    keeper.world.restart()
    with keeper.knowing() as knowing, pytest.raises(PreconditionError) as refused:
        unlock(uuid.uuid4())
    assert refused.value.reason == "SEALED_TO_ANOTHER"


def test_what_was_recorded_before_a_lock_never_opens_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nor once its request is forgotten, nor what never arrived before it."""
    monkeypatch.setattr(limits, "CLIENT_FIRST_WAIT_SECONDS", 0.01)
    create_key_file(tmp_path / "XAA.key", secrets.token_bytes)
    clock = ManualClock(SystemClock().now())
    with keeping(tmp_path, "handed-over", clock) as world:
        keeper = Keeper(world, tmp_path / "XAA.key")
        with keeper.knowing() as knowing:
            recipient = finish(knowing._asker.learn(None))
            key = read_key_file(keeper.key)
            arrived, held_back = (
                custody_pb2.UnlockRequest(
                    request_id=str(number),
                    sealed_key=recipient.hand_over(key, str(number)),
                )
                for number in (uuid.uuid4(), uuid.uuid4())
            )
            send_unlock(knowing, arrived)
            keeper.administrator.lock()
            clock.advance(dt.timedelta(seconds=limits.REPLAY_WINDOW_SECONDS + 1))
            for request in (arrived, held_back):
                with pytest.raises(PreconditionError) as refused:
                    send_unlock(knowing, request)
                assert refused.value.reason == "SEALED_TO_ANOTHER"
                assert keeper.administrator.custody().state == "locked"
        keeper.unlock()
        keeper.administrator.destroy(confirm_holder="XAA")
        with keeper.knowing() as knowing:
            assert finish(knowing._asker.learn(None)) != recipient


def test_a_handing_over_is_repeated_under_its_request_id(keeper: Keeper):
    """Though it is sealed anew, and so other bytes."""
    keeper.administrator.lock()
    number = uuid.uuid4()
    with keeper.knowing() as knowing:
        key = read_key_file(keeper.key)
        first = knowing.unlock(key=key, request_id=number)
        assert knowing.unlock(key=key, request_id=number) == first
    assert keeper.outcomes() == BOTH


def test_a_handing_over_that_a_restart_made_void_is_repeated_too(keeper: Keeper):
    """It was acknowledged, or its answer was lost; but not once they were locked."""
    number, key = uuid.uuid4(), read_key_file(keeper.key)
    with keeper.knowing() as knowing:
        first = knowing.unlock(key=key, request_id=number)
    keeper.world.restart()
    assert keeper.outcomes() == ONE
    with pytest.raises(PreconditionError) as refused:
        keeper.administrator.unlock(request_id=number)
    assert refused.value.reason == "KEY_NOT_HANDED_OVER"
    with keeper.knowing() as knowing:
        assert knowing.unlock(key=key, request_id=number) == first
        assert keeper.outcomes() == BOTH
        keeper.administrator.lock()
        with pytest.raises(ExchangeError):  # as often as there is time
            knowing.unlock(key=key, request_id=number, deadline=2)
    assert keeper.outcomes() == ONE


@pytest.mark.parametrize(("rows", "does"), FAILING)
def test_a_key_is_not_kept_by_an_unlocking_that_fails(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch, rows: str, does: str
):
    """Whatever it fails of: without the member nothing opens then."""
    keeper.administrator.lock()
    assert keeper.world.exchange is not None
    store = keeper.world.exchange.store

    def unreadable(*_: object, **__: object) -> object:
        raise StorageError("STORAGE_IO", "the disk does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(type(getattr(store, rows)), does, unreadable)
        with pytest.raises(UnavailableError) as failed:
            keeper.unlock()
        assert failed.value.reason == "STORAGE_IO"
    with pytest.raises(PreconditionError) as refused:
        keeper.administrator.unlock()
    assert refused.value.reason == "KEY_NOT_HANDED_OVER"
    keeper.unlock()
    assert keeper.outcomes() == BOTH


def test_a_wrong_key_for_open_galleries_is_refused_and_changes_nothing(
    keeper: Keeper, tmp_path: Path
):
    """The right one is taken again; and what wraps later keys is still that."""
    create_key_file(tmp_path / "wrong.key", secrets.token_bytes)
    with pytest.raises(PreconditionError) as refused:
        keeper.unlock(tmp_path / "wrong.key")
    assert refused.value.reason == "KEY_NOT_THE_ONE"
    keeper.unlock()
    assert keeper.outcomes() == BOTH
    keeper.administrator.rotate()
    while keeper.administrator.custody().is_busy:
        pass
    keeper.world.restart()
    keeper.unlock()
    assert keeper.outcomes() == BOTH


def test_nothing_is_handed_to_who_is_not_the_exchange(keeper: Keeper):
    """Whoever stands between has another key than the operator told."""
    keeper.administrator.lock()
    other = SigningKey.generate("exchange.test/erasure", secrets.token_bytes)
    with pytest.raises(UnauthenticatedError) as refused:
        keeper.unlock(verifier=other.verifier.text)
    assert refused.value.reason == "EXCHANGE_NOT_PROVEN"
    assert keeper.outcomes() == ONE


def test_nothing_is_handed_over_without_a_verifier(keeper: Keeper):
    """Nor with one that is none."""
    with pytest.raises(ConfigurationError) as refused:
        keeper.administrator.unlock(key=read_key_file(keeper.key))
    assert refused.value.reason == "NO_VERIFIER"
    with pytest.raises(ConfigurationError, match="`verifier` in the profile"):
        keeper.knowing("nonsense")


def test_a_key_that_the_exchange_has_is_not_handed_over(keeper: Keeper):
    """The settings say who keeps it."""
    with keeper.knowing(member="XBB") as administrator:
        with pytest.raises(PreconditionError) as refused:
            administrator.unlock(key=read_key_file(keeper.key))
        assert refused.value.reason == "KEY_AT_THE_EXCHANGE"  # open or not
        administrator.lock()
        with pytest.raises(PreconditionError) as refused:
            administrator.unlock(key=read_key_file(keeper.key))
        assert refused.value.reason == "KEY_AT_THE_EXCHANGE"
        administrator.unlock()
    assert keeper.outcomes() == BOTH


def test_what_is_no_key_is_not_taken(keeper: Keeper):
    """A key has 32 bytes."""
    keeper.administrator.lock()
    with keeper.knowing() as administrator, pytest.raises(PreconditionError) as refused:
        administrator.unlock(key=b"k" * 31)
    assert refused.value.reason == "NOT_A_KEY"
    assert keeper.outcomes() == ONE


def test_keys_are_rotated_while_the_member_has_handed_over(keeper: Keeper):
    """And the newer ones open with the same key afterwards."""
    keeper.administrator.rotate()
    while keeper.administrator.custody().is_busy:
        pass
    keeper.world.restart()
    keeper.unlock()
    assert keeper.outcomes() == BOTH


def test_the_offline_checks_leave_its_galleries_closed(keeper: Keeper):
    """They say so, and find no fault in that."""
    keeper.world.stop()
    settings = keeper.world.root / "exchange.toml"
    assert any("XAA would stay locked" in told for told in check(settings))
    found = examine(settings, show=lambda *_: None)
    assert found.is_whole
    assert "unlock --key" in found.locked["XAA"]


@needs_softhsm
def test_a_token_that_is_removed_stops_loading_and_not_serving(
    tmp_path: Path, soft_token: SoftToken
):
    """Galleries that are loaded are searched on; after a restart they stay locked."""
    with keeping(tmp_path, soft_token.uri("XAA")) as world:
        keeper = Keeper(world, tmp_path)
        for holder in ("XAA", "XBB"):
            world.enroller(holder).enrol(record(f"case-{holder}", unit(1)))
        soft_token.remove()
        try:
            assert keeper.outcomes() == BOTH
            world.enroller("XAA").enrol(record("case-2", unit(2)))
            world.restart()
            assert keeper.outcomes() == ONE
            with pytest.raises(ExchangeError) as refused:
                keeper.administrator.unlock()
            assert refused.value.reason == "KEY_NOT_AT_HAND"
        finally:
            soft_token.put_back()
        keeper.administrator.unlock()
        assert keeper.outcomes() == BOTH
        assert keeper.outcomes(2)["XAA"] is Outcome.MATCH
