"""Agreements as files: strict, every fault at once, cited by line."""

import datetime as dt
from dataclasses import replace

import pytest

from biometrics import limits
from biometrics.calibration import FpirClass, Promise
from biometrics.disclosure.agreements import (
    Agreements,
    Clause,
    Effect,
    Level,
    Purpose,
    Version,
    parse_version,
)
from biometrics.errors import ConfigurationError, InvalidRequestError
from biometrics.members import Member
from biometrics.templates import Modality

HEAD = """\
version = 1
holder = "XAA"
revision = 3
dated = 2026-01-01T12:00:00Z
"""
PERMIT = """
[[permit]]
requester = "XBB"
purposes = ["border-check", "visa"]
modalities = ["face"]
level = "holder"
valid_from = 2026-01-01
valid_until = 2026-12-31
legal_basis = "Treaty of X, article 4"
"""
FORBID = """
[[forbid]]
requester = "*"
reason = "under review"
"""


def faults_of(text: str, **options: Member):
    """Return the faults of a file as (field, reason)."""
    with pytest.raises(ConfigurationError) as refused:
        parse_version(text, "XAA.toml", **options)
    for fault in refused.value.faults:
        assert f"{fault.field}: {fault.message}" in refused.value.message
    return [(fault.field, fault.reason) for fault in refused.value.faults]


def test_a_version_is_ahead_by_more_than_clocks_differ():
    """Five minutes are no future yet."""
    version = parse_version(HEAD, "XAA.toml")
    ahead = dt.timedelta(seconds=limits.DATED_AHEAD_SECONDS)
    assert not version.is_ahead_of(version.dated - ahead)
    assert version.is_ahead_of(version.dated - ahead - dt.timedelta(seconds=1))


def test_what_is_about_everybody_is_found_without_a_requester():
    """And nothing else is."""
    clauses = parse_version(HEAD + PERMIT + FORBID, "XAA.toml").clauses
    asked = (Member("XAA"), None, Purpose.VISA, Modality.FACE)
    assert Agreements(clauses).about(*asked) == clauses[1:]
    assert Agreements(clauses[:1]).about(*asked) == ()


def test_version_says_whose_and_which_it_is():
    """Holder, revision and date stand beside the clauses."""
    version = parse_version(HEAD, "XAA.toml", Member("XAA"))
    assert version == Version(
        holder=Member("XAA"),
        revision=3,
        dated=dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC),
        clauses=(),
    )


def test_clauses_say_what_the_file_says():
    """A permission and a prohibition are read in full."""
    permit, forbid = parse_version(HEAD + PERMIT + FORBID, "XAA.toml").clauses
    assert permit == Clause(
        holder=Member("XAA"),
        requester=Member("XBB"),
        effect=Effect.PERMIT,
        purposes=frozenset({Purpose.BORDER_CHECK, Purpose.VISA}),
        modalities=frozenset({Modality.FACE}),
        level=Level.HOLDER,
        valid_from=dt.date(2026, 1, 1),
        valid_until=dt.date(2026, 12, 31),
        legal_basis="Treaty of X, article 4",
        source="XAA.toml:6",
    )
    assert forbid == Clause(
        holder=Member("XAA"),
        requester=None,
        effect=Effect.FORBID,
        purposes=frozenset(Purpose),
        modalities=frozenset(Modality),
        level=None,
        valid_from=None,
        valid_until=None,
        legal_basis="under review",
        source="XAA.toml:15",
    )


def test_prohibition_can_be_narrow():
    """A forbid can name its requester, purposes, modalities and days."""
    text = """[[forbid]]
requester = "XCC"
purposes = ["visa"]
modalities = ["iris"]
valid_from = 2026-02-01
valid_until = 2026-02-28
reason = "court order"
"""
    (clause,) = parse_version(HEAD + text, "XAA.toml").clauses
    assert clause.requester == Member("XCC")
    assert clause.purposes == {Purpose.VISA}
    assert clause.modalities == {Modality.IRIS}
    assert clause.valid_from == dt.date(2026, 2, 1)
    assert clause.valid_until == dt.date(2026, 2, 28)


