"""A whole exchange on PostgreSQL: from the first file to the last kill."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from world import face, record, unit

from biometrics.client import Chunk, ExchangeClient
from biometrics.server.check import check
from biometrics.server.examination import examine

if TYPE_CHECKING:
    from postgres_server import PostgresServer
    from victim import Victim

KILLS = 3
PEOPLE = range(40)
MATCH, NO_MATCH = "match", "no-match"


def outcomes(victim: Victim, *people: int) -> list[str]:
    """Return what XAA's gallery answers about people."""
    with ExchangeClient(victim.profile("XCC", "client")) as client:
        answers = [client.match(face(unit(n)), purpose="border-check") for n in people]
    return [str(one.outcome) for answer in answers for one in answer.holders]


def certified(client: ExchangeClient) -> str:
    """Wait until what was begun is done; return what was certified of it."""
    end = time.monotonic() + 30
    while client.custody().is_busy:
        assert time.monotonic() < end
        time.sleep(0.05)
    *_, last = client.erasures()
    assert last.certificate
    return last.kind


def look_at_everything(victim: Victim, postgres: PostgresServer, url: str) -> None:
    """Stop an exchange that holds `PEOPLE`, examine it whole and damaged, start it."""
    victim.kill()
    found = examine(victim.config, show=lambda _step, _done, _of: None)
    assert found.faults == []
    assert found.opened["templates"] == len(PEOPLE) - 1
    postgres.run(url, "UPDATE template SET ciphertext = '\\x00' WHERE template_id = 5")
    found = examine(victim.config, show=lambda _step, _done, _of: None)
    assert set(found.faults_by_reason) == {"DOES_NOT_OPEN"}
    victim.start()


def test_an_exchange_lives_on_postgresql(
    victim: Victim, postgres: PostgresServer
) -> None:
    """Enrol, match, withdraw; restart and kill -9: all is as it was acknowledged."""
    url = postgres.make()
    text = victim.config.read_text()
    victim.config.write_text(text.replace("data/exchange.sqlite", url))
    assert check(victim.config) == []
    victim.start()
    with ExchangeClient(victim.profile("XAA", "enroller")) as client:
        people = [record(f"R{n}", unit(n)) for n in PEOPLE]
        (told,) = client.enrol_many([Chunk(records=tuple(people))])
        assert {each.status for each in told.outcomes} == {"enrolled"}
        client.withdraw("R3")
    expected = [MATCH, MATCH, NO_MATCH, MATCH, NO_MATCH]
    assert outcomes(victim, 1, 2, 3, 4, 1000) == expected
    for turn in range(KILLS):
        victim.kill()
        victim.start()
        assert outcomes(victim, 1, 2, 3, 4, 1000) == expected
        with ExchangeClient(victim.profile("XAA", "enroller")) as client:
            client.enrol(record(f"later-{turn}", unit(2000 + turn)))
            client.withdraw(f"R{10 + turn}")
        assert outcomes(victim, 2000 + turn, 10 + turn) == [MATCH, NO_MATCH]
    with ExchangeClient(victim.profile("XAA", "administrator")) as client:
        client.rotate()
        client.lock()
        assert outcomes(victim, 1, 3) == ["unavailable", "unavailable"]
        victim.kill()
        victim.start()
        assert outcomes(victim, 1, 3) == ["unavailable", "unavailable"]
        client.unlock()
        assert certified(client) == "rotation"
        assert outcomes(victim, 1, 3) == [MATCH, NO_MATCH]
        look_at_everything(victim, postgres, url)
        client.destroy(confirm_holder="XAA")
        assert certified(client) == "destruction"
        assert outcomes(victim, 1, 3) == ["not-comparable", "not-comparable"]
    assert not list(victim.root.rglob("*.sqlite*"))
    # Beside a running one.
    assert check(victim.config) == [
        "galleries of XAA stay closed: it has destroyed them"
    ]
    victim.kill()
    postgres.run(url, "DELETE FROM change WHERE position = 7")
    found = examine(victim.config, show=lambda _step, _done, _of: None)
    assert "JOURNAL_GAP" in found.faults_by_reason
