"""Transactions by ANSI/NIST-ITL in the traditional encoding, cut into records.

Read strictly: the first record says of what types the others are, each says how long it
is, and both must agree with what is there. Values are bytes until a reader of a type
asks for them; what nobody asks for, such as the descriptive texts of type 2, is never
decoded. Source: NIST SP 500-290, clauses 7 and 8 and annex B.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from biometrics import limits
from biometrics.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FS: Final = b"\x1c"  # ends a record
_GS: Final = b"\x1d"  # between fields
_RS: Final = b"\x1e"  # between subfields
_US: Final = b"\x1f"  # between items
# Before the edition of 2007 fields had two digits: `1.01:`.
_LENGTH: Final = re.compile(rb"(\d{1,2})\.0{0,8}1:(\d{1,10})[\x1c\x1d]")
_TAG: Final = re.compile(rb"(\d{1,2})\.(\d{1,9}):")
_VERSION: Final = re.compile(rb"0[2-9]\d\d")

_FIRST: Final = 1
_BINARY: Final = frozenset(range(3, 9))
_LAST_TYPE: Final = 99
_IDC, _VERSION_FIELD, _CONTENT = 2, 2, 3
_DATA: Final = 999  # of an image; it may hold any bytes
_TEXTS_ONLY: Final = frozenset({1, 2, 9})
_LONGEST_NUMBER: Final = 9  # digits


@dataclass(frozen=True, slots=True, kw_only=True)
class ItlRecord:
    """One record of a transaction.

    Attributes:
        number: which, from 0; the first is of type 1.
        type: 1 to 99.
        fields: values by number; none of a binary record.
        data: of field 999; of a binary record all that follows its IDC.
    """

    number: int
    type: int
    fields: Mapping[int, bytes] = field(repr=False)
    data: bytes = field(repr=False, default=b"")

    def wrong(self, number: int, message: str) -> InvalidRequestError:
        """Return the error of a field; 0 stands for the record as a whole."""
        where = f"records[{self.number}]"
        return _wrong(f"{where}.{self.type}.{number:03d}" if number else where, message)

    def rows(self, number: int) -> list[list[bytes]]:
        """Return the items of each subfield of a field.

        Raises:
            InvalidRequestError: there is no such field, it is empty, or has too many.
        """
        value = self.fields.get(number)
        if not value:
            raise self.wrong(number, "is missing")
        if value.count(_RS) + value.count(_US) >= limits.MAX_FIELD_ITEMS:
            told = f"has more than {limits.MAX_FIELD_ITEMS} items"
            raise self.wrong(number, told)
        return [row.split(_US) for row in value.split(_RS)]

    def text(self, number: int) -> bytes:
        """Return the one item of a field.

        Raises:
            InvalidRequestError: there is none, or there are several.
        """
        match self.rows(number):
            case [[value]]:
                return value
            case _:
                raise self.wrong(number, "has several values where there is one")

    def whole(self, number: int, least: int, most: int) -> int:
        """Return the whole number that a field is.

        Raises:
            InvalidRequestError: it is none, or out of range.
        """
        return self.count(number, self.text(number), least, most)

    def count(self, number: int, text: bytes, least: int, most: int) -> int:
        """Return the whole number that an item of a field is.

        Raises:
            InvalidRequestError: it is none, or out of range.
        """
        if text.isdigit() and len(text) <= _LONGEST_NUMBER:
            found = int(text)
            if least <= found <= most:
                return found
        raise self.wrong(number, f"has what is no number from {least} to {most}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What one file holds.

    Attributes:
        version: of the standard, such as `0502`.
        records: all of them, the first of type 1.
    """

    version: str
    records: tuple[ItlRecord, ...]


def read_transaction(data: bytes) -> Transaction:
    """Return the transaction that `data` is from end to end.

    Raises:
        InvalidRequestError: it is none; the one fault names the first record and field
            that is wrong, such as `records[2].9.137`.
    """
    # 1. The first record says what follows.
    first, at = _tagged(data, 0, 0, _FIRST)
    version = first.text(_VERSION_FIELD)
    if not _VERSION.fullmatch(version):
        raise first.wrong(_VERSION_FIELD, "is no version such as `0500`")
    records = [first]
    # 2. Each other record is what it says.
    for number, (kind, idc) in enumerate(_contents(first), 1):
        read = _binary if kind in _BINARY else _tagged
        record, at = read(data, at, number, kind)
        _check_idc(record, idc)
        records.append(record)
    if at != len(data):
        told = f"{len(data) - at} bytes are left over, of no record in 1.003"
        raise _wrong("end", told)
    return Transaction(version=version.decode(), records=tuple(records))