def test_file_without_a_clause_permits_nothing():
    """It is valid, and it has no clauses."""
    assert parse_version(HEAD, "XAA.toml", Member("XAA")).clauses == ()


def test_every_fault_is_told_at_once():
    """One error lists all that is wrong, with line and key."""
    text = """version = 2
holder = "ZZZ"
revision = 0
dated = 2026-01-01T00:00:00+07:00
colour = "red"
[[permit]]
requester = "xbb"
purposes = ["tourism", "visa", "visa"]
modalities = []
level = "everything"
valid_from = "2026-01-01"
valid_until = 2026-12-31T00:00:00Z
legal_basis = "  "
[[permit]]
[[forbid]]
requester = 7
reason = 1
"""
    faults = faults_of(text)
    assert set(faults) == {
        ("XAA.toml: version", "UNKNOWN_VERSION"),
        ("XAA.toml: holder", "UNKNOWN_MEMBER"),
        ("XAA.toml: revision", "INVALID_VALUE"),
        ("XAA.toml: dated", "NOT_UTC"),
        ("XAA.toml: colour", "UNKNOWN_KEY"),
        ("XAA.toml:6: permit[0].requester", "UNKNOWN_MEMBER"),
        ("XAA.toml:6: permit[0].purposes[0]", "INVALID_VALUE"),
        ("XAA.toml:6: permit[0].modalities", "INVALID_VALUE"),
        ("XAA.toml:6: permit[0].level", "INVALID_VALUE"),
        ("XAA.toml:6: permit[0].valid_from", "INVALID_VALUE"),
        ("XAA.toml:6: permit[0].valid_until", "INVALID_VALUE"),
        ("XAA.toml:6: permit[0].legal_basis", "EMPTY_TEXT"),
        *(
            (f"XAA.toml:14: permit[1].{key}", "MISSING_KEY")
            for key in (
                "requester",
                "purposes",
                "modalities",
                "level",
                "valid_from",
                "valid_until",
                "legal_basis",
            )
        ),
        ("XAA.toml:15: forbid[0].requester", "INVALID_VALUE"),
        ("XAA.toml:15: forbid[0].reason", "INVALID_VALUE"),
    }


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("revision = 3", [("XAA.toml: revision", "MISSING_KEY")]),
        ("dated = 2026-01-01T12:00:00Z", [("XAA.toml: dated", "MISSING_KEY")]),
    ],
)
def test_file_without_revision_or_date_is_refused(line: str, told: list[object]):
    """What cannot be told from the version before is no version."""
    assert line in HEAD
    assert faults_of(HEAD.replace(line, "")) == told


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("2026-01-01", "INVALID_VALUE"),
        ("2026-01-01T12:00:00", "INVALID_VALUE"),
        ("2026-01-01T12:00:00+07:00", "NOT_UTC"),
        ('"2026-01-01T12:00:00Z"', "INVALID_VALUE"),
    ],
)
def test_date_is_a_moment_in_utc(moment: str, reason: str):
    """Two readers of one file read the same moment."""
    text = HEAD.replace("2026-01-01T12:00:00Z", moment)
    assert faults_of(text) == [("XAA.toml: dated", reason)]


@pytest.mark.parametrize("revision", ["0", "-1", "1.0", "true", '"1"', "1000001"])
def test_revision_is_a_whole_number_within_bounds(revision: str):
    """One mistyped digit too many would bar every later version."""
    text = HEAD.replace("revision = 3", f"revision = {revision}")
    assert faults_of(text) == [("XAA.toml: revision", "INVALID_VALUE")]


@pytest.mark.parametrize(
    ("old", "new", "field", "reason"),
    [
        ('requester = "XBB"', 'requester = "XAA"', "requester", "INVALID_CLAUSE"),
        ('requester = "XBB"', 'requester = "*"', "requester", "UNKNOWN_MEMBER"),
        ("2026-12-31", "2025-12-31", "valid_until", "INVALID_CLAUSE"),
        ('"visa"', '"border-check"', "purposes", "REPEATED_VALUE"),
        ("article 4", "article\\u00074", "legal_basis", "CONTROL_CHARACTER"),
        ("article 4", "a" * 256, "legal_basis", "INVALID_VALUE"),
        ('level = "holder"', 'levle = "holder"', "level", "MISSING_KEY"),
        ('level = "holder"', 'level = "HOLDER"', "level", "INVALID_VALUE"),
    ],
)
def test_each_mistake_in_a_permission_is_told_by_its_key(
    old: str, new: str, field: str, reason: str
):
    """The fault names the line of the header and the key."""
    assert old in PERMIT
    faults = faults_of(HEAD + PERMIT.replace(old, new))
    assert (f"XAA.toml:6: permit[0].{field}", reason) in faults


