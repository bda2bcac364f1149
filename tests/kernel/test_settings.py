"""Settings files: strict TOML, readable faults, robust line numbers."""

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from biometrics import limits
from biometrics.errors import ConfigurationError
from biometrics.members import Member
from biometrics.settings import (
    Document,
    Line,
    Settings,
    SettingsFile,
    header_lines,
    parse_settings,
    parsed_by,
    read_text,
)


class Table(Settings):
    """A table, for the tests."""

    flag: bool
    member: Annotated[Member, parsed_by(Member)]


class Sample(SettingsFile):
    """A settings file, for the tests."""

    title: Line
    table: list[Table] = Field(default_factory=list)
    nested: Table | None = None


def faults_of(text: str) -> list[tuple[str, str, str]]:
    """Return the faults of a file as (field, reason, message)."""
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(Sample, text, "a.toml")
    return [(each.field, each.reason, each.message) for each in refused.value.faults]


def test_file_is_read_as_a_value():
    """A correct file becomes a frozen value, with its texts parsed."""
    text = 'version = 1\ntitle = "a\\n b"\n[[table]]\nflag = true\nmember = "XAA"\n'
    sample = parse_settings(Sample, text, "a.toml")
    assert sample == Sample(
        version=1, title="a b", table=[Table(flag=True, member="XAA")]
    )
    assert sample.table[0].member == Member("XAA")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("version = 2", "a.toml: version: must be 1; no other is known"),
        ("version = true", "a.toml: version: must be a whole number without quotes"),
        ("version = 1.0", "a.toml: version: must be a whole number without quotes"),
        ("colour = 1", "a.toml: colour: is no key of this table; remove it"),
        ("title = 7", "a.toml: title: must be a text in quotes"),
        ('title = "\\t"', "a.toml: title: must not be empty"),
        ('title = "a\\u001Bb"', "a.toml: title: must not contain control characters"),
        ("table = 7", "a.toml: table: must be a list in square brackets"),
        ("table = [7]", "a.toml: table[0]: must be a table"),
        ("[[table]]", "a.toml:3: table[0].flag: is missing; add it"),
        ("[[table]]\nflag = 1", "a.toml:3: table[0].flag: must be true or false"),
        ("[[table]]\nmember = 1", "a.toml:3: table[0].member: must be a text"),
        ("[[table]]\nmember = '?'", "a.toml:3: table[0].member: `?` is no member"),
        ("[nested]\nflag = 1", "a.toml: nested.flag: must be true or false"),
    ],
)
def test_faults_say_where_what_and_what_to_do(line: str, told: str):
    """A fault names file, line of the header, key, what is wrong and the remedy."""
    lines = {"version": "version = 1", "title": 'title = "t"'}
    key = line.partition(" = ")[0]
    lines[key] = line
    faults = faults_of("\n".join(lines.values()))
    assert any(f"{field}: {message}".startswith(told) for field, _, message in faults)


def test_all_faults_are_in_one_error():
    """The message tells every one, and the first gives the reason."""
    with pytest.raises(ConfigurationError) as refused:
        parse_settings(Sample, "colour = 1", "a.toml")
    assert refused.value.reason == "MISSING_KEY"
    for part in ("version: is missing", "title: is missing", "colour: is no key"):
        assert part in refused.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = ", "is not valid TOML: "),
        ("a = 1\nb = ?\n", "is not valid TOML: invalid value (at line 2"),
        ("a = " + "[" * 10_000, "is not valid TOML: "),
        ("a = " + "1" * 5_000, "is not valid TOML: a number has too many digits"),
        ("#" * (limits.MAX_SETTINGS_BYTES + 1), "is longer than 4194304 bytes"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(text: str, told: str):
    """Broken or hostile files are refused and nothing else happens."""
    ((field, _, message),) = faults_of(text)
    assert field == "a.toml"
    assert message.startswith(told)


def test_files_are_read_as_utf8(tmp_path: Path):
    """A byte order mark, as some editors write it, does no harm."""
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbftitle = '\xc3\xa9'")
    assert read_text(path) == "title = 'é'"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "UNREADABLE_FILE"),
        (b"a = '\xe9'", "NOT_UTF8"),
        (b"#" * (limits.MAX_SETTINGS_BYTES + 1), "FILE_TOO_LONG"),
    ],
)
def test_unreadable_files_are_told_by_path(
    tmp_path: Path, content: bytes | None, reason: str
):
    """Missing, wrongly encoded and oversize files have their own reasons."""
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        read_text(path)
    assert refused.value.reason == reason
    assert refused.value.message.startswith(f"{path}: ")


FOOLERS = [
    "# [[permit]]",
    'a = 1 # [[permit]] [ [ " \'\'\' """',
    'a = "[[permit]] # \\" [["',
    "a = '[[permit]] \\'",
    'a = """\n[[permit]]\n\\"""\n[[permit]]\n""""',
    'a = """\\\n[[permit]]"""""',
    "a = '''\n[[permit]]\n''\n\"\n[[permit]]\n'''''",
    'a = [\n["x"],\n[["permit"]],\n[["permit"]] # ]\n,\n]',
    'a = [[\n"[[permit]]"\n], [\n]]',
    'a = ["""x"""", "]", "[["]',
    "a = ['''x'''', ']', '[[']",
    'a = {b = [[1], ["]"]], c = "{"}',
    '"[[permit]]" = ""',
    "'a b'.\"]\" = ''",
    "a = 2026-01-01T00:00:00Z",
    "",
    "[[permit.inner]]",
    "[[ other ]]",
    '[["[[permit]]"]]',
]
HEADERS = [
    "[[permit]]",
    "  [[ permit ]]  # [[permit]]",
    '\t[["permit"]]',
    "[['permit']]",
    '[["per\\u006dit"]]',
]


def test_headers_of_nested_tables_are_left_out():
    """`[[permit.inner]]` begins no permission."""
    text = "[[permit]]\n[[permit.inner]]\n[[permit]]\n"
    assert header_lines(text) == {"permit": (1, 3)}


@given(st.lists(st.sampled_from(FOOLERS + HEADERS)), st.sampled_from(["\n", "\r\n"]))
def test_headers_are_found_where_they_are(blocks: list[str], newline: str):
    """Strings, comments and lists that contain a header fool nobody."""
    expected, lines, numbered = [], 1, []
    for number, block in enumerate(blocks):
        if block in HEADERS:
            expected.append(lines)
        # Keys must differ within a table, so that the text stays TOML.
        unique = block.replace("a = ", f"a{number} = ", 1)
        unique = unique.replace('"[[permit]]" =', f'"[[permit]] {number}" =')
        unique = unique.replace("'a b'", f"'a {number}'")
        if block == "[[permit.inner]]" and not expected:
            unique = f"# {unique}"  # would define `permit` as a table
        numbered.append(unique)
        lines += block.count("\n") + 1
    text = "\n".join(numbered).replace("\n", newline)
    document = Document.parse(text, "a.toml")
    assert header_lines(text).get("permit", ()) == tuple(expected)
    assert document.lines.get("permit", ()) == tuple(expected)
    for index, line in enumerate(expected):
        assert document.place("permit", index) == f"a.toml:{line}"
    assert document.place("permit", len(expected)) == "a.toml"
