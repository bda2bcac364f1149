"""What is established, space by space, and what of a clause that leaves."""

from __future__ import annotations

import datetime as dt

import pytest
from world import SPACES

from biometrics.calibration import Calibrations, FpirClass, Promise, parse_calibration
from biometrics.disclosure import Clause, Effect, Level, Purpose
from biometrics.members import Member
from biometrics.server.rates import Rates
from biometrics.spaces import parse_spaces
from biometrics.templates import Modality, TemplateSpace

SECOND = """
[[space]]
name = "other-face"
modality = "face"
extractor = "tiny"
extractor_version = "2"
positions = ["face"]
dimension = 128
"""
TABLES = parse_spaces(SPACES + SECOND, "spaces.toml")
HUNDREDTH, THOUSANDTH, _ = FpirClass


def measured(space: TemplateSpace, people: int):
    """Return a calibration of so many people, for up to 2,000 comparisons."""
    text = (
        f'version = 1\nspace = "{space.name}"\ndefinition = "{space.identity}"\n'
        'basis = "measured"\ndated = 2026-01-01\nmethod = "test"\n[evidence]\n'
        f"searches = {people}\nsubjects = {people}\ncomparisons = 1024\n"
        "interval = 0.95\n"
    )
    for fpir, needed in zip(FpirClass, (300, 3000, 30000), strict=True):
        claim = "true" if people >= needed else "false"
        text += (
            f'[[threshold]]\nfpir = "{fpir}"\ncomparisons = 2048\ncosine = 0.5\n'
            f"established = {claim}\n"
        )
    return parse_calibration(text.encode(), "x.toml", space)


def rates(comparisons: int) -> Rates:
    """Return rates of two face spaces, one measured better than the other."""
    people = {"tiny-face": 300, "other-face": 3000, "tiny-finger": 30000}
    found = [measured(space, people[space.name]) for space in TABLES]
    return Rates(TABLES, Calibrations(found), lambda _: comparisons)


def clause(fpir: FpirClass, *modalities: Modality, measured_only: bool = True):
    """Return a permission that promises something."""
    return Clause(
        holder=Member("XAA"),
        requester=Member("XBB"),
        effect=Effect.PERMIT,
        purposes=frozenset({Purpose.VISA}),
        modalities=frozenset(modalities or {Modality.FACE}),
        level=Level.HOLDER,
        valid_from=dt.date(2026, 1, 1),
        valid_until=dt.date(2026, 12, 31),
        legal_basis="test",
        source="XAA.toml:1",
        promise=Promise(fpir=fpir, measured_only=measured_only),
    )


def test_a_class_is_established_in_the_spaces_that_support_it():
    """In some space of a modality is enough for the question whether it is in any."""
    small = rates(2048)
    tiny, other = TABLES.named("tiny-face"), TABLES.named("other-face")
    assert small.established(tiny) == {HUNDREDTH}
    assert small.established(other) == {HUNDREDTH, THOUSANDTH}
    assert small.in_any(Modality.FACE) == {HUNDREDTH, THOUSANDTH}
    assert small.in_any(Modality.FINGERPRINT) == set(FpirClass)
    assert small.in_any(Modality.IRIS) == set()
    assert rates(2049).in_any(Modality.FACE) == set()


@pytest.mark.parametrize(
    ("fpir", "modalities", "spaces"),
    [
        (HUNDREDTH, (Modality.FACE,), []),
        (THOUSANDTH, (Modality.FACE,), ["tiny-face"]),
        (THOUSANDTH, (Modality.FACE, Modality.FINGERPRINT), ["tiny-face"]),
        (THOUSANDTH, (Modality.IRIS,), []),
    ],
)
def test_a_clause_permits_nothing_where_its_promise_is_not_kept(
    fpir: FpirClass, modalities: tuple[Modality, ...], spaces: list[str]
):
    """Space by space, with the reason; one that demands nothing is kept anywhere."""
    told = rates(2048).unkept([clause(fpir, *modalities)])
    assert [text.split("`")[3] for text in told] == spaces
    assert all("300 subjects' searches, too few for 1e-3" in text for text in told)
    assert rates(2048).unkept([clause(fpir, measured_only=False)]) == []


def test_one_modality_can_be_asked_about_alone():
    """Others that the clause covers are left out, and those that it does not too."""
    both = clause(THOUSANDTH, Modality.FACE, Modality.FINGERPRINT)
    large = rates(4096)
    assert len(list(large.shortfalls(both))) == 3
    assert len(list(large.shortfalls(both, Modality.FINGERPRINT))) == 1
    assert list(large.shortfalls(both, Modality.IRIS)) == []


def test_an_outgrown_calibration_is_told():
    """Once no class of it is established any more, and not before."""
    assert rates(2048).outgrown() == []
    told = rates(2049).outgrown()
    assert [text.split()[2] for text in told] == [f"{s.name}," for s in TABLES]
