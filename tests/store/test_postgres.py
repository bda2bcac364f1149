"""What is PostgreSQL's own: its lock, its connection, its settings, its errors."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from postgres_server import PostgresServer, missing
from store.places import PostgresPlace
from store.shelf import START, XAA, XBB, Shelf, digest, request

from biometrics import limits
from biometrics.clock import ManualClock
from biometrics.errors import ConfigurationError, DefectError, StorageError
from biometrics.store import inspect_store, open_store, postgres
from biometrics.store.failures import translate
from biometrics.store.schema import INDEX_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = request("one")
# The connection that writes is the one that has the lock.
END_WRITER = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
    WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
END_ALL = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
PATIENCE_SECONDS = 30


@pytest.fixture
def shelf(postgres_shelf: Shelf) -> Shelf:
    """Return an open store in a database of PostgreSQL."""
    return postgres_shelf


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Return a server for these tests alone, which may be set otherwise and killed."""
    if why := missing():
        pytest.skip(why)
    server = PostgresServer()
    yield server
    server.remove()


def place_of(shelf: Shelf) -> PostgresPlace:
    """Return the database that a shelf stands in."""
    assert isinstance(shelf.place, PostgresPlace)
    return shelf.place


def refused(url: str) -> str:
    """Return the reason for which a database is refused, by a start and a look."""
    with pytest.raises(ConfigurationError) as caught:
        open_store(url, ManualClock(START))
    assert url in caught.value.message
    return caught.value.reason


@contextmanager
def set_on(server: PostgresServer, setting: str, value: str) -> Iterator[None]:
    """Change a setting of a running server, and set it back."""
    url = server.url("postgres")

    def wait_for(wanted: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while server.run(url, f"SHOW {setting}") != [(wanted,)]:
            assert time.monotonic() < end
            time.sleep(0.01)

    ((before,),) = server.run(url, f"SHOW {setting}")
    server.run(url, f"ALTER SYSTEM SET {setting} = {value}")
    server.run(url, "SELECT pg_reload_conf()")
    wait_for(value)
    yield
    server.run(url, f"ALTER SYSTEM RESET {setting}")
    server.run(url, "SELECT pg_reload_conf()")
    wait_for(before)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fsync", "off"), ("full_page_writes", "off")],
)
def test_a_server_that_may_lose_what_it_acknowledged_is_refused(
    own_server: PostgresServer, setting: str, value: str
) -> None:
    """By a start, by a look, and by a writer that has to connect anew."""
    place = PostgresPlace(own_server)
    shelf = Shelf(place)
    with set_on(own_server, setting, value):
        place.run(END_WRITER)
        with pytest.raises(StorageError):
            shelf.enrol("A")
        with pytest.raises(StorageError) as caught:
            shelf.enrol("A")
        assert caught.value.reason == "DATABASE_UNSAFE"
        assert shelf.store.journal.end() == 0  # reading goes on
        shelf.store.close()
        assert refused(place.where) == "DATABASE_UNSAFE"
        with (
            pytest.raises(ConfigurationError) as looked,
            inspect_store(place.where),
        ):
            pass
        assert looked.value.reason == "DATABASE_UNSAFE"
    with open_store(place.where, ManualClock(START)) as store:
        assert store.journal.end() == 0


