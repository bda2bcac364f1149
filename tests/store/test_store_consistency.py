"""What an offline check asks a database is answered in one pass, or a few."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from biometrics.sealed import REFERENCES
from biometrics.store.consistency_rules import RULES, VALUES, Rule
from biometrics.store.schema import (
    CHANGE,
    COMPARISON,
    COUNTER,
    GALLERY,
    GALLERY_KEY,
    METADATA,
    PROTECTION,
    RECORD,
    TEMPLATE,
    TOMBSTONE,
)

if TYPE_CHECKING:
    from typing import Any

SMALL, LARGE = 300, 1200
LINEAR = 2.0  # times what four times as many records take at most, or a sort of them
STEPS = 20  # of SQLite's machine, between two counts


def populated(records: int) -> sa.Engine:
    """Return a database in which as many records are, and as many were withdrawn."""
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    METADATA.create_all(engine)
    there, gone = range(1, records + 1), range(records + 1, 2 * records + 1)
    key = {"epoch": 1, "wrapped": b"w", "commitment": b"c", "created_at": 0}
    owner = {"member": "XAA"}
    sealed = {"wrapped_key": b"w" * 60, "ciphertext": b"c" * 528, "key_id": 1}
    word = {"space": "faces-v1", "position": "face", "modality": "face", "sample": 0}
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        GALLERY_KEY: [
            {"key_id": 1, "gallery": "faces-v1", **owner, **key},
            {"key_id": 2, "gallery": REFERENCES, **owner, **key},
        ],
        COMPARISON: [{"space": "faces-v1", "most": records}],
        COUNTER: [
            {
                "counter_id": 1,
                "journal_position": 3 * records,
                "template_id": 2 * records,
            }
        ],
        RECORD: [
            {
                "number": number,
                "record_id": number.to_bytes(16),
                "lookup": number.to_bytes(32),
                "content_digest": bytes(32),
                "reference_key_id": 2,
                "reference_wrapped_key": b"w" * 60,
                "reference_ciphertext": b"c" * 30,
                "generation": 1,
                "legal_basis": "",
                "enrolled_at": 0,
                **owner,
            }
            for number in there
        ],
        PROTECTION: [
            {"record_number": number, "excluded": "", "record_tag": bytes(32)}
            for number in there
        ],
        TEMPLATE: [
            {"template_id": number, "record_number": number, **word, **sealed}
            for number in there
        ],
        GALLERY: [
            {"space": "faces-v1", "records": records, "templates": records, **owner}
        ],
        TOMBSTONE: [
            {"lookup": number.to_bytes(32), "withdrawn_at": 0, **owner}
            for number in gone
        ],
        CHANGE: [
            {
                "position": position,
                "kind": "enrolled" if position <= 2 * records else "withdrawn",
                "record_id": number.to_bytes(16),
                "first_template": number if position > 2 * records else None,
                "templates": 1 if position > 2 * records else None,
                **owner,
            }
            for position, number in enumerate([*there, *gone, *gone], 1)
        ],
    }
    with engine.begin() as connection:
        for table, values in rows.items():
            connection.execute(sa.insert(table), values)
    return engine


@pytest.fixture(scope="module")
def databases():
    """A small one, and one of four times as many records."""
    engines = populated(SMALL), populated(LARGE)
    yield engines
    for engine in engines:
        engine.dispose()


def steps(engine: sa.Engine, rule: Rule) -> int:
    """Return about how many steps of SQLite's machine a rule takes; none is broken."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += STEPS
        return 0

    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.set_progress_handler(count, STEPS)
        found = connection.execute(sa.text(f"{rule.asked} LIMIT :most"), VALUES).all()
        driver.set_progress_handler(None, 0)
    assert found == []
    return taken


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.reason)
def test_no_rule_goes_through_all_records_for_each(
    rule: Rule, databases: tuple[sa.Engine, sa.Engine]
):
    """A check of a million records would be one of days."""
    small, large = (steps(engine, rule) for engine in databases)
    assert large <= LINEAR * LARGE / SMALL * max(small, 100 * STEPS)
