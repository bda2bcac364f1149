"""Canonical bytes: one list of fields, one frame."""

import string

from hypothesis import given
from hypothesis import strategies as st

from biometrics.custody.framing import Purpose, derive, frame

Fields = list[bytes | str]
fields = st.lists(st.one_of(st.binary(max_size=12), st.text(max_size=12)), max_size=5)
purposes = st.sampled_from(Purpose)


def as_bytes(values: Fields) -> list[bytes]:
    """Return texts as they are encoded."""
    return [v.encode() if isinstance(v, str) else v for v in values]


@given(purposes, fields, purposes, fields)
def test_different_fields_never_give_the_same_frame(
    one: Purpose, left: Fields, other: Purpose, right: Fields
):
    """Frames are equal exactly if purpose and fields are."""
    same = one is other and as_bytes(left) == as_bytes(right)
    assert (frame(one, *left) == frame(other, *right)) is same


def test_where_a_field_ends_is_part_of_the_frame():
    """Moving a letter from one field to the next gives another frame."""
    assert frame(Purpose.REPLY, "ab", "c") != frame(Purpose.REPLY, "a", "bc")
    assert frame(Purpose.REPLY, "ab") != frame(Purpose.REPLY, "ab", "")


def test_the_form_is_fixed():
    """Stored values depend on these bytes: length, version, length, purpose, rest."""
    assert frame(Purpose.REPLY, "XAA", 5) == (
        b"\0\0\0\x08\0\0\0\0\0\0\0\x01\0\0\0\x05reply\0\0\0\x03XAA"
        b"\0\0\0\x08\0\0\0\0\0\0\0\x05"
    )


def test_purposes_are_fixed_and_differ():
    """Purposes are short, printable and all different."""
    values = [purpose.value for purpose in Purpose]
    assert sorted(values) == [
        "codes-key",
        "codes-key/file",
        "codes-key/rotation",
        "gallery-key",
        "gallery-key/commitment",
        "gallery-key/wrapping",
        "index-key",
        "index-key/digest",
        "index-key/lookup",
        "index-key/replies",
        "index-key/tag",
        "record-key",
        "record-tag",
        "record-value",
        "reply",
        "signing-key",
        "signing-key/front-ends",
        "signing-key/log",
    ]
    assert set("".join(values)) <= set(string.ascii_lowercase + "-/")


def test_keys_for_different_purposes_differ():
    """Each purpose, and each field, derives a key of its own."""
    secret = bytes(range(32))
    derived = {derive(secret, purpose, "XAA") for purpose in Purpose}
    derived.add(derive(secret, Purpose.REPLY, "XAB"))
    assert len(derived) == len(Purpose) + 1
    assert {len(key) for key in derived} == {32}