def test_faults_of_several_clauses_are_told_together():
    """Contradictions in two clauses are one error with two faults."""
    broken = PERMIT.replace("2026-12-31", "2025-12-31")
    own = FORBID.replace('"*"', '"XAA"')
    assert faults_of(HEAD + broken + own, holder=Member("XCC")) == [
        ("XAA.toml: holder", "WRONG_HOLDER"),
        ("XAA.toml:6: permit[0].valid_until", "INVALID_CLAUSE"),
        ("XAA.toml:15: forbid[0].requester", "INVALID_CLAUSE"),
    ]


def test_clause_without_a_header_is_refused():
    """What cannot be cited by its line is no clause."""
    text = HEAD + 'forbid = [{requester = "*", reason = "x"}]\n'
    assert faults_of(text) == [("XAA.toml: forbid", "NO_HEADER")]


def test_too_many_clauses_are_refused():
    """The bound of limits.py holds."""
    text = HEAD + FORBID * (limits.MAX_CLAUSES_PER_HOLDER + 1)
    assert faults_of(text) == [("XAA.toml: forbid", "INVALID_VALUE")]


def test_legal_basis_becomes_one_line():
    """A text over several lines is kept as one, and hides no header."""
    told = '"""Treaty\n[[permit]]\n  article 4"""'
    text = PERMIT.replace('"Treaty of X, article 4"', told)
    clauses = parse_version(HEAD + text + PERMIT, "XAA.toml").clauses
    assert clauses[0].legal_basis == "Treaty [[permit]] article 4"
    assert [clause.source for clause in clauses] == ["XAA.toml:6", "XAA.toml:17"]


@pytest.mark.parametrize(
    "changes",
    [
        {"requester": None},
        {"requester": Member("XAA")},
        {"purposes": frozenset()},
        {"modalities": frozenset()},
        {"level": None},
        {"valid_from": None},
        {"valid_until": None},
        {"valid_until": dt.date(2025, 1, 1)},
        {"legal_basis": ""},
        {"effect": Effect.FORBID},
    ],
)
def test_clause_that_contradicts_itself_cannot_be_made(changes: dict[str, object]):
    """A clause checks itself, wherever it comes from."""
    (clause,) = parse_version(HEAD + PERMIT, "XAA.toml").clauses
    assert replace(clause) == clause
    with pytest.raises(InvalidRequestError) as refused:
        replace(clause, **changes)
    assert {fault.reason for fault in refused.value.faults} == {"INVALID_CLAUSE"}


def test_levels_are_ordered_by_what_they_tell():
    """Presence tells least and reference most, unlike the order of the words."""
    ordered = [Level.PRESENCE, Level.HOLDER, Level.REFERENCE]
    assert sorted(Level, key=str) != ordered
    assert sorted(sorted(Level, key=str)) == ordered
    for index, low in enumerate(ordered):
        assert low <= low  # noqa: PLR0124  (the operator is what is tested)
        assert low >= low  # noqa: PLR0124  (likewise)
        for high in ordered[index + 1 :]:
            assert low < high
            assert low <= high
            assert high > low
            assert high >= low
            assert not high < low
            assert not high <= low
            assert not low > high
            assert not low >= high


def test_clauses_stand_in_the_order_of_citation():
    """By holder, then by line as a number, whatever order they came in."""
    clauses = parse_version(HEAD + PERMIT * 3 + FORBID, "XAA.toml").clauses
    other = parse_version(
        HEAD.replace("XAA", "UNHCR") + PERMIT, "UNHCR.toml", Member("UNHCR")
    ).clauses
    agreements = Agreements([*reversed(clauses), *other])
    assert [clause.source for clause in agreements.clauses] == [
        "UNHCR.toml:6",
        "XAA.toml:6",
        "XAA.toml:15",
        "XAA.toml:24",
        "XAA.toml:33",
    ]


