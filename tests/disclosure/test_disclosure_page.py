"""The page for signers says what the program does."""

import re
from pathlib import Path

from biometrics import disclosure
from biometrics.disclosure.agreements import Effect, Level, Purpose, parse_version
from biometrics.members import Member
from biometrics.templates import Modality

PAGE = (Path(disclosure.__file__).parent / "README.md").read_text("utf-8")


def test_example_on_the_page_is_a_valid_file():
    """What a signer copies is accepted as it stands."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    clauses = parse_version(example, "XAA.toml", Member("XAA")).clauses
    effects = [clause.effect for clause in clauses]
    assert effects == [Effect.PERMIT, Effect.PERMIT, Effect.FORBID]


def test_page_names_every_word_of_the_lists():
    """No purpose, modality or level is missing from the page."""
    words = [*Purpose, *Modality, *Level]
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_every_heading_that_the_page_cites_is_there():
    """As `see "How to sign"`."""
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    cited = re.findall(r'(?:see|in|told in) "([A-Z][^"]*)"', PAGE)
    assert len(cited) > 5
    assert [heading for heading in cited if heading not in headings] == []
