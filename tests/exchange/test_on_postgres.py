"""A whole exchange on PostgreSQL: from the first file to the last kill."""

from __future__ import annotations

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
    assert not list(victim.root.rglob("*.sqlite*"))
    assert check(victim.config) == []  # beside a running one
    victim.kill()
    found = examine(victim.config, show=lambda _step, _done, _of: None)
    assert found.faults == []
    assert found.opened["templates"] == len(PEOPLE) - 1
    postgres.run(url, "UPDATE template SET ciphertext = '\\x00' WHERE template_id = 5")
    postgres.run(url, "DELETE FROM change WHERE position = 7")
    found = examine(victim.config, show=lambda _step, _done, _of: None)
    assert {"DOES_NOT_OPEN", "JOURNAL_GAP"} <= set(found.faults_by_reason)
