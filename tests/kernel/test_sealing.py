"""What is sealed opens at one run of one exchange, for one member and one thing."""

from __future__ import annotations

import pytest

from biometrics.errors import PreconditionError, UnauthenticatedError
from biometrics.members import Member
from biometrics.sealing import SealingKey, SealingKeys, seal_to

XAA, XAB = Member("XAA"), Member("XAB")
CLEAR, PURPOSE = b"a face" * 100, (b"hand-over", b"r" * 16)


def test_what_was_sealed_opens():
    """Another time it is other bytes, and nothing of it shows."""
    exchange = SealingKey()
    first, second = (seal_to(exchange.public, CLEAR, XAA, *PURPOSE) for _ in range(2))
    assert first != second
    assert CLEAR[:12] not in first
    assert exchange.open(first, XAA, *PURPOSE) == CLEAR


@pytest.mark.parametrize(
    ("member", "purpose"),
    [
        (XAB, PURPOSE),
        (XAA, (b"hand-over", b"q" * 16)),
        (XAA, (b"hand-over",)),
        (XAA, (b"hand-overrrrrr", b"r" * 11)),
        (XAA, ()),
    ],
)
def test_it_opens_for_nothing_else(member: Member, purpose: tuple[bytes, ...]):
    """Another member, another request, or the same bytes cut elsewhere."""
    exchange = SealingKey()
    sealed = seal_to(exchange.public, CLEAR, XAA, *PURPOSE)
    with pytest.raises(PreconditionError) as refused:
        exchange.open(sealed, member, *purpose)
    assert refused.value.reason == "SEALED_TO_ANOTHER"


def test_each_member_has_its_own_key_until_it_is_renewed():
    """Then what was sealed to it opens nothing."""
    keys = SealingKeys()
    first = keys.of(XAA)
    assert keys.of(XAA) is first
    assert keys.of(XAB).public != first.public
    sealed = seal_to(first.public, CLEAR, XAA)
    keys.renew(XAB)
    assert keys.of(XAA).open(sealed, XAA) == CLEAR
    keys.renew(XAA)
    keys.renew(XAA)
    with pytest.raises(PreconditionError):
        keys.of(XAA).open(sealed, XAA)


def test_it_opens_nowhere_else_and_not_damaged():
    """After a restart the exchange has another key."""
    exchange = SealingKey()
    sealed = seal_to(exchange.public, CLEAR, XAA)
    flipped = bytes([*sealed[:-1], sealed[-1] ^ 1])
    for key, data in (
        (SealingKey(), sealed),
        (exchange, flipped),
        (exchange, sealed[:-1]),
        (exchange, sealed[:100]),
        (exchange, b""),
    ):
        with pytest.raises(PreconditionError):
            key.open(data, XAA)


@pytest.mark.parametrize("public", [b"", b"x" * 32, b"\xff" * 1216, b"x" * 1217])
def test_nothing_is_sealed_to_what_is_no_key(public: bytes):
    """However it came to be one."""
    with pytest.raises(UnauthenticatedError) as refused:
        seal_to(public, CLEAR, XAA)
    assert refused.value.reason == "NOT_A_SEALING_KEY"