def test_a_source_without_a_line_is_no_trouble():
    """Clauses made in memory can be cited by any name."""
    (clause,) = parse_version(HEAD + PERMIT, "XAA.toml").clauses
    odd = replace(clause, source="in memory")
    assert Agreements([clause, odd]).clauses == (odd, clause)


def test_party_lists_what_a_member_gives_and_gets():
    """Holder and requester see a clause; a third member does not."""
    clauses = parse_version(HEAD + PERMIT + FORBID, "XAA.toml").clauses
    agreements = Agreements(clauses)
    assert agreements.party(Member("XAA")) == clauses
    assert agreements.party(Member("XBB")) == clauses[:1]
    assert agreements.party(Member("XCC")) == ()


def test_holders_for_a_requester_are_each_named_once():
    """Several clauses of one holder make one holder; prohibitions none."""
    text = HEAD + PERMIT + PERMIT + FORBID.replace('"*"', '"XCC"')
    agreements = Agreements(parse_version(text, "XAA.toml").clauses)
    assert agreements.holders_for(Member("XBB")) == (Member("XAA"),)
    assert agreements.holders_for(Member("XCC")) == ()


def test_a_permission_promises_an_error_rate():
    """The class and the demand are read; without them it is 1e-3, measured or not."""
    (clause,) = parse_version(HEAD + PERMIT, "XAA.toml").clauses
    assert clause.promise == Promise(fpir=FpirClass.THOUSANDTH, measured_only=False)
    text = HEAD + PERMIT + 'fpir = "1e-4"\nmeasured_only = true\n'
    (clause,) = parse_version(text, "XAA.toml").clauses
    assert clause.promise == Promise(fpir=FpirClass.TEN_THOUSANDTH, measured_only=True)
    for wrong in ('fpir = "1e-5"', "fpir = 0.001", 'measured_only = "yes"'):
        (fault,) = faults_of(HEAD + PERMIT + wrong + "\n")
        assert fault[1] == "INVALID_VALUE"


def test_a_permission_has_a_quota():
    """Without one it has that of all that state none; none is without end."""
    (clause,) = parse_version(HEAD + PERMIT, "XAA.toml").clauses
    assert clause.quota_per_day == limits.DEFAULT_QUOTA_PER_DAY
    (clause,) = parse_version(
        HEAD + PERMIT + "quota_per_day = 250\n", "XAA.toml"
    ).clauses
    assert clause.quota_per_day == 250
    for wrong in ("0", "-1", '"many"', "2.5", str(limits.MAX_QUOTA_PER_DAY + 1)):
        (fault,) = faults_of(f"{HEAD}{PERMIT}quota_per_day = {wrong}\n")
        assert fault[1] == "INVALID_VALUE"


OTHER = '"asylum-and-protection"'
OTHER_CLASS = PERMIT + 'fpir = "1e-2"\n'


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (OTHER_CLASS, True),
        (OTHER_CLASS.replace('"holder"', '"reference"'), True),
        (OTHER_CLASS.replace("2026-01-01", "2026-12-31"), True),
        (OTHER_CLASS.replace("2026-12-31", "2026-01-01"), True),
        (OTHER_CLASS.replace('"border-check", ', ""), True),
        (OTHER_CLASS.replace("2026-", "2027-"), False),
        (OTHER_CLASS.replace('"face"', '"iris"'), False),
        (
            OTHER_CLASS.replace('"border-check", "visa"', OTHER),
            False,
        ),
        (OTHER_CLASS.replace('"XBB"', '"XCC"'), False),
        (PERMIT + "measured_only = true\n", False),
    ],
)
def test_one_question_has_one_class_on_any_day(other: str, *, differs: bool):
    """Two classes for the same search on the same days are refused, in either order."""
    for text in (PERMIT + other, other + PERMIT):
        if not differs:
            assert len(parse_version(HEAD + text, "XAA.toml").clauses) == 2
            continue
        ((field, reason),) = faults_of(HEAD + text)
        assert reason == "DIFFERENT_CLASS"
        assert field.endswith(".fpir")
