"""Edits of settings by a program: all else stays, or nothing is written."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from biometrics.errors import ConfigurationError
from biometrics.members import Member, Membership
from biometrics.server.tables import put, with_standing, with_table

if TYPE_CHECKING:
    from pathlib import Path

XAA = Member("XAA")
TEXT = """\
# A comment.
[[member]]
code = "XBB"
name = '''
[[member]]
standing = "no key"
'''

[[member]]   # of XAA
code = "XAA"
name = "a"  # a name

[other]
standing = "kept"
"""


def test_a_table_is_added_at_the_end_with_whatever_stands_in_it() -> None:
    """Quotes and line ends in values are values."""
    table = {"code": "XCC", "name": 'a "name"\n[x]'}
    made = with_table(TEXT, "member", table)
    assert made.startswith(TEXT)
    assert tomllib.loads(made)["member"][-1] == table


def test_a_standing_is_said_of_one_member_and_taken_back() -> None:
    """Comments, texts that look like tables, and others' keys stay as they are."""
    suspended = with_standing(TEXT, XAA, Membership.SUSPENDED)
    assert 'standing = "suspended"' in suspended.splitlines()
    left = with_standing(suspended, XAA, Membership.LEFT)
    assert tomllib.loads(left)["member"][1]["standing"] == "left"
    assert tomllib.loads(left)["other"] == {"standing": "kept"}
    assert with_standing(left, XAA, Membership.ACTIVE) == TEXT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "NO_SUCH_MEMBER"),
        (TEXT.replace("XAA", "XCC"), "NO_SUCH_MEMBER"),
        ('member = [{code = "XAA"}]\n', "NO_SUCH_MEMBER"),
        ('[[member]]\ncode = "XAA"\nname = """\nstanding = 1\n"""\n', "CANNOT_EDIT"),
    ],
)
def test_what_cannot_be_edited_is_refused(text: str, reason: str) -> None:
    """Rather than written otherwise than it was meant."""
    with pytest.raises(ConfigurationError) as caught:
        with_standing(text, XAA, Membership.SUSPENDED)
    assert caught.value.reason == reason


def test_an_inline_list_takes_no_table() -> None:
    """TOML knows no list that is written in both ways."""
    with pytest.raises(ConfigurationError, match="a table of its own"):
        with_table('member = [{code = "XAA"}]\n', "member", {"code": "XBB"})


def test_what_does_not_pass_is_not_put(tmp_path: Path) -> None:
    """The file is as it was, and no draft is left."""
    path = tmp_path / "exchange.toml"
    path.write_text("before")

    def check(draft: Path) -> None:
        assert draft.read_text() == "after"
        raise ConfigurationError("WRONG", "no")

    with pytest.raises(ConfigurationError):
        put(path, "after", check)
    assert [p.name for p in tmp_path.iterdir()] == ["exchange.toml"]
    assert path.read_text() == "before"
    put(path, "after", lambda _: None)
    assert path.read_text() == "after"
