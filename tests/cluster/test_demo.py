"""The whole demo with its galleries in shards, as with galleries in one process.

In its long form, `poe shards`, a hundred thousand searches, each of which is compared
with an exhaustive one.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from pilots import matches, run_demo

if TYPE_CHECKING:
    from pathlib import Path

SEARCHES = int(os.environ.get("SHARD_SEARCHES", "160"))
REQUESTERS = 8
RECORDS_A_SEARCH = 2  # nobody is searched for twice
LEAST_RECORDS = 300
SECONDS = 3600.0


def told(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each requester was told."""
    return [
        {name: value for name, value in each.items() if name != "milliseconds"}
        for each in document["requesters"]
    ]


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_its_answers_are_those_of_one_process(tmp_path: Path) -> None:
    """Of the same people and searches; none is wrong."""
    each = -(-SEARCHES // REQUESTERS)
    records = max(LEAST_RECORDS, RECORDS_A_SEARCH * each)
    plan = ("--records", str(records), "--searches", str(each))
    whole = run_demo(tmp_path, *plan, seconds=SECONDS)
    kept = tmp_path / "kept"
    more = ("--shards", "3", "--keep", str(kept))
    shards = run_demo(tmp_path, *plan, *more, seconds=SECONDS)
    assert "shards = 3" in (kept / "exchange" / "exchange.toml").read_text()
    print({n: shards[n] for n in ("records", "searches", "wrong")})  # noqa: T201
    assert (whole["shards"], shards["shards"]) == (None, 3)
    assert shards["wrong"] == whole["wrong"] == 0
    assert shards["searches"] == whole["searches"] == REQUESTERS * each
    assert matches(shards) > 0
    assert told(shards) == told(whole)