def _contents(first: ItlRecord) -> list[tuple[int, int]]:
    """Return type and IDC of each record that follows the first."""
    head, *rest = first.rows(_CONTENT)
    most = limits.MAX_TRANSACTION_RECORDS
    pair = 2  # items
    if len(head) != pair or first.count(_CONTENT, head[0], 0, _LAST_TYPE) != _FIRST:
        raise first.wrong(_CONTENT, "begins with something else than `1` and a count")
    if first.count(_CONTENT, head[1], 1, most) != len(rest):
        raise first.wrong(_CONTENT, f"counts other than the {len(rest)} that it lists")
    if any(len(row) != pair for row in rest):
        raise first.wrong(_CONTENT, "lists a record without its type and IDC")
    return [
        (
            first.count(_CONTENT, kind, _FIRST + 1, _LAST_TYPE),
            first.count(_CONTENT, idc, 0, 255),
        )
        for kind, idc in rest
    ]


def _tagged(data: bytes, at: int, number: int, kind: int) -> tuple[ItlRecord, int]:
    """Read a record of fields with tags; return it, and where it ends."""
    record = ItlRecord(number=number, type=kind, fields={})
    begin = _LENGTH.match(data, at)
    if begin is None or int(begin[1]) != kind:
        raise record.wrong(1, f"is not where a record of type {kind} begins")
    end = at + int(begin[2])
    if end > len(data):
        raise record.wrong(1, f"ends {end - len(data)} bytes behind the file")
    if end < begin.end() or data[end - 1 : end] != _FS:
        raise record.wrong(1, "is not the length of the record, which ends elsewhere")
    fields: dict[int, bytes] = {}
    while at < end:
        field, value, at = _field(record, data, at, end)
        if field in fields or len(fields) == limits.MAX_RECORD_FIELDS:
            raise record.wrong(field, "is there twice, or one field too many")
        fields[field] = value
    image = fields.pop(_DATA, b"") if kind not in _TEXTS_ONLY else b""
    return ItlRecord(number=number, type=kind, fields=fields, data=image), end


def _field(record: ItlRecord, data: bytes, at: int, end: int) -> tuple[int, bytes, int]:
    """Read a field; return its number, its value and where the next one begins."""
    tag = _TAG.match(data, at, end)
    if tag is None or int(tag[1]) != record.type:
        told = f"has what is no field of type {record.type} (at byte {at})"
        raise record.wrong(0, told)
    field, start = int(tag[2]), tag.end()
    is_image = field == _DATA and record.type not in _TEXTS_ONLY
    stop = end - 1 if is_image else data.find(_GS, start, end - 1)
    if stop < 0:
        stop = end - 1
    value = data[start:stop]
    if not is_image and _FS in value:
        raise record.wrong(field, "has the end of a record within")
    return field, value, stop + 1


def _binary(data: bytes, at: int, number: int, kind: int) -> tuple[ItlRecord, int]:
    """Read a record that begins with its length in four bytes, and its IDC in one."""
    head = 5
    record = ItlRecord(number=number, type=kind, fields={})
    length = int.from_bytes(data[at : at + 4], "big")
    if len(data) - at < max(length, head):
        raise record.wrong(1, f"ends behind the file, which has {len(data) - at} bytes")
    if length < head:
        raise record.wrong(1, f"says {length} bytes where there are {head} or more")
    fields = {_IDC: str(data[at + 4]).encode()}
    body = data[at + head : at + length]
    return ItlRecord(number=number, type=kind, fields=fields, data=body), at + length


def _check_idc(record: ItlRecord, idc: int) -> None:
    """Refuse a record that is not the one that the first record lists there."""
    if record.whole(_IDC, 0, 255) != idc:
        raise record.wrong(_IDC, f"is not `{idc}`, which 1.003 says")


def _wrong(where: str, message: str) -> InvalidRequestError:
    """Return the error of a place in a transaction."""
    fault = Fault(field=where, reason="WRONG_FIELD", message=message)
    return InvalidRequestError.of([fault])