def test_a_database_that_is_not_unicode_is_refused(postgres: PostgresServer) -> None:
    """Its text would come back as something else."""
    postgres.run(
        postgres.url("postgres"),
        "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    )
    assert refused(postgres.url("latin")) == "WRONG_ENCODING"


def test_what_cannot_be_reached_is_told_with_the_reason(
    postgres: PostgresServer,
) -> None:
    """No such database, no such server."""
    assert refused(postgres.url("nowhere")) == "DATABASE_UNREACHABLE"
    nobody = "postgresql://exchange@127.0.0.1:1/exchange"
    with pytest.raises(ConfigurationError, match="refused"):
        open_store(nobody, ManualClock(START))


def test_every_commit_is_flushed_whatever_the_database_says(
    postgres_place: PostgresPlace,
) -> None:
    """Its default is set aside, unless it is stricter still."""
    name = postgres_place.run("SELECT current_database()")[0][0]
    for default, wanted in (("off", "on"), ("local", "on"), ("remote_apply",) * 2):
        postgres_place.run(f"ALTER DATABASE {name} SET synchronous_commit = {default}")
        shelf = Shelf(postgres_place)
        found = shelf.store._writer.run(
            lambda held: held.exec_driver_sql("SHOW synchronous_commit").scalar()
        )
        assert found == wanted
        shelf.store.close()


def test_a_lost_connection_fails_what_was_under_way_and_writing_resumes(
    shelf: Shelf,
) -> None:
    """Nothing of the group is written; reading and writing go on by themselves."""
    shelf.enrol("A")

    def lose(_: sa.Connection) -> None:
        place_of(shelf).run(END_WRITER)

    with shelf.held():
        before = shelf.begin_enrol(shelf.record("B"))
        losing = shelf.store._writer.submit(lose)
        after = shelf.begin_enrol(shelf.record("C"))
    for future in (before, losing, after):
        error = future.exception(30)
        assert isinstance(error, StorageError)
        assert error.reason == "STORAGE_UNREACHABLE"
    assert shelf.enrol("B", "C").position == 3
    assert shelf.store.journal.end() == 3
    place_of(shelf).run(END_ALL)
    with pytest.raises(StorageError) as caught:
        shelf.store.journal.end()
    assert caught.value.reason == "STORAGE_UNREACHABLE"
    assert shelf.store.journal.end() == 3


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_a_commit_whose_end_is_not_known_is_not_acknowledged(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, is_carried_out: bool
) -> None:
    """The error says that it may have been carried out; the same request finds out."""
    real = shelf.writing.dialect.do_commit

    def commit(connection: Any) -> None:  # noqa: ANN401 - psycopg's
        if is_carried_out:
            real(connection)
        place_of(shelf).run(END_WRITER)
        connection.dbapi_connection.execute("SELECT 1")  # as the answer is awaited

    with monkeypatch.context() as patch:
        patch.setattr(shelf.writing.dialect, "do_commit", commit)
        unknown = shelf.begin_enrol(shelf.record("A"), request_id=ONE)
        error = unknown.exception(30)
    assert isinstance(error, StorageError)
    assert error.reason == "OUTCOME_UNKNOWN"
    again = shelf.begin_enrol(shelf.record("A"), request_id=ONE).result(30)
    assert (again.reply, again.position) == (b"enrolled", 1)
    assert again.replayed == is_carried_out
    assert shelf.count("record") == shelf.count("reply") == 1


def test_who_has_lost_the_lock_writes_nothing_until_it_has_it_again(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another exchange took it while the connection was gone; reading goes on."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.2)
    shelf.enrol("A")
    place_of(shelf).run(END_WRITER)
    with open_store(shelf.place.where, shelf.clock) as other:
        reasons = []
        for _ in range(3):
            with pytest.raises(StorageError) as caught:
                shelf.enrol("B")
            reasons.append(caught.value.reason)
        assert reasons == ["STORAGE_UNREACHABLE", "DATABASE_IN_USE", "DATABASE_IN_USE"]
        other.keys.add_index_key(XAA, b"by another")
        assert shelf.store.keys.index_key(XAA) == b"by another"
    assert shelf.enrol("B").position == 2


def test_every_transaction_proves_that_nobody_else_has_the_lock(shelf: Shelf) -> None:
    """As behind what hands one session to several programs in turn."""
    shelf.enrol("A")
    let_go = f"SELECT pg_advisory_unlock({postgres._LOCK})"
    shelf.store._writer.run(lambda held: held.exec_driver_sql(let_go).scalar())
    other = _raw(shelf)
    other.execute(postgres._TAKE)
    with pytest.raises(StorageError) as caught:
        shelf.enrol("B")
    other.execute(let_go)
    other.close()
    assert caught.value.reason == "DATABASE_IN_USE"
    assert shelf.enrol("B").position == 2


def _raw(shelf: Shelf) -> Any:  # noqa: ANN401 - psycopg's
    import psycopg  # noqa: PLC0415 - an extra

    return psycopg.connect(str(shelf.place.where), autocommit=True)


def test_a_new_session_waits_for_what_the_old_one_has_under_way(
    postgres_place: PostgresPlace,
) -> None:
    """The lock is free once the server has ended it, and writing goes on then."""
    shelf = Shelf(postgres_place)
    shelf.store.close()
    held = postgres._LOCK
    holder = threading.Thread(
        target=postgres_place.run,
        args=(f"SELECT pg_advisory_lock({held}), pg_sleep(0.5)",),
    )
    holder.start()
    time.sleep(0.1)
    begun = time.monotonic()
    with open_store(postgres_place.where, ManualClock(START)) as store:
        assert time.monotonic() - begun > 0.2
        assert store.journal.end() == 0
    holder.join()


def test_a_failed_transaction_is_not_said_to_be_committed(shelf: Shelf) -> None:
    """The server answers such a COMMIT without an error, and undoes everything."""
    with shelf.writing.connect() as connection:
        transaction = connection.begin()
        connection.execute(sa.insert(INDEX_KEY), {"member": "XAA", "wrapped": b"w"})
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql("SELECT 1 / 0")
        with pytest.raises(DefectError) as caught:
            transaction.commit()
    assert caught.value.reason == "TRANSACTION_ABORTED"
    assert shelf.store.keys.index_key(XAA) is None


def test_a_server_that_takes_no_writes_is_told_and_used_again(
    own_server: PostgresServer,
) -> None:
    """Reading goes on meanwhile, and writing when it is allowed again."""
    shelf = Shelf(PostgresPlace(own_server))
    shelf.enrol("A")
    with set_on(own_server, "default_transaction_read_only", "on"):
        with pytest.raises(StorageError) as caught:
            shelf.enrol("B")
        assert caught.value.reason == "STORAGE_READ_ONLY"
        assert shelf.store.journal.end() == 1
    assert shelf.enrol("B").position == 2
    shelf.store.close()


def test_a_killed_server_loses_nothing_and_is_used_again(
    own_server: PostgresServer,
) -> None:
    """Searches and writes are UNAVAILABLE while it is away, and go on by themselves."""
    shelf = Shelf(PostgresPlace(own_server))
    told = [shelf.enrol(f"R{n}").position for n in range(20)]
    own_server.kill()
    for _ in range(2):
        with pytest.raises(StorageError) as caught:
            shelf.enrol("late")
        assert caught.value.reason == "STORAGE_UNREACHABLE"
        with pytest.raises(StorageError) as caught:
            shelf.store.journal.end()
        assert caught.value.reason == "STORAGE_UNREACHABLE"
    own_server.start()
    assert shelf.store.journal.end() == told[-1] == 20
    assert [c.position for c in shelf.store.journal.changes(0, 100)] == told
    assert shelf.enrol("late").position == 21
    shelf.store.close()


def test_a_table_that_others_hold_is_busy_for_a_while(
    postgres_place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write fails after the bound, and the next one goes through."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.2)
    shelf = Shelf(postgres_place)
    other = _raw(shelf)
    other.execute("BEGIN")
    other.execute("LOCK TABLE record")
    with pytest.raises(StorageError) as caught:
        shelf.enrol("A")
    assert caught.value.reason == "STORAGE_BUSY"
    other.execute("ROLLBACK")
    other.close()
    assert shelf.enrol("A").position == 1
    shelf.store.close()


def test_no_error_says_the_values_of_rows(shelf: Shelf) -> None:
    """The server quotes them; neither we nor what caused our error do."""
    values = {"member": "canary", "wrapped": b"w"}
    for _ in range(2):
        failed = shelf.store._writer.submit(
            lambda held: held.execute(sa.insert(INDEX_KEY), values) and None
        )
    error = failed.exception(30)
    assert isinstance(error, DefectError)
    told = ""
    cause: BaseException | None = error
    while cause is not None:
        told += f"{cause!r} {cause}"
        cause = cause.__cause__
    assert "23505" in told
    assert "canary" not in told


@pytest.mark.parametrize(
    ("state", "kind", "reason"),
    [
        ("53100", StorageError, "STORAGE_FULL"),
        ("53300", StorageError, "STORAGE_BUSY"),
        ("40001", StorageError, "STORAGE_BUSY"),
        ("40P01", StorageError, "STORAGE_BUSY"),
        ("55P03", StorageError, "STORAGE_BUSY"),
        ("57014", StorageError, "STORAGE_BUSY"),
        ("57P01", StorageError, "STORAGE_UNREACHABLE"),
        ("57P03", StorageError, "STORAGE_UNREACHABLE"),
        ("08006", StorageError, "STORAGE_UNREACHABLE"),
        (None, StorageError, "STORAGE_UNREACHABLE"),
        ("25006", StorageError, "STORAGE_READ_ONLY"),
        ("42501", StorageError, "STORAGE_READ_ONLY"),
        ("58030", StorageError, "STORAGE_IO"),
        ("XX001", DefectError, "STORAGE_DAMAGED"),
        ("23505", DefectError, "STORAGE_DEFECT"),
    ],
)
def test_every_state_has_its_error(
    state: str | None, kind: type[Exception], reason: str
) -> None:
    """Without the statement."""
    error = Exception("of the server")
    error.sqlstate = state  # type: ignore[attr-defined]
    told = translate(sa.exc.OperationalError("SELECT secret", {}, error))
    assert type(told) is kind
    assert told.reason == reason
    assert "secret" not in told.message


def test_erase_takes_what_was_withdrawn_out_of_the_tables(shelf: Shelf) -> None:
    """Where nothing is left the files are cut, which they are not before."""
    place = place_of(shelf)
    shelf.enrol(*(f"R{n}" for n in range(50)))
    for n in range(50):
        shelf.withdraw(f"R{n}")
    before = place.run("SELECT pg_relation_size('template')")
    assert shelf.store.erase()
    after = place.run("SELECT pg_relation_size('template')")
    assert after < before  # nothing lives there, so the file is cut


def test_erase_leaves_no_deleted_key_in_a_table(
    own_server: PostgresServer,
) -> None:
    """Nor any key of a withdrawn record, once its table has been written anew."""
    place = PostgresPlace(own_server)
    shelf = Shelf(place)
    shelf.store.keys.add_index_key(XAA, b"a key that stays")
    shelf.store.keys.add_index_key(XBB, b"canary of a key, deleted")
    place.run("DELETE FROM index_key WHERE member = 'XBB'")
    shelf.enrol(*(f"E{n}" for n in range(100)))
    for n in range(0, 100, 2):
        shelf.withdraw(f"E{n}")
    withdrawn = [digest(f"template E{n} 0") * 2 for n in range(0, 100, 2)]

    def are_found(*canaries: bytes) -> bool:
        place.run("CHECKPOINT")
        tables = (own_server.data / "base").rglob("*")
        content = b"".join(file.read_bytes() for file in tables if file.is_file())
        return any(canary in content for canary in canaries)

    assert are_found(b"canary of a key")
    assert are_found(*withdrawn)
    assert shelf.store.erase()
    assert not are_found(b"canary of a key")
    assert are_found(b"a key that stays")
    assert are_found(digest("template E1 0") * 2)
    place.run("VACUUM FULL")
    assert not are_found(*withdrawn)
    assert are_found(digest("template E1 0") * 2)
    shelf.store.close()


def test_erase_waits_for_readers(
    postgres_place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one still reads from before the withdrawal, it says not yet."""
    monkeypatch.setattr(limits, "STORE_BUSY_SECONDS", 0.2)
    shelf = Shelf(postgres_place)
    shelf.enrol("A")
    with shelf.reading.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM record").all()
        shelf.withdraw("A")
        assert not shelf.store.erase()
    assert shelf.store.erase()
    shelf.store.close()


def test_a_chunk_of_more_values_than_a_statement_takes(shelf: Shelf) -> None:
    """Every template of 512 records with 32 each: 163,840 values."""
    most = limits.MAX_TEMPLATES_PER_RECORD
    records = [
        shelf.record(f"R{n}", spaces=("face-a",) * most)
        for n in range(limits.MAX_RECORDS_PER_CHUNK)
    ]
    assert shelf.begin_enrol(*records).result(60).position == len(records)
    assert shelf.count("template") == most * len(records)


def test_the_driver_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the error says how to get it."""

    def fail(*_: object, **__: object) -> None:
        raise ImportError

    monkeypatch.setattr(sa, "create_engine", fail)
    with pytest.raises(ConfigurationError) as caught:
        open_store("postgresql:///exchange", ManualClock(START))
    assert caught.value.reason == "EXTRA_MISSING"
