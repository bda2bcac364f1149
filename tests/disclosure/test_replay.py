"""A log of questions asked again: whose outcomes would change, and how many."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from disclosure.test_compare import FACE, VISA, XAA, XBB, XCC, permission

from biometrics import limits
from biometrics.disclosure import Agreements, Level
from biometrics.disclosure.replay import Change, read_questions, replay
from biometrics.errors import ConfigurationError

QUESTION: dict[str, Any] = {
    "time": "2026-06-01T08:30:00Z",
    "requester": "XBB",
    "purpose": "visa",
    "modality": "face",
}


def lines(*changes: dict[str, Any]) -> list[bytes]:
    """Return a log of questions, each with its changes."""
    return [json.dumps(QUESTION | each).encode() + b"\n" for each in changes]


def test_a_log_is_read_line_by_line():
    """Empty lines are passed over; holders may be left out."""
    log = [b"\n", *lines({}, {"holders": ["XAA"]}), b"  \n"]
    first, second = read_questions(log, "log")
    assert (first.requester, first.purpose, first.modality) == (XBB, VISA, FACE)
    assert first.time == dt.datetime(2026, 6, 1, 8, 30, tzinfo=dt.UTC)
    assert (first.holders, second.holders) == ([], [XAA])


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"\xff\xfe",
        *lines({"time": "yesterday"}),
        *lines({"time": "2026-06-01T08:30:00"}),
        *lines({"requester": "ZZZ"}),
        *lines({"purpose": "tourism"}),
        *lines({"modality": 1}),
        *lines({"holders": ["XAA"] * 65}),
        *lines({"score": 0.5}),
        *lines({"holders": [" " * 20_000]}),
    ],
)
def test_what_is_no_question_is_told_by_its_line(line: bytes):
    """The log is refused as a whole, with the number of the line."""
    with pytest.raises(ConfigurationError, match="`log`, line 2: ") as refused:
        list(read_questions([*lines({}), line], "log"))
    assert refused.value.reason == "NOT_A_QUESTION"


UNKNOWN = (
    "is no member code of the exchange; use ISO 3166-1 alpha-3, UNHCR, IOM or UNODC"
)
LIKE = (
    "a line is one JSON object with `time`, `requester`, `purpose`, `modality` and,"
    " where some were named, `holders` and `excluded_holders`"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"[]", [("", f"is no JSON object; {LIKE}")]),
        (b"{", [("", f"is no JSON; {LIKE}")]),
        (
            *lines({"requester": "XDDD", "modality": "gait"}),
            [
                ("requester", f"`XDDD` {UNKNOWN}"),
                ("modality", "must be `face`, `fingerprint` or `iris`"),
            ],
        ),
        (*lines({"holders": ["XAA", "ZZZ"]}), [("holders.1", f"`ZZZ` {UNKNOWN}")]),
        (
            *lines({"time": "2026-06-01T08:30:00"}),
            [("time", "must say its zone, as in `2026-01-31T12:00:00Z`")],
        ),
        (
            *lines({"time": None, "score": 0.5}),
            [
                ("time", "must be a moment such as `2026-01-31T12:00:00Z`, in quotes"),
                ("score", "is no key of a line; remove it or correct its spelling"),
            ],
        ),
    ],
)
def test_everything_that_is_wrong_with_a_line_is_told(
    line: bytes, told: list[tuple[str, str]]
):
    """With its key, or none where it is the whole, in letters as they were written."""
    with pytest.raises(ConfigurationError) as refused:
        list(read_questions([line], "log"))
    assert [(each.field, each.message) for each in refused.value.faults] == [
        (f"`log`, line 1: {key}" if key else "`log`, line 1", message)
        for key, message in told
    ]
    assert {each.reason for each in refused.value.faults} == {"NOT_A_QUESTION"}


def test_a_line_may_be_as_long_as_the_bound_and_no_longer():
    """What is longer is not looked at."""
    (line,) = lines({})
    most = line.rstrip().ljust(limits.MAX_QUESTION_LINE_BYTES)
    assert len(list(read_questions([most], "log"))) == 1
    with pytest.raises(ConfigurationError) as refused:
        list(read_questions([most + b" "], "log"))
    told = f"`log`, line 1: is longer than {limits.MAX_QUESTION_LINE_BYTES} bytes"
    assert refused.value.message == told


def test_what_would_change_is_counted():
    """By requester, and by what each holder tells before and after."""
    old = Agreements([permission(level=Level.REFERENCE), permission(holder=XCC)])
    new = Agreements([permission(level=Level.HOLDER), permission(requester=XCC)])
    log = lines(
        {},
        {},
        {"holders": ["XCC"]},
        {"holders": ["XAA"], "time": "2027-06-01T00:00:00Z"},
        {"requester": "XCC"},
    )
    found = replay(old, new, read_questions(log, "log"))
    assert found.questions == {XBB: 4, XCC: 1}
    assert found.changed == {XBB: 3, XCC: 1}
    assert +found.refused == {XBB: 1}
    assert +found.permitted == {XCC: 1}
    holder, reference = Level.HOLDER, Level.REFERENCE
    assert {
        (each.requester, each.holder, each.before, each.after): count
        for each, count in found.changes.items()
    } == {
        (XBB, XAA, reference, holder): 2,
        (XBB, XCC, holder, None): 3,
        (XCC, XAA, None, holder): 1,
    }
    assert all(isinstance(each, Change) for each in found.changes)


def test_what_stays_as_it_was_is_no_change():
    """Of two holders searched, one tells less and the other the same."""
    other = permission(holder=XCC)
    old = Agreements([permission(level=Level.REFERENCE), other])
    new = Agreements([permission(level=Level.HOLDER), other])
    found = replay(old, new, read_questions(lines({}), "log"))
    assert [each.holder for each in found.changes] == [XAA]


def test_each_question_is_decided_as_of_its_own_day_in_utc():
    """Late in the evening elsewhere is the next day in UTC."""
    old = Agreements([])
    new = Agreements([permission(first=dt.date(2026, 6, 2))])
    for moment, changed in (
        ("2026-06-01T23:59:59Z", 0),
        ("2026-06-02T00:00:00Z", 1),
        ("2026-06-01T23:30:00-01:00", 1),
        ("2026-06-02T00:30:00+01:00", 0),
    ):
        found = replay(old, new, read_questions(lines({"time": moment}), "log"))
        assert found.changed[XBB] == changed, moment
