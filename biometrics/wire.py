"""Reading and writing what several messages of the contract share.

A message becomes a frozen value here or in a slice's own `wire`, or the call is
refused; nothing behind sees a message or an unchecked array.
"""

from __future__ import annotations

import re
import uuid
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError
from biometrics.members import Member
from biometrics.templates import Given, Kind, Position, Template, TemplateSpaces
from biometrics.v1 import template_pb2

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    from google.protobuf.descriptor import Descriptor, EnumDescriptor
    from google.protobuf.message import Message

E = TypeVar("E", bound=Enum)


class Words(Protocol):
    """A generated enumeration."""

    @property
    def DESCRIPTOR(self) -> EnumDescriptor: ...  # noqa: D102, N802 - protobuf's name

    def __hash__(self) -> int: ...  # noqa: D105 - as every object has


def read_word(kind: type[E], words: Words, number: int, field: str) -> E:
    """Return the member of `kind` with the name of `number` in `words`.

    Raises:
        InvalidRequestError: the number is unspecified or unknown.
    """
    found: E | None = _members(kind, words).get(number)
    if found is not None:
        return found
    allowed = ", ".join(v.name for v in words.DESCRIPTOR.values if v.number != 0)
    raise InvalidRequestError.of(
        [
            Fault(
                field=field, reason="UNKNOWN_VALUE", message=f"must be one of {allowed}"
            )
        ]
    )


@lru_cache(maxsize=64)
def _members(kind: type[E], words: Words) -> dict[int, E]:
    """Return the member of `kind` for each number of `words` but the unspecified."""
    prefix = _prefix(words)
    return {
        value.number: kind[value.name.removeprefix(prefix)]
        for value in words.DESCRIPTOR.values
        if value.number != 0
    }


@lru_cache(maxsize=256)  # of all enumerations of the contract
def write_word(words: Words, value: Enum) -> int:
    """Return the number that `words` has for the name of `value`."""
    number: int = words.DESCRIPTOR.values_by_name[_prefix(words) + value.name].number
    return number


def _prefix(words: Words) -> str:
    """Return the prefix of the value names: that of the zero value."""
    zero: str = words.DESCRIPTOR.values[0].name
    return zero.removesuffix("UNSPECIFIED")


# As RFC 9562 writes it, section 4; `uuid.UUID` takes braces, underscores and more.
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def read_request_id(text: str) -> bytes:
    """Return the 16 bytes of a request's UUID.

    Raises:
        InvalidRequestError: it is none, or missing.
    """
    if _UUID.fullmatch(text):
        return uuid.UUID(text).bytes
    fault = Fault(
        field="request_id",
        reason="REQUEST_ID_REQUIRED",
        message="must be a UUID such as `123e4567-e89b-42d3-a456-426614174000`; take a"
        " new one for each request and the same one to repeat it",
    )
    raise InvalidRequestError.of([fault])


def read_members(
    codes: Sequence[str], most: int, field: str, faults: list[Fault]
) -> frozenset[Member]:
    """Return the members of a repeated field of codes; append what is wrong."""
    if not codes:  # as of nearly all records
        return frozenset()
    if len(codes) > most:
        faults.append(
            Fault(field=field, reason="TOO_MANY", message=f"at most {most} members")
        )
        return frozenset()
    members: set[Member] = set()
    for index, code in enumerate(codes):
        with caught(faults, f"{field}[{index}]"):
            members.add(Member(code))
    return frozenset(members)


def write_moment(moment: dt.datetime) -> Timestamp:
    """Return the timestamp of a moment."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


_TOKEN_DIGITS: Final = 18  # of a number that every database can hold


def read_number_token(token: str) -> int:
    """Return the number after which a page begins; 0 for the first page.

    Raises:
        InvalidRequestError: no page gave such a token.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) <= _TOKEN_DIGITS):
        told = "is not one that a page of this list gave; begin again without a token"
        fault = Fault(field="page_token", reason="WRONG_TOKEN", message=told)
        raise InvalidRequestError.of([fault])
    return int(token)


def read_page_size(size: int) -> int:
    """Return how many entries a page has; 0 in a request stands for the default.

    Raises:
        InvalidRequestError: more than are allowed.
    """
    if size > limits.MAX_PAGE_RECORDS:
        told = f"must be at most {limits.MAX_PAGE_RECORDS}"
        fault = Fault(field="page_size", reason="WRONG_SIZE", message=told)
        raise InvalidRequestError.of([fault])
    return size or limits.DEFAULT_PAGE_RECORDS


class caught:  # noqa: N801 - reads as a statement, like contextlib.suppress
    """Collect the faults of an InvalidRequestError under a field, and go on."""

    def __init__(self, faults: list[Fault], field: str) -> None:
        """Append to `faults`, naming `field`."""
        self._faults = faults
        self._field = field

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, _kind: object, error: BaseException | None, _trace: object
    ) -> bool:
        """Swallow an InvalidRequestError and nothing else."""
        if not isinstance(error, InvalidRequestError):
            return False
        found = error.faults or (
            Fault(field="", reason=error.reason, message=error.message),
        )
        self._faults.extend(fault.under(self._field) for fault in found)
        return True


DATA_TYPES: Final[Mapping[Kind, template_pb2.DataType.ValueType]] = {
    Kind.VECTOR: template_pb2.DATA_TYPE_FLOAT32,
    Kind.MINUTIAE: template_pb2.DATA_TYPE_MINUTIAE,
}


def read_template(
    message: template_pb2.Template, spaces: TemplateSpaces, *, enrolled: bool = False
) -> Template:
    """Return the template of a message.

    Args:
        message: of a probe, or of a record.
        spaces: of the exchange.
        enrolled: whether it is of a record, whose quality counts.

    Raises:
        InvalidRequestError: with every fault that can be seen at once.
    """
    return Template.parse(*_given(message, spaces), enrolled=enrolled)


def read_templates(
    messages: Iterable[template_pb2.Template],
    spaces: TemplateSpaces,
    *,
    enrolled: bool = False,
) -> list[Template | InvalidRequestError]:
    """Return the templates of messages, each or why it is refused; see above."""
    read: list[Given | InvalidRequestError] = []
    for message in messages:
        try:
            read.append(_given(message, spaces))
        except InvalidRequestError as refused:
            read.append(refused)
    sound = [one for one in read if isinstance(one, Given)]
    parsed = iter(Template.parse_all(sound, enrolled=enrolled))
    return [next(parsed) if isinstance(one, Given) else one for one in read]


def _given(message: template_pb2.Template, spaces: TemplateSpaces) -> Given:
    """Return what a message has, in the space that it names.

    Raises:
        InvalidRequestError: there is no such space or position, or it is of another
            kind.
    """
    space = spaces.named(message.space)
    position = read_word(Position, template_pb2.Position, message.position, "position")
    data_type = DATA_TYPES[space.kind]
    if message.data_type != data_type:
        told = template_pb2.DataType.Name(data_type)
        fault = Fault(
            field="data_type",
            reason="UNKNOWN_VALUE",
            message=f"must be {told}: `{space.name}` is of the kind `{space.kind}`",
        )
        raise InvalidRequestError.of([fault])
    quality = message.quality if message.HasField("quality") else None
    return Given(space, position, message.data, quality)


def content_of(message: Message) -> bytes:
    """Return a request as bytes that tell it from every other, of any method."""
    return _named(message.DESCRIPTOR) + message.SerializeToString(deterministic=True)


@lru_cache(maxsize=64)
def _named(kind: Descriptor) -> bytes:
    """Return what the bytes of a request of some kind begin with."""
    return kind.full_name.encode() + b"\0"
