"""The contract's enumerations as words: `PURPOSE_BORDER_CHECK` is `border-check`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, TypeVar

from biometrics.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import EnumDescriptor

NumberT_co = TypeVar("NumberT_co", covariant=True)
NumberT = TypeVar("NumberT")


class Words(Protocol[NumberT_co]):
    """A generated enumeration."""

    @property
    def DESCRIPTOR(self) -> EnumDescriptor:  # noqa: N802 - protobuf's name
        """What the enumeration contains."""

    def __hash__(self) -> int:
        """Return what tells it from others."""

    def Value(self, name: str) -> NumberT_co:  # noqa: N802 - protobuf's name
        """Return the number of a name."""


def allowed_words(words: Words[object]) -> tuple[str, ...]:
    """Return every word but the unspecified one, in the order of the contract."""
    start = len(_prefix(words))
    return tuple(
        value.name[start:].lower().replace("_", "-")
        for value in words.DESCRIPTOR.values
        if value.number != 0
    )


def number_of(words: Words[NumberT], word: str, field: str) -> NumberT:
    """Return the number of a word.

    Args:
        words: the enumeration.
        word: such as `border-check`.
        field: where the word stands, for the error.

    Raises:
        InvalidRequestError: there is no such word; says which there are.
    """
    numbers: dict[str, NumberT] = _numbers(words)
    if word not in numbers:
        message = f"`{word[:40]}` is none of {', '.join(numbers)}"
        raise InvalidRequestError.of(
            [Fault(field=field, reason="UNKNOWN_VALUE", message=message)]
        )
    return numbers[word]


def unspecified(words: Words[NumberT]) -> NumberT:
    """Return the number of no word."""
    return words.Value(words.DESCRIPTOR.values[0].name)


@lru_cache(maxsize=64)
def _numbers(words: Words[NumberT]) -> dict[str, NumberT]:
    """Return the number of each word, in the order of the contract."""
    prefix = _prefix(words)
    return {
        word: words.Value(prefix + word.upper().replace("-", "_"))
        for word in allowed_words(words)
    }


@lru_cache(maxsize=256)
def word_of(words: Words[object], number: int) -> str:
    """Return the word of a number: empty for 0, `unknown` for a newer one."""
    if number == 0:
        return ""
    value = words.DESCRIPTOR.values_by_number.get(number)
    if value is None:
        return "unknown"
    return str(value.name[len(_prefix(words)) :]).lower().replace("_", "-")


def words_of(words: Words[object], numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the word of every number."""
    return tuple(word_of(words, number) for number in numbers)


def _prefix(words: Words[object]) -> str:
    """Return what every name begins with: that of the zero value, by buf's rule."""
    return str(words.DESCRIPTOR.values[0].name).removesuffix("UNSPECIFIED")
