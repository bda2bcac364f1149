"""Transactions by ANSI/NIST-ITL and CBEFF wrappers, written as they are laid out."""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FS, GS, RS, US = b"\x1c", b"\x1d", b"\x1e", b"\x1f"
# Bytes that would end fields and records, were they not an image's.
PIXELS: Final = (FS + GS + RS + US + b"14.001:9" + FS) * 4


def rows(*items: Sequence[str]) -> bytes:
    """Return the value of a field from its subfields."""
    return RS.join(US.join(item.encode() for item in row) for row in items)


def tagged(kind: int, fields: Mapping[int, bytes | str], digits: int = 3) -> bytes:
    """Return a record of fields with tags of so many digits, whose length is right."""
    body = b"".join(
        GS + f"{kind}.{number:0{digits}d}:".encode() + _bytes(value)
        for number, value in fields.items()
    )
    head = f"{kind}.{1:0{digits}d}:"
    rest = len(head) + len(body) + len(FS)
    length = rest + len(str(rest))
    length += len(str(length)) - len(str(rest))
    return head.encode() + str(length).encode() + body + FS


def transaction(*records: tuple[int, int, bytes], version: str = "0502") -> bytes:
    """Return a transaction of records, each with its type and IDC."""
    content = [["1", str(len(records))]]
    content += [[str(kind), f"{idc:02d}"] for kind, idc, _ in records]
    head = {2: version, 3: rows(*content), 4: "CRM", 5: "20260101", 9: "t-1"}
    return tagged(1, head) + b"".join(record for _, _, record in records)


def texts(idc: int = 0) -> tuple[int, int, bytes]:
    """Return a record of type 2, which nobody reads."""
    return 2, idc, tagged(2, {2: f"{idc:02d}", 18: "NAME\xff"})


def type_4(idc: int = 1, *, finger: int = 2, code: int = 0) -> tuple[int, int, bytes]:
    """Return a fingerprint of 13 by 4 pixels in a binary record."""
    places = bytes([finger, *[255] * 5])
    body = struct.pack(">BB6sBHHB", idc, 0, places, 0, 13, 4, code) + PIXELS
    return 4, idc, struct.pack(">I", 4 + len(body)) + body


def type_10(idc: int = 3, **changed: bytes | str) -> tuple[int, int, bytes]:
    """Return a face of 13 by 4 pixels."""
    fields = {2: f"{idc:02d}", 3: "FACE", 4: "XAA", 5: "20260101", 6: "13", 7: "4"}
    fields |= {8: "0", 9: "1", 10: "1", 11: "NONE", 12: "GRAY"}
    return 10, idc, tagged(10, _changed(fields, changed) | {999: PIXELS})


def type_14(idc: int = 2, **changed: bytes | str) -> tuple[int, int, bytes]:
    """Return a fingerprint of 13 by 4 pixels; `f6` changes field 14.006."""
    fields = {2: f"{idc:02d}", 3: "0", 4: "XAA", 5: "20260101", 6: "13", 7: "4"}
    fields |= {8: "1", 9: "500", 10: "500", 11: "NONE", 12: "8", 13: "11"}
    fields |= {24: rows(["11", "87", "0001", "1"])}
    return 14, idc, tagged(14, _changed(fields, changed) | {999: PIXELS})


def type_9(idc: int = 2, **changed: bytes | str) -> tuple[int, int, bytes]:
    """Return minutiae in the fields of INCITS 378."""
    fields = {2: f"{idc:02d}", 3: "0", 4: "U", 126: rows(["001B", "0201"])}
    fields |= {128: "400", 129: "500", 130: "2", 131: "197", 132: "197", 133: "0"}
    fields |= {134: "07", 135: rows(["254", "0", "0"], ["61", "1", "1"]), 136: "2"}
    fields |= {
        137: rows(
            ["1", "10", "499", "45", "1", "80"], ["2", "0", "0", "179", "2", "254"]
        )
    }
    return 9, idc, tagged(9, _changed(fields, changed))


def own_type_9(idc: int = 2, **changed: bytes | str) -> tuple[int, int, bytes]:
    """Return minutiae in the standard's own fields."""
    fields = {2: f"{idc:02d}", 3: "0", 4: "S", 5: rows(["EXAMPLE", "A"]), 6: "07"}
    fields |= {7: rows(["T", "UN"]), 10: "2", 11: "1"}
    fields |= {
        12: rows(
            ["001", "10002000090", "0", "A", "02,03"],
            ["002", "01000500270", "63", "B"],
        )
    }
    return 9, idc, tagged(9, _changed(fields, changed))


def wrapper(*birs: str, head: str = "") -> bytes:
    """Return a CBEFF wrapper around BIRs, as MOSIP writes it."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        '<BIR xmlns="http://standards.iso.org/iso-iec/19785/-3/ed-2/">'
        "<BIRInfo><Integrity>false</Integrity></BIRInfo>"
        f"{''.join(birs)}</BIR>"
    ).encode()


def bir(  # noqa: PLR0917 - as many elements
    block: bytes,
    kind: str = "2",
    subtype: str = "Right Thumb",
    score: str = "77",
    owner: str = "257",
    encrypted: str = "false",
) -> str:
    """Return one BIR."""
    return (
        "<BIR><BIRInfo><Integrity>false</Integrity></BIRInfo><BDBInfo>"
        f"<Format><Organization>{owner}</Organization><Type>{kind}</Type></Format>"
        f"<Encryption>{encrypted}</Encryption><Type>Finger</Type>"
        f"<Subtype>{subtype}</Subtype><Quality><Score>{score}</Score></Quality>"
        f"</BDBInfo><BDB>{b64encode(block).decode()}</BDB><SB>AAAA</SB></BIR>"
    )


def _changed(
    fields: Mapping[int, bytes | str], changed: Mapping[str, bytes | str]
) -> dict[int, bytes | str]:
    """Return fields, some of them changed; an empty value leaves one out."""
    told = {**fields, **{int(name[1:]): value for name, value in changed.items()}}
    return {number: value for number, value in told.items() if value}


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
